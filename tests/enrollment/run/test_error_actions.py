"""What a run does about each error of an upload or a submission."""

import pytest

from pyannote_voiceprint_async.enrollment.run.error_actions import ErrorAction, PostponedError, RowError, action_for
from pyannote_voiceprint_async.errors import (
    ApiConnectionError,
    ApiTimeoutError,
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    LedgerError,
    MediaError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    SubscriptionRequiredError,
    UnexpectedResponseError,
    VoiceprintError,
)

TABLE = [
    (SubscriptionRequiredError("no credit", status=402), ErrorAction.STOP),
    (LedgerError("disk full"), ErrorAction.STOP),
    (ConfigurationError("session closed"), ErrorAction.STOP),
    (PostponedError("later"), ErrorAction.POSTPONE),
    (ApiTimeoutError("no response", outcome_unknown=True), ErrorAction.RESOLVE),
    (ServerError("failed", status=500, outcome_unknown=True), ErrorAction.RESOLVE),
    (UnexpectedResponseError("no JSON", status=200, outcome_unknown=True), ErrorAction.RESOLVE),
    (RowError("expired", "url-expired"), ErrorAction.FAIL_ROW),
    (InvalidRequestError("bad URL", status=400), ErrorAction.FAIL_ROW),
    (MediaError("cannot be read"), ErrorAction.FAIL_ROW),
    (MediaError("storage failed", retryable=True), ErrorAction.JUDGE_REFUSAL),
    (ApiConnectionError("refused", retryable=True), ErrorAction.PAUSE),
    (ApiConnectionError("proxy wants a password"), ErrorAction.PAUSE_OR_STOP),
    (AuthenticationError("key", status=401), ErrorAction.JUDGE_REFUSAL),
    (PermissionDeniedError("key", status=403), ErrorAction.JUDGE_REFUSAL),
    (NotFoundError("no route", status=404), ErrorAction.JUDGE_REFUSAL),
    (UnexpectedResponseError("redirect", status=302), ErrorAction.JUDGE_REFUSAL),
    (RateLimitError("busy", status=429, retryable=True), ErrorAction.PAUSE),
    (ServerError("busy", status=503, retryable=True), ErrorAction.PAUSE),
    (VoiceprintError("anything else", retryable=True), ErrorAction.PAUSE),
    (VoiceprintError("anything else"), ErrorAction.JUDGE_REFUSAL),
]


@pytest.mark.parametrize(("error", "expected"), TABLE, ids=[repr(row[0])[:70] for row in TABLE])
def test_each_error_has_one_action(error, expected):
    assert action_for(error) is expected
