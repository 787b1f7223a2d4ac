"""`enroll` in real processes, with real signals and files; the tests count every billed job."""

import csv
import json
import resource
import sqlite3
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pyannote_voiceprint_async.sandbox import voiceprint_of

_ROWS = 40
_FIRST = 15


def url(number: int) -> str:
    return f"https://e.com/voices/{number}.wav"


@pytest.fixture
def write_list(tmp_path) -> Callable:
    """Write a list of speakers, and return its path."""

    def write(rows, name="speakers.csv"):
        with (tmp_path / name).open("w", newline="") as file:
            csv.writer(file).writerows([("label", "source"), *rows])
        return tmp_path / name

    return write


@pytest.fixture
def speakers(write_list):
    """A list of forty speakers."""
    return write_list([(f"person {number}", url(number)) for number in range(_ROWS)])


@pytest.fixture
def few(write_list):
    """A list of three speakers."""
    return write_list([(f"person {number}", url(number)) for number in range(3)])


def expected(many: int) -> dict[str, str]:
    return {f"person {number}": voiceprint_of(url(number)) for number in range(many)}


def names(folder) -> set[str]:
    return {path.name for path in folder.iterdir()}


def until(process: subprocess.Popen, is_so: Callable[[], bool]) -> None:
    """Wait until a running command has done something."""
    while not is_so():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


# From a list to voiceprints


def test_a_list_is_enrolled_and_exported(command, quick_sandbox, speakers, tmp_path):
    out, report = tmp_path / "out.json", tmp_path / "report.json"
    result = command("enroll", speakers, "--out", out, "--report", report, environment=quick_sandbox.environment)
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    assert json.loads(out.read_text()) == expected(_ROWS)
    assert quick_sandbox.state()["jobs"] == _ROWS
    summary = json.loads(report.read_text())
    assert (summary["rows"], summary["succeeded"], summary["jobs"], summary["possibly_paid_twice"]) == (
        _ROWS,
        _ROWS,
        _ROWS,
        0,
    )
    assert summary.keys() >= {"failed", "uncertain", "expired", "submitted", "unknown_jobs", "failures", "stopped_by"}
    assert f"All well: {_ROWS} of {_ROWS} rows with a voiceprint." in result.stderr
    assert f"{_ROWS} voiceprints in {out} and in the ledger {tmp_path / 'speakers.ledger'}" in result.stderr
    assert voiceprint_of(url(0)) not in result.stderr


def test_written_files_are_private(command, quick_sandbox, few, tmp_path):
    command(
        "enroll", few, "--out", tmp_path / "o.csv", "--report", tmp_path / "r", environment=quick_sandbox.environment
    )
    assert names(tmp_path) == {"speakers.csv", "speakers.ledger", "o.csv", "r"}
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir() if path != few}
    assert set(modes.values()) == {0o600}


def test_done_rows_are_not_billed_again(command, quick_sandbox, few):
    for _ in range(2):
        result = command("enroll", few, environment=quick_sandbox.environment)
        assert result.returncode == 0
    assert quick_sandbox.state()["jobs"] == 3
    assert "Jobs accepted: 0 by this run (about 0.00 EUR, failed jobs are free), 3 by all runs." in result.stderr


