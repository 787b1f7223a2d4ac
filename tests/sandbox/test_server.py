import asyncio
import gc
import socket

import aiohttp
import pytest

from pyannote_voiceprint_async.sandbox import Sandbox
from pyannote_voiceprint_async.sandbox.server import _to_url


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1", 404),
        ("GET", "/v1/jobs", 404),
        ("GET", "/v1/jobs/", 404),
        ("GET", "/v1/jobs/a/b", 404),
        ("GET", "/v1/jobs/*", 404),
        ("GET", "/v3/jobs", 404),
        ("POST", "/v1/diarize", 404),
        ("POST", "/v1/media/output", 404),
        ("GET", "/_sandbox", 404),
        ("POST", "/_sandbox", 404),
        ("POST", "/_sandbox/jobs", 405),
        ("PUT", "/_sandbox/state", 405),
        ("GET", "/v1/voiceprint", 405),
        ("GET", "/v1/identify", 405),
        ("GET", "/v1/media/input", 405),
        ("POST", "/v1/test", 405),
        ("DELETE", "/v1/jobs/x", 405),
        ("POST", "/v2/jobs", 405),
    ],
)
async def test_unknown_paths_are_404_and_wrong_methods_405(client, method, path, status):
    async with client.session.request(method, client.sandbox.url + path) as response:
        assert response.status == status
        assert sorted(await response.json()) == ["message", "requestId"]
        assert ("Allow" in response.headers) == (status == 405)
    assert client.sandbox.accepted == []


async def test_every_response_has_the_date_of_the_sandboxs_clock(open_sandbox, clock, wav):
    """Clients compute the server's time from it, also from refusals, faults and responses to uploads."""
    client = await open_sandbox(rate_limit=(3, 60.0))
    presigned = await client.presign("media://voice.wav")
    client.sandbox.fail_next("bad-gateway")
    first = [
        await client.submit(),
        await client.submit("nonsense"),
        await client.submit(),
        await client.submit(),
        await client.get("/v1/test", headers={"Authorization": "Bearer wrong"}),
        await client.get("/v1/jobs/none"),
        await client.post("/v2/jobs"),
        await client.put(presigned, wav(1.0)),
        await client.put(presigned + "0", wav(1.0)),
        await client.get("/_sandbox/state"),
        await client.get("/_sandbox/jobs"),
    ]
    assert [response.status for response in first] == [502, 400, 200, 200, 401, 404, 405, 200, 403, 200, 200]
    await clock.advance(61.75)
    second = [await client.submit(), await client.get("/_sandbox/jobs")]
    assert [response.headers.getall("Date") for response in first] == [["Fri, 15 Jan 2027 08:00:00 GMT"]] * 11
    assert [response.headers.getall("Date") for response in second] == [["Fri, 15 Jan 2027 08:01:01 GMT"]] * 2


async def test_two_sandboxes_share_nothing(open_sandbox):
    one, two = await open_sandbox(rate_limit=(1, 60.0)), await open_sandbox(rate_limit=(1, 60.0))
    assert one.sandbox.url != two.sandbox.url
    assert [(await client.submit()).status for client in (one, one, two)] == [200, 429, 200]
    assert [len(client.sandbox.accepted) for client in (one, two)] == [1, 1]


async def test_stopping_leaves_no_task_and_no_socket(clock):
    """Idle connections, a delayed response, a late job and an incomplete request end with the block."""
    tasks = asyncio.all_tasks()
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer sandbox-key"}) as session:
        async with Sandbox(now=clock.now, sleep=clock.sleep, latency=1.0) as sandbox:
            url, port = sandbox.url, int(sandbox.url.rpartition(":")[2])
            async with session.get(f"{url}/_sandbox/state"):
                pass
            sandbox.fail_next("accept-late")
            requests = [
                asyncio.ensure_future(session.post(f"{url}/v1/voiceprint", json={"url": "https://x"})) for _ in range(2)
            ]
            await clock.wait_for_sleepers(2)
            await clock.advance(1.0)
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST /v1/test HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhal")
        responses = await asyncio.gather(*requests, return_exceptions=True)
        assert [isinstance(response, aiohttp.ClientError) for response in responses] == [True, True]
        writer.close()
    assert asyncio.all_tasks() == tasks
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    gc.collect()  # an unclosed transport emits a warning here, and warnings are errors


async def test_an_incomplete_request_does_not_outlive_the_sandbox():
    tasks = asyncio.all_tasks()
    async with Sandbox() as sandbox:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(sandbox.url.rpartition(":")[2]))
        writer.write(b"POST /v1/voiceprint HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhal")
        while not sandbox.state.total.in_flight:
            await asyncio.sleep(0.001)
    assert sandbox.state.total.in_flight == 0
    assert asyncio.all_tasks() == tasks
    assert await reader.read() == b""
    writer.close()


async def test_accepted_jobs_stay_readable_after_the_end():
    async with Sandbox() as sandbox, aiohttp.ClientSession() as session:
        headers = {"Authorization": f"Bearer {sandbox.api_key}"}
        async with session.post(sandbox.url + "/v1/voiceprint", json={"url": "https://x"}, headers=headers):
            pass
    assert [job.url for job in sandbox.accepted] == ["https://x"]
    assert sandbox.state.jobs == 1


async def test_a_taken_port_is_an_error_and_leaves_no_task(client):
    port = int(client.sandbox.url.rpartition(":")[2])
    tasks, second = asyncio.all_tasks(), Sandbox(port=port)
    with pytest.raises(OSError):
        await second.__aenter__()
    assert asyncio.all_tasks() == tasks
    assert "not listening" in repr(second)


def test_the_url_exists_only_while_the_sandbox_listens():
    with pytest.raises(RuntimeError, match="only inside `async with"):
        _ = Sandbox().url


def test_ipv6_addresses_have_brackets():
    assert [_to_url("127.0.0.1", 80), _to_url("::1", 80)] == ["http://127.0.0.1:80", "http://[::1]:80"]


async def test_the_repr_shows_live_counts_and_no_key(client):
    await client.submit()
    assert repr(client.sandbox) == f"<Sandbox {client.sandbox.url}, 1 jobs, 0 in flight>"


async def test_the_default_clock_works():
    """With the default `now` and `sleep`, a job without duration has succeeded when it is accepted."""
    async with Sandbox(job_seconds=0, latency=(0.0, 0.001)) as sandbox, aiohttp.ClientSession() as session:
        headers = {"Authorization": f"Bearer {sandbox.api_key}"}
        async with session.post(sandbox.url + "/v1/voiceprint", json={"url": "https://x"}, headers=headers) as response:
            assert (await response.json())["status"] == "succeeded"
