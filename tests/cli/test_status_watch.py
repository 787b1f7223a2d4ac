"""`ledger status --watch`: it follows a run, and ends with it."""

import json
from pathlib import Path

import attrs
import pytest

from pyannote_voiceprint_async.cli.status_view import StatusView
from pyannote_voiceprint_async.cli.status_watch import watch_status
from pyannote_voiceprint_async.enrollment import Report
from pyannote_voiceprint_async.enrollment.ledger.run_state import RunState
from pyannote_voiceprint_async.enrollment.ledger.status import LedgerStatus

_RUN = RunState(4711, started_at=1000.0, updated_at=1690.0, rows_per_minute=99.6, ends_at=2230.0)
_ALIVE = StatusView(
    Path("x.ledger"),
    LedgerStatus(
        Report(rows=3, jobs_ever=3, failed_jobs_ever=1),
        origin="https://api.example",
        is_alive=True,
        run=_RUN,
        last_error=None,
    ),
    0.015,
    1720.0,
)


def with_status(**values) -> StatusView:
    return attrs.evolve(_ALIVE, status=attrs.evolve(_ALIVE.status, **values))


def test_watch_prints_a_status_every_two_seconds_until_the_run_has_ended(capsys):
    views, sleeps = [_ALIVE, _ALIVE, with_status(is_alive=False)], []
    watch_status(lambda: views.pop(0), sleep=sleeps.append)
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [status["alive"] for status in printed] == [True, True, False]
    assert [status["seconds_left"] for status in printed] == [510.0, 510.0, None]
    assert len(sleeps) == 2
    assert min(sleeps) >= 2.0


def test_ctrl_c_ends_a_watch_and_not_the_run(invoke, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(StatusView, "read", interrupt)
    result = invoke("ledger", "status", tmp_path / "x.ledger", "--watch")
    assert (result.exit_code, result.stderr) == (130, "Stopped watching. The run is not affected.\n")


@pytest.mark.parametrize(
    ("run", "is_alive", "expected"),
    [
        (_RUN, True, ["Run   alive, process 4711, started 1970-01-01T00:16:40Z, 12 min ago", "Pace  100 a minute"]),
        (
            attrs.evolve(_RUN, paused_for="The API failed.", next_attempt_at=1762.0),
            True,
            ["Paused  The API failed. The next attempt is in 42 s."],
        ),
        (_RUN, False, ["Run   not alive: process 4711, started 1970-01-01T00:16:40Z, was killed after"]),
        (
            attrs.evolve(_RUN, ended_at=1700.0, stopped_by="The key is not accepted."),
            False,
            ["Run   not alive, ended 1970-01-01T00:28:20Z: The key is not accepted."],
        ),
        (None, False, ["Run   none since this version of the program"]),
    ],
)  # fmt: skip
def test_the_lines_report_whether_the_run_is_alive_its_pace_and_its_pause(run, is_alive, expected):
    text = "\n".join(with_status(run=run, is_alive=is_alive).lines(90))
    assert all(line in text for line in expected)
    assert "about 0.03 EUR so far" in text


def test_jobs_of_the_embedded_sandbox_cost_nothing(invoke, records, tmp_path):
    (tmp_path / "people.csv").write_text("label,source\nAda,https://example.com/ada.wav\n")
    ledger = tmp_path / "people.sandbox.ledger"
    assert invoke("enroll", "--sandbox", tmp_path / "people.csv").exit_code == 0
    assert "Cost  free in the sandbox" in "\n".join(StatusView.read(ledger, 0.015).lines(80)).replace("        ", "  ")
    [status] = records(invoke("ledger", "status", ledger).stdout)
    assert (status["billed_jobs"], status["cost"]) == (1, 0.0)
