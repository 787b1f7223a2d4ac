"""`identify --ledger`, really killed with SIGKILL and continued: nothing is lost, and nothing is paid twice."""

import json
import os
import signal
import subprocess
import sys

import pytest
from audio_files import speechlike, wav

from pyannote_voiceprint_async.enrollment.ledger.identifications import IdentificationStore
from pyannote_voiceprint_async.identification.ledger_run import request_hash
from pyannote_voiceprint_async.models import ANY_URL, IdentificationRequest
from pyannote_voiceprint_async.sandbox import voiceprint_of

# Kills itself at a step of the ledger, or runs to its end. The requests of a killed run are too old to be accepted.
_PROGRAM = """
import os, signal, sys
from pyannote_voiceprint_async.cli.app import app
from pyannote_voiceprint_async.enrollment.ledger.identifications import IdentificationStore
from pyannote_voiceprint_async.enrollment.run.outcome_resolver import OutcomeResolver

OutcomeResolver.seconds_left = lambda *_: 0.0
when, step, *arguments = sys.argv[1:]
if when != "never":
    original = getattr(IdentificationStore, step)
    async def dies(self, *values):
        if when == "after":
            await original(self, *values)
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(IdentificationStore, step, dies)
app(arguments)
"""


@pytest.fixture
def program(start_sandbox, tmp_path):
    sandbox = start_sandbox("--rate-limit", "10000/60", "--read-limit", "10000/60", "--job-seconds", "0")
    recording, speakers = tmp_path / "talk.wav", tmp_path / "speakers.json"
    recording.write_bytes(wav(speechlike(20)))
    speakers.write_text(json.dumps({"Ada": voiceprint_of(b"ada"), "Bob": voiceprint_of(b"bob")}))
    environment = {**os.environ, **sandbox.environment}

    def run(when="never", step="-"):
        command = ["identify", recording, "--speakers", speakers, "--ledger", tmp_path / "names.ledger"]
        return subprocess.run(
            [sys.executable, "-c", _PROGRAM, when, step, *map(str, command)],
            env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    run.accepted = lambda: sandbox.state()["jobs"]
    return run


@pytest.mark.parametrize(
    ("when", "step"),
    [
        ("before", "record_intent"),
        ("after", "record_intent"),
        ("after", "record_row_job"),
        ("before", "record_row_result"),
        ("after", "record_row_result"),
    ],
)
def test_a_killed_run_continues_and_pays_once(program, when, step):
    assert program(when, step).returncode == -signal.SIGKILL
    done = program()
    [record] = map(json.loads, done.stdout.splitlines())
    assert (done.returncode, record["status"]) == (0, "succeeded")
    assert program.accepted() == 1


def test_a_job_whose_id_was_lost_is_held_and_never_paid_again(program):
    assert program("before", "record_row_job").returncode == -signal.SIGKILL
    assert program.accepted() == 1
    for _ in range(2):
        held = program()
        [record] = map(json.loads, held.stdout.splitlines())
        assert (held.returncode, record["status"]) == (1, "unknown")
        assert record["error"].startswith("It may have been accepted: an unknown job was created when it was sent.")
        assert "pyannote-voiceprint jobs" in record["error"]
    assert program.accepted() == 1


def test_the_order_of_the_labels_does_not_matter_and_every_field_does():
    voiceprints = {"Ada": "YQ==", "Bob": "Yg=="}
    request = IdentificationRequest(ANY_URL, voiceprints)
    turned = IdentificationRequest(ANY_URL, dict(reversed(voiceprints.items())))
    assert request_hash(request) == request_hash(turned)
    assert request_hash(request) != request_hash(IdentificationRequest(ANY_URL, voiceprints, num_speakers=2))
    assert request_hash(request) != request_hash(IdentificationRequest(ANY_URL, {"Ada": "YQ==", "Bob": "YQ=="}))


async def test_a_failed_row_becomes_pending_again_and_a_result_stays(tmp_path):
    store = IdentificationStore(tmp_path / "names.ledger")
    await store.open()
    try:
        keys = [("sha256:1", "request", "precision-2"), ("sha256:2", "request", "precision-2")]
        failed, done = await store.rows(keys)
        for row in (failed, done):
            await store.record_intent(row, 1.0, 2.0)
            assert await store.record_row_job(row.id, f"job-{row.id}", 2.0)
        await store.record_row_failure(failed.id, "failed", "no speech", 3.0)
        await store.record_row_result(done.id, '{"job_id": "job-2"}', 3.0)
        failed, done = await store.rows(keys)
        assert (failed.state, failed.job_id) == ("pending", None)
        assert (done.state, done.result) == ("succeeded", {"job_id": "job-2"})
        assert not await store.record_row_job(failed.id, "job-2", 4.0)
        assert (await store.row(failed.id)).state == "uncertain"
    finally:
        await store.aclose()
