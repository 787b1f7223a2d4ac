"""Voiceprints as a service, with FastAPI.

Run it with `cd examples && uvicorn fastapi_service:app --timeout-graceful-shutdown 90`. The graceful timeout must
exceed `Timeouts.total`, which is 60 seconds, so that submissions on the wire are finished when the service stops.

The environment has PYANNOTEAI_API_KEY, PYANNOTEAI_WEBHOOK_SECRET, and the address of this service as PUBLIC_URL.
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
PATIENCE = float(os.environ.get("PATIENCE", "50"))  # seconds; then a caller gets the job's id

# The client logs the id of each accepted job at INFO: a job that is paid for must be in the log before anything fails.
logging.basicConfig(level=logging.INFO)
log = logging.getLogger(__name__)
voiceprints: dict[str, Voiceprint] = {}  # your database


class Speaker(BaseModel):
    """Who speaks, and where a recording is."""

    name: str
    url: str


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One client, for as long as the service runs."""
    polling = Polling(webhook_grace=20.0)  # a lost webhook is noticed within the callers' patience
    async with AsyncVoiceprintClient(webhook=WEBHOOK, max_queue_wait=5.0, polling=polling) as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/speakers", status_code=201)
async def enroll(speaker: Speaker) -> dict[str, str]:
    """Answer when the voiceprint is there."""
    voiceprint = await app.state.client.voiceprint(speaker.url, timeout=PATIENCE)
    voiceprints[speaker.name] = voiceprint
    return {"name": speaker.name, "model": voiceprint.model}


@app.post("/webhooks/pyannote", status_code=204)
async def receive(request: Request) -> None:
    """Let whoever waits for this job go on."""
    try:
        app.state.client.deliver(verify_webhook(await request.body(), request.headers, SECRET))
    except WebhookError as error:
        raise HTTPException(401, str(error)) from None


@app.exception_handler(VoiceprintError)
async def explain(_: Request, error: VoiceprintError) -> Response:
    """Say whose turn it is."""
    match error:
        case JobTimeoutError():  # the job goes on: client.wait(job_id) picks it up
            return JSONResponse({"job_id": error.job_id}, 202)
        case InvalidRequestError() | JobError():
            return JSONResponse({"detail": str(error)}, 422)
        case QueueTooLongError():
            return JSONResponse({"detail": str(error)}, 503, {"Retry-After": f"{math.ceil(error.expected_wait)}"})
        case AccountError():
            log.error("Nothing works until somebody looks after the account: %s", error)
            return JSONResponse({"detail": "This is our fault, not yours."}, 500)
    log.warning("No voiceprint: %s", error)
    return JSONResponse({"detail": "pyannoteAI could not be asked."}, 502)
