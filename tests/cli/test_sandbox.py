import json
import socket

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
