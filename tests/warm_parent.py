"""A program that forks programs: it imports the package once, so that each of them starts in milliseconds.

Each program is a process of its own, with its own streams, signals and exit. Only the start of an interpreter is left
out, and at the end the destruction of its objects, which would copy the memory of this process.

Run with the number of a Unix socket. For each program, receive a connection and the descriptors of its three streams.
The connection carries `{"module", "arguments", "environment", "folder"}` as a line of JSON, and back a line with the
process id and a line with the exit code, which is negative after a signal. The module has a function `main`.
"""

import atexit
import gc
import json
import os
import socket
import sys
import threading
from contextlib import suppress
from importlib import import_module
from typing import NoReturn

import enrollment.torture.program  # noqa: F401 - imported before the forks
import psycopg  # noqa: F401 - the same
import pytest  # noqa: F401 - the same
import rich.progress  # noqa: F401 - the same
from quick_polls import QuickPolling

import pyannote_voiceprint_async.audio.recording
import pyannote_voiceprint_async.sandbox  # noqa: F401 - the same
from pyannote_voiceprint_async.cli import clients
from pyannote_voiceprint_async.cli.app import app, load


def serve(connections: socket.socket) -> None:
    """Start programs until the tests end."""
    while True:
        _, descriptors, *_ = socket.recv_fds(connections, 1, 4)
        if not descriptors:
            return
        if not os.fork():
            connections.close()
            start(socket.socket(fileno=descriptors[0]), descriptors[1:])
        close(descriptors)
        remove_ended_processes()


def remove_ended_processes() -> None:
    with suppress(ChildProcessError):  # there is none
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def start(connection: socket.socket, streams: list[int]) -> NoReturn:
    """Fork the program, and report its end."""
    with connection.makefile() as lines:
        case = json.loads(lines.readline())
    process = os.fork()
    if process:
        close(streams)
        connection.sendall(f"{process}\n".encode())
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        with suppress(OSError):  # the tests have ended
            connection.sendall(f"{code}\n".encode())
        os._exit(0)
    connection.close()
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
    close(streams)
    os.chdir(case["folder"])
    os.environ.clear()
    os.environ.update(case["environment"])
    sys.argv[1:] = case["arguments"]
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115 - descriptors
    sys.stderr = open(2, "w", 1, errors="backslashreplace", closefd=False)  # noqa: SIM115 - the same
    try:
        import_module(case["module"]).main()
    except SystemExit as ended:
        if not isinstance(ended.code, int | None):
            raise
        end(ended.code or 0)
    end(0)


def end(code: int) -> NoReturn:
    """End the program as `multiprocessing` ends its forks: everything that may print or write is done first."""
    threading._shutdown()
    atexit._run_exitfuncs()
    gc.collect()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        sys.exit(code)  # the interpreter reports the stream
    os._exit(code)


def close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


if __name__ == "__main__":
    clients.Polling = QuickPolling  # type: ignore[misc, assignment]
    for name in app.commands:
        load(name)
    gc.freeze()  # or the collection at the end of each program would copy the memory of this process
    serve(socket.socket(fileno=int(sys.argv[1])))
