"""The sandbox and its OpenAPI file say the same: schemathesis asks, from one seed, and compares."""

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
# Nothing may leave this machine, and the webhooks that are asked for lead anywhere.
NO_WEBHOOKS = {"webhook_faults": {"lost": 1.0}}
CONFORMANCE = (
    "status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance"
)


@pytest.fixture
async def ask(start, tmp_path):
    """Let schemathesis ask a sandbox; give its exit code, what it says, and the sandbox."""

    async def asking(checks, *options, **settings):
        sandbox = await start(Sandbox(**UNLIMITED, **NO_WEBHOOKS, **settings))
        asker = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", "from schemathesis.cli import schemathesis; schemathesis()"),
            *("--config-file", CONFIG, "run", FILE, "--checks", checks, *options),
            cwd=tmp_path,
            env=os.environ | {"SANDBOX_URL": sandbox.url},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await asker.communicate()
        return asker.returncode, said.decode(), sandbox

    return asking


async def test_all_that_can_be_asked_is_answered_as_it_is_written(ask):
    """No 5xx, nothing accepted that is wrong, nothing refused that is right; jobs are read by the ids that came."""
    code, said, sandbox = await ask("all", job_seconds=(0.0, 0.5))
    assert code == 0, said
    assert [name for name, tally in sandbox.state.operations.items() if not tally.requests] == []
    assert sandbox.accepted


async def test_whatever_goes_wrong_is_answered_as_it_is_written(ask):
    faults = {"server-error": 0.1, "bad-gateway": 0.1, "unavailable": 0.1, "rate-limited": 0.03}
    options = ("--phases", "fuzzing", "--max-examples", "20")
    code, said, sandbox = await ask(CONFORMANCE, *options, faults=faults, credit=5)
    assert code == 0, said
    assert len(sandbox.accepted) == 5
    assert sandbox.state.total.rate_limited


def test_all_operations_are_written():
    paths = yaml.safe_load(FILE.read_text())["paths"]
    written = {(method.upper(), path.replace("{jobId}", "*")) for path, methods in paths.items() for method in methods}
    assert {(operation.method, operation.path) for operation in OPERATIONS.values()} <= written
    assert {path for _, path in written if path.startswith("/_")} == {
        "/_media/{file}", "/_sandbox/state", "/_sandbox/jobs",
    }  # fmt: skip
