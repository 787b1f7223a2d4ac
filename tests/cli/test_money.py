"""What `enroll` says about money: the price, the report, and the question of a long list on a terminal."""

import json
import os
from datetime import datetime

import pytest

from pyannote_voiceprint_async.cli.clients import SANDBOX_KEY, is_billed
from pyannote_voiceprint_async.cli.options import CommonOptions

_GOOD, _LOST = "https://e.com/{}.wav", "https://e.com/unreachable/{}"


@pytest.fixture
def write_list(tmp_path):
    """Write a list of speakers, and return its path."""

    def write(sources):
        path = tmp_path / "speakers.csv"
        path.write_text("label,source\n" + "".join(f"person {n},{source}\n" for n, source in enumerate(sources)))
        return path

    return write


def test_the_report_has_the_cost_the_times_the_counts_and_the_failures(invoke, quick_sandbox, write_list, tmp_path):
    """A failed job is in the counts and not in the cost, in the report and in the summary."""
    speakers = write_list([_GOOD.format(1), _GOOD.format(2), _LOST.format(3)])
    report = tmp_path / "report.json"
    options = ("--price", "0.5", "--report", report)
    dry_run = invoke("enroll", speakers, "--dry-run", *options, environment=quick_sandbox.environment)
    assert "To be submitted: 3 jobs (about 1.50 EUR)." in dry_run.stdout
    planned = json.loads(report.read_text())
    assert (planned["jobs"], planned["cost"], planned["price"]) == (3, 1.5, 0.5)
    result = invoke("enroll", speakers, *options, environment=quick_sandbox.environment)
    assert result.exit_code == 1
    assert "To be submitted: 3 jobs (about 1.50 EUR)." in result.stderr
    assert "Jobs accepted: 3 by this run (about 1.00 EUR, 1 failed and not billed), 3 by all runs." in result.stderr
    record = json.loads(report.read_text())
    assert (record["cost"], record["price"], record["failed_jobs"]) == (1.0, 0.5, 1)
    assert (record["rows"], record["succeeded"], record["failed"], record["pending"]) == (3, 2, 1, 0)
    started, finished = (datetime.fromisoformat(record[name]) for name in ("started_at", "finished_at"))
    assert started <= finished
    assert 0 <= record["duration"] - (finished - started).total_seconds() + 1 <= 2
    [row] = record["failed_rows"]
    assert (row["label"], row["status"]) == ("person 2", "failed")
    assert list(record["failures"]) == [row["error"]]


def test_a_wrong_price_is_refused(invoke, write_list):
    result = invoke("enroll", "--sandbox", write_list([_GOOD.format(1)]), "--price", "-1")
    assert result.exit_code == 2
    assert "--price" in result.stderr


def test_the_sandbox_costs_nothing(invoke, write_list, tmp_path):
    report = tmp_path / "report.json"
    result = invoke("enroll", "--sandbox", write_list([_GOOD.format(1)]), "--dry-run", "--report", report)
    assert "(free in the sandbox)" in result.stdout
    assert json.loads(report.read_text())["cost"] == 0


def test_a_long_list_asks_on_a_terminal_before_anything_is_sent(on_terminal, write_list, tmp_path):
    """Nothing listens at the URL, so a request would fail in another way."""
    environment = {"PYANNOTEAI_API_KEY": "a-real-key", "PYANNOTEAI_BASE_URL": "http://127.0.0.1:9"}
    speakers = write_list(_GOOD.format(n) for n in range(1200))
    ours, theirs = os.openpty()
    os.write(ours, b"n\n")
    code, shown = on_terminal("enroll", speakers, environment=environment, stdin=theirs)
    os.close(theirs)
    os.close(ours)
    assert code == 2, shown
    assert b"1200 jobs at 0.015 EUR each: about 18.00 EUR." in shown
    assert b"Continue? [y/N]" in shown
    assert b"Nothing was sent: the plan of the run was not confirmed." in shown


@pytest.mark.parametrize(
    ("key", "options", "expected"),
    [("a-real-key", {}, True), (SANDBOX_KEY, {}, False), ("a-real-key", {"sandbox": True}, False)],
)
def test_only_a_real_key_is_billed(monkeypatch, key, options, expected):
    monkeypatch.setenv("PYANNOTEAI_API_KEY", key)
    assert is_billed(CommonOptions(**options)) is expected


# Output files


@pytest.mark.parametrize("ending", [".parquet", ".xlsx"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["enroll", "speakers.csv", "--out"], "--out must end in .jsonl, .csv or .json"),
        (["enroll", "speakers.csv", "--report"], "Choose a name that ends in .json."),
        (["voiceprint", _GOOD.format(1), "--out"], "Choose a name that ends in .jsonl"),
    ],
    ids=["enroll --out", "enroll --report", "voiceprint --out"],
)
def test_unknown_endings_are_refused_before_anything_is_paid(
    invoke, write_list, tmp_path, monkeypatch, arguments, message, ending
):
    write_list([_GOOD.format(1)])
    monkeypatch.chdir(tmp_path)
    environment = {"PYANNOTEAI_API_KEY": "k", "PYANNOTEAI_BASE_URL": "http://127.0.0.1:9"}
    result = invoke(*arguments, f"out{ending}", environment=environment)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["speakers.csv"]