def test_recordings_without_a_list_use_the_embedded_sandbox(command, speech, tmp_path):
    """The embedded sandbox has its own ledger, and its own file of jobs."""
    result = command("enroll", "--sandbox", speech, "--out", "out.json", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    wavs = {path.stem: voiceprint_of(path.read_bytes()) for path in speech.glob("*.wav")}
    assert json.loads((tmp_path / "out.json").read_text()) == wavs
    ledger = "voiceprints.sandbox.ledger"
    assert names(tmp_path) == {"out.json", ledger, f"{ledger}.server"}
    assert "free in the sandbox" in result.stderr


def test_skipped_files_of_a_directory_are_named_and_the_run_is_not_all_well(command, speech, tmp_path):
    folder = tmp_path / "voices"
    folder.mkdir()
    for name in ("a.wav", "b.notes"):
        (folder / name).write_bytes((speech / "june-fr.wav").read_bytes())
    arguments = ("enroll", "--sandbox", folder, "--ledger", tmp_path / "v.ledger")
    message = f"1 file was skipped: {folder}/b.notes (not named like a recording). To include it, pass its own name."
    dry_run = command(*arguments, "--dry-run")
    assert message in dry_run.stderr.splitlines()
    result = command(*arguments)
    assert (result.returncode, dry_run.returncode) == (0, 0), result.stderr
    assert message in result.stderr.splitlines()
    assert "\n1 of 1 row with a voiceprint.\n" in result.stderr
    (folder / "b.notes").unlink()
    assert "\nAll well: 1 of 1 row with a voiceprint.\n" in command(*arguments).stderr


def test_a_url_with_another_query_is_resubmitted_only_with_replace(command, quick_sandbox, write_list):
    def enroll(ticket, *options):
        listed = write_list([("Ada", f"https://e.com/ada.wav?ticket={ticket}")])
        return command("enroll", listed, *options, environment=quick_sandbox.environment)

    assert enroll("one").returncode == 0
    for options in ((), ("--dry-run",)):
        refused = enroll("two-secret", *options)
        assert refused.returncode == 2
        assert (
            "(Ada): the label is already billed, and its URL differs from the billed one only in its query"
            in refused.stderr
        )
        assert "secret" not in refused.stderr
    assert quick_sandbox.state()["jobs"] == 1
    dry_run = enroll("two-secret", "--dry-run", "--replace")
    assert "To be submitted: 1 job" in dry_run.stdout
    assert "differs from the billed one of an earlier list: 1." in dry_run.stdout
    assert enroll("two-secret", "--replace").returncode == 0
    assert enroll("two-secret").returncode == 0


def test_an_excel_workbook_named_csv_is_reported(invoke, tmp_path):
    path = tmp_path / "speakers.csv"
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504))
    result = invoke("enroll", "--sandbox", path, "--dry-run")
    assert result.exit_code == 2
    assert "speakers.csv is an Excel workbook" in result.stderr


@pytest.mark.parametrize("names", [("Jos\u00e9", "Jose\u0301"), ("Jose\u0301", "Jos\u00e9")])
def test_a_list_has_one_ledger_in_every_unicode_form_of_its_name(command, quick_sandbox, write_list, tmp_path, names):
    written, typed = names
    write_list([("Ada", url(1))], f"{written}.csv")
    for name in names:
        result = command("enroll", tmp_path / f"{name}.csv", environment=quick_sandbox.environment)
        assert result.returncode == 0, result.stderr
    assert "0 by this run" in result.stderr
    assert f"{typed}.ledger" not in {path.name for path in tmp_path.iterdir()}


def test_additional_and_renamed_columns(command, quick_sandbox, write_list, tmp_path):
    speakers = tmp_path / "people.csv"
    speakers.write_text(f"who,where,team\nAda,{url(1)},red\n")
    columns = ("--label-column", "who", "--source-column", "where")
    out = tmp_path / "out.csv"
    result = command("enroll", speakers, *columns, "--out", out, environment=quick_sandbox.environment)
    assert result.returncode == 0, result.stderr
    [row] = csv.DictReader(out.read_text().splitlines())
    assert (row["label"], row["team"], row["voiceprint"]) == ("Ada", "red", voiceprint_of(url(1)))


def test_no_temporary_files_remain(command, quick_sandbox, few, tmp_path):
    """A copy of the ledger alone must be complete, without additional files of SQLite."""
    assert command("enroll", few, environment=quick_sandbox.environment).returncode == 0
    assert command("ledger", "status", tmp_path / "speakers.ledger").returncode == 0
    assert names(tmp_path) == {"speakers.csv", "speakers.ledger"}


# What is wrong


def test_all_problems_of_a_list_are_reported_and_nothing_is_sent(command, quick_sandbox, write_list):
    speakers = write_list([("Ada", url(1)), ("Ada", url(2)), ("Eve", "s3://b/k"), ("", url(3))])
    result = command("enroll", speakers, environment=quick_sandbox.environment)
    assert (result.returncode, result.stdout) == (2, "")
    assert [f"line {number}" in result.stderr for number in (3, 4, 5)] == [True] * 3
    assert "--skip-invalid" in result.stderr
    assert quick_sandbox.state()["total"]["requests"] == 0


def test_skipped_rows_are_reported_and_make_the_list_incomplete(command, quick_sandbox, write_list, tmp_path):
    speakers = write_list([("Ada", url(1)), ("Eve", "s3://b/k")])
    refused = command("enroll", speakers, environment=quick_sandbox.environment)
    (problem,) = [line for line in refused.stderr.splitlines() if "line 3 (Eve)" in line]
    dry_run = command("enroll", speakers, "--skip-invalid", "--dry-run", environment=quick_sandbox.environment)
    result = command("enroll", speakers, "--skip-invalid", environment=quick_sandbox.environment)
    for run in (dry_run, result):
        assert run.returncode == 1
        assert f"Skipped: {problem.strip()}" in run.stderr.splitlines()
    assert "The list has 2 rows:" in dry_run.stdout
    assert "1 of 2 rows with a voiceprint." in result.stderr
    assert "Skipped because they are invalid: 1 row." in result.stderr
    status = json.loads(command("ledger", "status", tmp_path / "speakers.ledger").stdout)
    assert (status["rows"], status["succeeded"], status["invalid"]) == (1, 1, 1)


