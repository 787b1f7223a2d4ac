"""Which columns fit into a width, and in which form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyannote_voiceprint_async.cli.progress_columns import GAP, ProgressColumn, fit

_COLUMNS = [
    ProgressColumn("3 of 10 done", "3/10", priority=3),
    ProgressColumn("100 a minute", "100/min", priority=1),
    ProgressColumn("9 min left", priority=2),
]


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (40, ["3 of 10 done", "100 a minute", "9 min left"]),
        (39, ["3 of 10 done", "100/min", "9 min left"]),
        (34, ["3/10", "100/min", "9 min left"]),
        (26, ["3/10", "9 min left"]),
        (17, ["3/10"]),
        (0, ["3/10"]),
    ],
)
def test_the_least_important_columns_are_shortened_and_then_dropped(width, expected):
    assert [column.text for column in fit(_COLUMNS, width)] == expected


@given(
    st.lists(
        st.builds(ProgressColumn, st.text("ab", min_size=1), short=st.just(""), priority=st.integers(0, 5)), min_size=1
    ),
    st.integers(0, 100),
)
def test_the_columns_fit_or_only_one_of_the_most_important_is_left(columns, width):
    fitted = fit(columns, width)
    assert sum(len(column.text) + GAP for column in fitted) <= width or len(fitted) == 1
    assert max(column.priority for column in fitted) == max(column.priority for column in columns)
