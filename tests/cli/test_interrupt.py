"""Ctrl-C at any instant: never a traceback, always a sentence, and exit code 130."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pyannote_voiceprint_async.cli import interrupt
from pyannote_voiceprint_async.cli.exit_codes import ExitCode
from pyannote_voiceprint_async.cli.interrupt import ExitAtInterrupt

# Shares of the function calls of a whole run.
_SHARES = (0.0, 0.3, 0.8, 1.0)


@pytest.fixture
def interrupt_at(request):
    """Run a command that is interrupted at a call; return its exit code, stdout, stderr and the counted calls."""
    program = [sys.executable, Path(__file__).with_name("interrupt_points.py"), *request.param]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def run(arguments, folder, point) -> tuple[int, str, str, str]:
            case = {"arguments": arguments, "folder": str(folder), "point": point}
            process.stdin.write(json.dumps(case) + "\n")
            process.stdin.flush()
            return tuple(json.loads(process.stdout.readline()))

        yield run
        process.stdin.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("interrupt_at", "arguments"),
    [
        ([], ["--version"]),
        (["preload"], ["voiceprint", "--sandbox", "https://e.com/a"]),
        (["preload"], ["enroll", "--sandbox", "june-fr.wav"]),
    ],
    indirect=["interrupt_at"],
    ids=["imports", "voiceprint", "enroll"],
)
def test_an_interrupt_at_any_instant_ends_with_a_sentence(interrupt_at, tmp_path, speech, arguments):
    def folder(name) -> Path:
        (tmp_path / name).mkdir()
        shutil.copy(speech / "june-fr.wav", tmp_path / name)
        return tmp_path / name

    code, *_, calls = interrupt_at(arguments, folder("whole"), 0)
    assert code == 0
    for share in _SHARES:
        # The last calls are those at the exit of the interpreter. The number of calls differs a little between runs.
        point = max(1, round(int(calls) * share) - (20 if share == 1.0 else 0))
        code, stdout, stderr, counted = interrupt_at(arguments, folder(str(share)), point)
        if not counted.startswith("!"):
            assert share == 1.0, "the signal was not sent"
            continue
        assert code == 130, (share, stderr)
        assert "nterrupted" in stderr, share
        assert not [word for word in ("Traceback", "Exception ignored", "Aborted") if word in stderr + stdout], stderr


def test_the_handler_has_the_exit_code_of_the_table():
    assert interrupt._EXIT_CODE == ExitCode.INTERRUPTED


def test_the_handler_writes_a_sentence_and_ends_the_process(monkeypatch):
    done = []
    monkeypatch.setattr("os._exit", done.append)
    monkeypatch.setattr("os.write", lambda descriptor, text: done.append((descriptor, text)))
    monkeypatch.setattr("os.isatty", lambda descriptor: True)
    handler = ExitAtInterrupt()
    handler(signal.SIGINT, None)
    handler.mark_ended()
    handler(signal.SIGINT, None)
    assert done == [
        (2, b"\nInterrupted: nothing was sent. Run the same command again.\n"),
        130,
        (2, b"\nInterrupted at the end of the command: no request is in flight.\n"),
        130,
    ]


@pytest.mark.parametrize("before", [signal.SIG_IGN, signal.default_int_handler])
def test_an_ignored_signal_stays_ignored(before):
    """A shell ignores SIGINT for jobs in the background of a script."""
    handler, outer = ExitAtInterrupt(), signal.signal(signal.SIGINT, before)
    try:
        handler.install()
        assert signal.getsignal(signal.SIGINT) == (before if before == signal.SIG_IGN else handler)
    finally:
        signal.signal(signal.SIGINT, outer)


def test_a_second_signal_ends_a_command_at_once_and_reports_what_is_in_flight(spawn, start_sandbox):
    """The request has a latency of ten minutes."""
    server = start_sandbox("--latency", "600")
    process = spawn("voiceprint", "https://e.com/a", environment=server.environment)
    while not server.state()["operations"]["voiceprint"]["inFlight"]:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.stderr.readline().startswith("Stopping when the requests in flight are finished.")
    while process.poll() is None:  # a signal that follows too closely is the same one
        process.send_signal(signal.SIGINT)
        time.sleep(0.02)
    assert process.returncode == 130
    assert process.stderr.read() == (
        "Interrupted: up to 1 job may have been accepted; look with `pyannote-voiceprint jobs`.\n"
    )
