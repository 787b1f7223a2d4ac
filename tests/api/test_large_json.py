"""JSON in pieces: the result is that of the parser, for every document and every length of a piece."""

import json
from array import array

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyannote_voiceprint_async.api.large_json import join_in_map, parse_large

SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
# Texts with everything that separates items.
TEXTS = st.text(alphabet='a"\\{}[],: \n\u00e9\u2028', max_size=6)
VALUES = st.recursive(
    SCALARS | TEXTS,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=40,
)
TURNS = st.lists(
    st.fixed_dictionaries(
        {"speaker": TEXTS, "confidence": st.dictionaries(TEXTS, SCALARS, max_size=2), "start": SCALARS}
    ),
    max_size=30,
)


class Counted:
    """Counts the calls of the parser, and the longest text that it got."""

    def __init__(self) -> None:
        self.calls = self.longest = 0

    def __call__(self, text: bytes) -> object:
        self.calls += 1
        self.longest = max(self.longest, len(text))
        return orjson.loads(text)


@given(VALUES | TURNS, st.integers(1, 60), st.sampled_from([None, 1]), st.booleans())
def test_the_result_is_that_of_the_parser(value, piece, indent, ascii_only):
    document = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode()
    parsed = parse_large(document, orjson.loads, piece)
    assert parsed == value
    assert repr(parsed) == repr(orjson.loads(document))


@given(st.text(alphabet='a"\\{}[],:0-. \n', max_size=40), st.integers(1, 20))
@example("[}", 1)
@example('{"a":[}}', 1)
@example("[1}]", 1)
def test_a_document_is_refused_as_the_parser_refuses_it(text, piece):
    try:
        expected = orjson.loads(text)
    except ValueError:
        with pytest.raises(ValueError):
            parse_large(text.encode(), orjson.loads, piece)
    else:
        assert parse_large(text.encode(), orjson.loads, piece) == expected


def test_a_long_list_is_parsed_in_pieces():
    turns = [{"speaker": f"SPEAKER_{n % 9}", "start": n, "match": None, "of": {"a": 1}} for n in range(5000)]
    document = orjson.dumps({"output": {"diarization": turns, "confidence": {"score": list(range(20_000))}}})
    loads = Counted()
    assert parse_large(document, loads, 4096) == orjson.loads(document)
    assert loads.longest <= 2 * 4096
    # A guess fails where an object inside an item ends: few of them must be repeated.
    assert loads.calls < 4 * len(document) / 4096


def test_a_text_with_separators_is_not_split():
    turns = [{"speaker": '"},{"', "text": "},{" * 100} for _ in range(200)]
    assert parse_large(orjson.dumps(turns), orjson.loads, 256) == turns


def test_a_deep_document_is_left_to_the_parser():
    document = b'{"a":' * 200 + b"1" + b"}" * 200
    assert parse_large(document, orjson.loads, 16) == orjson.loads(document)


@given(st.lists(st.binary(max_size=9), min_size=1).filter(any))
def test_parts_are_joined(parts):
    assert join_in_map(parts)[:] == b"".join(parts)
    assert join_in_map([memoryview(part) for part in parts])[:] == b"".join(parts)


@given(VALUES | TURNS, st.integers(1, 60))
def test_a_joined_document_is_parsed(value, piece):
    document = json.dumps(value).encode()
    assert parse_large(join_in_map([document]), orjson.loads, piece) == value


def test_long_lists_of_numbers_become_arrays_where_that_is_allowed():
    numbers = [1, 2.5, 3] * 100
    document = orjson.dumps({"score": numbers, "other": numbers, "in": [{"score": numbers}]})
    parsed = parse_large(document, orjson.loads, 64, arrays={"score"})
    assert (parsed["score"], parsed["other"], parsed["in"]) == (array("d", numbers), numbers, [{"score": numbers}])


@pytest.mark.parametrize("score", [[1, None] * 100, [1] * 200 + ["2"], [[1, 2]] * 100, [1], [], "1"])
def test_other_values_are_not_arrays(score):
    assert parse_large(orjson.dumps({"score": score}), orjson.loads, 64, arrays={"score"}) == {"score": score}
