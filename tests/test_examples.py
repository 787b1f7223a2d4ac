"""The services of `examples/` run as their docstrings describe, with several concurrent callers."""

import asyncio
import io
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client.parser import text_string_to_metric_families

from pyannote_voiceprint_async.sandbox import Sandbox

EXAMPLES = Path(__file__).parents[1] / "examples"
SERVERS = {
    "fastapi": ["-m", "uvicorn", "fastapi_service:app", "--port"],
    "aiohttp": ["-m", "aiohttp.web", "aiohttp_service:make_app", "-H", "127.0.0.1", "-P"],
}
OPTIONS = {
    "with a short graceful timeout": ["--timeout-graceful-shutdown", "1"],
    # A worker whose machine is busy must not be killed.
    "with two workers": [
        *("--workers", "2", "--timeout-graceful-shutdown", "1"),
        *("--timeout-worker-healthcheck", "60", "--timeout-keep-alive", "60"),
    ],
}
# Long enough for a slow machine. One caller of the test waits that long.
PATIENCE = 3.0
JSON = "application/json"
VOICES, JOBS, REQUESTS = 12, 14, 16  # voiceprints, accepted jobs and submissions of the test


def free_port():
    """Return a port for a server that must know its address before it starts. Port 0 never selects from this range."""
    while True:
        port = random.SystemRandom().randrange(20_000, 30_000)
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port


class Service:
    """A running service, as its callers see it."""

    def __init__(self, session, url, process):
        self.url = url
        self.process = process
        self._session = session

    async def enroll(self, url, **more):
        """Return the status, the JSON of the response, and its `Retry-After`."""
        async with self._session.post(f"{self.url}/speakers", json={"name": "ada", "url": url} | more) as response:
            return response.status, await response.json(), response.headers.get("Retry-After")

    async def read(self, path):
        """Return the status and the JSON of the response, or its text."""
        async with self._session.get(self.url + path) as response:
            return response.status, await (response.json if response.content_type == JSON else response.text)()

    async def submit_recording(self, url, speakers):
        """Return the status and the JSON of the response."""
        async with self._session.post(f"{self.url}/recordings", json={"url": url, "speakers": speakers}) as response:
            return response.status, await response.json()

    async def speakers_of(self, job_id):
        """Return the status and the JSON of the response."""
        return await self.read(f"/recordings/{job_id}")

    async def deliver(self, body, headers):
        async with self._session.post(f"{self.url}/webhooks/pyannote", data=body, headers=headers) as response:
            return response.status

    async def deliver_half(self):
        """Close the connection before the announced body is complete."""
        _, writer = await asyncio.open_connection("127.0.0.1", int(self.url.rpartition(":")[2]))
        headers = f"X-Signature: {'0' * 64}\r\nX-Request-Timestamp: {time.time():.0f}\r\nContent-Length: 100\r\n"
        writer.write(f"POST /webhooks/pyannote HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n{{".encode())
        writer.close()

    async def wait_until_it_listens(self, process):
        while process.poll() is None:
            try:
                return await self.deliver(b"", {})
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.05)
        return None


@asynccontextmanager
async def serving(server, sandbox, log, **more):
    """Run a service in its own process, which logs to this file, with more variables in its environment."""
    port = free_port()
    environment = os.environ | {
        "PYANNOTEAI_API_KEY": sandbox.api_key,
        "PYANNOTEAI_BASE_URL": sandbox.url,
        "PYANNOTEAI_WEBHOOK_SECRET": sandbox.webhook_secret,
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "PATIENCE": str(PATIENCE),
        "SPEAKERS": str(log.with_name("speakers.db")),
    }
    with log.open("wb") as file:
        name, _, options = server.partition(", ")
        command = [sys.executable, *SERVERS[name], str(port), *OPTIONS.get(options, ())]
        process = subprocess.Popen(command, cwd=EXAMPLES, env=environment | more, stdout=file, stderr=file)
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
            service = Service(session, f"http://127.0.0.1:{port}", process)
            assert await service.wait_until_it_listens(process) == 401, log.read_text("utf-8")
            yield service
        process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(process.wait, 20) in {0, -signal.SIGINT, -signal.SIGTERM}
    finally:
        process.kill()
        process.wait()


