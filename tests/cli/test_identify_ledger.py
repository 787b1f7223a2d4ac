"""`identify --ledger`: killed with SIGKILL, interrupted and continued. Nothing is lost, and nothing is paid twice."""

import json
import re
import select
import signal

import pytest
from audio_files import speechlike, wav
from warm_process import WarmProcess

from pyannote_voiceprint_async.cli.exit_codes import ExitCode
from pyannote_voiceprint_async.cli.status_view import StatusView
from pyannote_voiceprint_async.enrollment.ledger.identifications import IdentificationStore
from pyannote_voiceprint_async.errors import LedgerError
from pyannote_voiceprint_async.sandbox import voiceprint_of

_SECONDS = 60
_LOST = "https://example.com/unreachable/lost.wav"


@pytest.fixture
def talk(tmp_path):
    """A recording of 20 seconds, and the voiceprints of two speakers; return the command that identifies them."""
    recording, speakers = tmp_path / "talk.wav", tmp_path / "speakers.json"
    recording.write_bytes(wav(speechlike(20)))
    speakers.write_text(json.dumps({"Ada": voiceprint_of(b"ada"), "Bob": voiceprint_of(b"bob")}))
    return ["identify", recording, "--speakers", speakers, "--ledger", tmp_path / "names.ledger"]


@pytest.fixture
def status(invoke, tmp_path):
    """Return the function that reads the identifications in the status of the ledger."""
    return lambda: json.loads(invoke("ledger", "status", tmp_path / "names.ledger").stdout)["identifications"]


# Killed


@pytest.fixture
def run(quick_sandbox, talk, records):
    """Run the command; with a step, kill it there. Return its exit code and the record."""

    def run_program(when="never", step="-"):
        with WarmProcess("cli.identify_program", when, step, *talk, environment=quick_sandbox.environment) as process:
            stdout, _ = process.communicate(timeout=_SECONDS)
            return process.returncode, *records(stdout)

    return run_program


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
def test_a_killed_run_continues_and_pays_once(run, quick_sandbox, when, step):
    assert run(when, step) == (-signal.SIGKILL,)
    code, record = run()
    assert (code, record["status"]) == (0, "succeeded")
    assert quick_sandbox.state()["jobs"] == 1


def test_a_job_whose_id_was_lost_is_held_until_it_is_accepted_and_never_paid_again(
    run, quick_sandbox, invoke, records, status, tmp_path
):
    assert run("before", "record_row_job") == (-signal.SIGKILL,)
    for _ in range(2):
        code, held = run()
        assert (code, held["status"]) == (1, "unknown")
        assert held["error"].startswith(
            "The submission may have been accepted: a job that is not in the ledger was created"
        )
    assert (status()["uncertain"], status()["jobs_ever"]) == (1, 0)
    lines = list(StatusView.read(tmp_path / "names.ledger", 0.015).lines(200))
    assert "Up to 1 job may have been accepted; look with `pyannote-voiceprint jobs`." in lines
    _, ledger, name = re.search(r"`pyannote-voiceprint (ledger accept) (\S+) (\S+) JOB_ID`", held["error"]).groups()
    [job] = records(invoke("jobs", environment=quick_sandbox.environment).stdout)
    [listed] = records(invoke("ledger", "failed", ledger).stdout)
    assert (listed["label"], listed["status"]) == (name, "uncertain")
    # A mistyped id is given up by the next run. Then the right one can be recorded, and nothing is billed again.
    assert invoke("ledger", "accept", ledger, name, "mistyped").exit_code == 0
    assert invoke("ledger", "accept", ledger, name, job["job_id"]).exit_code == 2
    assert run()[0] == 1
    assert invoke("ledger", "accept", ledger, name, job["job_id"]).exit_code == 0
    code, done = run()
    assert (code, done["status"], done["job_id"]) == (0, "succeeded", job["job_id"])
    assert (status()["succeeded"], quick_sandbox.state()["jobs"]) == (1, 1)


# Interrupted


