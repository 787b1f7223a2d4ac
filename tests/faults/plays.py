"""The plays of a hostile server, grouped by the outcome of the call."""

import asyncio
import gzip
import random
import zlib
from collections.abc import Callable, Mapping
from functools import cache

from hostile_server import (
    CLOSE,
    JOB,
    Play,
    ServerConnection,
    answer,
    drip,
    endless,
    hang_up,
    hang_up_early,
    reset,
    reset_early,
    silence,
    then_close,
)

Told = Callable[[bytes], Play]
"""Makes a play from the JSON of the job."""

OK = b"HTTP/1.1 200 OK\r\n"
MIB = 2**20


def gzip_bomb() -> tuple[bytes, bytes]:
    """Return the start of a gzip stream, and a chunk that unpacks to 1 MiB and may be repeated without end."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    start = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    return start, packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)


async def send_deflate_bomb(wire: ServerConnection) -> None:
    await wire.body()
    await wire.send(answer(deflate_bomb(), Content_Encoding="deflate"))


@cache
def deflate_bomb() -> bytes:
    """Return a whole body that unpacks to 64 MiB; it takes a moment, so only the tests that send it make it."""
    return zlib.compress(bytes(64 * MIB), 9)


_GZIP_START, _GZIP_MIB = gzip_bomb()


def without_a_pause(message: bytes) -> Play:
    """Send the same message a hundred times in every iteration of the event loop, without end.

    Without this limit, the client parses up to 10,000 messages in one iteration. Its timeouts count such an iteration
    as two ticks at most, because the loop stands still, so that a timeout of half a second takes several seconds.
    """

    async def play(wire: ServerConnection) -> None:
        await wire.body()
        while True:
            await wire.send(message * 100)
            await asyncio.sleep(0)

    return play


# Complete HTTP messages with an unusable body: it is unknown whether a job was accepted.
GARBAGE: Mapping[str, Play] = {
    "empty": answer(b""),
    "no content": answer(b"", "204 No Content", Content_Length=""),
    "spaces": answer(b" \r\n\t "),
    "half a job": answer(JOB[:9]),
    "not UTF-8": answer(b'{"jobId":"\xff","status":"created"}'),
    "UTF-16": answer(JOB.decode().encode("utf-16")),
    "NaN": answer(b"NaN"),
    "NaN inside": answer(b'{"jobId":NaN,"status":"created"}'),
    "an array": answer(b"[1, 2]"),
    "a string": answer(b'"job-1"'),
    "null": answer(b"null"),
    "an object of nothing": answer(b"{}"),
    "a job without an id": answer(b'{"jobId":null,"status":"created"}'),
    "a job with an empty id": answer(b'{"jobId":"","status":"created"}'),
    "a job with a number": answer(b'{"jobId":17,"status":"created"}'),
    "a deep well": answer(b"[" * 100_000),
    "HTML": answer(b"<html>It works!</html>", Content_Type="text/html"),
}  # fmt: skip

# Complete messages that this API never sends.
STRANGE: Mapping[str, Play] = {
    "unknown compression": answer(b"\x00\x01\x02", Content_Encoding="sdch"),
    "status 999": answer(b"{}", "999 What"),
    "status 600": answer(b"{}", "600 What"),
    "status 99": answer(b"{}", "099 What"),
    "status 0": answer(b"{}", "000 What"),
}

# Invalid or incomplete HTTP.
BROKEN: Mapping[str, Play] = {
    "a body that breaks off": then_close(answer(b'{"job', Content_Length="36")),
    "gzip that is none": answer(b"this is not gzip", Content_Encoding="gzip"),
    "deflate that is none": answer(b"this is not deflate", Content_Encoding="deflate"),
    "half a gzip": then_close(answer(gzip.compress(JOB)[:12], Content_Encoding="gzip", **CLOSE)),
    "a chunk of no size": answer(b"ZZZ\r\n{}\r\n", Content_Length="", Transfer_Encoding="chunked"),
    "a chunk without end": answer(b"5\r\nhelloXX\r\n", Content_Length="", Transfer_Encoding="chunked"),
    "chunks that break off": then_close(answer(b"5\r\nhello\r\n", Content_Length="", Transfer_Encoding="chunked")),
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "a status of four digits": answer(JOB, "1000 What"),
    "a negative status": answer(JOB, "-1 What"),
    "another protocol": then_close(b"SSH-2.0-OpenSSH_9.9\r\n"),
    "a body without head": then_close(JOB),
    "bytes of any kind": then_close(random.Random(1).randbytes(1000)),
}  # fmt: skip

# Invalid headers before a body with a job id.
BROKEN_HEADERS_WITH_ID: Mapping[str, Told] = {
    "two lengths": lambda job: answer(job, X="1\r\nContent-Length: 1"),
    "a length and chunks": lambda job: answer(job, Transfer_Encoding="chunked"),
    "a negative length": lambda job: answer(job, Content_Length="-1"),
    "a length that is no number": lambda job: answer(job, Content_Length="many"),
    "a header without colon, and an id": lambda job: OK + b"garbage\r\n\r\n" + job,
    "a header with NUL, and an id": lambda job: answer(job, X="a\0b"),
    "a header of 100 KB": lambda job: answer(job, X="a" * 100_000),
    "2,000 headers": lambda job: OK + b"".join(b"X-%d: 1\r\n" % i for i in range(2000)) + b"\r\n" + job,
    "103 first, and two lengths": lambda job: (
        b"HTTP/1.1 103 Early Hints\r\n\r\n" + answer(job, X="1\r\nContent-Length: 1")
    ),
}
LARGE_HEADS_THAT_ARE_READ: Mapping[str, Told] = {
    "a cookie of 8,500 bytes": lambda job: answer(job, Set_Cookie="gateway=" + "a" * 8500),
    "a header of 64 KB": lambda job: answer(job, X="a" * 65_000),
    "1,000 headers": lambda job: answer(job, **{f"X_{i}": "1" for i in range(1000)}),
}
BROKEN_HEADERS: Mapping[str, Play] = {
    "a header without colon": OK + b"garbage\r\n\r\n",
    "a header with NUL": OK + b"X: a\0b\r\nContent-Length: 0\r\n\r\n",
}

# Too large.
LARGE_HEADS: Mapping[str, Play] = {
    "a header of 1 MB": answer(JOB, X="a" * 1_000_000),
    "100,000 headers": OK + b"".join(b"X-%d: 1\r\n" % i for i in range(100_000)) + b"\r\n",
    "a status line of 1 MB": answer(JOB, "200 " + "K" * 1_000_000),
}
ENDLESS: Mapping[str, Play] = {
    "300 MB": endless(answer(b"", Content_Length=str(300 * MIB)), bytes(64 * 1024), 300 * 16),
    "300 MB in chunks": endless(
        answer(b"", Content_Length="", Transfer_Encoding="chunked"), b"10000\r\n" + bytes(65536) + b"\r\n", 300 * 16
    ),
    "a body without end": endless(answer(b"", Content_Length=""), bytes(64 * 1024), 10**9),
    "a gzip bomb of 1 GB": endless(answer(_GZIP_START, Content_Encoding="gzip", Content_Length=""), _GZIP_MIB, 1024),
    "a gzip bomb in one piece": answer(_GZIP_START + _GZIP_MIB * 1024, Content_Encoding="gzip"),
    "a deflate bomb": send_deflate_bomb,
}  # fmt: skip

# Responses that never end.
LATE: Mapping[str, Play] = {
    "one byte after the other": drip(answer(b"", Content_Length="1000")),
    "a head byte by byte": drip(OK + b"X: "),
    "a status line byte by byte": drip(b"HTTP/1.1 200 O"),
    "silence": silence,
    "a head, then silence": answer(JOB[:5], Content_Length="1000"),
    "gzip, then silence": answer(gzip.compress(JOB)[:8], Content_Encoding="gzip", Content_Length="1000"),
}  # fmt: skip
# Responses that never end, and keep a processor busy.
LATE_AND_BUSY: Mapping[str, Play] = {
    "100 Continue for ever": without_a_pause(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "early hints for ever": without_a_pause(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
}

# Lost connections.
GONE: Mapping[str, Play] = {
    "closed when it was read": hang_up,
    "reset when it was read": reset,
    "closed within the head": then_close(OK + b"Content-Le"),
    "closed after 100 Continue": then_close(b"HTTP/1.1 100 Continue\r\n\r\n"),
}
GONE_EARLY: Mapping[str, Play] = {
    "closed when its head was read": hang_up_early,
    "reset when its head was read": reset_early,
}

# An invalid body with a job id: the job is paid for.
BROKEN_AFTER_THE_ID: Mapping[str, Told] = {
    "breaks off": lambda job: then_close(answer(job[:-1], Content_Length="1000")),
    "breaks off after the id": lambda job: then_close(answer(job.partition(b",")[0], Content_Length="1000")),
    "something after it": lambda job: answer(job + b"garbage"),
    "a deep well after it": lambda job: answer(job.partition(b",")[0] + b',"status":' + b"[" * 10_000),
    "not UTF-8 after it": lambda job: answer(job.partition(b",")[0] + b',"x":"\xff"}'),
    "wrong types": lambda job: answer(job.partition(b",")[0] + b',"status":7,"warning":{}}'),
    "no status in it": lambda job: answer(job.partition(b",")[0] + b',"status":null}', "299 Odd"),
}
ODD_BUT_WHOLE: Mapping[str, Told] = {
    "odd types": lambda job: answer(job, Content_Type="text/html; charset=nonsense", Link="<<<",
                                    Content_Disposition=";;="),
    "not ASCII": lambda job: answer(job, "201 " + "\xd6" * 100, X="\xfc"),
    "gzip": lambda job: answer(gzip.compress(job), Content_Encoding="gzip"),
}  # fmt: skip
OLD_BUT_WHOLE: Mapping[str, Told] = {
    "HTTP/1.0": lambda job: then_close(b"HTTP/1.0 200 OK\r\n\r\n" + job),
    "until it closes": lambda job: then_close(answer(job, Content_Length="")),
    "100 and 102 first": lambda job: (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + answer(job)
    ),
}  # fmt: skip


def an_id_and_too_much(job: bytes) -> Play:
    return endless(answer(job, Content_Length=str(300 * MIB)), bytes(64 * 1024), 300 * 16)


def an_id_and_no_end(job: bytes) -> Play:
    return answer(job[:-1], Content_Length="1000")


def slow(job: bytes) -> Play:
    """Respond after a short time, in which the caller can be cancelled."""

    async def play(wire: ServerConnection) -> None:
        await asyncio.sleep(0.01)
        await wire.send(answer(job))

    return play


def answer_and_leave(job: bytes) -> Play:
    """Respond without `Connection: close`, and close the connection."""

    async def play(wire: ServerConnection) -> None:
        await wire.send(answer(job))
        wire.close()

    return play


# Rate-limit headers with impossible values.
ODD_LIMITS: Mapping[str, Mapping[str, str]] = {
    "a limit of 0": {"X_RateLimit_Limit": "0", "X_RateLimit_Remaining": "0"},
    "a limit below 0": {"X_RateLimit_Limit": "-5", "X_RateLimit_Remaining": "-5"},
    "a limit that is no number": {"X_RateLimit_Limit": "nan", "X_RateLimit_Remaining": "1e999"},
    "a limit of 100 digits": {"X_RateLimit_Limit": "9" * 100, "X_RateLimit_Remaining": "9" * 100},
    "a limit of a billion": {"X_RateLimit_Limit": "999999999", "X_RateLimit_Remaining": "999999999"},
    "more left than there is": {"X_RateLimit_Limit": "100", "X_RateLimit_Remaining": "999999999"},
}
# Valid and invalid values of `Retry-After`.
VALID_RETRY_AFTER = {
    "a fraction": "0.01",
    "0": "0",
    "a date that has passed": "Thu, 01 Jan 1970 00:00:00 GMT",
    "a list": "1,1",
}
INVALID_RETRY_AFTER = {
    "1e400": "1e400", "nan": "nan", "inf": "inf", "below 0": "-1", "a word": "soon", "400 digits": "9" * 400,
    "a date that cannot be": "Thu, 99 Foo 9999", "not ASCII": "\xff",
}  # fmt: skip
LONG_PAUSES = {
    "30 years": {"Retry_After": "999999999"},
    "until 9999": {"Retry_After": "Fri, 31 Dec 9999 23:59:59 GMT"},
    "a reset in 5 minutes": {"X_RateLimit_Reset": "300"},
}
