"""Programs that a warm parent forks, with the methods of `subprocess.Popen` that tests use."""

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from typing import IO, Any, Self

_PARENT = Path(__file__).with_name("warm_parent.py")


class WarmProcess:
    """A program of the package or of its tests that runs as a process.

    Args:
        module: the module with its function `main`.
        arguments: the arguments of the program.
        environment: additional environment variables. Those of the interpreter itself have no effect.
        cwd: the current directory; None is that of the tests.
        stdin, stdout, stderr: as for `subprocess.Popen`.
    """

    def __init__(
        self,
        module: str,
        *arguments: object,
        environment: Mapping[str, str] | None = None,
        cwd: os.PathLike[str] | None = None,
        stdin: Any = subprocess.DEVNULL,
        stdout: Any = subprocess.PIPE,
        stderr: Any = subprocess.PIPE,
    ) -> None:
        self.returncode: int | None = None
        case = {
            "module": module,
            "arguments": [*map(str, arguments)],
            "environment": {**os.environ, **(environment or {})},
            "folder": str(cwd or Path.cwd()),
        }
        with ExitStack() as theirs:
            self.stdin, reads = _stream(stdin, "w", theirs)
            self.stdout, writes = _stream(stdout, "r", theirs)
            self.stderr, reports = _stream(stderr, "r", theirs)
            self._connection = _connect([reads, writes, reports])
        self._connection.sendall(f"{json.dumps(case)}\n".encode())
        self.pid = int(self._receive_line())

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code, once there is one.

        Raises:
            subprocess.TimeoutExpired: the program still runs after `timeout` seconds.
        """
        if self.returncode is None:
            self._connection.settimeout(timeout)
            try:
                self.returncode = int(self._receive_line())
            except (BlockingIOError, TimeoutError):
                raise subprocess.TimeoutExpired("the program", timeout or 0.0) from None
        return self.returncode

    def poll(self) -> int | None:
        """Return the exit code, or None while the program runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0.0)
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the program has ended."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the program, unless it has ended."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, text: str = "", timeout: float | None = None) -> tuple[str, str]:
        """Write a text to stdin, wait until the program has ended, and return what is left of stdout and stderr."""
        with ThreadPoolExecutor(2) as threads:
            texts = [threads.submit(_read, stream) for stream in (self.stdout, self.stderr)]
            try:
                if self.stdin is not None:
                    with suppress(BrokenPipeError), self.stdin as stdin:
                        stdin.write(text)
                self.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
            return texts[0].result(), texts[1].result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                stream.close()
        self.wait()
        self._connection.close()

    def _receive_line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            received = self._connection.recv(1)
            assert received, "the process that starts the program has ended"
            line += received
        return line


def _read(stream: IO[str] | None) -> str:
    return "" if stream is None or stream.closed else stream.read()


def _stream(kind: Any, mode: str, theirs: ExitStack) -> tuple[IO[str] | None, int]:
    """Return our end of a stream, if there is one, and the descriptor of the program's end."""
    if kind == subprocess.DEVNULL:
        return None, theirs.enter_context(Path(os.devnull).open("r+b")).fileno()
    if kind != subprocess.PIPE:
        return None, kind if isinstance(kind, int) else kind.fileno()
    reads, writes = os.pipe()
    ours, end = (writes, reads) if mode == "w" else (reads, writes)
    theirs.callback(os.close, end)
    return os.fdopen(ours, mode), end


def _connect(streams: list[int]) -> socket.socket:
    """Send the streams of a new program to the warm parent, and return the connection to what starts it."""
    ours, theirs = socket.socketpair()
    with theirs:
        socket.send_fds(_connections(), [b"."], [theirs.fileno(), *streams])
    return ours


@cache
def _connections() -> socket.socket:
    """Start the warm parent of this process, and return the socket on which it receives programs."""
    ours, theirs = socket.socketpair()
    # No threads, because a fork copies only one of them.
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    with theirs:
        command = [sys.executable, _PARENT, str(theirs.fileno())]
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
    atexit.register(process.wait)
    atexit.register(ours.close)
    return ours


def start_parent() -> None:
    """Start the parent of all warm processes: its socket would look like a leak of the first killed program."""
    with WarmProcess("python_code", "") as process:
        process.wait(timeout=60)