def test_an_interrupted_run_continues_with_its_job(spawn, invoke, start_sandbox, talk, status, ending, ending_code):
    """The job lasts ten minutes."""
    server = start_sandbox("--job-seconds", "600")
    process = spawn(*talk, environment=server.environment)
    assert process.stderr.readline() == "The run has 1 recording.\n"
    assert process.stderr.readline() == "To be submitted: 1 job (20 s of audio to bill).\n"
    assert json.loads(process.stderr.readline())["status"] == "submitted"
    process.send_signal(ending)
    stdout, stderr = process.communicate(timeout=_SECONDS)
    assert (process.returncode, stdout) == (ending_code, "")
    assert stderr == ("Interrupted. What was done is saved in the ledger. Run the same command again to continue.\n")
    assert (status()["submitted"], status()["jobs_ever"], server.state()["jobs"]) == (1, 1, 1)
    dry_run = invoke(*talk, "--dry-run", environment=server.environment)
    assert (dry_run.exit_code, dry_run.stderr) == (
        0,
        (
            "Nothing was sent or changed. The run has 1 recording:\n"
            "      1 submitted by an earlier run, awaiting a result\n"
            "To be submitted: 0 jobs.\n"
        ),
    )


@pytest.mark.parametrize("has_ledger", [True, False])
def test_each_signal_reports_what_is_in_flight(spawn, start_sandbox, talk, ending, ending_code, has_ledger):
    """The submission gets no response. A request of another kind would be given up at the first signal."""
    server = start_sandbox("--latency", "600")
    _, _, *options = talk if has_ledger else talk[:-2]
    process = spawn("identify", "https://example.com/talk.wav", *options, environment=server.environment)
    assert process.stderr.readline() == "The run has 1 recording.\n"
    assert process.stderr.readline().startswith("To be submitted: 1 job (")
    while not server.state()["operations"]["identify"]["inFlight"]:
        assert process.poll() is None
    process.send_signal(ending)
    lost = "" if has_ledger else ", and may lose the id of a billed job"
    assert process.stderr.readline() == (
        f"Stopping when the requests in flight are finished. A second signal stops at once{lost}.\n"
    )
    # Signals that arrive soon after the first one are the same signal, so they are repeated until one is the second.
    while not select.select([process.stderr], [], [], 0.1)[0]:
        process.send_signal(ending)
    in_flight = (
        "What was done is saved in the ledger. In flight: 1 request, which the next run resolves."
        if has_ledger
        else "Interrupted: up to 1 job may have been accepted"
    )
    assert in_flight in process.stderr.read()
    assert process.wait(timeout=_SECONDS) == ending_code


# Job ids that cannot be saved


def test_an_unsaved_job_is_printed_as_ledger_accept_needs_it(
    invoke, records, quick_sandbox, talk, status, monkeypatch, tmp_path
):
    async def fail(*_):
        raise LedgerError("The ledger cannot be written: the disk is full.")

    with monkeypatch.context() as full:
        full.setattr(IdentificationStore, "record_row_job", fail)
        result = invoke(*talk, environment=quick_sandbox.environment)
    assert (result.exit_code, result.stdout) == (ExitCode.SOME_FAILED, "")
    [unsaved] = records(result.stderr)
    assert unsaved["recording"] == "talk"
    assert f"record each: pyannote-voiceprint ledger accept {tmp_path / 'names.ledger'} LABEL JOB_ID" in result.stderr
    accepted = invoke("ledger", "accept", tmp_path / "names.ledger", unsaved["label"], unsaved["job_id"])
    assert accepted.stderr == "Recorded. The next run fetches the result of this job.\n"
    again = invoke(*talk, environment=quick_sandbox.environment)
    [record] = records(again.stdout)
    assert (again.exit_code, record["job_id"]) == (0, unsaved["job_id"])
    assert again.stderr == (
        "The run has 1 recording:\n      1 submitted by an earlier run, awaiting a result\nTo be submitted: 0 jobs.\n"
    )
    assert (status()["jobs_ever"], quick_sandbox.state()["jobs"]) == (1, 1)


# The plan, failures, and the status


