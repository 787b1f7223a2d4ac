"""`ledger` reports, erases and records without printing a voiceprint."""

import json

import pytest

from pyannote_voiceprint_async.cli.exit_codes import WrongUsage
from pyannote_voiceprint_async.cli.status_view import StatusView
from pyannote_voiceprint_async.enrollment.ledger.file_lock import FileLock
from pyannote_voiceprint_async.sandbox import voiceprint_of

_URL = "https://e.com/ada.wav"


@pytest.fixture
def ledger(command, quick_sandbox, tmp_path):
    """A ledger with one voiceprint and one failure."""
    lines = f"label,source\nAda,{_URL}\nEve,https://e.com/unreachable\n"
    (tmp_path / "speakers.csv").write_text(lines)
    assert command("enroll", tmp_path / "speakers.csv", environment=quick_sandbox.environment).returncode == 1
    return tmp_path / "speakers.ledger"


def test_status_on_a_terminal_reports_the_last_run_its_cost_counts_and_failures(ledger):
    lines = list(StatusView.read(ledger, 0.015).lines(80))
    assert lines[0].startswith("Run         not alive, ended 20")
    assert lines[1] == "Cost        about 0.015 EUR so far; failed jobs are free"
    assert lines[2].startswith("Last error  Eve: The job failed: ")
    assert lines[3:6] == ["1 of 2 rows with a voiceprint, 1 failed.", "Jobs accepted: 2 by all runs.", "Failures:"]
    assert lines[6].startswith("      1 x The job failed: ")


def test_status_in_a_pipe_is_a_json_object(invoke, records, ledger):
    [status] = records(invoke("ledger", "status", ledger).stdout)
    names = ("rows", "succeeded", "failed", "jobs_ever", "failed_jobs_ever", "billed_jobs")
    assert [status[name] for name in names] == [2, 1, 1, 2, 1, 1]
    zero = ("uncertain", "expired", "submitted", "unresolved", "pending", "invalid", "possibly_paid_twice")
    assert [status[name] for name in (*zero, "unknown_jobs")] == [0] * 8
    assert status["failures"].values()
    # Only a run can fill these fields of a report.
    assert not {"forgotten", "replaced", "jobs", "unsaved_jobs", "problems", "finished_at"} & status.keys()
    assert (status["alive"], status["cost"], status["price"]) == (False, 0.015, 0.015)
    assert status["last_failed"] == "Eve"
    assert status["ended_at"] is not None
    assert status["seconds_left"] is None


def test_watch_ends_when_no_run_is_alive(invoke, records, ledger):
    result = invoke("ledger", "status", ledger, "--watch")
    assert (result.exit_code, len(records(result.stdout))) == (0, 1)


def test_failed_lists_rows_with_label_and_error(invoke, records, ledger):
    [line] = records(invoke("ledger", "failed", ledger).stdout)
    assert (line["label"], line["status"]) == ("Eve", "failed")
    assert "The job failed" in line["error"]
    assert (line["source"], line["extra"]) == ("https://e.com/unreachable", {})


def test_failed_rows_are_text_on_a_terminal(on_terminal, command, quick_sandbox, ledger):
    (ledger.parent / "speakers.csv").write_text(f"label,source,team\nAda,{_URL},\nEve,https://e.com/unreachable,red\n")
    command("enroll", ledger.parent / "speakers.csv", environment=quick_sandbox.environment)
    code, shown = on_terminal("ledger", "failed", ledger, environment={"COLUMNS": "60"})
    assert code == 0
    assert shown.decode().splitlines() == [
        "Eve (failed): The job failed: Could not load audio",
        "  source  https://e.com/unreachable",
        "  team    red",
    ]
    code, shown = on_terminal("ledger", "failed", ledger, "--json")
    assert shown.startswith(b'{"label": "Eve", "status": "failed"')


def test_forget_erases_a_label_and_names_what_remains_elsewhere(command, quick_sandbox, ledger):
    result = command("ledger", "forget", ledger, "Ada")
    assert (result.returncode, result.stdout) == (0, "")
    assert "Erased: 1 label and 1 source" in result.stderr
    assert "This command does not erase: the recording itself" in result.stderr
    assert voiceprint_of(_URL).encode() not in ledger.read_bytes()
    again = command("enroll", ledger.with_suffix(".csv"), environment=quick_sandbox.environment)
    assert "Skipped because they were erased (`ledger forget`): 1 row." in again.stderr
    assert quick_sandbox.state()["jobs"] == 2


