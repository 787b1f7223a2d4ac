"""Run commands on terminals of their own, each in a fork of this process: what a command needs is imported once.

Standard input has a line of JSON for each, `{"arguments", "environment", "folder"}`. It gives a line of JSON: its exit
code, and the bytes that the terminal got.
"""

import json
import os
import pty
import sys

import aiohttp  # noqa: F401 - before the forks
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
    except OSError:  # Linux: the last program has left the terminal
        pass
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), shown


for each in sys.stdin:
    exit_code, seen = run(json.loads(each))
    print(json.dumps([exit_code, seen.decode("latin-1")]), flush=True)  # noqa: T201 - its only output