def stored_voiceprints(log):
    """Return the voiceprints that the service beside this log has stored, by name."""
    with closing(sqlite3.connect(log.with_name("speakers.db"))) as database:
        rows = database.execute("SELECT name, voiceprint FROM speakers WHERE voiceprint IS NOT NULL")
        return {name: json.loads(voiceprint) for name, voiceprint in rows}


def samples_of(text):
    """Return the samples of Prometheus metrics by name and label values, in the order of the labels' names."""
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return {(sample.name, *dict(sorted(sample.labels.items())).values()): sample.value for sample in samples}


@pytest.mark.slow
@pytest.mark.parametrize("server", [*SERVERS, "fastapi, with a short graceful timeout"])
async def test_a_service_that_stops_logs_every_accepted_id(start, tmp_path, server):
    """Its submissions in flight are finished, or cancelled when the graceful timeout ends: both log the id."""
    sandbox = await start(Sandbox(job_seconds=1000.0, rate_limit=(1000, 60.0), latency=2.0))
    log = tmp_path / "log"
    async with serving(server, sandbox, log) as service:
        callers = [asyncio.create_task(service.enroll(f"https://example.com/{number}.wav")) for number in range(8)]
        while sandbox.state.operations["voiceprint"].requests < len(callers):
            await asyncio.sleep(0.01)
        assert len(sandbox.accepted) < len(callers)
        service.process.send_signal(signal.SIGTERM)
        await asyncio.gather(*callers, return_exceptions=True)
        await asyncio.to_thread(service.process.wait, 30)
    written = log.read_text("utf-8")
    assert len(sandbox.accepted) == len(callers)
    assert [job.id for job in sandbox.accepted if f"Job {job.id} was accepted" not in written] == []


@pytest.mark.slow
@pytest.mark.parametrize("server", SERVERS)
async def test_a_service(start, tmp_path, server):
    """One test provokes every response of the service, because the limit and the credit count all submissions."""
    sandbox = await start(Sandbox(job_seconds=0.1, rate_limit=(REQUESTS, 60.0), credit=JOBS))
    log = tmp_path / "log"
    async with serving(server, sandbox, log) as service:
        # A webhook is lost: its caller gets the job id after PATIENCE, while other callers are served.
        sandbox.fail_next_webhook("lost")
        without_webhook = asyncio.create_task(service.enroll("https://example.com/lost.wav"))
        while not sandbox.accepted:
            await asyncio.sleep(0.01)

        voices = [f"voice-{number}" for number in range(VOICES)]
        responses = await asyncio.gather(
            *(service.enroll(f"https://example.com/{name}.wav", name=name) for name in voices)
        )
        assert responses == [(201, {"name": name, "model": "precision-2"}, None) for name in voices]

        status, content, _ = await service.enroll("https://example.com/unreachable.wav")
        assert (status, "Could not load audio" in content["detail"]) == (422, True)
        assert len(sandbox.accepted) == JOBS

        status, content, _ = await service.enroll("voice.wav")
        assert (status, "url" in content["detail"]) == (422, True)
        assert (await service.enroll(None))[0] == 422
        assert (await service.enroll("https://example.com/ada.wav", name="\ud800"))[0] == 422
        assert len(sandbox.accepted) == JOBS
        assert await service.deliver(b"{}", {"X-Signature": "0" * 64, "X-Request-Timestamp": "1800000000"}) == 401
        await service.deliver_half()

        sandbox.fail_next("drop-before-read", operation="voiceprint")
        assert (await service.enroll("https://example.com/dropped.wav"))[0] == 502
        assert (await service.enroll("https://example.com/no-credit.wav"))[0] == 500
        status, _, pause = await service.enroll("https://example.com/too-many.wav")
        assert status == 503
        assert 5 < int(pause) <= 61

        late = sandbox.accepted[0]
        assert await without_webhook == (202, {"job_id": late.id}, None)
        operations = sandbox.state.operations
        assert (operations["job"].requests, operations["jobs"].requests) == (0, 0)

        # The caller that did not wait
        assert "ada" not in stored_voiceprints(log)
        assert await service.read(f"/jobs/{late.id}") == (200, {"job_id": late.id, "status": "succeeded"})
        assert stored_voiceprints(log)["ada"]["value"] == late.voiceprint
        assert (await service.read("/jobs/00000000-0000-0000-0000-000000000000"))[0] == 404

        assert (await service.read("/health"))[0] == 200
        samples = samples_of((await service.read("/metrics"))[1])
        assert samples["voiceprint_submissions_total", "POST /v1/voiceprint"] == JOBS
        assert samples["voiceprint_job_seconds_count", "failed"] == 1

    assert [delivery.status for delivery in sandbox.deliveries] == [204] * (JOBS - 1)
    written = log.read_text("utf-8")
    assert "account" in written
    for secret in (sandbox.api_key, sandbox.webhook_secret, *(job.voiceprint for job in sandbox.accepted), "Traceback"):
        assert secret not in written