def test_forget_of_an_unknown_label_is_exit_code_1(invoke, ledger):
    result = invoke("ledger", "forget", ledger, "Nobody")
    assert (result.exit_code, result.stderr) == (1, "Nobody: the ledger has no such label.\n")


def test_purge_deletes_exported_voiceprints(command, ledger, tmp_path):
    assert command("ledger", "purge", ledger).returncode == 2
    assert command("export", ledger, "--out", tmp_path / "out.jsonl").returncode == 0
    result = command("ledger", "purge", ledger)
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr == "Deleted: 1 voiceprint. The exported file is now the only copy.\n"
    assert voiceprint_of(_URL).encode() not in ledger.read_bytes()
    assert voiceprint_of(_URL) in (tmp_path / "out.jsonl").read_text()


@pytest.mark.parametrize(
    ("arguments", "question"),
    [
        (["purge"], "Delete the exported voiceprints from "),
        (["forget", "Ada", "Eve"], "Erase 2 labels (Ada, Eve) with their sources and voiceprints from "),
    ],
    ids=["purge", "forget"],
)
def test_purge_and_forget_ask_on_a_terminal(invoke, ledger, monkeypatch, arguments, question):
    asked = []

    def confirm_change(question, *, yes):
        asked.append(question)
        if not yes:
            raise WrongUsage("Nothing was changed.")

    monkeypatch.setattr("pyannote_voiceprint_async.cli.ledger.confirm_change", confirm_change)
    invoke("export", ledger)
    name, *labels = arguments
    before = ledger.read_bytes()
    result = invoke("ledger", name, ledger, *labels)
    assert (result.exit_code, result.stderr) == (2, "Error: Nothing was changed.\n")
    assert ledger.read_bytes() == before
    assert asked[0].startswith(f"{question}{ledger}?")
    assert invoke("ledger", name, ledger, *labels, "--yes").exit_code == 0
    assert voiceprint_of(_URL).encode() not in ledger.read_bytes()


@pytest.mark.parametrize("arguments", [["status"], ["status", "--json"], ["failed"], ["purge"], ["forget", "Ada"]])
def test_which_commands_work_during_a_run(invoke, ledger, arguments):
    name, *more = arguments
    lock = FileLock(ledger)
    result = invoke("ledger", name, ledger, *more)
    lock.release()
    is_looking = name in ("status", "failed")
    assert result.exit_code == (0 if is_looking else 2)
    assert ("Another run has this ledger" in result.stderr) == (not is_looking)
    assert voiceprint_of(_URL) not in result.output


@pytest.mark.parametrize("arguments", [["status"], ["failed"], ["purge"], ["forget", "Ada"]])
def test_a_missing_or_foreign_ledger_is_exit_code_2_and_no_file_is_created(invoke, tmp_path, arguments):
    name, *more = arguments
    result = invoke("ledger", name, tmp_path / "gone.ledger", *more)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"Error: There is no ledger {tmp_path / 'gone.ledger'}.\n"
    assert list(tmp_path.iterdir()) == []


def test_a_job_that_could_not_be_saved_is_recorded(invoke, command, quick_sandbox, ledger):
    result = invoke("ledger", "accept", ledger, "Eve", "job-of-eve")
    assert (result.exit_code, result.stdout, result.stderr) == (
        0,
        "",
        "Recorded. The next run fetches the result of this job.\n",
    )
    assert json.loads(invoke("ledger", "status", ledger).stdout)["submitted"] == 1
    refused = invoke("ledger", "accept", ledger, "Ada", "another")
    assert refused.exit_code == 2
    assert "has another job already" in refused.stderr


def test_recover_checks_a_ledger_that_is_not_open(invoke, ledger):
    result = invoke("ledger", "recover", ledger)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "Checked: no damage was found. 0 recordings not recorded as submitted" in result.stderr
