"""The lines about the plan of `identify`."""

from types import SimpleNamespace

import pytest

from pyannote_voiceprint_async.cli.identify_plan import identify_plan_lines
from pyannote_voiceprint_async.enrollment import RunPlan
from pyannote_voiceprint_async.identification.run_plan import IdentificationRunPlan


@pytest.mark.parametrize(
    ("counts", "billed", "unknown", "parts", "expected"),
    [
        ({"jobs": 2}, 80, 0, 1, ["2 jobs to submit for 2 recordings: 1 min of audio to bill."]),
        (
            {"jobs": 4, "succeeded": 2}, 80, 2, 3,
            [
                ("4 jobs to submit for 2 recordings, 3 jobs for each recording: 1 min of audio to bill, and 2 of "
                "unknown length."),
                "      2 have a result",
            ],
        ),
        (
            {"jobs": 1}, 0, 1, 1,
            [
                ("1 job to submit for 2 recordings: billed by the seconds of the recordings, whose length is not known "
                "here.")
            ],
        ),
        (
            {"unresolved": 1, "possible_jobs": 1, "expired": 1}, 0, 0, 1,
            [
                "0 jobs to submit for 2 recordings.",
                "      1 have an unknown outcome: it is resolved first, and they may then be submitted",
                "      1 expired before, and are not resubmitted (--retry-expired)",
                "Up to 1 more for submissions of unknown outcome that were not accepted.",
            ],
        ),
    ],
)  # fmt: skip
def test_the_lines_have_the_jobs_what_is_billed_and_the_states(counts, billed, unknown, parts, expected):
    arguments = SimpleNamespace(recordings=["a", "b"], requests=[None] * parts, dry_run=False)
    assert list(identify_plan_lines(IdentificationRunPlan(RunPlan(**counts), billed, unknown), arguments)) == expected
