"""The arguments of `identify` become requests."""

import json

import pytest

from pyannote_voiceprint_async.cli.identify_arguments import IdentifyArguments
from pyannote_voiceprint_async.cli.options import CommonOptions
from pyannote_voiceprint_async.models import Matching
from pyannote_voiceprint_async.sandbox import voiceprint_of


@pytest.fixture
def check(tmp_path):
    """Return the function that checks arguments with 60 speakers; other options have their defaults."""
    path = tmp_path / "many.json"
    path.write_text(json.dumps({f"person {number}": voiceprint_of(b"%d" % number) for number in range(60)}))
    defaults = {
        "sources": ["https://example.com/talk.wav"], "speakers_file": path, "ledger_option": None, "expected": (),
        "max_jobs": 2, "out": None, "plot": None, "force": False, "preflight": True, "model": None, "timeout": 60.0,
        "dry_run": False, "as_json": False, "threshold": 0.0, "exclusive_matching": True, "num_speakers": None,
        "exclusive_diarization": False,
    }  # fmt: skip
    return lambda **values: IdentifyArguments.check(CommonOptions(), **defaults | values)


def test_the_options_are_in_each_request(check):
    arguments = check(threshold=40.0, exclusive_matching=False, num_speakers=3, exclusive_diarization=True)
    assert [
        (request.matching, request.num_speakers, request.exclusive, request.model) for request in arguments.requests
    ] == [(Matching(40.0, exclusive=False), 3, True, "precision-2")] * 2
    assert {request.matching for request in check().requests} == {Matching(0.0, exclusive=True)}


def test_expected_speakers_are_in_the_first_job(check):
    first, second = check(expected=("person 59", "person 55")).requests
    assert list(first.voiceprints)[:3] == ["person 59", "person 55", "person 0"]
    assert (len(first.voiceprints), len(second.voiceprints)) == (50, 10)
    assert not first.voiceprints.keys() & second.voiceprints.keys()


def test_each_recording_needs_all_jobs_in_the_plan(check):
    plan = check(sources=["https://example.com/a.wav", "https://example.com/b.wav"], max_jobs=4).plan()
    assert (plan.counts.jobs, plan.unknown_lengths) == (4, 4)
