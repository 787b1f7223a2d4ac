"""Voiceprints as a service, with FastAPI: `cd examples && uvicorn fastapi_service:app`.

The environment has PYANNOTEAI_API_KEY, PYANNOTEAI_WEBHOOK_SECRET, and in PUBLIC_URL the address of this service.
"""

import logging
import math
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

import pyannote_voiceprint_async as pyannote

PATIENCE = float(os.environ.get("PATIENCE", "50"))  # seconds that a caller waits, before it is given the job's id
WEBHOOK_SECRET = os.environ["PYANNOTEAI_WEBHOOK_SECRET"]
WEBHOOK = os.environ["PUBLIC_URL"] + "/webhooks/pyannote"

voiceprints: dict[str, pyannote.Voiceprint] = {}  # your database


class Speaker(BaseModel):
    """Who speaks, and where the recording is."""

    name: str
    url: str


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One client for as long as the service runs."""
    polling = pyannote.Polling(webhook_grace=20.0)  # well within the callers' patience
    async with pyannote.AsyncVoiceprintClient(webhook=WEBHOOK, max_queue_wait=5.0, polling=polling) as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/speakers", status_code=201)
async def enroll(speaker: Speaker) -> dict[str, str]:
    """Answer when the voiceprint is there."""
    client: pyannote.AsyncVoiceprintClient = app.state.client
    voiceprints[speaker.name] = voiceprint = await client.voiceprint(speaker.url, timeout=PATIENCE)
    return {"name": speaker.name, "model": voiceprint.model}


@app.post("/webhooks/pyannote", status_code=204)
async def receive(request: Request) -> None:
    """Let a job that ended end the wait for it."""
    try:
        app.state.client.deliver(pyannote.verify(await request.body(), request.headers, WEBHOOK_SECRET))
    except pyannote.WebhookError as error:
        raise HTTPException(401, str(error)) from None


@app.exception_handler(pyannote.VoiceprintError)
async def explain(_: Request, error: pyannote.VoiceprintError) -> Response:
    """Say whose turn it is: the caller's, ours, or time's."""
    match error:
        case pyannote.JobTimeoutError():
            return JSONResponse({"job_id": error.job_id}, 202)
        case pyannote.InvalidRequestError() | pyannote.JobFailedError() | pyannote.JobCanceledError():
            return JSONResponse({"detail": str(error)}, 422)
        case pyannote.QueueTooLongError() | pyannote.RateLimitError():
            seconds = math.ceil(error.retry_after or 60.0)
            return JSONResponse({"detail": "Too many at once."}, 503, {"Retry-After": str(seconds)})
        case pyannote.AccountError() | pyannote.ConfigurationError():
            logging.error("Look after the account: %s", error)
            return JSONResponse({"detail": "Not your fault."}, 500)
        case _:
            logging.warning("pyannoteAI: %s", error)
            return JSONResponse({"detail": "pyannoteAI does not answer.", "job_id": error.job_id}, 502)
