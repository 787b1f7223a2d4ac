import math

import attrs
import pytest

from pyannote_voiceprint_async.sandbox.validators import finite, not_negative, one_of, positive, to_range


@attrs.frozen(kw_only=True)
class Example:
    kind: str = attrs.field(default="one", validator=one_of("one", "two"))
    not_negative: float | None = attrs.field(default=None, validator=not_negative)
    finite: float = attrs.field(default=0.0, validator=finite)
    positive: float = attrs.field(default=1.0, validator=positive)


@pytest.mark.parametrize(
    ("name", "value"),
    [("kind", "two"), ("not_negative", None), ("not_negative", math.inf), ("finite", 0), ("positive", 0.1)],
)
def test_a_valid_value_is_accepted(name, value):
    assert getattr(Example(**{name: value}), name) == value


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("kind", "three", "'kind' must be one of one, two, not 'three'."),
        ("not_negative", -1, "'not_negative' must be zero or more, not -1."),
        ("not_negative", math.nan, "'not_negative' must be zero or more, not nan."),
        ("finite", math.inf, "'finite' must be a finite number, zero or more, not inf."),
        ("finite", -0.1, "'finite' must be a finite number, zero or more, not -0.1."),
        ("positive", 0, "'positive' must be a positive number, not 0."),
        ("positive", math.inf, "'positive' must be a positive number, not inf."),
    ],
)
def test_an_invalid_value_is_reported_with_its_name(name, value, message):
    with pytest.raises(ValueError) as caught:
        Example(**{name: value})
    assert str(caught.value) == message


@pytest.mark.parametrize("value", ["0.5:3", "1", None, (1.0,), (1.0, 2.0, 3.0), ("1", "2"), (2.0, 1.0), -1, math.inf])
def test_a_value_that_is_no_range_is_reported_with_the_accepted_forms(value):
    with pytest.raises(ValueError) as caught:
        to_range(value)
    assert str(caught.value) == f"Seconds must be a number, or (low, high) with 0 <= low <= high, not {value!r}."
