"""Fixtures that run the command line, and sandboxes for it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import TypeAlias
from urllib.request import urlopen

import attrs
import pytest
from click.testing import CliRunner, Result
from quick_polls import QuickPolling
from warm_process import WarmProcess

from pyannote_voiceprint_async.cli import clients
from pyannote_voiceprint_async.cli.app import app

Process: TypeAlias = subprocess.Popen | WarmProcess

_COMMAND = "pyannote_voiceprint_async.cli"
_SECONDS = 60


@attrs.frozen
class SandboxProcess:
    """A sandbox that runs as `pyannote-voiceprint sandbox`."""

    url: str
    api_key: str
    process: Process

    @property
    def environment(self) -> dict[str, str]:
        return {"PYANNOTEAI_BASE_URL": self.url, "PYANNOTEAI_API_KEY": self.api_key}

    def state(self) -> dict:
        with urlopen(f"{self.url}/_sandbox/state", timeout=_SECONDS) as answer:  # noqa: S310 - its own http
            return json.load(answer)


def start_command(*arguments, environment=None, **options) -> Process:
    """Start the command as a process, with the options of `subprocess.Popen`.

    An interpreter of its own starts only for what a fork cannot have: `preexec_fn`, and variables of Python itself.
    """
    more = environment or {}
    if "preexec_fn" not in options and not any(name.startswith("PYTHON") for name in more):
        return WarmProcess(_COMMAND, *arguments, environment=more, **options)
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    command = [sys.executable, "-m", _COMMAND, *map(str, arguments)]
    return subprocess.Popen(command, env={**os.environ, **more}, text=True, **pipes)


@pytest.fixture
def spawn() -> Iterator[Callable[..., Process]]:
    """Start the command as a process that ends with the test."""
    with ExitStack() as stack:

        def start(*arguments, **options) -> Process:
            process = stack.enter_context(start_command(*arguments, **options))
            stack.callback(process.kill)
            return process

        yield start


@pytest.fixture
def command(spawn) -> Callable[..., subprocess.CompletedProcess]:
    """Run the command as a process, and return its result."""

    def run(*arguments, **options) -> subprocess.CompletedProcess:
        process = spawn(*arguments, **options)
        stdout, stderr = process.communicate(timeout=_SECONDS)
        return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)

    return run


@pytest.fixture(scope="session")
def on_terminal() -> Callable[..., tuple[int, bytes]]:
    """Run the command on its own terminal; return its exit code and every byte that the terminal received."""

    def run(*arguments, environment=None, **options) -> tuple[int, bytes]:
        ours, theirs = os.openpty()
        variables = {"TERM": "xterm", **(environment or {})}
        with os.fdopen(ours, "rb", buffering=0) as terminal, os.fdopen(theirs, "wb", buffering=0) as stream:
            process = start_command(*arguments, environment=variables, stdout=stream, stderr=stream, **options)
            stream.close()
            with process:
                try:
                    shown = b"".join(iter(partial(_read, terminal), b""))
                    return process.wait(timeout=_SECONDS), shown
                finally:
                    process.kill()

    return run


def _read(terminal) -> bytes:
    try:
        return terminal.read(65536)
    except OSError:  # Linux: all programs have closed the terminal
        return b""


@pytest.fixture
def invoke(monkeypatch) -> Callable[..., Result]:
    """Run the command in this process, and return its result."""
    monkeypatch.setattr(clients, "Polling", QuickPolling)

    def run(*arguments, environment=None) -> Result:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run


@pytest.fixture
def start_sandbox(spawn) -> Callable[..., SandboxProcess]:
    """Start a sandbox in another process."""

    def start(*arguments) -> SandboxProcess:
        process = spawn("sandbox", *arguments)
        return SandboxProcess(**json.loads(process.stdout.readline()), process=process)

    return start


@pytest.fixture
def quick_sandbox(start_sandbox) -> SandboxProcess:
    """A sandbox with high limits, whose jobs finish at once."""
    return start_sandbox("--rate-limit", "10000/60", "--read-limit", "10000/60", "--job-seconds", "0")


def _records(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


@pytest.fixture
def records() -> Callable[[str], list[dict]]:
    """Return the function that parses the JSON lines of a text, and ignores its other lines."""
    return _records


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def ending(request) -> signal.Signals:
    """Each of the two signals that interrupt a command."""
    return request.param


@pytest.fixture
def ending_code(ending) -> int:
    """The exit code after that signal."""
    return {signal.SIGINT: 130, signal.SIGTERM: 143}[ending]
