"""Voiceprints as a service, with aiohttp: `cd examples && python -m aiohttp.web -P 8000 aiohttp_service:make_app`.

When it stops, it finishes the submissions on the wire: whatever ends its process must leave it longer than
`Timeouts.total`, which is 60 seconds.

The environment has PYANNOTEAI_API_KEY, PYANNOTEAI_WEBHOOK_SECRET, and the address of this service as PUBLIC_URL.
"""

import logging
import math
import os
from collections.abc import AsyncIterator, Sequence

from aiohttp import web
from aiohttp.typedefs import Handler

from pyannote_voiceprint_async import (
    AccountError,
    AsyncVoiceprintClient,
    InvalidRequestError,
    JobError,
    JobTimeoutError,
    Polling,
    QueueTooLongError,
    Voiceprint,
    VoiceprintError,
    aiohttp_webhook_handler,
)

PATIENCE = float(os.environ.get("PATIENCE", "50"))  # seconds; then a caller gets the job's id
CLIENT = web.AppKey("client", AsyncVoiceprintClient)

# The client logs the id of each accepted job at INFO: a job that is paid for must be in the log before anything fails.
logging.basicConfig(level=logging.INFO)
log = logging.getLogger(__name__)
voiceprints: dict[str, Voiceprint] = {}  # your database


async def enroll(request: web.Request) -> web.Response:
    """Answer when the voiceprint is there."""
    try:
        speaker = await request.json()
        name, url = str(speaker["name"]), speaker["url"]
    except (ValueError, TypeError, KeyError):
        return web.json_response({"detail": 'Send {"name": …, "url": …}.'}, status=422)
    voiceprint = await request.app[CLIENT].voiceprint(url, timeout=PATIENCE)
    voiceprints[name] = voiceprint
    return web.json_response({"name": name, "model": voiceprint.model}, status=201)


@web.middleware
async def explain(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Say whose turn it is."""
    try:
        return await handler(request)
    except JobTimeoutError as error:  # the job goes on: client.wait(job_id) picks it up
        return web.json_response({"job_id": error.job_id}, status=202)
    except (InvalidRequestError, JobError) as error:
        return web.json_response({"detail": str(error)}, status=422)
    except QueueTooLongError as error:
        pause = {"Retry-After": f"{math.ceil(error.expected_wait)}"}
        return web.json_response({"detail": str(error)}, status=503, headers=pause)
    except AccountError as error:
        log.error("Nothing works until somebody looks after the account: %s", error)  # noqa: TRY400 - it says all
        return web.json_response({"detail": "This is our fault, not yours."}, status=500)
    except VoiceprintError as error:
        log.warning("No voiceprint: %s", error)
        return web.json_response({"detail": "pyannoteAI could not be asked."}, status=502)


async def while_it_runs(app: web.Application) -> AsyncIterator[None]:
    """One client, for as long as the service runs."""
    async with app[CLIENT]:
        yield


def make_app(_: Sequence[str] = ()) -> web.Application:
    """Put the service together."""
    client = AsyncVoiceprintClient(
        webhook=os.environ["PUBLIC_URL"] + "/webhooks/pyannote",
        max_queue_wait=5.0,
        polling=Polling(webhook_grace=20.0),  # a lost webhook is noticed within the callers' patience
    )
    app = web.Application(middlewares=[explain])
    app[CLIENT] = client
    app.cleanup_ctx.append(while_it_runs)
    app.router.add_post("/speakers", enroll)
    secret = os.environ["PYANNOTEAI_WEBHOOK_SECRET"]
    app.router.add_post("/webhooks/pyannote", aiohttp_webhook_handler(client.deliver, secret))
    return app
