"""A FastAPI service that makes voiceprints, and names the speakers of recordings.

Run it with `cd examples && uvicorn fastapi_service:app --workers 2 --timeout-graceful-shutdown 90`. When the service
stops, its requests get 90 seconds to end, which is more than they need: they wait for a job for PATIENCE seconds at
most, and for a submission for `Timeouts.total` (60 seconds). Then the client closes.

| environment | |
| --- | --- |
| `PYANNOTEAI_API_KEY`, `PYANNOTEAI_WEBHOOK_SECRET` | from the dashboard of pyannoteAI |
| `PUBLIC_URL` | the address of this service, for webhooks |
| `PYANNOTE_VOICEPRINT_SHARED` | `voiceprint-shared.db`, or `postgresql://…` for workers on several machines |
| `PROMETHEUS_MULTIPROC_DIR` | an empty folder, in which all workers count their metrics |
| `SPEAKERS` | the SQLite file of the speakers; by default `speakers.db` |

It needs fastapi, uvicorn and prometheus-client. Through the shared state, all workers share the rate limit, and a
webhook may reach any of them. One worker needs neither the shared state nor the folder.

Copy it with prometheus_metrics.py and speaker_table.py. It authenticates no callers: /webhooks/pyannote checks
signatures, and all other routes need your own protection before they are public.
"""

import asyncio
import logging
import math
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead  # pyright: ignore[reportUnknownVariableType]
from prometheus_metrics import PrometheusEvents
from pydantic import AfterValidator, BaseModel, Field
from speaker_table import SpeakerTable
from starlette.requests import ClientDisconnect

from pyannote_voiceprint_async import (
    AccountError,
    AsyncVoiceprintClient,
    Identification,
    IdentificationOutput,
    InvalidRequestError,
    JobCreated,
    JobError,
    JobExpiredError,
    JobTimeoutError,
    Model,
    NotFoundError,
    Polling,
    QueueTooLongError,
    Voiceprint,
    VoiceprintError,
    WebhookError,
    verify_webhook,
)

SECRET = os.environ["PYANNOTEAI_WEBHOOK_SECRET"]
WEBHOOK = os.environ["PUBLIC_URL"] + "/webhooks/pyannote"
MAX_WEBHOOK = 2**20  # bytes; anybody may send a body, and its signature can be checked only after it was read
PATIENCE = float(os.environ.get("PATIENCE", "50"))  # seconds after which the caller gets the job id instead
HAS_SHARED_METRICS = "PROMETHEUS_MULTIPROC_DIR" in os.environ  # prometheus_client reads it when it is imported

# The client logs the id of each accepted job at INFO. With the id, a billed result can be fetched after any failure.
logging.basicConfig(level=logging.INFO)
log = logging.getLogger(__name__)
table = SpeakerTable(os.environ.get("SPEAKERS", "speakers.db"))
on_event = PrometheusEvents()


def check_name(name: str) -> str:
    """Refuse a name that the API would refuse as a label."""
    if name.lower().startswith("speaker_"):
        raise ValueError("must not begin with 'speaker_', which names the speakers of the diarization")
    return name


Name = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(check_name)]


class Speaker(BaseModel):
    """The name of a speaker and the URL of a recording."""

    name: Name
    url: str


class Recording(BaseModel):
    """The URL of a recording, and the names of enrolled speakers who may speak in it."""

    url: str
    speakers: Annotated[list[Name], Field(min_length=1, max_length=50)]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """Open one client for as long as the worker runs."""
    async with AsyncVoiceprintClient(
        webhook=WEBHOOK,
        max_queue_wait=5.0,
        polling=Polling(webhook_grace=20.0),  # if a webhook is lost, polling finds the job before PATIENCE ends
        shared=os.environ.get("PYANNOTE_VOICEPRINT_SHARED"),
        on_event=on_event,
    ) as client:
        app.state.client = client
        yield
    if HAS_SHARED_METRICS:
        mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]


def get_client(request: Request) -> AsyncVoiceprintClient:
    """Return the client of this worker."""
    client: AsyncVoiceprintClient = request.app.state.client
    return client


Client = Annotated[AsyncVoiceprintClient, Depends(get_client)]
app = FastAPI(lifespan=lifespan)


@app.post("/speakers", status_code=201)
async def enroll(speaker: Speaker, client: Client) -> dict[str, str]:
    """Create a voiceprint, and respond when it is stored; or with 202 and the job id, if the job takes too long."""

    async def record(job: JobCreated) -> None:
        await table.add(job.job_id, speaker.name)

    voiceprint = await client.voiceprint(speaker.url, timeout=PATIENCE, on_submitted=record)
    await table.complete(voiceprint)
    return {"name": speaker.name, "model": voiceprint.model}