@pytest.mark.slow
async def test_the_fastapi_service_names_the_speakers_of_a_recording(start, tmp_path):
    """One test for all responses to recordings, because a service is slow to start."""
    sandbox = await start(Sandbox(job_seconds=0.1))
    log = tmp_path / "log"
    meeting = "https://example.com/meeting.wav"
    async with serving("fastapi", sandbox, log) as service:
        for name in ("ada", "grace"):
            assert (await service.enroll(f"https://example.com/{name}.wav", name=name))[0] == 201

        status, content = await service.submit_recording(meeting, ["ada", "grace"])
        job = sandbox.accepted[-1]
        assert (status, content) == (202, {"job_id": job.id})
        status, speakers = await service.speakers_of(job.id)
        assert status == 200
        assert {*speakers[0]} == {"speaker", "name", "certainty", "seconds", "reason"}
        assert {one["certainty"] for one in speakers} <= {"certain", "review", "unknown"}
        assert await service.speakers_of(job.id) == (200, speakers)

        # Unknown names and jobs
        status, content = await service.submit_recording(meeting, ["ada", "edsger"])
        assert (status, content["detail"][:21]) == (404, "Not enrolled: edsger.")
        assert (await service.speakers_of("00000000-0000-0000-0000-000000000000"))[0] == 404
        assert (await service.speakers_of(sandbox.accepted[0].id))[0] == 404  # a voiceprint

        # Invalid requests
        many = [f"person {number}" for number in range(51)]
        for names in ([], many, "ada", [5], [""], ["x" * 101], ["Speaker_1"], ["\ud800"], None):
            status, content = await service.submit_recording(meeting, names)
            assert (status, content["detail"][0]["field"][:2]) == (422, ["body", "speakers"])
        assert (await service.submit_recording("meeting.wav", ["ada"]))[0] == 422
        assert (await service.enroll(meeting, name="speaker_1"))[0] == 422
        assert await service.deliver(io.BytesIO(bytes(2**20 + 1)), {}) == 413

        # A job that runs, one that fails, and a submission with an unknown outcome
        sandbox.on_next(seconds=1000.0)
        status, content = await service.submit_recording(meeting, ["ada"])
        assert (status, await service.speakers_of(content["job_id"])) == (202, (202, content))
        sandbox.on_next(job="failed", error="Could not load audio")
        status, content = await service.submit_recording(meeting, ["ada"])
        status, content = await service.speakers_of(content["job_id"])
        assert (status, "Could not load audio" in content["detail"]) == (422, True)
        sandbox.fail_next("drop-after-accept", operation="identify")
        assert (await service.submit_recording(meeting, ["ada"]))[0] == 502
    written = log.read_text("utf-8")
    assert len(sandbox.accepted) == 6
    unlogged = [job.id for job in sandbox.accepted if f"Job {job.id} was accepted" not in written]
    assert unlogged == [sandbox.accepted[-1].id]
    assert "Traceback" not in written


