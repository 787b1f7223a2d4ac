import json
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path
from time import sleep
from urllib.request import Request, urlopen

import pytest

from pyannote_voiceprint_async.cli.sandbox import sandbox
from pyannote_voiceprint_async.sandbox import Limit, ReceivedRequest, Settings


def test_the_sandbox_prints_its_url_and_key_and_ends_at_both_signals(start_sandbox, ending):
    server = start_sandbox("--api-key", "made-up")
    assert server.url.startswith("http://127.0.0.1:")
    assert server.api_key == "made-up"
    assert server.state()["jobs"] == 0
    server.process.send_signal(ending)
    stdout, stderr = server.process.communicate(timeout=60)
    export = f"export PYANNOTEAI_API_KEY=made-up PYANNOTEAI_BASE_URL={server.url}"
    assert (stdout, stderr) == ("", f"To use this sandbox in another terminal: {export}\n")
    assert server.process.returncode == 0


def test_the_line_contains_only_url_and_key(spawn):
    process = spawn("sandbox")
    assert list(json.loads(process.stdout.readline())) == ["url", "api_key"]


def test_a_taken_port_is_wrong_usage(command):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = command("sandbox", "--port", port)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"Error: The sandbox cannot listen on 127.0.0.1, port {port} (")
    assert result.stderr.endswith(" Use another --host or --port.\n")


def settings(*arguments) -> Settings:
    with sandbox.make_context("sandbox", list(arguments)) as context:
        return Settings(**context.params)


def comparable(settings: Settings) -> dict:
    return {name: getattr(settings, name) for name in settings.__slots__ if name not in {"now", "sleep", "__weakref__"}}


def test_the_defaults_are_those_of_the_settings():
    assert comparable(settings()) == comparable(Settings())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--host", "::1", "--port", "8000"], {"host": "::1", "port": 8000}),
        (["--rate-limit", "5/1.5", "--read-limit", "7/2"], {"rate_limit": Limit(5, 1.5), "read_limit": Limit(7, 2.0)}),
        (["--window", "fixed", "--shared-limit"], {"window": "fixed", "shared_limit": True}),
        (["--job-seconds", "0.5:3", "--latency", "0.01:0.2"], {"job_seconds": (0.5, 3.0), "latency": (0.01, 0.2)}),
        (["--job-seconds", "2", "--credit", "0", "--seed", "7"], {"job_seconds": (2.0, 2.0), "credit": 0, "seed": 7}),
        (["--store", "jobs.jsonl"], {"store": Path("jobs.jsonl")}),
        (
            ["--fault", "drop-after-accept=0.02", "--fault", "server-error=0.1"],
            {"faults": {"drop-after-accept": 0.02, "server-error": 0.1}},
        ),
    ],
)
def test_each_option_becomes_a_setting(arguments, expected):
    assert {name: getattr(settings(*arguments), name) for name in expected} == expected


def test_verbose_prints_each_request_to_stderr_without_control_characters(capsys):
    request = ReceivedRequest("POST", "/v1/voiceprint\x1b[31m", "voiceprint", 200, job_id="8c1d8b0e")
    for option in ("-v", "--verbose"):
        settings(option).on_request(request)
    stdout, stderr = capsys.readouterr()
    assert (stdout, "\x1b" in stderr) == ("", False)
    first, second = stderr.splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d POST /v1/voiceprint.*→ 200 job 8c1d8b0e", first)
    assert second.endswith(" → 200 job 8c1d8b0e")


def test_without_verbose_nothing_is_printed():
    assert settings().on_request is None


def test_the_help_says_that_nothing_is_recognized(invoke):
    assert "Nothing is recognized." in invoke("sandbox", "--help").stdout


def test_faults_that_are_too_probable_are_wrong_usage(invoke):
    result = invoke("sandbox", "--fault", "server-error=0.7", "--fault", "bad-gateway=0.7")
    assert (result.exit_code, result.stdout) == (2, "")


def request_json(server, path, payload=None) -> dict:
    headers = {"Authorization": f"Bearer {server.api_key}", "Content-Type": "application/json"}
    body = None if payload is None else json.dumps(payload).encode()
    with urlopen(Request(server.url + path, body, headers), timeout=60) as response:  # noqa: S310 - of the sandbox
        return json.load(response)


def submit(server, name) -> str:
    return request_json(server, "/v1/voiceprint", {"url": f"https://example.com/{name}"})["jobId"]


def kill(server):
    server.process.kill()
    server.process.wait(timeout=60)


def test_a_submission_with_a_response_survives_a_kill(start_sandbox, tmp_path):
    options = ("--job-seconds", "0", "--store", tmp_path / "jobs.jsonl")
    server = start_sandbox(*options)
    job_id = submit(server, "voice")
    kill(server)
    restarted = start_sandbox(*options)
    assert restarted.state()["jobs"] == 1
    job = request_json(restarted, f"/v1/jobs/{job_id}")
    assert (job["status"], list(job["output"])) == ("succeeded", ["voiceprint"])


def test_a_kill_under_load_loses_no_submission_with_a_response(start_sandbox, tmp_path):
    """After several kills among many submissions, every job id that a client received is in the list of jobs."""
    options = ("--window", "none", "--store", tmp_path / "jobs.jsonl")
    job_ids, names = [], count()

    def submit_until_killed(server):
        with suppress(OSError, ValueError):  # the connection was cut before or during a response
            while True:
                job_ids.append(submit(server, next(names)))

    for minimum in (20, 60, 100):
        server = start_sandbox(*options)
        with ThreadPoolExecutor(8) as pool:
            for _ in range(8):
                pool.submit(submit_until_killed, server)
            while len(job_ids) < minimum:
                sleep(0.001)
            kill(server)
    listed = [job["jobId"] for job in request_json(start_sandbox(*options), "/_sandbox/jobs")]
    assert len(job_ids) >= 100
    assert set(job_ids) <= set(listed)
    assert len(listed) == len(set(listed)) <= next(names)


def test_a_foreign_file_as_store_is_wrong_usage(invoke, tmp_path):
    diary = tmp_path / "diary.txt"
    diary.write_text("Dear diary,\n")
    result = invoke("sandbox", "--store", diary)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"Error: The sandbox cannot start: {diary} is not the store of a sandbox.")
    assert diary.read_text() == "Dear diary,\n"
