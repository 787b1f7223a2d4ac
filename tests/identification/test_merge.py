"""Several identifications of one recording become one."""

import json
from xml.etree import ElementTree as ET

import attrs
from hypothesis import given
from hypothesis import strategies as st

from pyannote_voiceprint_async.api.codec import decode
from pyannote_voiceprint_async.identification.merge import merge
from pyannote_voiceprint_async.identification_result.identification import Identification
from pyannote_voiceprint_async.identification_result.output import IdentificationOutput
from pyannote_voiceprint_async.identification_result.turns import IdentifiedTurn, SpeakerScores
from pyannote_voiceprint_async.models import Job


def identified(job_id: str, spans: dict[str, list[tuple[float, float]]], scores: dict[str, dict[str, float]]):
    """Return an identification in which the best label of each speaker is the match."""
    matches = {name: max(known, key=known.get, default=None) for name, known in scores.items()}
    turns = sorted(
        (
            IdentifiedTurn(matches.get(name) or name, start, end, name, matches.get(name))
            for name, some in spans.items()
            for start, end in some
        ),
        key=lambda turn: turn.start,
    )
    output = IdentificationOutput(
        identification=tuple(turns),
        voiceprints=tuple(SpeakerScores(name, matches.get(name), known) for name, known in scores.items()),
    )
    return Identification.from_output(output, job_id=job_id, model="precision-2")


FIRST = identified("job-1", {"A": [(0, 10), (20, 30)], "B": [(10, 20)]}, {"A": {"Ann": 30}, "B": {"Bob": 85}})


def names(identification: Identification) -> dict[str, str | None]:
    return {speaker.diarization_speaker: speaker.match for speaker in identification.speakers}


def test_one_identification_stays_as_it_is():
    assert merge([FIRST]) is FIRST


def test_a_speaker_is_mapped_by_the_longest_overlap_and_the_highest_score_wins():
    """The names of the diarization differ between the jobs."""
    other = identified("job-2", {"X": [(10, 21)], "Y": [(0, 9), (21, 30)]}, {"X": {"Cleo": 20}, "Y": {"Dan": 90}})
    merged = merge([FIRST, other])
    assert names(merged) == {"A": "Dan", "B": "Bob"}
    assert [dict(speaker.scores) for speaker in merged.speakers] == [{"Dan": 90, "Ann": 30}, {"Bob": 85, "Cleo": 20}]
    assert [(turn.speaker, turn.start, turn.end, turn.diarization_speaker) for turn in merged.turns] == [
        ("Dan", 0, 10, "A"),
        ("Bob", 10, 20, "B"),
        ("Dan", 20, 30, "A"),
    ]
    assert (merged.job_id, merged.warnings) == ("job-1", ())
    assert [decision.label for decision in merged.decide()] == ["Dan", "Bob"]


def test_several_speakers_can_be_mapped_to_one():
    other = identified("job-2", {"X": [(0, 10)], "Y": [(20, 30)]}, {"X": {"Dan": 50}, "Y": {"Eve": 60, "Dan": 70}})
    merged = merge([FIRST, other])
    assert dict(merged.speakers[0].scores) == {"Dan": 70, "Eve": 60, "Ann": 30}
    assert names(merged) == {"A": "Dan", "B": "Bob"}


def test_half_of_the_speech_in_common_is_enough():
    other = identified("job-2", {"X": [(15, 20), (40, 45)]}, {"X": {"Dan": 90}})
    assert names(merge([FIRST, other])) == {"A": "Ann", "B": "Dan"}


def test_a_speaker_with_less_in_common_stays_separate_with_a_warning():
    other = identified("job-2", {"X": [(15, 20), (40, 46)]}, {"X": {"Dan": 90}})
    merged = merge([FIRST, other])
    assert names(merged) == {"A": "Ann", "B": "Bob", "X of job job-2": "Dan"}
    assert merged.warnings == (
        "X of job job-2 shares only 45% of the speech with a speaker of job job-1, and stays separate.",
    )
    assert [(turn.speaker, turn.start) for turn in merged.turns] == [
        ("Ann", 0), ("Bob", 10), ("Dan", 15), ("Ann", 20), ("Dan", 40),
    ]  # fmt: skip
    assert merged.speakers[2].seconds == 11


