"""Uploads of local audio, against a storage that fails in every way."""

import asyncio
import io
import json
import logging
import os
import re
import threading
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import suppress

import aiohttp
import pytest
from hostile_server import (
    HostileServer,
    Play,
    ServerConnection,
    answer,
    found_in,
    nothing_left_behind,
    shown_of,
    silence,
    unused_port,
)

from pyannote_voiceprint_async import (
    ApiConnectionError,
    ApiTimeoutError,
    AsyncVoiceprintClient,
    ClientClosedError,
    InvalidRequestError,
    MediaError,
    RetryPolicy,
    ServerError,
    Timeouts,
    UnexpectedResponseError,
    VoiceprintError,
)

KEY = "sk-THIS-IS-THE-KEY"
SECRET = "THIS-IS-A-SIGNATURE"
MIB = 2**20
AUDIO = bytes(range(256)) * 2000
STORED = answer(b"", ETag='"1"')


@pytest.fixture(autouse=True)
async def _leaves_nothing_behind():
    async with nothing_left_behind():
        yield


@pytest.fixture(autouse=True)
def _nothing_secret_is_logged(caplog):
    caplog.set_level(logging.DEBUG)
    yield
    assert found_in(caplog.text.replace("voiceprint", ""), KEY, SECRET, "voice") == []


class Storage(HostileServer):
    """The API's `POST /v1/media/input`, which returns a fresh URL each time, and a storage that plays a script."""

    def __init__(self, *puts: Play) -> None:
        super().__init__(self._play)
        self.puts = list(puts)

    @property
    def uploads(self) -> list:
        return [request for request in self.asked if request.method == "PUT"]

    async def _play(self, wire: ServerConnection) -> None:
        if wire.asked.method != "PUT":
            await wire.body()
        if wire.asked.method == "GET":
            await wire.send(answer())
            return
        if wire.asked.method == "POST":
            # Unusual escapes: a client that normalizes the URL breaks its signature.
            url = f"{self.url}/bucket/a%2fb+c%20d?X-Amz-Signature={SECRET}&n={len(self.asked)}&k=%2F%2f'~"
            await wire.send(answer(json.dumps({"url": url}).encode(), 201))
            return
        put = self.puts.pop(0) if len(self.puts) > 1 else self.puts[0]
        if isinstance(put, bytes):
            await wire.body()
            await wire.send(put)
        else:
            await put(wire)


def open_client(server: HostileServer, **options) -> AsyncVoiceprintClient:
    retry = RetryPolicy(max_tries=3, base=0.001)
    return AsyncVoiceprintClient(KEY, **{"base_url": server.url, "retry": retry, **options})


async def fails(call: Awaitable, kind: type[VoiceprintError]) -> VoiceprintError:
    """Return the error of the upload, which must show neither the key nor the signature of the presigned URL."""
    with pytest.raises(VoiceprintError) as caught:
        await call
    assert type(caught.value) is kind
    assert found_in(shown_of(caught.value), KEY, SECRET) == []
    return caught.value


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "voice_of_Meyer.WAV"
    file.write_bytes(AUDIO)
    return file


@pytest.fixture
def sparse(tmp_path):
    """Make a sparse file of this size."""

    def make(size: int):
        file = tmp_path / "long.wav"
        with file.open("wb") as writing:
            writing.truncate(size)
        return file

    return make


# Sources


def positioned(file, position: int):
    file.seek(position)
    return file


