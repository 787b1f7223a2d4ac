"""stderr as one JSON object per line."""

import json

import pytest

from pyannote_voiceprint_async.cli.log_format import log_object


def test_a_log_object_has_time_level_event_message_and_fields():
    line = log_object("row_failed", "Eve: No voice.", level="error", fields={"label": "Eve"}, wall=1_800_000_000.5)
    assert json.loads(line) == {
        "time": "2027-01-15T08:00:00.500Z",
        "level": "error",
        "event": "row_failed",
        "message": "Eve: No voice.",
        "label": "Eve",
    }
    assert "\n" not in log_object("message", "a\nb")


def test_every_line_of_a_run_is_an_object_without_a_voiceprint(command, tmp_path):
    (tmp_path / "speakers.csv").write_text("label,source\nAda,https://e.com/ada.wav\nEve,https://e.com/unreachable\n")
    result = command("enroll", tmp_path / "speakers.csv", "--sandbox", "--log-format", "json", "-v")
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    assert result.returncode == 1
    assert all({"time", "level", "event", "message"} <= line.keys() for line in lines)
    events = {line["event"]: line for line in lines}
    assert events["row_succeeded"]["label"] == "Ada"
    assert (events["row_failed"]["label"], events["row_failed"]["level"]) == ("Eve", "error")
    assert events["log"]["level"] == "info"
    assert "voiceprint" not in [name for line in lines for name in line]


@pytest.mark.parametrize("format_", ["json", "text"])
def test_the_error_that_ends_a_command_is_written_in_the_same_format(invoke, tmp_path, format_):
    (tmp_path / "speakers.csv").write_text("label,source\nAda,https://e.com/ada.wav\n")
    result = invoke("enroll", tmp_path / "speakers.csv", "--log-format", format_)
    assert result.exit_code == 2
    if format_ == "text":
        assert result.stderr.startswith("Error: There is no API key.")
    else:
        [line] = map(json.loads, result.stderr.splitlines())
        assert (line["level"], line["event"]) == ("error", "error")
        assert line["message"].startswith("There is no API key.")
