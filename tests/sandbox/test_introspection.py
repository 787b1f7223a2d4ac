import asyncio

import pytest

from pyannote_voiceprint_async.sandbox import voiceprint_of


async def test_jobs_are_listed_with_their_source_oldest_first(open_sandbox, clock):
    """The voiceprint is listed even after the output of the job has expired."""
    client = await open_sandbox(job_seconds=10, output_seconds=5)
    old_urls = ("https://x/voice", "https://x/unreachable")
    ids = [(await client.submit(url)).json["jobId"] for url in old_urls]
    await clock.advance(100)
    ids.append((await client.submit("https://x/new")).json["jobId"])
    old, new = "2027-01-15T08:00:00.000Z", "2027-01-15T08:01:40.000Z"
    rows = [
        ("https://x/voice", "succeeded", voiceprint_of("https://x/voice"), old),
        ("https://x/unreachable", "failed", None, old),
        ("https://x/new", "pending", None, new),
    ]
    names = ("jobId", "kind", "url", "status", "voiceprint", "createdAt")
    async with client.bare.get(client.sandbox.url + "/_sandbox/jobs") as response:
        assert await response.json() == [
            dict(zip(names, (job_id, "voiceprint", *row), strict=True)) for job_id, row in zip(ids, rows, strict=True)
        ]


async def test_a_client_that_disconnects_during_the_list_leaves_no_task_and_no_log_line(client, clock, caplog):
    """The array is larger than the socket buffers, so that writing its end fails."""
    sandbox = client.sandbox
    await clock.advance(1.0)
    for index in range(10_000):
        sandbox._api.jobs.accept({"url": f"https://x/{index}"}, None, 0.0)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(sandbox.url.rpartition(":")[2]))
    writer.write(b"GET /_sandbox/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    await reader.readexactly(1000)
    writer.transport.abort()
    while sandbox._tasks:
        await asyncio.sleep(0.001)
    assert caplog.messages == []


@pytest.mark.parametrize("count", [0, 1, 500, 501, 1200])
async def test_any_number_of_jobs_is_one_array(open_sandbox, count):
    client = await open_sandbox(window="none")
    for index in range(count):
        await client.submit(f"https://x/{index}")
    listed = (await client.get("/_sandbox/jobs")).json
    assert [job["url"] for job in listed] == [f"https://x/{index}" for index in range(count)]


async def test_urls_are_listed_without_user_query_and_fragment(client):
    await client.submit("https://user:password@e.com/a.wav?X-Amz-Signature=secret#part")
    await client.submit("https://e.com/b.wav")
    [signed, plain] = (await client.get("/_sandbox/jobs")).json
    assert (signed["url"], plain["url"]) == ("https://…@e.com/a.wav?…", "https://e.com/b.wav")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:8080", 200),
        ("127.1.2.3", 200),
        ("localhost:1", 200),
        ("LocalHost", 200),
        ("localhost.", 200),
        ("[::1]:1", 200),
        ("[::ffff:127.0.0.1]", 200),
        ("evil.example", 403),
        ("evil.example:127", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1@evil.example", 403),
        ("192.168.1.1", 403),
        ("0.0.0.0", 403),  # noqa: S104 - nothing is bound
        ("[::]", 403),
        ("::1", 403),
        ("", 403),
    ],
)
async def test_only_requests_to_a_loopback_host_name_see_jobs(client, host, status):
    """A web page whose host name was rebound to this machine sends another host name."""
    await client.submit("https://e.com/a.wav")
    response = await client.get("/_sandbox/jobs", headers={"Host": host})
    assert response.status == status
    assert (b"e.com" in response.body) == (status == 200)
