"""The message of a `RowWarning`, which holds all warnings about a row."""

import pytest

from pyannote_voiceprint_async.enrollment.events import join_warnings, split_warnings


@pytest.mark.parametrize(
    ("warnings", "message"),
    [
        (["is clipped"], "is clipped"),
        (["2 files were skipped."], "2 files were skipped."),
        (["is clipped", "has 2 channels"], "is clipped. Also: has 2 channels"),
        (
            ["2 files were skipped.", "is clipped. Record it again."],
            "2 files were skipped. Also: is clipped. Record it again.",
        ),
    ],
)
def test_warnings_are_separate_sentences(warnings, message):
    """No sentence has two periods at its end, and splitting returns each warning again."""
    assert join_warnings(warnings) == message
    assert [warning.rstrip(".") for warning in split_warnings(message)] == [one.rstrip(".") for one in warnings]