def test_failures_are_grouped_and_retried_with_retry_failed(command, quick_sandbox, write_list):
    rows = [(f"person {number}", url(number)) for number in range(3)]
    speakers = write_list([*rows, *((f"lost {n}", f"https://e.com/unreachable/{n}") for n in range(2))])
    result = command("enroll", speakers, environment=quick_sandbox.environment)
    assert result.returncode == 1
    assert "3 of 5 rows with a voiceprint, 2 failed." in result.stderr
    assert [line for line in result.stderr.splitlines() if line.startswith("      2 x The job failed: ")]
    assert f"enroll {speakers} --retry-failed" in result.stderr
    for option, jobs in (("--dry-run", 5), ("--retry-failed=no such text", 5), ("--retry-failed", 7)):
        assert command("enroll", option, speakers, environment=quick_sandbox.environment).returncode in (0, 1)
        assert quick_sandbox.state()["jobs"] == jobs
    assert quick_sandbox.state()["jobs"] == 7


def test_a_rejected_account_is_exit_code_3_and_billed_results_are_kept(command, start_sandbox, speakers, tmp_path):
    server = start_sandbox("--credit", str(_FIRST), "--window", "none", "--job-seconds", "0.2")
    report, out = tmp_path / "report.json", tmp_path / "out.json"
    result = command("enroll", speakers, "--report", report, "--out", out, environment=server.environment)
    assert (result.returncode, result.stdout) == (3, "")
    summary = json.loads(report.read_text())
    assert (summary["succeeded"], summary["pending"], server.state()["jobs"]) == (_FIRST, _ROWS - _FIRST, _FIRST)
    assert "402" in summary["stopped_by"]
    assert len(json.loads(out.read_text())) == _FIRST
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert f"To continue with the remaining rows: pyannote-voiceprint enroll {speakers}" in result.stderr


