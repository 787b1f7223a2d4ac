"""The lines about the plan of `identify`."""

from types import SimpleNamespace

import pytest

from pyannote_voiceprint_async.cli.identify_plan import identify_plan_lines
from pyannote_voiceprint_async.cli.options import CommonOptions
from pyannote_voiceprint_async.enrollment import RunPlan
from pyannote_voiceprint_async.identification.run_plan import IdentificationRunPlan


@pytest.mark.parametrize(
    ("counts", "billed", "unknown", "parts", "expected"),
    [
        ({"jobs": 2}, 80, 0, 1, ["2 jobs to submit for 2 recordings: 1 min 20 s of audio to bill."]),
        (
            {"jobs": 4, "succeeded": 2}, 80, 2, 3,
            [
                ("4 jobs to submit for 2 recordings, 3 jobs for each recording: 1 min 20 s of audio to bill, and 2 of "
                "unknown length."),
                "      2 with a result",
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
                "      1 of unknown outcome: resolved first, and then submitted if it was not accepted",
                "      1 expired before, and not resubmitted (--retry-expired)",
                "Up to 1 more for submissions of unknown outcome that were not accepted.",
            ],
        ),
    ],
)  # fmt: skip
def test_the_lines_have_the_jobs_what_is_billed_and_the_states(counts, billed, unknown, parts, expected):
    arguments = SimpleNamespace(recordings=["a", "b"], requests=[None] * parts, dry_run=False, common=CommonOptions())
    assert list(identify_plan_lines(IdentificationRunPlan(RunPlan(**counts), billed, unknown), arguments)) == expected


@pytest.mark.parametrize(
    ("unknown", "expected"),
    [
        (0, "2 jobs to submit for 1 recording, 2 jobs for each recording: 2 min 32 s of audio (free in the sandbox)."),
        (2, "2 jobs to submit for 1 recording, 2 jobs for each recording (free in the sandbox)."),
    ],
)
def test_nothing_is_billed_in_the_sandbox(unknown, expected):
    common = CommonOptions(sandbox=True)
    arguments = SimpleNamespace(recordings=["a"], requests=[None] * 2, dry_run=False, common=common)
    assert list(identify_plan_lines(IdentificationRunPlan(RunPlan(jobs=2), 152, unknown), arguments)) == [expected]
