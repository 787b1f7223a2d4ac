"""What a submission does with its connection."""

import asyncio
import fcntl
import socket
import struct

import pytest
from hostile_server import HostileServer, answer, unused_port
from namespaces import run_in_namespace

from pyannote_voiceprint_async import ApiTimeoutError, AsyncVoiceprintClient, RetryPolicy, Timeouts
from pyannote_voiceprint_async.transport.connection import RecordedConnection

URL = "https://example.com/voice.wav"


class Received(asyncio.Protocol):
    """A protocol that records its calls."""

    def __init__(self) -> None:
        self.data = b""
        self.calls: list[str] = []
        self.lost = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.data += data

    def eof_received(self) -> bool | None:
        self.calls.append("eof_received")
        return None

    def pause_writing(self) -> None:
        self.calls.append("pause_writing")

    def resume_writing(self) -> None:
        self.calls.append("resume_writing")

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append("connection_lost")
        self.lost.set()


@pytest.fixture
async def connected():
    """A transport, its protocol, and the other end of the connection as a plain socket."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    transport, protocol = await asyncio.get_running_loop().create_connection(Received, sock=ours)
    yield transport, protocol, theirs
    transport.abort()
    theirs.close()
    await protocol.lost.wait()


async def until(condition) -> None:
    while not condition():
        await asyncio.sleep(0)


async def test_a_connection_has_one_recorder(connected):
    transport, _, _ = connected
    recorder = RecordedConnection.of(transport)
    assert RecordedConnection.of(transport) is recorder


async def test_it_records_the_bytes_for_its_user_and_passes_every_byte_on(connected):
    transport, protocol, theirs = connected
    recorder = RecordedConnection.of(transport)
    theirs.send(b"before ")
    await until(lambda: protocol.data == b"before ")
    recorder.begin("first")
    theirs.send(b"during")
    await until(lambda: protocol.data == b"before during")
    assert (recorder.recorded("first"), recorder.recorded("second")) == (b"during", b"")
    recorder.end("first")
    assert recorder.recorded("first") == b""


async def test_the_previous_user_does_not_affect_the_next_one(connected):
    """aiohttp returns a connection to the pool when its response is complete, maybe before the reader has finished."""
    transport, protocol, theirs = connected
    recorder = RecordedConnection.of(transport)
    recorder.begin("first")
    recorder.begin("second")
    recorder.end("first")
    recorder.reset("first")
    theirs.send(b"for the second")
    await until(lambda: protocol.data)
    assert (recorder.recorded("second"), transport.is_closing()) == (b"for the second", False)


async def test_the_recorded_bytes_are_bounded(connected):
    transport, protocol, theirs = connected
    recorder = RecordedConnection.of(transport)
    recorder.begin("first")
    theirs.setblocking(False)
    sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(theirs, bytes(4 * 2**20)))
    await until(lambda: len(protocol.data) == 4 * 2**20)
    await sending
    assert len(recorder.recorded("first")) < 2**20


async def test_the_protocol_of_aiohttp_gets_every_call(connected):
    transport, protocol, theirs = connected
    recorder = RecordedConnection.of(transport)
    recorder.pause_writing()
    recorder.resume_writing()
    theirs.close()
    await protocol.lost.wait()
    assert protocol.calls == ["pause_writing", "resume_writing", "eof_received", "connection_lost"]


async def test_the_connection_of_a_timed_out_submission_is_reset():
    """The kernel would still deliver the bytes of a connection that is only closed."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", unused_port())) as listening:
        listening.setblocking(False)
        base_url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        timeouts = Timeouts(total=0.2)
        async with AsyncVoiceprintClient("k", base_url=base_url, timeouts=timeouts) as client:
            with pytest.raises(ApiTimeoutError) as late:
                await client.submit(URL)
            accepted, _ = await loop.sock_accept(listening)
            with accepted:
                assert (await loop.sock_recv(accepted, 65536)).startswith(b"POST")
                with pytest.raises(ConnectionResetError):
                    await loop.sock_recv(accepted, 65536)
    assert late.value.outcome_unknown


def set_loopback(*, up: bool) -> None:
    """Switch the network of this namespace on or off."""
    set_flags, is_up = 0x8914, 1  # SIOCSIFFLAGS, IFF_UP
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sh14x", b"lo", is_up if up else 0))


async def submit_while_the_network_is_off() -> None:
    later = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}")
        writer.write(answer(b'{"jobId":"job-1","status":"created"}'))
        ours = writer.get_extra_info("socket")
        # Probes find out whether the other end still exists, and do not disturb what it may still send.
        for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 30)):
            ours.setsockopt(socket.IPPROTO_TCP, option, value)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        (result,) = await asyncio.gather(reader.read(1), return_exceptions=True)
        later.set_result(result)
        writer.transport.abort()

    set_loopback(up=True)
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with AsyncVoiceprintClient("k", base_url=base_url, timeouts=Timeouts(total=0.3)) as client:
            await client.submit(URL)
            set_loopback(up=False)
            with pytest.raises(ApiTimeoutError) as late:
                await client.submit(URL)
            assert late.value.outcome_unknown
            set_loopback(up=True)
            assert isinstance(await later, ConnectionResetError)


def check_an_abandoned_submission() -> None:
    asyncio.run(submit_while_the_network_is_off())


def test_an_abandoned_submission_does_not_arrive_after_an_outage():
    """The kernel would otherwise repeat the sending when the network is back."""
    run_in_namespace(check_an_abandoned_submission, "--net")


@pytest.mark.parametrize("size", [100, 8_500, 65_000, 100_000])
@pytest.mark.parametrize("foreign", [False, True])
async def test_large_headers_lose_no_job_id(size, foreign, start):
    import aiohttp

    session = await start(aiohttp.ClientSession()) if foreign else None

    async def serve(wire):
        await wire.body()
        await wire.send(answer(b'{"jobId":"job-%d","status":"created"}' % len(server.asked), Set_Cookie="a" * size))

    policy = RetryPolicy(max_tries=1)
    async with (
        HostileServer(serve) as server,
        AsyncVoiceprintClient("k", base_url=server.url, session=session, retry=policy) as client,
    ):
        jobs = [(await client.submit(URL)).job_id for _ in range(20)]
    assert jobs == [f"job-{number}" for number in range(1, 21)]