def entry(path):
    with os.scandir(path.parent) as entries:
        return next(entries)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (lambda path: path, AUDIO),
        (entry, AUDIO),
        (lambda path: AUDIO, AUDIO),
        (lambda path: b"x", b"x"),
        (lambda path: io.BytesIO(AUDIO), AUDIO),
        (lambda path: positioned(io.BytesIO(AUDIO), 1000), AUDIO[1000:]),
        (lambda path: path.open("rb"), AUDIO),
        (lambda path: path.open("rb", buffering=0), AUDIO),
        (lambda path: path.open("r+b"), AUDIO),
        (lambda path: positioned(path.open("rb"), 1000), AUDIO[1000:]),
        (lambda path: positioned(path.open("rb"), len(AUDIO) - 1), AUDIO[-1:]),
    ],
    ids=["path", "entry of a folder", "bytes", "one byte", "BytesIO", "BytesIO from 1000", "file", "raw file",
         "file to be written too", "file from 1000", "last byte of a file"],
)  # fmt: skip
async def test_every_kind_of_source_is_uploaded(path, source, expected):
    """An open file is uploaded from its position to its end, and stays open: it belongs to the caller."""
    audio_source = source(path)
    async with Storage(STORED) as storage, open_client(storage) as client:
        url = await client.upload(audio_source)
        assert client.stats.in_flight == 0
    assert [put.body for put in storage.uploads] == [expected]
    assert json.loads(storage.asked[0].body) == {"url": url}
    if hasattr(audio_source, "close"):
        assert not audio_source.closed
        audio_source.close()


class RawFile(io.RawIOBase):
    """A raw file that cannot be rewound."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        buffer[:1] = b"x"
        return 1


class OnlyReads:
    def read(self, size: int = -1) -> bytes:
        return b"x"


def closed(file):
    file.close()
    return file


def pipe():
    reading, writing = os.pipe()
    os.close(writing)
    return os.fdopen(reading, "rb")


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        (lambda path: b"", "empty"),
        (lambda path: io.BytesIO(), "empty"),
        (lambda path: positioned(io.BytesIO(AUDIO), len(AUDIO)), "empty"),
        (lambda path: positioned(io.BytesIO(AUDIO), len(AUDIO) + 5), "empty"),
        (lambda path: path.with_name("nowhere.wav"), "cannot be opened"),
        (lambda path: path / "below-a-file.wav", "cannot be opened"),
        (lambda path: path.with_name("a" * 300), "cannot be opened"),
        (lambda path: path.with_name("nul\0.wav"), "cannot be opened"),
        (lambda path: path.parent, "is a directory"),
        (lambda path: path.__class__("/dev/null"), "not a regular file"),
        (lambda path: path.__class__("/dev/zero"), "not a regular file"),
        (lambda path: io.StringIO("text"), "binary"),
        (lambda path: path.open(encoding="latin-1"), "binary"),
        (lambda path: closed(path.open("rb")), "closed"),
        (lambda path: closed(io.BytesIO(AUDIO)), "closed"),
        (lambda path: pipe(), "rewound"),
        (lambda path: RawFile(), "rewound"),
        (lambda path: OnlyReads(), "rewound"),
        (str, "pathlib.Path"),
        (lambda path: "https://example.com/voice.wav", "pathlib.Path"),
        (lambda path: None, "NoneType"),
        (lambda path: 5, "int"),
        (lambda path: bytearray(AUDIO), "bytearray"),
    ],
    ids=["no bytes", "empty BytesIO", "at its end", "behind its end", "missing", "below a file", "long name", "NUL",
         "directory", "null device", "endless device", "StringIO", "text file", "closed file", "closed BytesIO",
         "pipe", "raw", "no file", "path as str", "URL", "None", "number", "bytearray"],
)  # fmt: skip
async def test_an_unusable_source_is_refused(path, source, hint):
    """Before anything is sent to the storage, and with a hint of what to pass instead."""
    audio_source = source(path)
    async with Storage(STORED) as storage, open_client(storage) as client:
        try:
            error = await fails(client.upload(audio_source), MediaError)
        finally:
            if hasattr(audio_source, "close"):
                audio_source.close()
    assert storage.uploads == []
    assert hint in str(error)
    assert not error.retryable


async def test_a_file_that_is_open_for_writing_only_is_refused(path):
    with os.fdopen(os.open(path, os.O_WRONLY), "wb") as file:
        async with Storage(silence) as storage, open_client(storage) as client:
            assert "read" in str(await fails(client.upload(file), MediaError))


@pytest.mark.parametrize("size", [0, 1])
async def test_an_empty_file_is_refused(sparse, size):
    async with Storage(STORED) as storage, open_client(storage) as client:
        if size:
            assert (await client.upload(sparse(size))).startswith("media://")
        else:
            await fails(client.upload(sparse(size)), MediaError)
    assert len(storage.uploads) == size


async def test_a_named_pipe_is_refused_without_opening_it(tmp_path):
    """Opening it would block a thread until another process writes to the pipe, perhaps for ever."""
    fifo = tmp_path / "voice.wav"
    os.mkfifo(fifo)
    async with Storage(STORED) as storage, open_client(storage) as client:
        upload = asyncio.create_task(client.upload(fifo))
        done, _ = await asyncio.wait({upload}, timeout=2.0)
        # Unblocks the thread that opened the pipe, if there is one.
        with suppress(OSError):
            os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
        with suppress(VoiceprintError):
            await upload
        assert done == {upload}
        await fails(upload, MediaError)


@pytest.mark.parametrize(
    ("size", "asked"), [(100 * MIB + 1, 0), (100 * MIB, 1)], ids=["a byte too much", "as much as may be"]
)
async def test_audio_for_a_voiceprint_is_measured_before_it_is_sent(sparse, size, asked):
    async with HostileServer(answer(b"", 400)) as server, open_client(server) as client:
        kind = InvalidRequestError if asked else MediaError
        await fails(client.voiceprint(sparse(size), check=False), kind)
    assert [one.target for one in server.asked] == ["/v1/media/input"] * asked


# Requests to the storage


async def test_the_storage_receives_the_audio_and_no_secret(path, start):
    """A `Content-Length`, the presigned URL unchanged, no chunked encoding, no key, no header of the user's session."""
    jar = aiohttp.CookieJar(unsafe=True)
    session = await start(
        aiohttp.ClientSession(headers={"X-Team": "voices", "Cookie": "a=1"}, cookies={"b": "2"}, cookie_jar=jar)
    )
    async with Storage(STORED) as storage, open_client(storage, session=session) as client:
        await client.upload(path)
    ask, put = storage.asked
    assert (ask.headers["Authorization"], ask.headers["X-Team"]) == (f"Bearer {KEY}", "voices")
    assert set(put.headers) <= {"Host", "Content-Length", "User-Agent", "Connection"}
    assert put.headers["Content-Length"] == str(len(AUDIO))
    assert put.target == f"/bucket/a%2fb+c%20d?X-Amz-Signature={SECRET}&n=1&k=%2F%2f'~"


