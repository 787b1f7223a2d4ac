"""Commands that a warm parent forks, with the methods of `subprocess.Popen` that tests use."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Self, TypeAlias

_COMMAND = [sys.executable, "-m", "pyannote_voiceprint_async.cli"]
_PROGRAM = Path(__file__).with_name("warm_parent.py")


class WarmParent:
    """A process that forks commands.

    Args:
        connections: the socket on which it receives them.
    """

    def __init__(self, connections: socket.socket) -> None:
        self._connections = connections

    @classmethod
    @contextmanager
    def started(cls) -> Iterator["WarmParent"]:
        """Start the process, and end it after the block."""
        ours, theirs = socket.socketpair()
        # A fork must not happen in a process with threads.
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, _PROGRAM, str(theirs.fileno())]
        with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]), ours:
            theirs.close()
            yield cls(ours)

    def connect(self, streams: list[int]) -> socket.socket:
        """Hand over the streams of a new command, and return the connection to the process that starts it."""
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._connections, [b"."], [theirs.fileno(), *streams])
        return ours


class CommandProcess:
    """A command that runs as a process.

    Args:
        parent: the process that forks it.
        arguments: the arguments of the command.
        environment: all environment variables.
        cwd: the current directory; None is that of the tests.
        stdin, stdout, stderr: as for `subprocess.Popen`.
    """

    def __init__(
        self,
        parent: WarmParent,
        arguments: list[str],
        environment: Mapping[str, str],
        cwd: os.PathLike[str] | None = None,
        stdin: Any = subprocess.DEVNULL,
        stdout: Any = subprocess.PIPE,
        stderr: Any = subprocess.PIPE,
    ) -> None:
        self.returncode: int | None = None
        case = {"arguments": arguments, "environment": dict(environment), "folder": str(cwd or Path.cwd())}
        with ExitStack() as theirs:
            self.stdin, reads = _stream(stdin, "w", theirs)
            self.stdout, writes = _stream(stdout, "r", theirs)
            self.stderr, reports = _stream(stderr, "r", theirs)
            self._connection = parent.connect([reads, writes, reports])
        self._connection.sendall(f"{json.dumps(case)}\n".encode())
        self.pid = int(self._receive_line())

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code, once there is one.

        Raises:
            subprocess.TimeoutExpired: the command still runs after `timeout` seconds.
        """
        if self.returncode is None:
            self._connection.settimeout(timeout)
            try:
                self.returncode = int(self._receive_line())
            except (BlockingIOError, TimeoutError):
                raise subprocess.TimeoutExpired("the command", timeout or 0.0) from None
        return self.returncode

    def poll(self) -> int | None:
        """Return the exit code, or None while the command runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0.0)
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the command has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the command, unless it has ended."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait until the command has ended, and return what is left of stdout and stderr."""
        with ThreadPoolExecutor(2) as threads:
            texts = [threads.submit(_read, stream) for stream in (self.stdout, self.stderr)]
            try:
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
            assert received, "the process that starts the command has ended"
            line += received
        return line


Process: TypeAlias = subprocess.Popen | CommandProcess


def start_command(
    parent: WarmParent, *arguments: object, environment: Mapping[str, str] | None = None, **options: Any
) -> Process:
    """Start the command as a process.

    An interpreter of its own starts only for what a fork cannot have: `preexec_fn`, and variables of Python itself.

    Args:
        parent: the process that forks all other commands.
        arguments: the arguments of the command.
        environment: additional environment variables.
        options: as for `subprocess.Popen`; stdout and stderr are pipes by default.
    """
    texts, more = [*map(str, arguments)], environment or {}
    if "preexec_fn" not in options and not any(name.startswith("PYTHON") for name in more):
        return CommandProcess(parent, texts, {**os.environ, **more}, **options)
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen([*_COMMAND, *texts], env={**os.environ, **more}, text=True, **pipes)


def _read(stream: IO[str] | None) -> str:
    return "" if stream is None or stream.closed else stream.read()


def _stream(kind: Any, mode: str, theirs: ExitStack) -> tuple[IO[str] | None, int]:
    """Return our end of a stream, if there is one, and the descriptor of the command's end."""
    if kind == subprocess.DEVNULL:
        return None, theirs.enter_context(Path(os.devnull).open("r+b")).fileno()
    if kind != subprocess.PIPE:
        return None, kind if isinstance(kind, int) else kind.fileno()
    reads, writes = os.pipe()
    ours, end = (writes, reads) if mode == "w" else (reads, writes)
    theirs.callback(os.close, end)
    return os.fdopen(ours, mode), end