def test_the_dry_run_is_the_run(invoke, records, quick_sandbox, talk, tmp_path):
    """It predicts the counts, the cost and the exit code, and changes nothing."""
    _, recording, *options = talk
    quick = quick_sandbox.environment
    assert invoke(*talk, environment=quick).exit_code == 0
    first = ["identify", recording, _LOST, *options]
    one_job = "1 job (billed by the seconds of the recordings, whose length is not known here)."
    for arguments, expected in (
        (first, one_job),
        (first, "0 jobs."),
        ([*first, "--retry-failed"], one_job),
    ):
        before = (tmp_path / "names.ledger").read_bytes()
        dry_run = invoke(*arguments, "--dry-run", environment=quick)
        assert (tmp_path / "names.ledger").read_bytes() == before
        result = invoke(*arguments, environment=quick)
        assert dry_run.stderr.startswith("Nothing was sent or changed. The run has 2 recordings:\n")
        assert result.stderr.startswith("The run has 2 recordings:\n")
        for output in (dry_run.stderr, result.stderr):
            assert f"\nTo be submitted: {expected}\n" in output
        states = [line for line in dry_run.stderr.splitlines() if line.startswith("      1 ")]
        assert states == [line for line in result.stderr.splitlines() if line.startswith("      1 ")]
        assert "      1 with a result" in states
        assert result.exit_code == 1
        # A dry run assumes that no job fails.
        assert dry_run.exit_code == (1 if "0 jobs" in expected else 0)
    assert {record["status"] for record in records(result.stdout)} == {"succeeded", "failed"}
    assert quick_sandbox.state()["jobs"] == 3


def test_max_jobs_counts_only_the_jobs_that_would_be_submitted(invoke, quick_sandbox, talk):
    _, recording, *options = talk
    quick = quick_sandbox.environment
    assert invoke(*talk, environment=quick).exit_code == 0
    more = ["identify", recording, "https://example.com/a.wav", "https://example.com/b.wav", *options, "--max-jobs"]
    for dry in (["--dry-run"], []):
        refused = invoke(*more, "1", *dry, environment=quick)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert "Nothing was sent: 2 speakers and 3 recordings need 2 jobs" in refused.stderr
    assert quick_sandbox.state()["jobs"] == 1
    assert invoke(*more, "2", environment=quick).exit_code == 0
    assert quick_sandbox.state()["jobs"] == 3


def test_the_status_has_the_states_and_the_billed_audio(invoke, quick_sandbox, talk, status, tmp_path):
    _, recording, *options = talk
    assert invoke("identify", recording, _LOST, *options, environment=quick_sandbox.environment).exit_code == 1
    found = status()
    assert {name: number for name, number in found.items() if number} == {
        "rows": 2, "succeeded": 1, "failed": 1, "jobs_ever": 2, "failed_jobs_ever": 1, "billed_jobs": 1,
        "billed_seconds": 20,
    }  # fmt: skip
    lines = list(StatusView.read(tmp_path / "names.ledger", 0.015).lines(100))
    assert lines[1:] == [
        "Cost  20 s of audio for identifications so far; failed jobs are free",
        "1 of 2 identifications with a result, 1 failed.",
        "Identification jobs accepted: 2 by all runs, 1 of them failed and not billed.",
        "To list these identifications:",
        f"pyannote-voiceprint ledger failed {tmp_path / 'names.ledger'}",
    ]


@pytest.mark.parametrize(
    "options", [["--retry-failed"], ["--retry-expired"], ["--on-unknown", "resubmit"], ["--new-key"]]
)
def test_options_that_need_a_ledger_are_refused_without_one(invoke, quick_sandbox, talk, options):
    result = invoke(*talk[:-2], *options, environment=quick_sandbox.environment)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "need --ledger" in result.stderr
    assert quick_sandbox.state()["total"]["requests"] == 0


def test_another_key_of_the_team_needs_new_key(invoke, quick_sandbox, talk):
    invoke(*talk, environment=quick_sandbox.environment)
    other = quick_sandbox.environment | {"PYANNOTEAI_API_KEY": "another-key"}
    refused = invoke(*talk, "--dry-run", environment=other)
    assert (refused.exit_code, "--new-key" in refused.stderr) == (2, True)
    assert invoke(*talk, "--new-key", environment=other).exit_code == 0  # the result is in the ledger