@pytest.mark.parametrize(
    "name", ["voice_of_Meyer.WAV", "voice", ".voice", "voice.tar.gz", "voice.wäv", "voice.morethaneight", "voice.w v"]
)
async def test_a_generated_key_is_flat_unique_and_without_the_file_name(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    async with Storage(STORED) as storage, open_client(storage) as client:
        urls = [await client.upload(tmp_path / name) for _ in range(3)]
    assert len(set(urls)) == 3
    for url in urls:
        assert re.fullmatch(r"media://[a-zA-Z0-9-]+(\.[a-z0-9]{1,8})?", url)
        assert "voice" not in url
        assert "meyer" not in url.lower()


@pytest.mark.parametrize("media_key", ["team/voice_1.wav", "media://team/voice_1.wav"])
async def test_a_media_key_of_the_caller_is_used(media_key):
    async with Storage(STORED) as storage, open_client(storage) as client:
        assert await client.upload(b"x", media_key=media_key) == "media://team/voice_1.wav"
    assert json.loads(storage.asked[0].body) == {"url": "media://team/voice_1.wav"}


@pytest.mark.parametrize("media_key", ["", "media://", "a b", "ä", "a\n", "a" * 248, "media:/a", 5])
async def test_an_invalid_media_key_is_refused_before_anything_is_sent(media_key):
    async with Storage(STORED) as storage, open_client(storage) as client:
        await fails(client.upload(b"x", media_key=media_key), InvalidRequestError)
    assert storage.asked == []


# Progress


@pytest.mark.parametrize("size", [1, 256 * 1024, 256 * 1024 + 1, 3 * MIB])
async def test_progress_grows_to_the_total(sparse, size):
    told = []
    async with Storage(STORED) as storage, open_client(storage) as client:
        await client.upload(sparse(size), on_progress=lambda sent, total: told.append((sent, total)))
    assert {total for _, total in told} == {size}
    sent = [sent for sent, _ in told]
    assert sent == sorted(set(sent))
    assert sent[-1] == size


async def test_progress_starts_again_with_each_try():
    told = []
    async with Storage(answer(b"", 500), answer(b"", 500), STORED) as storage, open_client(storage) as client:
        await client.upload(b"abc", on_progress=lambda sent, total: told.append((sent, total)))
    assert told == [(3, 3)] * 3


class OwnError(Exception):
    pass


@pytest.mark.parametrize("own_error", [OwnError, ValueError, OSError, ConnectionResetError, TimeoutError, MediaError])
async def test_an_error_of_on_progress_reaches_the_caller_unchanged(sparse, own_error):
    """It ends the upload and is not retried."""
    raised = own_error("own_error")

    def on_progress(sent: int, total: int) -> None:
        raise raised

    async with Storage(STORED) as storage, open_client(storage) as client:
        with pytest.raises(own_error) as caught:
            await client.upload(sparse(8 * MIB), on_progress=on_progress)
    assert caught.value is raised
    assert len(storage.uploads) == 1


# Failures of the storage


async def close_mid_body(wire: ServerConnection) -> None:
    """Close the connection in the middle of the body."""
    await wire.reader.read(1000)
    wire.close()


async def reset_mid_body(wire: ServerConnection) -> None:
    await wire.reader.read(1000)
    wire.reset()


async def refuse_before_body(wire: ServerConnection) -> None:
    """Send a response before the body is read, and close the connection."""
    await wire.send(answer(b"<Error><Code>AccessDenied</Code></Error>", 403, Connection="close"))
    wire.close()


async def close_before_next_write(wire: ServerConnection) -> None:
    """Close when the client may send more: it writes the next chunk to a closed connection."""
    for _ in range(20):
        await wire.reader.read(65536)
        await asyncio.sleep(0.001)
    wire.reset()


async def close_without_response(wire: ServerConnection) -> None:
    """Read the whole body, and close the connection without a response."""
    await wire.skip()
    wire.close()


@pytest.mark.parametrize(
    "failure",
    [
        answer(b"", 500),
        answer(b"", 503),
        answer(b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>", 403),
        answer(b"", 408),
        answer(b"", 429),
        close_mid_body,
        reset_mid_body,
        close_before_next_write,
        refuse_before_body,
        close_without_response,
    ],
    ids=["500", "503", "expired", "408", "429", "cut off", "reset", "reset late", "refused early", "no answer"],
)
async def test_a_failed_upload_is_retried_with_a_fresh_url(sparse, failure):
    """The old URL may be the cause, and only this package decides how often audio is sent, not aiohttp."""
    async with Storage(failure, failure, skip_and_store) as storage, open_client(storage) as client:
        assert (await client.upload(sparse(4 * MIB))).startswith("media://")
        assert client.stats.in_flight == 0
    targets = [put.target for put in storage.uploads]
    assert (len(targets), len(set(targets))) == (3, 3)
    assert {json.loads(ask.body)["url"] for ask in storage.asked if ask.method == "POST"} == {
        json.loads(storage.asked[0].body)["url"]
    }


async def skip_and_store(wire: ServerConnection) -> None:
    await wire.skip()
    await wire.send(STORED)


@pytest.mark.parametrize(
    ("failure", "kind"),
    [(answer(b"", 500), ServerError), (answer(b"", 403), MediaError), (close_mid_body, ApiConnectionError)],
)
async def test_retries_of_an_upload_are_bounded(sparse, failure, kind):
    async with Storage(failure) as storage, open_client(storage) as client:
        error = await fails(client.upload(sparse(4 * MIB)), kind)
    assert (error.retryable, error.outcome_unknown) == (True, False)
    assert len(storage.uploads) == 3


@pytest.mark.parametrize("status", [300, 301, 307, 400, 401, 404, 405, 411, 413, 418])
async def test_a_refused_upload_is_not_retried(status):
    """Redirects are not followed: their target is unknown."""
    async with HostileServer(STORED) as elsewhere:
        refusal = answer(b"<Error><Code>EntityTooLarge</Code></Error>", status, Location=elsewhere.url)
        async with Storage(refusal) as storage, open_client(storage) as client:
            error = await fails(client.upload(AUDIO), MediaError)
        assert elsewhere.connections == 0
    assert (error.status, error.retryable, len(storage.uploads)) == (status, False, 1)
    assert "EntityTooLarge" in str(error)


@pytest.mark.parametrize("status", ["999 What", "600 What", "099 What", "101 Switching"])
async def test_an_invalid_status_is_an_error(status):
    async with Storage(answer(b"", status)) as storage, open_client(storage) as client:
        await fails(client.upload(AUDIO), UnexpectedResponseError)


@pytest.mark.parametrize("body", [b"\xff" * 100, b"<Code>" * 10_000, b"<Error>" + b"A" * 10 * MIB])
async def test_a_refusal_may_have_any_body(body):
    async with Storage(answer(body, 400)) as storage, open_client(storage) as client:
        error = await fails(client.upload(AUDIO), MediaError)
    assert len(str(error)) < 300


@pytest.mark.parametrize(
    "url",
    ["", "nonsense", "/relative", "media://voice.wav", "file:///etc/passwd", "ftp://127.0.0.1/", "http://",
     "http://[::1", "http://127.0.0.1:99999/", "http://127.0.0.1:x/", 5, None, []],
)  # fmt: skip
async def test_an_invalid_presigned_url_is_an_unexpected_response(url):
    """The server is at fault, not the caller."""
    ask = answer(json.dumps({"url": url}).encode(), 201)
    async with HostileServer(ask) as server, open_client(server) as client:
        error = await fails(client.upload(b"x"), UnexpectedResponseError)
    assert error.outcome_unknown is False


async def test_a_presigned_url_cannot_inject_headers():
    async with Storage(STORED) as storage:
        ask = answer(json.dumps({"url": f"{storage.url}/a HTTP/1.1\r\nX-Injected: 1\r\n?k=1"}).encode(), 201)
        async with HostileServer(ask) as server, open_client(server) as client:
            with suppress(VoiceprintError):
                await client.upload(b"x")
    assert [put for put in storage.uploads if "X-Injected" in put.headers] == []


async def test_an_unreachable_storage():
    ask = answer(json.dumps({"url": f"http://127.0.0.1:{unused_port()}/?{SECRET}"}).encode(), 201)
    async with HostileServer(ask) as server, open_client(server) as client:
        await fails(client.upload(b"x"), ApiConnectionError)
    assert len(server.asked) == 3


@pytest.mark.parametrize("status", [500, 401, 429])
async def test_no_audio_is_sent_without_a_presigned_url(path, status):
    headers = {"Retry_After": "0.001"} if status == 429 else {}
    policy = RetryPolicy(max_tries=2, base=0.001, max_retry_after=0.0001)
    async with HostileServer(answer(b"", status, **headers)) as server, open_client(server, retry=policy) as client:
        with pytest.raises(VoiceprintError):
            await client.upload(path)
    assert {request.method for request in server.asked} == {"POST"}


# Timeouts


async def stop_reading(wire: ServerConnection) -> None:
    await asyncio.Event().wait()


async def refuse_and_stop_reading(wire: ServerConnection) -> None:
    await wire.send(answer(b"", 500))
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("play", "size", "timeouts", "kind"),
    [
        (stop_reading, 64 * MIB, Timeouts(upload_stall=0.2), ApiTimeoutError),
        (silence, 1000, Timeouts(read=0.2), ApiTimeoutError),
        (refuse_and_stop_reading, 64 * MIB, Timeouts(upload_stall=0.2), ServerError),
    ],
    ids=["nothing moves", "no answer", "answered, nothing moves"],
)
async def test_an_upload_that_stalls_fails(sparse, play, size, timeouts, kind):
    """`Timeouts.upload_stall` bounds the upload, which has no total timeout; `Timeouts.read` bounds its response."""
    options = {"timeouts": timeouts, "retry": RetryPolicy(max_tries=1)}
    async with Storage(play) as storage, open_client(storage, **options) as client:
        error = await fails(client.upload(sparse(size)), kind)
    assert (error.retryable, error.outcome_unknown) == (True, False)


async def test_a_slow_upload_that_makes_progress_does_not_fail(sparse):
    async def read_slowly(wire: ServerConnection) -> None:
        for _ in range(20):
            await asyncio.sleep(0.05)
            with suppress(asyncio.IncompleteReadError):
                await wire.reader.readexactly(MIB)
        await wire.send(STORED)

    timeouts = Timeouts(upload_stall=0.4, total=0.4, read=0.4)
    async with Storage(read_slowly) as storage, open_client(storage, timeouts=timeouts) as client:
        await client.upload(sparse(20 * MIB))
    assert len(storage.uploads) == 1


# Files that change during the upload


class Changing(io.BytesIO):
    """A file whose reads behave differently after a number of bytes."""

    def __init__(self, size: int, then: Callable[[int], object], *, after: int) -> None:
        super().__init__(bytes(size))
        self._then = then
        self._after = after

    def read(self, size: int = -1):
        return self._then(size) if self.tell() >= self._after else super().read(min(size, self._after - self.tell()))


def broken_disk(size: int):
    raise OSError(5, "Input/output error")


@pytest.mark.parametrize("wrapped", [False, True], ids=["in memory", "on disk"])
@pytest.mark.parametrize(
    ("then", "hint"),
    [
        (lambda size: b"", "shorter"),
        (broken_disk, "input/output error"),
        (lambda size: "text", "binary"),
        (lambda size: None, "binary"),
    ],
    ids=["shorter", "broken disk", "text", "nothing yet"],
)
async def test_a_read_error_during_the_upload_is_a_media_error(then, hint, wrapped):
    """It is not retried, and the storage never receives the complete announced length."""
    size = 3 * MIB
    file = Changing(size, then, after=MIB)
    if wrapped:
        file = FileWrapper(file)
    async with Storage(silence) as storage, open_client(storage, timeouts=Timeouts(upload_stall=5.0)) as client:
        error = await fails(client.upload(file), MediaError)
    assert hint in str(error)
    assert len(storage.uploads) == 1
    assert len(storage.uploads[0].body) < size


class FileWrapper:
    """A file that is not a `BytesIO`, and records the threads that read it."""

    def __init__(self, file: io.BytesIO) -> None:
        self._file = file
        self.threads: set[str] = set()

    def __getattr__(self, name: str):
        return getattr(self._file, name)

    def read(self, size: int):
        self.threads.add(threading.current_thread().name)
        return self._file.read(size)


async def test_files_are_read_in_other_threads():
    file = FileWrapper(io.BytesIO(AUDIO))
    async with Storage(STORED) as storage, open_client(storage) as client:
        await client.upload(file)
    assert storage.uploads[0].body == AUDIO
    assert threading.main_thread().name not in file.threads


@pytest.mark.parametrize(("change", "hint"), [(-1, "shorter"), (1, "longer")])
async def test_a_file_that_changes_during_the_upload_is_a_media_error(path, change, hint):
    def on_progress(sent: int, total: int) -> None:
        os.truncate(path, total + change)

    async with Storage(STORED) as storage, open_client(storage) as client:
        error = await fails(client.upload(path, on_progress=on_progress), MediaError)
    assert hint in str(error)


async def test_an_early_success_of_the_storage_does_not_hide_a_read_error():
    """The storage answered 200 before it had the audio."""

    async def store_early(wire: ServerConnection) -> None:
        await wire.send(STORED)
        await wire.skip()

    slow = Changing(3 * MIB, broken_disk, after=MIB)
    async with Storage(store_early) as storage, open_client(storage) as client:
        await fails(client.upload(FileWrapper(slow)), UnexpectedResponseError)


class RewindsOnce(io.BytesIO):
    """A file that can be rewound only for the first try."""

    rewinds = 0

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_SET:
            self.rewinds += 1
            if self.rewinds > 2:
                raise OSError(29, "Illegal seek")
        return super().seek(position, whence)


async def test_audio_that_cannot_be_rewound_for_a_retry_is_a_media_error():
    async with Storage(answer(b"", 500), STORED) as storage, open_client(storage) as client:
        error = await fails(client.upload(RewindsOnce(AUDIO)), MediaError)
    assert "rewound" in str(error)


# Slots, memory, cancellation


async def test_memory_is_bounded_during_the_upload_of_a_long_file(sparse):
    async with Storage(skip_and_store) as storage, open_client(storage) as client:
        file = sparse(256 * MIB)
        tracemalloc.start()
        try:
            await client.upload(file)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 8 * MIB


async def run_ready_tasks() -> None:
    """Run the event loop until only blocked tasks are left."""
    for _ in range(10):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


async def test_uploads_hold_no_api_slot(path):
    """An upload in flight holds no API slot; the next upload waits for an upload slot."""
    gate = asyncio.Event()

    async def store_later(wire: ServerConnection) -> None:
        await wire.body()
        await gate.wait()
        await wire.send(STORED)

    async with Storage(store_later) as storage, open_client(storage, max_concurrency=1, max_uploads=2) as client:
        uploads = [asyncio.create_task(client.upload(path)) for _ in range(4)]
        await until(lambda: len(storage.uploads) == 2)
        assert client.stats.in_flight == 0
        assert (await client.get_job("job-1")).job_id == "job-1"
        assert len(storage.uploads) == 2
        gate.set()
        assert len(set(await asyncio.gather(*uploads))) == 4
    assert len(storage.uploads) == 4


@pytest.mark.parametrize("play", [stop_reading, silence])
async def test_a_cancelled_upload_leaves_nothing_behind(sparse, play):
    """No open file and no connection: a fixture counts them."""
    async with Storage(play) as storage, open_client(storage) as client:
        sent = []
        upload = asyncio.create_task(client.upload(sparse(64 * MIB), on_progress=lambda done, _: sent.append(done)))
        await until(lambda: storage.uploads and sent)
        upload.cancel()
        with pytest.raises(asyncio.CancelledError):
            await upload
        assert client.stats.in_flight == 0
        storage.puts = [skip_and_store]
        assert (await client.upload(b"x")).startswith("media://")


async def test_a_cancelled_upload_leaves_the_callers_file_open(path):
    with path.open("rb") as file:
        async with Storage(silence) as storage, open_client(storage) as client:
            upload = asyncio.create_task(client.upload(file))
            await until(lambda: storage.uploads)
            upload.cancel()
            with pytest.raises(asyncio.CancelledError):
                await upload
        assert not file.closed


class SlowToOpen(os.PathLike):
    """A path on a slow disk."""

    def __init__(self, path) -> None:
        self._path = path
        self.asked = threading.Event()
        self.awake = threading.Event()

    def __fspath__(self) -> str:
        self.asked.set()
        self.awake.wait(10.0)
        return str(self._path)


async def test_an_upload_cancelled_while_its_file_is_opened_closes_the_file(path):
    """The thread that opens the file cannot be cancelled."""
    slow = SlowToOpen(path)
    async with Storage(STORED) as storage, open_client(storage) as client:
        upload = asyncio.create_task(client.upload(slow))
        await until(slow.asked.is_set)
        upload.cancel()
        await run_ready_tasks()
        slow.awake.set()
        with pytest.raises(asyncio.CancelledError):
            await upload
        await run_ready_tasks()
    assert storage.asked == []


@pytest.mark.parametrize("play", [stop_reading, silence])
async def test_closing_the_client_ends_an_upload_with_a_clear_error(sparse, play):
    async with Storage(play) as storage, open_client(storage) as client:
        upload = asyncio.create_task(client.upload(sparse(64 * MIB)))
        await until(lambda: storage.uploads)
        await client.aclose()
        await fails(upload, ClientClosedError)
        assert len(storage.uploads) == 1
