"""A service with webhooks, for `bench_shared.py`: uvicorn runs it in several worker processes.

Each worker writes when it received the webhook of a job, and when the wait for a job ended, into a file of its own.
"""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import sandbox_server
from fastapi import FastAPI, Request

from pyannote_voiceprint_async import AsyncVoiceprintClient, verify_webhook

LOG = Path(os.environ["SHARED_SERVICE_LOG"], f"{os.getpid()}.log")


def write(event: str, job_id: str) -> None:
    with LOG.open("a", encoding="utf-8") as lines:
        lines.write(f"{event} {job_id} {time.monotonic()} {os.getpid()}\n")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with AsyncVoiceprintClient(
        sandbox_server.KEY, webhook=os.environ["SHARED_SERVICE_WEBHOOK"], shared=os.environ["SHARED_SERVICE_STORE"]
    ) as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/voiceprint")
async def voiceprint(url: str) -> None:
    client = app.state.client
    job = await client.submit(url)
    await client.wait(job)
    write("ended", job.job_id)


@app.post("/webhook", status_code=204)
async def webhook(request: Request) -> None:
    event = verify_webhook(await request.body(), request.headers, sandbox_server.SECRET)
    if event.status.is_terminal:
        write("delivered", event.job_id)
    app.state.client.deliver(event)
