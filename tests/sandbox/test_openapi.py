"""The sandbox conforms to its OpenAPI file: schemathesis sends generated requests, always from the same seed."""

import asyncio
import os
import sys
from pathlib import Path

import pytest
import yaml

from pyannote_voiceprint_async.sandbox import Sandbox
from pyannote_voiceprint_async.sandbox.operations import OPERATIONS

FILE = Path(__file__).parent / "openapi.yaml"
CONFIG = Path(__file__).parent / "schemathesis.toml"
UNLIMITED = {"rate_limit": (1_000_000, 60.0), "read_limit": (1_000_000, 60.0)}
# The generated webhooks have arbitrary URLs, and no test may send anything to another machine.
NO_WEBHOOKS = {"webhook_faults": {"lost": 1.0}}
CONFORMANCE = (
    "status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance"
)


@pytest.fixture
async def schemathesis(start, tmp_path):
    """Return a function that runs schemathesis against a sandbox. It returns the exit code, the output, the sandbox."""

    async def run(checks, *options, **settings):
        sandbox = await start(Sandbox(**UNLIMITED, **NO_WEBHOOKS, **settings))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", "from schemathesis.cli import schemathesis; schemathesis()"),
            *("--config-file", CONFIG, "run", FILE, "--checks", checks, *options),
            cwd=tmp_path,
            env=os.environ | {"SANDBOX_URL": sandbox.url},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        return process.returncode, output.decode(), sandbox

    return run


@pytest.mark.slow
@pytest.mark.timeout(600)  # ten seconds of work, for a machine that is busy with other programs
async def test_every_response_conforms_to_the_schema(schemathesis):
    """There is no 5xx, no invalid request is accepted, no valid one is refused. Job ids of responses are used."""
    code, output, sandbox = await schemathesis("all", job_seconds=(0.0, 0.5))
    assert code == 0, output
    assert [name for name, tally in sandbox.state.operations.items() if not tally.requests] == []
    assert sandbox.accepted


@pytest.mark.slow
async def test_every_fault_conforms_to_the_schema(schemathesis):
    faults = {"server-error": 0.1, "bad-gateway": 0.1, "unavailable": 0.1, "rate-limited": 0.03}
    options = ("--phases", "fuzzing", "--max-examples", "20")
    code, output, sandbox = await schemathesis(CONFORMANCE, *options, faults=faults, credit=5)
    assert code == 0, output
    assert len(sandbox.accepted) == 5
    assert sandbox.state.total.rate_limited


def test_the_schema_contains_all_operations():
    paths = yaml.safe_load(FILE.read_text())["paths"]
    documented = {
        (method.upper(), path.replace("{jobId}", "*")) for path, methods in paths.items() for method in methods
    }
    assert {(operation.method, operation.path) for operation in OPERATIONS.values()} <= documented
    assert {path for _, path in documented if path.startswith("/_")} == {
        "/_media/{file}", "/_sandbox/state", "/_sandbox/jobs",
    }  # fmt: skip