def test_rows_that_were_not_sent_are_exit_code_1(command, quick_sandbox, speakers):
    result = command("enroll", speakers, "--max-jobs", str(_FIRST), environment=quick_sandbox.environment)
    assert result.returncode == 1
    assert f"{_FIRST} of {_ROWS} rows with a voiceprint, {_ROWS - _FIRST} not submitted." in result.stderr
    assert quick_sandbox.state()["jobs"] == _FIRST
    assert command("enroll", speakers, environment=quick_sandbox.environment).returncode == 0
    assert quick_sandbox.state()["jobs"] == _ROWS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing argument"),
        (["gone.csv"], "gone.csv: no such file"),
        (["list.csv", "list.jsonl"], "list.csv is a list of speakers: pass it alone"),
        (["a.wav", "--label-column", "x"], "need a list of speakers"),
        (["people.xlsx"], "people.xlsx is not a recording. Save a list of speakers as .csv"),
        (["list.csv", "--out", "o.txt"], "--out must end in .jsonl, .csv or .json"),
        (["list.csv", "--out", "list.csv"], "list.csv is read by this command"),
        (["list.csv", "--out", "gone/o.csv"], "gone/o.csv cannot be written (no such file or directory)"),
        (["list.csv", "--report", "list.csv"], "--report list.csv is read by this command"),
        (["list.csv", "--report", "gone/r.json"], "--report gone/r.json cannot be written"),
        (["list.csv", "--ledger", "gone/x.ledger"], "There is no folder"),
        (["list.csv", "--ledger", "list.csv"], "list.csv is not a ledger"),
        (["list.csv", "--on-unknown", "guess"], "'guess' is not one of"),
        (["list.csv", "--max-jobs", "-1"], "-1 is not in the range"),
        (["list.csv", "--retry-failed", "text"], "pass it alone"),
    ],
)
def test_wrong_usage_is_exit_code_2(invoke, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.csv").write_text(f"label,source\nAda,{url(1)}\n" * 1)
    (tmp_path / "list.jsonl").write_text("")
    result = invoke(
        "enroll", *arguments, environment={"PYANNOTEAI_API_KEY": "k", "PYANNOTEAI_BASE_URL": "http://[::1]:9"}
    )
    assert (result.exit_code, result.stdout) == (2, ""), result.stderr
    assert message in result.stderr


def test_without_a_key_no_ledger_is_created(invoke, few, tmp_path):
    assert invoke("enroll", few).exit_code == 2
    assert names(tmp_path) == {"speakers.csv"}


def test_the_sandbox_refuses_a_ledger_of_the_real_api(command, quick_sandbox, few, tmp_path):
    ledger = tmp_path / "x.ledger"
    assert command("enroll", few, "--ledger", ledger, environment=quick_sandbox.environment).returncode == 0
    result = command("enroll", few, "--ledger", ledger, "--sandbox")
    assert result.returncode == 2
    assert "This ledger has the jobs of the API at" in result.stderr


# Ends and begins again


def test_the_same_command_continues_an_interrupted_run(
    command, spawn, start_sandbox, speakers, tmp_path, ending, ending_code
):
    server = start_sandbox("--rate-limit", "10000/60", "--read-limit", "10000/60", "--job-seconds", "0.2")
    out = tmp_path / "out.json"
    process = spawn("enroll", speakers, "--out", out, "--rate-limit", f"{_FIRST}/600", environment=server.environment)
    until(process, lambda: server.state()["jobs"] == _FIRST)
    process.send_signal(ending)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (ending_code, "")
    assert "Interrupted: " in stderr
    again = f"pyannote-voiceprint enroll {speakers} --out {out} --rate-limit {_FIRST}/600"
    assert f"To continue with the remaining rows: {again}" in stderr.splitlines()
    assert json.loads(out.read_text()).items() <= expected(_ROWS).items()
    result = command("enroll", speakers, "--out", out, environment=server.environment)
    assert (result.returncode, result.stdout) == (0, "")
    assert json.loads(out.read_text()) == expected(_ROWS)
    assert server.state()["jobs"] == _ROWS


def test_requests_in_flight_are_finished_after_a_signal(
    command, spawn, start_sandbox, few, tmp_path, ending, ending_code
):
    server = start_sandbox("--latency", "0.8", "--job-seconds", "0")
    report = tmp_path / "report.json"
    process = spawn("enroll", few, "--report", report, environment=server.environment)
    until(process, lambda: server.state()["operations"]["voiceprint"]["inFlight"])
    process.send_signal(ending)
    process.send_signal(ending)  # as `timeout` does
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == ending_code
    assert "Stopping when the requests in flight are finished." in stderr
    summary = json.loads(report.read_text())
    assert summary["interrupted"]
    assert summary["succeeded"] + summary["submitted"] == summary["jobs"] == server.state()["jobs"] > 0
    assert command("enroll", few, environment=server.environment).returncode == 0
    assert server.state()["jobs"] == 3


class SilentApi(BaseHTTPRequestHandler):
    """An API that accepts every key and lists no job. It never responds to a submission."""

    submitted, ended = threading.Event(), threading.Event()

    def do_GET(self) -> None:
        body = b'{"status": "OK", "message": "valid", "items": []}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.submitted.set()
        self.ended.wait(60)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def silent_api() -> Iterator[dict[str, str]]:
    """The environment for a command that uses a `SilentApi`."""
    SilentApi.submitted.clear()
    SilentApi.ended.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), SilentApi) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield {"PYANNOTEAI_BASE_URL": f"http://127.0.0.1:{server.server_port}", "PYANNOTEAI_API_KEY": "key"}
        SilentApi.ended.set()
        server.shutdown()
        thread.join()


def test_a_second_signal_ends_the_run_at_once(spawn, silent_api, few, ending, ending_code):
    process = spawn("enroll", few, environment=silent_api)
    assert SilentApi.submitted.wait(60)
    process.send_signal(ending)
    assert any(line.startswith("Stopping") for line in iter(process.stderr.readline, ""))
    # Signals that come close together are one, because `timeout` and others send it twice. This one must come later, by
    # the command's own clock.
    time.sleep(1.0)
    process.send_signal(ending)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == ending_code
    assert "In flight: 1 request, which the next run resolves." in stderr


def test_a_killed_run_on_the_embedded_sandbox_continues(command, spawn, invoke, speakers, tmp_path):
    """Killing the command also kills its sandbox, whose jobs are in a file."""
    ledger = tmp_path / "speakers.sandbox.ledger"

    def accepted() -> int:
        result = invoke("ledger", "status", "--json", ledger)
        return json.loads(result.stdout)["jobs_ever"] if result.exit_code == 0 else 0

    process = spawn("enroll", speakers, "--sandbox", "--rate-limit", f"{_FIRST}/600")
    until(process, lambda: accepted() == _FIRST)
    process.kill()
    process.communicate(timeout=60)
    out = tmp_path / "out.json"
    result = command("enroll", speakers, "--sandbox", "--out", out)
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    assert json.loads(out.read_text()) == expected(_ROWS)
    stored = map(json.loads, ledger.with_name(f"{ledger.name}.server").read_text().splitlines())
    assert sum("job" in line for line in stored) == _ROWS


