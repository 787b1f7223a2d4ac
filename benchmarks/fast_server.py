"""A server that is not the bottleneck: it answers every request with a new job, and understands little else.

Run as a process of its own, it prints its port and serves until its standard input ends.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-RateLimit-Limit: 1000000000\r\n"


class JobProtocol(asyncio.Protocol):
    """Answers each request as soon as its body is there."""

    made = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        while (end := self.received.find(b"\r\n\r\n")) >= 0:
            head = self.received[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.received) < end + 4 + length:
                return
            self.received = self.received[end + 4 + length :]
            self.answer()

    def answer(self) -> None:
        JobProtocol.made += 1
        body = b'{"jobId":"%032x","status":"created"}' % JobProtocol.made
        self.transport.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)


@contextmanager
def running() -> Iterator[int]:
    """Run the server in a process of its own, and give its port."""
    command = [sys.executable, __file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.communicate()


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(JobProtocol, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
