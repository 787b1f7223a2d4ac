"""Outcomes of requests: which error flags they set, and which statuses lead to them."""

import pytest

from pyannote_voiceprint_async.api.outcomes import RequestOutcome, error_flags, next_step, outcome_of_status

# retryable, outcome_unknown
NEITHER = (False, False)
RETRYABLE = (True, False)
UNKNOWN = (False, True)


@pytest.mark.parametrize(
    ("outcome", "repeatable", "submission"),
    [
        (RequestOutcome.NEVER_SENT, RETRYABLE, RETRYABLE),
        (RequestOutcome.RETRY_LATER, RETRYABLE, RETRYABLE),
        (RequestOutcome.UNKNOWN, RETRYABLE, UNKNOWN),
        (RequestOutcome.REFUSED, NEITHER, NEITHER),
    ],
)
def test_flags_of_each_outcome(outcome, repeatable, submission):
    assert tuple(error_flags(outcome, repeatable=True).values()) == repeatable
    assert tuple(error_flags(outcome, repeatable=False).values()) == submission
    assert list(error_flags(outcome, repeatable=False)) == ["retryable", "outcome_unknown"]


def test_only_an_unknown_submission_warns_of_double_payment():
    warned = {
        (outcome, repeatable): "billed twice" in next_step(outcome, repeatable=repeatable)
        for outcome in (RequestOutcome.NEVER_SENT, RequestOutcome.UNKNOWN)
        for repeatable in (True, False)
    }
    assert [case for case, warns in warned.items() if warns] == [(RequestOutcome.UNKNOWN, False)]


def test_every_status_has_an_outcome():
    """Only 3xx and 4xx are refusals, except 408 and 429."""
    outcomes = {status: outcome_of_status(status, {}) for status in range(-1, 1000)}
    refused = {status for status, outcome in outcomes.items() if outcome is RequestOutcome.REFUSED}
    assert refused == set(range(300, 500)) - {408, 429}
    assert {status for status, outcome in outcomes.items() if outcome is RequestOutcome.RETRY_LATER} == {429}
    assert {outcome for status, outcome in outcomes.items() if not 300 <= status <= 499} == {RequestOutcome.UNKNOWN}
