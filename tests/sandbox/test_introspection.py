import asyncio

import pytest

from pyannote_voiceprint_async.sandbox import voiceprint_of
from pyannote_voiceprint_async.sandbox.introspection import _is_local


async def test_jobs_are_shown_with_their_source_oldest_first(open_sandbox, time):
    """Even after the API has forgotten the output: this is the bill, not the service."""
    caller = await open_sandbox(job_seconds=10, output_seconds=5)
    old_urls = ("https://x/voice", "https://x/unreachable")
    ids = [(await caller.submit(url)).json["jobId"] for url in old_urls]
    await time.advance(100)
    ids.append((await caller.submit("https://x/new")).json["jobId"])
    old, new = "2027-01-15T08:00:00.000Z", "2027-01-15T08:01:40.000Z"
    rows = [
        ("https://x/voice", "succeeded", voiceprint_of("https://x/voice"), old),
        ("https://x/unreachable", "failed", None, old),
        ("https://x/new", "pending", None, new),
    ]
    names = ("jobId", "kind", "url", "status", "voiceprint", "createdAt")
    async with caller.bare.get(caller.sandbox.url + "/_sandbox/jobs") as response:
        assert await response.json() == [
            dict(zip(names, (job_id, "voiceprint", *row), strict=True)) for job_id, row in zip(ids, rows, strict=True)
        ]


async def test_whoever_leaves_while_jobs_are_sent_is_let_go(caller, time, caplog):
    """The array is larger than what sockets buffer, so that its end meets a closed connection."""
    sandbox = caller.sandbox
    await time.advance(1.0)
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
async def test_many_jobs_are_one_array(open_sandbox, count):
    caller = await open_sandbox(window="none")
    for index in range(count):
        await caller.submit(f"https://x/{index}")
    shown = (await caller.get("/_sandbox/jobs")).json
    assert [job["url"] for job in shown] == [f"https://x/{index}" for index in range(count)]


async def test_urls_are_shown_without_what_is_secret_in_them(caller):
    await caller.submit("https://user:password@e.com/a.wav?X-Amz-Signature=secret#part")
    await caller.submit("https://e.com/b.wav")
    [signed, plain] = (await caller.get("/_sandbox/jobs")).json
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
async def test_a_page_that_had_its_name_rebound_to_this_machine_sees_no_jobs(caller, host, status):
    await caller.submit("https://e.com/a.wav")
    reply = await caller.get("/_sandbox/jobs", headers={"Host": host})
    assert reply.status == status
    assert (b"e.com" in reply.body) == (status == 200)


@pytest.mark.parametrize(
    ("address", "is_local"), [("127.0.0.1", True), ("::1", True), ("10.0.0.1", False), ("", False)]
)
def test_only_addresses_of_this_machine_are_local(address, is_local):
    assert _is_local(address) == is_local
