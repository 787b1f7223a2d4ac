"""Voiceprints and the names of speakers as a service, with FastAPI.

Run it with `cd examples && uvicorn fastapi_service:app --timeout-graceful-shutdown 90`. The graceful timeout must
exceed `Timeouts.total`, which is 60 seconds, so that submissions in flight are finished when the service stops.

Set PYANNOTEAI_API_KEY, PYANNOTEAI_WEBHOOK_SECRET, and PUBLIC_URL (the address of this service) in the environment. For
several workers (`--workers 3`) or machines, also set PYANNOTE_VOICEPRINT_SHARED: they share the rate limit, and a
webhook may reach any of them.
"""

import logging
import math
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

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
    WebhookError,
    verify_webhook,
)

SECRET = os.environ["PYANNOTEAI_WEBHOOK_SECRET"]
WEBHOOK = os.environ["PUBLIC_URL"] + "/webhooks/pyannote"
PATIENCE = float(os.environ.get("PATIENCE", "50"))  # seconds after which the caller gets the job id instead

# The client logs the id of each accepted job at INFO. With the id, a paid result can be fetched after any failure.
logging.basicConfig(level=logging.INFO)
log = logging.getLogger(__name__)
voiceprints: dict[str, Voiceprint] = {}  # stands for your database


class Speaker(BaseModel):
    """The name of a speaker and the URL of a recording."""

    name: str
    url: str


class Recording(BaseModel):
    """The URL of a recording."""

    url: str


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open one client for as long as the service runs."""
    polling = Polling(webhook_grace=20.0)  # if a webhook is lost, polling finds the job before PATIENCE ends
    shared = os.environ.get("PYANNOTE_VOICEPRINT_SHARED")  # voiceprint-shared.db, or postgresql://…
    async with AsyncVoiceprintClient(webhook=WEBHOOK, max_queue_wait=5.0, polling=polling, shared=shared) as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/speakers", status_code=201)
async def enroll(speaker: Speaker) -> dict[str, str]:
    """Create a voiceprint, and respond when it is stored."""
    voiceprint = await app.state.client.voiceprint(speaker.url, timeout=PATIENCE)
    voiceprints[speaker.name] = voiceprint
    return {"name": speaker.name, "model": voiceprint.model}


@app.post("/recordings")
async def identify(recording: Recording) -> dict[str, list[dict[str, object]]]:
    """Respond with who speaks when. At most 50 speakers are compared; each recording is billed by its seconds."""
    if not voiceprints:
        raise HTTPException(409, "No speaker is enrolled. Send one to /speakers first.")
    speakers = dict(list(voiceprints.items())[:50])
    identification = await app.state.client.identify(recording.url, speakers, timeout=PATIENCE)
    certain = {found.label for found in identification.decide() if found.certainty == "certain"}
    turns = [
        {"speaker": turn.speaker, "start": turn.start, "end": turn.end, "is_certain": turn.speaker in certain}
        for turn in identification.turns
    ]
    return {"turns": turns}


@app.post("/webhooks/pyannote", status_code=204)
async def receive(request: Request) -> None:
    """Verify a webhook, and end the wait for its job."""
    try:
        app.state.client.deliver(verify_webhook(await request.body(), request.headers, SECRET))
    except WebhookError as error:
        raise HTTPException(401, str(error)) from None


@app.exception_handler(VoiceprintError)
async def explain(_: Request, error: VoiceprintError) -> Response:
    """Translate each error into an HTTP status: whether the caller, the operator or nobody can act on it."""
    match error:
        case JobTimeoutError():  # the job continues: client.wait(job_id) fetches the result
            return JSONResponse({"job_id": error.job_id}, 202)
        case InvalidRequestError() | JobError():
            return JSONResponse({"detail": str(error)}, 422)
        case QueueTooLongError():
            return JSONResponse({"detail": str(error)}, 503, {"Retry-After": f"{math.ceil(error.expected_wait)}"})
        case AccountError():
            log.error("All submissions fail until the pyannoteAI account is fixed: %s", error)
            return JSONResponse({"detail": "The service is misconfigured. The request was correct."}, 500)
    log.warning("A voiceprint could not be created: %s", error)
    return JSONResponse({"detail": "pyannoteAI did not respond as expected. Try again later."}, 502)