def test_of_two_runs_at_once_the_second_is_refused(command, spawn, start_sandbox, few, tmp_path):
    server = start_sandbox("--job-seconds", "600")
    process = spawn("enroll", few, environment=server.environment)
    until(process, lambda: server.state()["jobs"] == 3)
    result = command("enroll", few, environment=server.environment)
    assert (result.returncode, result.stdout) == (2, "")
    assert f"Another run has this ledger open (process {process.pid})" in result.stderr
    status = command("ledger", "status", tmp_path / "speakers.ledger")
    assert status.returncode == 0
    found = json.loads(status.stdout)
    assert (found["alive"], found["process"]) == (True, process.pid)
    assert (found["rows"], found["succeeded"], found["submitted"]) == (3, 0, 3)
    assert server.state()["jobs"] == 3


def test_every_billed_job_id_is_saved_or_printed_when_the_disk_is_full(
    spawn, records, quick_sandbox, write_list, tmp_path
):
    many, ledger = 300, tmp_path / "speakers.ledger"
    speakers = write_list([(f"person {number}", url(number)) for number in range(many)])
    process = spawn("enroll", speakers, "--rate-limit", "20/1", environment=quick_sandbox.environment)
    until(process, lambda: quick_sandbox.state()["jobs"] >= 20)
    # The ledger cannot grow any more, and its journal cannot be written.
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (512, 512))
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (1, ""), stderr
    assert "The ledger cannot be written" in stderr.splitlines()[-1]
    connection = sqlite3.connect(ledger)
    kept = {job_id for (job_id,) in connection.execute("SELECT job_id FROM jobs")}
    connection.close()
    printed = {record["job_id"] for record in records(stderr)}
    assert len(kept | printed) == quick_sandbox.state()["jobs"] < many


# Before it costs anything


def test_a_dry_run_reports_the_cost_and_changes_nothing(command, quick_sandbox, few, write_list, tmp_path):
    assert command("enroll", few, environment=quick_sandbox.environment).returncode == 0
    ledger = tmp_path / "speakers.ledger"
    before, requests = ledger.read_bytes(), quick_sandbox.state()["total"]["requests"]
    speakers = write_list([(f"person {number}", url(number)) for number in range(203)])
    result = command("enroll", speakers, "--dry-run", environment=quick_sandbox.environment)
    assert (result.returncode, result.stderr) == (0, "")
    assert "      3 with a voiceprint\n" in result.stdout
    assert "To be submitted: 200 jobs (about 3.00 EUR).\n" in result.stdout
    assert "At 100 submissions in 60 seconds, the last one is sent after 1 min.\n" in result.stdout
    assert (ledger.read_bytes(), quick_sandbox.state()["total"]["requests"]) == (before, requests)


def test_a_dry_run_needs_no_key_and_creates_no_ledger(invoke, few, tmp_path):
    result = invoke("enroll", few, "--dry-run")
    assert result.exit_code == 0
    assert "To be submitted: 3 jobs" in result.stdout
    assert names(tmp_path) == {"speakers.csv"}


def test_a_dry_run_of_a_wrong_list_is_exit_code_2(invoke, write_list):
    result = invoke("enroll", write_list([("Ada", "s3://b/k")]), "--dry-run")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "line 2 (Ada)" in result.stderr


# Messages


def test_the_repeated_command_has_no_secret(command, quick_sandbox, tmp_path):
    sources = ["https://e.com/unreachable/a.wav?sig=secret", "https://e.com/b c.wav"[:15] + "b.wav"]
    result = command("enroll", *sources, "--allow-shared-audio", cwd=tmp_path, environment=quick_sandbox.environment)
    assert result.returncode == 1
    assert (
        "pyannote-voiceprint enroll 'https://e.com/unreachable/a.wav?…' https://e.com/bb.wav --allow-shared-audio "
        "--retry-failed"
    ) in result.stderr
    assert "secret" not in result.stderr


def test_labels_of_failed_rows_are_printed_with_verbose(command, quick_sandbox, write_list):
    speakers = write_list([("Eve", "https://e.com/unreachable")])
    assert "Eve: The job failed" in command("enroll", speakers, "-v", environment=quick_sandbox.environment).stderr
