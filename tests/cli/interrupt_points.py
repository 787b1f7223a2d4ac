"""Run the command in forks of this process, and interrupt each at another instant.

Read one line of JSON from stdin for each command: `{"arguments", "folder", "point"}`. The instant is the number of
calls of functions since the entry point installed its handler, which is the first thing that it does. Write one line of
JSON to stdout for each: the exit code, stdout, stderr, and the number of calls. With the argument `preload`, the
imports happen once.
"""

import json
import os
import signal
import sys

if sys.argv[1:] == ["preload"]:
    import pyannote_voiceprint_async.audio.recording
    import pyannote_voiceprint_async.sandbox  # noqa: F401 - imported before the forks
    from pyannote_voiceprint_async.cli.app import load

    for name in ("voiceprint", "enroll"):
        load(name)


def interrupt_at(point: int, count_to: int) -> None:
    """Raise SIGINT at the call with this number; write the number of calls at the end."""
    calls = 0
    before = signal.getsignal(signal.SIGINT)

    def count(_frame, event, _argument) -> None:
        nonlocal calls
        if event == "call" and (calls or signal.getsignal(signal.SIGINT) is not before):
            calls += 1
            if calls == point:
                os.write(count_to, b"!")
                signal.raise_signal(signal.SIGINT)

    import atexit

    atexit.register(lambda: os.write(count_to, str(calls).encode()))
    sys.setprofile(count)


def run(case: dict) -> tuple[int, str, str, str]:
    pipes = [os.pipe() for _ in range(3)]
    process = os.fork()
    if not process:
        os.chdir(case["folder"])
        for descriptor, (_, writing) in zip((1, 2), pipes, strict=False):
            os.dup2(writing, descriptor)
        # As after an `exec`: the parent's streams have been used.
        sys.stdout, sys.stderr = (os.fdopen(descriptor, "w", 1, closefd=False) for descriptor in (1, 2))
        sys.argv[1:] = case["arguments"]
        from pyannote_voiceprint_async.cli.entry import main

        interrupt_at(case["point"], pipes[2][1])
        main()
    for _, writing in pipes:
        os.close(writing)
    outputs = []
    for reading, _ in pipes:
        with os.fdopen(reading, encoding="utf-8") as file:
            outputs.append(file.read())
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), *outputs


for each in sys.stdin:
    print(json.dumps(run(json.loads(each))), flush=True)  # noqa: T201 - the only output
