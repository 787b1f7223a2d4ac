"""Run each command on its own terminal in a fork of this process, so that its imports happen once.

Read one line of JSON from stdin for each command: `{"arguments", "environment", "folder"}`. Write one line of JSON to
stdout for each: the exit code, and the bytes that the terminal received.
"""

import json
import os
import pty
import sys

import aiohttp  # noqa: F401 - imported before the forks
import rich.progress  # noqa: F401 - the same

import pyannote_voiceprint_async.audio.recording
import pyannote_voiceprint_async.sandbox  # noqa: F401 - the same
from pyannote_voiceprint_async.cli import main
from pyannote_voiceprint_async.cli.app import app, load

for name in app.commands:
    load(name)


def run(case: dict) -> tuple[int, bytes]:
    process, terminal = pty.fork()
    if not process:
        os.chdir(case["folder"])
        os.environ.update({"TERM": "xterm", **case["environment"]})
        sys.argv[1:] = case["arguments"]
        # As after an `exec`: the parent's streams are pipes.
        sys.stdout, sys.stderr = (os.fdopen(descriptor, "w", 1, closefd=False) for descriptor in (1, 2))
        main()
        os._exit(0)  # click has exited by now
    shown = b""
    try:
        while piece := os.read(terminal, 65536):
            shown += piece
    except OSError:  # Linux: all programs have closed the terminal
        pass
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), shown


for each in sys.stdin:
    exit_code, seen = run(json.loads(each))
    print(json.dumps([exit_code, seen.decode("latin-1")]), flush=True)  # noqa: T201 - the only output
