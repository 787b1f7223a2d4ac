import json
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path
from time import sleep
from urllib.request import Request, urlopen

import pytest

from pyannote_voiceprint_async.cli.sandbox import sandbox
from pyannote_voiceprint_async.sandbox import Limit, Settings


def test_it_says_where_it_is_and_ends_by_either_signal(start_sandbox, ending):
    server = start_sandbox("--api-key", "made-up")
    assert server.url.startswith("http://127.0.0.1:")
    assert server.api_key == "made-up"
    assert server.state()["jobs"] == 0
    server.process.send_signal(ending)
    assert server.process.communicate(timeout=60) == ("", "")
    assert server.process.returncode == 0


def test_its_line_has_nothing_but_url_and_key(spawn):
    process = spawn("sandbox")
    assert list(json.loads(process.stdout.readline())) == ["url", "api_key"]


def test_a_taken_port_is_a_sentence(command):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = command("sandbox", "--port", taken.getsockname()[1])
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("Error: The sandbox cannot listen there (")
    assert result.stderr.endswith(" Give another --host or --port.\n")


def settings(*arguments) -> Settings:
    with sandbox.make_context("sandbox", list(arguments)) as context:
        return Settings(**context.params)


def comparable(settings: Settings) -> dict:
    return {name: getattr(settings, name) for name in settings.__slots__ if name not in {"now", "sleep", "__weakref__"}}


def test_the_defaults_are_the_sandboxs_own():
    assert comparable(settings()) == comparable(Settings())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--host", "::1", "--port", "8000"], {"host": "::1", "port": 8000}),
        (["--rate-limit", "5/1.5", "--read-limit", "7/2"], {"rate_limit": Limit(5, 1.5), "read_limit": Limit(7, 2.0)}),
        (["--window", "fixed", "--shared-budgets"], {"window": "fixed", "shared_budgets": True}),
        (["--job-seconds", "0.5:3", "--latency", "0.01:0.2"], {"job_seconds": (0.5, 3.0), "latency": (0.01, 0.2)}),
        (["--job-seconds", "2", "--credit", "0", "--seed", "7"], {"job_seconds": (2.0, 2.0), "credit": 0, "seed": 7}),
        (["--store", "jobs.jsonl"], {"store": Path("jobs.jsonl")}),
        (
            ["--fault", "drop-after-accept=0.02", "--fault", "server-error=0.1"],
            {"faults": {"drop-after-accept": 0.02, "server-error": 0.1}},
        ),
    ],
)
def test_each_option_arrives(arguments, expected):
    assert {name: getattr(settings(*arguments), name) for name in expected} == expected


def test_faults_that_are_too_probable_are_wrong_usage(invoke):
    result = invoke("sandbox", "--fault", "server-error=0.7", "--fault", "bad-gateway=0.7")
    assert (result.exit_code, result.stdout) == (2, "")


def ask(server, path, payload=None) -> dict:
    headers = {"Authorization": f"Bearer {server.api_key}", "Content-Type": "application/json"}
    body = None if payload is None else json.dumps(payload).encode()
    with urlopen(Request(server.url + path, body, headers), timeout=60) as answer:  # noqa: S310 - its own http
        return json.load(answer)


def submit(server, name) -> str:
    return ask(server, "/v1/voiceprint", {"url": f"https://example.com/{name}"})["jobId"]


def kill(server):
    server.process.kill()
    server.process.wait(timeout=60)


def test_an_answered_submission_survives_a_kill(start_sandbox, tmp_path):
    options = ("--job-seconds", "0", "--store", tmp_path / "jobs.jsonl")
    server = start_sandbox(*options)
    job_id = submit(server, "voice")
    kill(server)
    again = start_sandbox(*options)
    assert again.state()["jobs"] == 1
    job = ask(again, f"/v1/jobs/{job_id}")
    assert (job["status"], list(job["output"])) == ("succeeded", ["voiceprint"])


def test_a_kill_under_load_loses_no_answered_submission(start_sandbox, tmp_path):
    """Killed among many submissions, again and again: whoever has an id finds its job, oldest first."""
    options = ("--window", "none", "--store", tmp_path / "jobs.jsonl")
    answered, names = [], count()

    def submit_until_killed(server):
        with suppress(OSError, ValueError):  # cut before an answer, or in the middle of one
            while True:
                answered.append(submit(server, next(names)))

    for most in (20, 60, 100):
        server = start_sandbox(*options)
        with ThreadPoolExecutor(8) as pool:
            for _ in range(8):
                pool.submit(submit_until_killed, server)
            while len(answered) < most:
                sleep(0.001)
            kill(server)
    known = [job["jobId"] for job in ask(start_sandbox(*options), "/_sandbox/jobs")]
    assert len(answered) >= 100
    assert set(answered) <= set(known)
    assert len(known) == len(set(known)) <= next(names)


def test_a_store_that_is_something_else_is_wrong_usage(invoke, tmp_path):
    diary = tmp_path / "diary.txt"
    diary.write_text("Dear diary,\n")
    result = invoke("sandbox", "--store", diary)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"Error: The sandbox cannot start: {diary} is not the store of a sandbox.")
    assert diary.read_text() == "Dear diary,\n"
