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
        (
            {"jobs": 2}, 80, 0, 1,
            ["The run has 2 recordings.", "To be submitted: 2 jobs (1 min 20 s of audio to bill)."],
        ),
        (
            {"jobs": 4, "succeeded": 2}, 80, 2, 3,
            [
                "The run has 2 recordings, with 3 jobs for each:",
                "      2 with a result",
                "To be submitted: 4 jobs (1 min 20 s of audio to bill, and 2 whose length is not known here).",
            ],
        ),
        (
            {"jobs": 1}, 0, 1, 1,
            [
                "The run has 2 recordings.",
                "To be submitted: 1 job (billed by the seconds of the recordings, whose length is not known here).",
            ],
        ),
        (
            {"unresolved": 1, "possible_jobs": 1, "expired": 1}, 0, 0, 1,
            [
                "The run has 2 recordings:",
                "      1 of unknown outcome: resolved first, and then submitted if it was not accepted",
                "      1 expired before, and not resubmitted (--retry-expired)",
                "To be submitted: 0 jobs, and up to 1 more for recordings of unknown outcome that were not accepted.",
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
        (0, "To be submitted: 2 jobs (2 min 32 s of audio, free in the sandbox)."),
        (2, "To be submitted: 2 jobs (free in the sandbox)."),
    ],
)
def test_nothing_is_billed_in_the_sandbox(unknown, expected):
    common = CommonOptions(sandbox=True)
    arguments = SimpleNamespace(recordings=["a"], requests=[None] * 2, dry_run=False, common=common)
    lines = list(identify_plan_lines(IdentificationRunPlan(RunPlan(jobs=2), 152, unknown), arguments))
    assert lines == ["The run has 1 recording, with 2 jobs for each.", expected]


def test_a_dry_run_reports_first_that_nothing_was_sent():
    arguments = SimpleNamespace(recordings=["a"], requests=[None], dry_run=True, common=CommonOptions())
    assert list(identify_plan_lines(IdentificationRunPlan(RunPlan(jobs=1), 20, 0), arguments)) == [
        "Nothing was sent or changed. The run has 1 recording.",
        "To be submitted: 1 job (20 s of audio to bill).",
    ]
