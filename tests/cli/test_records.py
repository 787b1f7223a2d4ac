"""The one decision between text and JSON, and the value of a voiceprint, which no terminal shows."""

import json

import pytest

from pyannote_voiceprint_async.cli.records import HIDDEN_VOICEPRINT, format_record, json_line

_RECORD = {"label": "June", "voiceprint": "c2VjcmV0"}


def text(width):
    return [f"June at {width}", "\x1b[2J"]


@pytest.mark.parametrize("as_json", [False, True])
def test_a_pipe_gets_json_with_the_value(as_json):
    assert format_record(_RECORD, text, terminal_width=None, as_json=as_json) == [json_line(_RECORD)]


def test_a_terminal_gets_text_of_its_width_without_control_characters():
    assert format_record(_RECORD, text, terminal_width=60) == ["June at 60", "\\u001b[2J"]


def test_json_on_a_terminal_has_no_value():
    [line] = format_record(_RECORD, text, terminal_width=60, as_json=True)
    assert json.loads(line) == {"label": "June", "voiceprint": HIDDEN_VOICEPRINT}
    [failed] = format_record({"voiceprint": None}, text, terminal_width=60, as_json=True)
    assert json.loads(failed) == {"voiceprint": None}
    [other] = format_record({"status": "OK"}, text, terminal_width=60, as_json=True)
    assert json.loads(other) == {"status": "OK"}
