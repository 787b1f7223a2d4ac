"""The seconds that the speakers of two diarizations share."""

from hypothesis import given
from hypothesis import strategies as st

from pyannote_voiceprint_async.identification.overlap import measure_overlap
from pyannote_voiceprint_async.identification_result.turns import IdentifiedTurn


def turn(name: str, start: float, end: float) -> IdentifiedTurn:
    return IdentifiedTurn(name, start, end, name)


def test_shared_seconds():
    overlap = measure_overlap([turn("x", 0, 10)], [turn("a", 0, 4), turn("b", 3, 5), turn("c", 20, 30)])
    assert overlap.seconds == {"x": 10}
    assert overlap.shared == {"x": {"a": 4, "b": 2}}
    assert overlap.best("x") == ("a", 0.4)


def test_a_speaker_without_speech_shares_nothing():
    assert measure_overlap([turn("x", 3, 3)], [turn("a", 0, 5)]).best("x") == (None, 0.0)


TURNS = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 30), st.integers(0, 9)).map(
        lambda entry: turn(entry[0], entry[1], entry[1] + entry[2])
    ),
    max_size=12,
)


@given(TURNS, TURNS)
def test_seconds_are_those_in_which_both_speak(turns, others):
    overlap = measure_overlap(turns, others)
    for mine in "ab":
        spoken = {second for one in turns if one.speaker == mine for second in range(one.start, one.end)}
        assert overlap.seconds.get(mine, 0) == len(spoken)
        for other in "ab":
            heard = {second for one in others if one.speaker == other for second in range(one.start, one.end)}
            assert overlap.shared.get(mine, {}).get(other, 0) == len(spoken & heard)