def test_a_match_stays_when_no_other_job_has_one():
    other = identified("job-2", {"X": [(10, 20)]}, {"X": {}})
    assert names(merge([FIRST, other])) == {"A": "Ann", "B": "Bob"}


def test_very_many_speakers_are_merged():
    """Each is compared with those that speak at the same time, not with all others."""
    spans = {f"S{number}": [(number, number + 1.0)] for number in range(20_000)}
    many = identified("job-2", spans, {name: {} for name in spans})
    assert merge([many, many]).warnings == ()
    assert len(merge([FIRST, many]).speakers) == 2 + 20_000 - 30


def test_turns_out_of_order_are_merged_in_order():
    other = identified("job-2", {"X": [(15, 20), (40, 46)]}, {"X": {"Dan": 90}})
    first = attrs.evolve(FIRST, turns=FIRST.turns[::-1])
    assert merge([first, attrs.evolve(other, turns=other.turns[::-1])]) == merge([FIRST, other])


def test_recordings_without_speech_are_merged():
    empty = Identification("job-2", "precision-2", warnings=("no speech",))
    assert merge([empty, empty]) == empty
    assert merge([FIRST, empty]).warnings == ("no speech",)


# Outputs that no API should send. Python's encoder writes NaN and Infinity as they are.
NAMES = (
    st.sampled_from(["S", "T", "Ann", "", "\x00\x1b[31m", "\u202e", "<b>&", "a b"]) | st.none() | st.text(max_size=3)
)
NUMBERS = st.floats() | st.integers() | st.booleans() | st.none() | st.text(max_size=2)
GARBAGE = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.just([]) | st.just({})
SCORES = st.dictionaries(st.sampled_from(["Ann", "Bob", "\x07"]), NUMBERS, max_size=3) | NUMBERS | GARBAGE
ENTRY = (
    st.fixed_dictionaries(
        {},
        optional={
            "speaker": NAMES | GARBAGE,
            "diarizationSpeaker": NAMES | GARBAGE,
            "match": NAMES | GARBAGE,
            "start": NUMBERS | st.floats(0, 100),
            "end": NUMBERS | st.floats(0, 100),
            "confidence": SCORES,
            "later": GARBAGE,
        },
    )
    | GARBAGE
)
ENTRIES = st.lists(ENTRY, max_size=6) | GARBAGE
OUTPUTS = st.fixed_dictionaries(
    {"identification": st.lists(ENTRY, max_size=6)},
    optional={
        "diarization": ENTRIES,
        "exclusiveDiarization": ENTRIES,
        "voiceprints": ENTRIES,
        "confidence": st.fixed_dictionaries({"score": st.lists(NUMBERS, max_size=3) | GARBAGE, "resolution": NUMBERS}),
        "warning": NAMES | GARBAGE,
        "later": GARBAGE,
    },
)


@given(OUTPUTS, OUTPUTS)
def test_garbage_is_read_decided_shown_stored_and_merged(one, other):
    """A paid job is never unreadable because of one of its fields."""
    results = []
    for number, output in enumerate((one, other)):
        body = json.dumps({"jobId": f"job-{number}", "status": "succeeded", "output": output}).encode()
        found = decode(Job, body).output
        assert isinstance(found, IdentificationOutput)
        results.append(Identification.from_output(found, job_id=f"job-{number}", model="precision-2"))
    for result in [*results, merge(results)]:
        assert len(result.decide()) == len(result.speakers)
        assert [len(line.split()) for line in result.to_rttm().splitlines()] == [10] * len(result.turns)
        ET.fromstring(result._repr_html_())  # noqa: S314 - our own text
        assert Identification.from_dict(json.loads(json.dumps(result.to_dict()))) == result
