"""Voiceprints as a service, with aiohttp: `cd examples && python -m aiohttp.web -P 8000 aiohttp_service:make_app`.

When it stops, it first finishes the submissions in flight. The grace period of whatever stops the process must exceed
`Timeouts.total`, which is 60 seconds.

It needs prometheus-client. Set PYANNOTEAI_API_KEY, PYANNOTEAI_WEBHOOK_SECRET, and PUBLIC_URL (the address of this
service) in the environment. For several processes or machines behind a load balancer, also set
PYANNOTE_VOICEPRINT_SHARED (voiceprint-shared.db, or postgresql://…): they share the rate limit, and a webhook may reach
any of them. Each process has metrics of its own.

Copy it with prometheus_metrics.py and speaker_table.py. It authenticates no callers: /webhooks/pyannote checks
signatures, and all other routes need your own protection before they are public.
"""

import logging
import math
import os
from collections.abc import AsyncIterator, Sequence

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_metrics import PrometheusEvents
from speaker_table import SpeakerTable

from pyannote_voiceprint_async import (
    AccountError,
    AsyncVoiceprintClient,
    InvalidRequestError,
    JobCreated,
    JobError,
    JobTimeoutError,
    Model,
    NotFoundError,
    Polling,
    QueueTooLongError,
    Voiceprint,
    VoiceprintError,
    aiohttp_webhook_handler,
)

PATIENCE = float(os.environ.get("PATIENCE", "50"))  # seconds after which the caller gets the job id instead
CLIENT = web.AppKey("client", AsyncVoiceprintClient)

# The client logs the id of each accepted job at INFO. With the id, a billed result can be fetched after any failure.
logging.basicConfig(level=logging.INFO)
log = logging.getLogger(__name__)
table = SpeakerTable(os.environ.get("SPEAKERS", "speakers.db"))
on_event = PrometheusEvents()


async def enroll(request: web.Request) -> web.Response:
    """Create a voiceprint, and respond when it is stored; or with 202 and the job id, if the job takes too long."""
    try:
        speaker = await request.json()
        name, url = str(speaker["name"]), speaker["url"]
        name.encode()  # a lone surrogate cannot be stored, which must not be found out after the job is billed
    except (ValueError, TypeError, KeyError):
        return web.json_response({"detail": 'Send {"name": …, "url": …}.'}, status=422)

    async def record(job: JobCreated) -> None:
        await table.add(job.job_id, name)

    voiceprint = await request.app[CLIENT].voiceprint(url, timeout=PATIENCE, on_submitted=record)
    await table.complete(voiceprint)
    return web.json_response({"name": name, "model": voiceprint.model}, status=201)


async def show_job(request: web.Request) -> web.Response:
    """Respond with the status of a job, and store its voiceprint if its caller did not wait for it."""
    job = await request.app[CLIENT].get_job(request.match_info["job_id"])
    if job.voiceprint:
        await table.complete(Voiceprint.from_job(job, Model.PRECISION_2))
    return web.json_response({"job_id": job.job_id, "status": job.status})


async def health(request: web.Request) -> web.Response:
    """Respond while this process runs. No request is sent: a restart of the service would not repair the API."""
    stats = request.app[CLIENT].stats
    return web.json_response({"in_flight": stats.in_flight, "queued": stats.queued})


async def metrics(_: web.Request) -> web.Response:
    """Respond with the metrics of this process."""
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


@web.middleware
async def explain(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Translate each error into an HTTP status: whether the caller, the operator or nobody can act on it."""
    try:
        return await handler(request)
    except JobTimeoutError as error:  # the job continues: client.wait(job_id) fetches the result
        return web.json_response({"job_id": error.job_id}, status=202)
    except (InvalidRequestError, JobError, NotFoundError) as error:
        return web.json_response({"detail": str(error)}, status=404 if isinstance(error, NotFoundError) else 422)
    except QueueTooLongError as error:
        pause = {"Retry-After": f"{math.ceil(error.expected_wait)}"}
        return web.json_response({"detail": str(error)}, status=503, headers=pause)
    except AccountError as error:
        log.error("All submissions fail until the pyannoteAI account is fixed: %s", error)  # noqa: TRY400 - the message is complete without a traceback
        return web.json_response({"detail": "The service is misconfigured. The request was correct."}, status=500)
    except VoiceprintError as error:
        log.warning("A voiceprint could not be created: %s", error)
        return web.json_response({"detail": "pyannoteAI did not respond as expected. Try again later."}, status=502)


async def open_client(app: web.Application) -> AsyncIterator[None]:
    """Open one client for as long as the service runs."""
    async with app[CLIENT]:
        yield


def make_app(_: Sequence[str] = ()) -> web.Application:
    """Return the application."""
    client = AsyncVoiceprintClient(
        webhook=os.environ["PUBLIC_URL"] + "/webhooks/pyannote",
        max_queue_wait=5.0,
        polling=Polling(webhook_grace=20.0),  # if a webhook is lost, polling finds the job before PATIENCE ends
        shared=os.environ.get("PYANNOTE_VOICEPRINT_SHARED"),
        on_event=on_event,
    )
    app = web.Application(middlewares=[explain])
    app[CLIENT] = client
    app.cleanup_ctx.append(open_client)
    app.router.add_post("/speakers", enroll)
    app.router.add_get("/jobs/{job_id}", show_job)
    app.router.add_get("/health", health)
    app.router.add_get("/metrics", metrics)
    secret = os.environ["PYANNOTEAI_WEBHOOK_SECRET"]
    app.router.add_post("/webhooks/pyannote", aiohttp_webhook_handler(client.deliver, secret))
    return app