@app.get("/jobs/{job_id}")
async def show_job(job_id: str, client: Client) -> dict[str, str]:
    """Respond with the status of a job, and store its voiceprint if its caller did not wait for it."""
    job = await client.get_job(job_id)
    if job.voiceprint:
        await table.complete(Voiceprint.from_job(job, Model.PRECISION_2))
    return {"job_id": job.job_id, "status": job.status}


@app.post("/recordings", status_code=202)
async def identify(recording: Recording, client: Client) -> dict[str, str]:
    """Submit a recording, and respond with its job id. A recording is billed by its seconds.

    The webhook has no output, which can have megabytes. `speakers_of` reads the output when it is needed.
    """
    speakers = await table.find(recording.speakers)
    if unknown := [name for name in recording.speakers if name not in speakers]:
        raise HTTPException(404, f"Not enrolled: {', '.join(unknown)}. Send their recordings to /speakers first.")
    job = await client.submit_identification(recording.url, speakers, webhook_status_only=True)
    return {"job_id": job.job_id}


@app.get("/recordings/{job_id}")
async def speakers_of(job_id: str, client: Client) -> list[dict[str, object]]:
    """Respond with the speakers of a recording and the certainty of each name, or with 202 while the job runs.

    The service stores no results: the API keeps them for 24 hours, so they can be requested even after a restart.
    """
    job = await client.wait(job_id, timeout=PATIENCE)
    if not isinstance(job.output, IdentificationOutput):
        raise HTTPException(404, f"{job_id} is not the job of a recording.")
    # In a thread: the output of a long recording has 100,000 turns.
    found = await asyncio.to_thread(
        Identification.from_output, job.output, job_id=job_id, model=Model.PRECISION_2, created_at=job.created_at
    )
    return [
        {
            "speaker": decision.diarization_speaker,
            "name": decision.label,
            "certainty": decision.certainty,
            "seconds": decision.seconds,
            "reason": decision.reason,
        }
        for decision in found.decide()
    ]


@app.post("/webhooks/pyannote", status_code=204)
async def receive(request: Request, client: Client) -> None:
    """Verify a webhook, and end the wait for its job."""
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > MAX_WEBHOOK:
                raise HTTPException(413, f"A webhook has at most {MAX_WEBHOOK} bytes.")
        client.deliver(verify_webhook(bytes(body), request.headers, SECRET))
    except ClientDisconnect:
        raise HTTPException(400, "The body is incomplete.") from None
    except WebhookError as error:
        raise HTTPException(401, str(error)) from None


@app.get("/health")
async def health(client: Client) -> dict[str, int]:
    """Respond while this worker runs. No request is sent: a restart of the service would not repair the API."""
    return {"worker": os.getpid(), "in_flight": client.stats.in_flight, "queued": client.stats.queued}


@app.get("/metrics")
def metrics() -> Response:
    """Respond with the metrics of all workers. FastAPI runs this function in a thread, because it reads files."""
    registry = REGISTRY
    if HAS_SHARED_METRICS:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


@app.exception_handler(RequestValidationError)
async def refuse(_: Request, error: RequestValidationError) -> Response:
    """Respond with the problems of a body, but not with its values: a lone surrogate cannot be encoded as UTF-8."""
    detail = [{"field": list(one["loc"]), "message": one["msg"]} for one in error.errors()]
    return JSONResponse({"detail": detail}, 422)


@app.exception_handler(VoiceprintError)
async def explain(_: Request, error: VoiceprintError) -> Response:
    """Translate each error into an HTTP status, by who can act on it: the caller, the operator, or nobody."""
    match error:
        case JobTimeoutError():  # the job continues: client.wait(job_id) fetches the result
            return JSONResponse({"job_id": error.job_id}, 202)
        case JobExpiredError() | NotFoundError():  # there is no such job, or its output is deleted
            return JSONResponse({"detail": str(error)}, 404)
        case InvalidRequestError() | JobError():
            return JSONResponse({"detail": str(error)}, 422)
        case QueueTooLongError():
            return JSONResponse({"detail": str(error)}, 503, {"Retry-After": f"{math.ceil(error.expected_wait)}"})
        case AccountError():
            log.error("All submissions fail until the pyannoteAI account is fixed: %s", error)
            return JSONResponse({"detail": "The service is misconfigured. The request was correct."}, 500)
        case _:
            log.warning("The request failed: %s", error)
            return JSONResponse({"detail": "pyannoteAI did not respond as expected. Try again later."}, 502)
