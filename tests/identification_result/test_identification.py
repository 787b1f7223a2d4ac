"""The result of an identification."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyannote_voiceprint_async.identification_result.decisions import Certainty
from pyannote_voiceprint_async.identification_result.identification import Identification
from pyannote_voiceprint_async.identification_result.output import IdentificationOutput
from pyannote_voiceprint_async.identification_result.turns import (
    DiarizedTurn,
    FrameConfidence,
    IdentifiedSpeaker,
    IdentifiedTurn,
    SpeakerScores,
)

OUTPUT = IdentificationOutput(
    diarization=(DiarizedTurn("SPEAKER_00", 0.0, 20.0), DiarizedTurn("SPEAKER_01", 21.0, 22.0)),
    identification=(
        IdentifiedTurn("Ann", 0.0, 20.0, "SPEAKER_00", "Ann"),
        IdentifiedTurn("SPEAKER_01", 21.0, 22.0, "SPEAKER_01"),
    ),
    voiceprints=(SpeakerScores("SPEAKER_00", "Ann", {"Ann": 85, "Bob": 12}),),
    warning="The audio is noisy",
)


def test_it_is_made_from_an_output():
    now = datetime(2026, 11, 30, tzinfo=UTC)
    made = Identification.from_output(OUTPUT, job_id="job-1", model="precision-2", created_at=now, warnings=("a", None))
    assert made == Identification(
        job_id="job-1",
        model="precision-2",
        turns=OUTPUT.identification,
        speakers=(
            IdentifiedSpeaker("SPEAKER_00", 20.0, "Ann", {"Ann": 85, "Bob": 12}),
            IdentifiedSpeaker("SPEAKER_01", 1.0),
        ),
        diarization=OUTPUT.diarization,
        created_at=now,
        warnings=("a", "The audio is noisy"),
    )


def test_entries_that_are_left_out_are_reported():
    made = Identification.from_output(IdentificationOutput(unreadable=2), job_id="1", model="m")
    assert made.warnings == ("2 entries of the output cannot be read and are left out.",)


def test_decide_has_the_documented_thresholds():
    made = Identification.from_output(OUTPUT, job_id="1", model="m")
    assert [decision.certainty for decision in made.decide()] == [Certainty.CERTAIN, Certainty.UNKNOWN]
    assert made.decide(min_score=85)[0].certainty is Certainty.UNKNOWN
    assert made.decide(min_margin=74)[0].certainty is Certainty.REVIEW
    assert made.decide(min_speech=21)[0].certainty is Certainty.REVIEW


def test_rttm_has_the_labels():
    made = Identification.from_output(OUTPUT, job_id="1", model="m")
    assert [line.split()[7] for line in made.to_rttm("talk").splitlines()] == ["Ann", "SPEAKER_01"]


def test_repr_is_short():
    made = Identification.from_output(OUTPUT, job_id="1", model="m")
    assert repr(made) == "<Identification job_id=1 speakers=2 turns=2>"
    assert len(repr(OUTPUT)) < 300


TEXTS = st.text(max_size=5)
TIMES = st.floats(0, 1e5)
SCORES = st.dictionaries(TEXTS, st.floats(0, 100), max_size=3)
CONFIDENCE = st.none() | SCORES | st.floats(0, 100)
DIARIZED = st.lists(st.builds(DiarizedTurn, TEXTS, TIMES, TIMES, CONFIDENCE), max_size=3).map(tuple)
IDENTIFICATIONS = st.builds(
    Identification,
    TEXTS,
    TEXTS,
    st.lists(st.builds(IdentifiedTurn, TEXTS, TIMES, TIMES, TEXTS, st.none() | TEXTS, CONFIDENCE), max_size=3).map(
        tuple
    ),
    st.lists(st.builds(IdentifiedSpeaker, TEXTS, TIMES, st.none() | TEXTS, SCORES), max_size=3).map(tuple),
    DIARIZED,
    DIARIZED,
    st.none() | st.builds(FrameConfidence, st.lists(st.floats(0, 100)).map(tuple), st.floats(0.01, 1)),
    st.none() | st.datetimes(timezones=st.just(UTC)),
    st.lists(TEXTS).map(tuple),
)


@given(IDENTIFICATIONS)
def test_to_dict_is_json_and_from_dict_reads_it_back(made):
    assert Identification.from_dict(json.loads(json.dumps(made.to_dict()))) == made


def test_from_dict_ignores_unknown_fields_and_accepts_missing_ones():
    stored = {
        "job_id": "1",
        "model": "m",
        "later": 1,
        "turns": [{"speaker": "A", "start": 0, "end": 1, "diarization_speaker": "S", "later": 1}],
    }
    assert Identification.from_dict(stored) == Identification("1", "m", (IdentifiedTurn("A", 0, 1, "S"),))


@pytest.mark.parametrize("stored", [{}, {"job_id": "1"}, {"job_id": "1", "model": "m", "turns": [{"speaker": "A"}]}])
def test_from_dict_refuses_what_lacks_a_required_field(stored):
    with pytest.raises(KeyError):
        Identification.from_dict(stored)