async def connect_to_both_workers(stack, service):
    """Return a service for each of two workers: a connection stays with its worker."""
    connections = {}
    while len(connections) < 2:
        # The kernel selects the worker of a connection: of several at the same time, each gets some.
        sessions = [aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) for _ in range(8)]
        services = [Service(await stack.enter_async_context(session), service.url, None) for session in sessions]
        responses = await asyncio.gather(*(one.read("/health") for one in services))
        connections |= {health["worker"]: one for (_, health), one in zip(responses, services, strict=True)}
    return connections.values()


@pytest.mark.slow
async def test_a_webhook_reaches_the_other_worker_of_the_fastapi_service(start, tmp_path):
    """Both workers also share speakers and metrics, and no accepted id is lost when they stop."""
    sandbox = await start(Sandbox(job_seconds=0.1, rate_limit=(1000, 60.0), latency=0.5))
    log = tmp_path / "log"

    async def relay(request):
        return web.Response(status=await receiver.deliver(await request.read(), request.headers))

    public = web.Application()
    public.router.add_post("/webhooks/pyannote", relay)
    (tmp_path / "metrics").mkdir()
    async with AsyncExitStack() as stack:
        environment = {
            "PATIENCE": "15",  # shorter than `webhook_grace`: without a webhook, a call ends before the first poll
            "PUBLIC_URL": str((await stack.enter_async_context(TestServer(public))).make_url("")).rstrip("/"),
            "PYANNOTE_VOICEPRINT_SHARED": str(tmp_path / "shared.db"),
            "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "metrics"),
        }
        service = await stack.enter_async_context(serving("fastapi, with two workers", sandbox, log, **environment))
        sender, receiver = await connect_to_both_workers(stack, service)
        assert await sender.enroll("https://example.com/ada.wav") == (
            201,
            {"name": "ada", "model": "precision-2"},
            None,
        )
        assert [delivery.status for delivery in sandbox.deliveries] == [204]
        # The worker that waits is notified through the shared state, and reads the job. It has not polled.
        assert (sandbox.state.operations["job"].requests, sandbox.state.operations["jobs"].requests) == (1, 0)

        status, content = await receiver.submit_recording("https://example.com/meeting.wav", ["ada"])
        assert (status, (await sender.speakers_of(content["job_id"]))[0]) == (202, 200)
        samples = [samples_of((await worker.read("/metrics"))[1]) for worker in (sender, receiver)]
        for endpoint in ("POST /v1/voiceprint", "POST /v1/identify"):
            assert [sample["voiceprint_submissions_total", endpoint] for sample in samples] == [1, 1]

        sandbox.on_next(seconds=1000.0, times=8)
        callers = [asyncio.create_task(service.enroll(f"https://example.com/{number}.wav")) for number in range(8)]
        while sandbox.state.operations["voiceprint"].requests <= len(callers):
            await asyncio.sleep(0.01)
        service.process.send_signal(signal.SIGTERM)
        await asyncio.gather(*callers, return_exceptions=True)
        await asyncio.to_thread(service.process.wait, 30)
    assert [*(tmp_path / "metrics").glob("gauge_live*")] == []
    written = log.read_text("utf-8")
    assert len(sandbox.accepted) == 2 + len(callers)
    assert [job.id for job in sandbox.accepted if f"Job {job.id} was accepted" not in written] == []
