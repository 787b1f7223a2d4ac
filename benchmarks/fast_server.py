"""A server that is not the bottleneck: it responds to every request with a new job.

It is nginx if nginx is installed and no latency is requested, else a small asyncio protocol in its own process, which
prints its port and serves until its standard input ends. Its arguments are the latency and the file of the certificate.
"""

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness import core

LIMIT = 1_000_000_000

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-RateLimit-Limit: %d\r\n" % LIMIT

NGINX = """
daemon off;
master_process off;
pid nginx.pid;
error_log stderr crit;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    keepalive_requests {limit};
    keepalive_timeout 600s;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {{
        listen 127.0.0.1:{port} backlog=1024{ssl};
        location / {{
            default_type application/json;
            add_header X-RateLimit-Limit {limit};
            return 200 '{{"jobId":"$request_id","status":"created"}}';
        }}
    }}
}}
"""


def name() -> str:
    """Return the name of the server."""
    return "nginx" if shutil.which("nginx") else "a protocol on asyncio"


@contextmanager
def running(*, on_core: int | None = None, certificate: Path | None = None, latency: float = 0.0) -> Iterator[int]:
    """Run the server in its own process, and yield its port.

    Args:
        on_core: the core that the process is pinned to.
        certificate: a file with a key and a certificate, for TLS.
        latency: seconds from a request to its response. To keep them exact, the process checks the clock all the time.
    """
    server = _nginx(certificate) if shutil.which("nginx") and not latency else _protocol(certificate, latency)
    with server as (process, port):
        if on_core is not None and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(process.pid, {core(on_core)})
        yield port


@contextmanager
def _nginx(certificate: Path | None) -> Iterator[tuple[subprocess.Popen[str], int]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        tls = f" ssl; ssl_certificate {certificate}; ssl_certificate_key {certificate}" if certificate else ""
        Path(folder, "nginx.conf").write_text(NGINX.format(port=port, limit=LIMIT, ssl=tls), "utf-8")
        with subprocess.Popen(["nginx", "-p", folder, "-c", "nginx.conf"], text=True) as server:  # noqa: S607 - found in PATH
            try:
                _wait_for(port)
                yield server, port
            finally:
                server.terminate()


@contextmanager
def _protocol(certificate: Path | None, latency: float) -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, __file__, str(latency), *([str(certificate)] if certificate else [])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server, int(server.stdout.readline())
        finally:
            server.communicate()


def _wait_for(port: int) -> None:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError("nginx did not begin to listen within 5 s")


class JobProtocol(asyncio.Protocol):
    """Responds to each request as soon as its body is complete, or after a latency."""

    made = 0
    latency = 0.0

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
            if self.latency:
                asyncio.get_running_loop().call_later(self.latency, self.respond)
            else:
                self.respond()

    def respond(self) -> None:
        JobProtocol.made += 1
        body = b'{"jobId":"%032x","status":"created"}' % JobProtocol.made
        self.transport.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)


async def main(latency: str = "0", certificate: str | None = None) -> None:
    JobProtocol.latency = float(latency)
    tls = None
    if certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(JobProtocol, "127.0.0.1", 0, ssl=tls)
    print(server.sockets[0].getsockname()[1], flush=True)
    end = loop.run_in_executor(None, sys.stdin.read)
    while JobProtocol.latency and not end.done():  # noqa: ASYNC110 - a loop that sleeps would respond up to a millisecond late
        await asyncio.sleep(0)
    await end
    server.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
