"""Identifications as RTTM, read back by other programs."""

import io

from hypothesis import given
from hypothesis import strategies as st

from pyannote_voiceprint_async.audio import SpeakerTurn, read_turns
from pyannote_voiceprint_async.identification_result.rttm_text import to_rttm
from pyannote_voiceprint_async.identification_result.turns import IdentifiedTurn

SPANS = st.tuples(st.integers(0, 86_400_000), st.integers(1, 60_000))
NAMES = st.text(max_size=100)


def turn(speaker: str, start: int, length: int) -> IdentifiedTurn:
    return IdentifiedTurn(speaker, start / 1000, (start + length) / 1000, "SPEAKER_00")


def test_one_line_for_each_turn():
    turns = [IdentifiedTurn("Ann", 0.5, 2.75, "SPEAKER_00", "Ann"), IdentifiedTurn("SPEAKER_01", 2, 3, "SPEAKER_01")]
    assert to_rttm(turns, "a talk") == (
        "SPEAKER a_talk 1 0.500 2.250 <NA> <NA> Ann <NA> <NA>\n"
        "SPEAKER a_talk 1 2.000 1.000 <NA> <NA> SPEAKER_01 <NA> <NA>\n"
    )


def test_no_turns_are_an_empty_text():
    assert to_rttm([], "talk") == ""


def test_names_that_would_become_equal_stay_different():
    turns = [turn(name, 0, 1000) for name in ("Ann Lee", "Ann_Lee", "Ann\tLee", "<NA>", "", "Ann Lee")]
    names = [line.split()[7] for line in to_rttm(turns, "t").splitlines()]
    assert names == ["Ann_Lee", "Ann_Lee_2", "Ann_Lee_3", "_NA_", "_", "Ann_Lee"]


def test_both_unicode_forms_of_a_name_stay_different():
    turns = [turn("Zo\u00eb", 0, 1000), turn("Zoe\u0308", 0, 1000)]
    assert [found.speaker for found in read_turns(to_rttm(turns, "t").splitlines())] == ["Zo\u00eb", "Zo\u00eb_2"]


@given(st.lists(st.tuples(NAMES, SPANS), min_size=1, max_size=20), st.text(max_size=20))
def test_the_reader_of_this_package_reads_every_turn_back(entries, file_id):
    turns = [turn(name, *span) for name, span in entries]
    read = read_turns(to_rttm(turns, file_id).encode())
    assert [(one.start, one.end) for one in read] == [
        (start * 1000, (start + length) * 1000) for _, (start, length) in entries
    ]
    # The same label always has the same name, and different labels have different names.
    pairs = {(one.speaker, label) for one, (label, _) in zip(read, entries, strict=True)}
    assert len(pairs) == len({name for name, _ in pairs}) == len({label for _, label in pairs})


@given(st.lists(st.tuples(NAMES, SPANS), min_size=1, max_size=20, unique_by=lambda entry: entry[1]))
def test_pyannote_core_writes_the_same_turns(entries):
    """pyannote.core has a writer of RTTM and no reader: it must accept the names, and write the same lines."""
    from pyannote.core import Annotation, Segment  # slow to import

    turns = [turn(name, *span) for name, span in entries]
    text = to_rttm(turns, "talk")
    annotation = Annotation(uri="talk")
    for number, one in enumerate(read_turns(text.splitlines())):
        annotation[Segment(one.start / 1e6, one.end / 1e6), number] = one.speaker
    written = io.StringIO()
    annotation.write_rttm(written)
    assert sorted(written.getvalue().splitlines()) == sorted(text.splitlines())


def test_the_channel_is_the_first_one():
    assert read_turns(to_rttm([turn("Ann", 0, 1000)], "t").splitlines()) == [SpeakerTurn("t", "Ann", 0, 1_000_000)]
