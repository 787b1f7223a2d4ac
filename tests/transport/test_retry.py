"""Which requests are retried, when, and how often."""

import asyncio
import math
from collections.abc import Callable

import pytest
from fake_clock import FakeClock, settle
from hypothesis import given, settings
from hypothesis import strategies as st

from pyannote_voiceprint_async import (
    ApiConnectionError,
    ConfigurationError,
    RateLimitError,
    RetryPolicy,
    ServerError,
    SubmissionInProgressError,
    UnexpectedResponseError,
    VoiceprintError,
)
from pyannote_voiceprint_async.api.outcomes import RequestOutcome, error_flags, outcome_of_status
from pyannote_voiceprint_async.api.rate_limit_headers import retry_after
from pyannote_voiceprint_async.errors import status_error_class
from pyannote_voiceprint_async.transport.retry import exponential_wait, is_final, retry_wait, with_retries

UNSENT = "never sent"


class FailingRequest:
    """A request that fails with each of `errors` in turn, and then succeeds."""

    def __init__(self, *errors: BaseException, clock: FakeClock, seconds: float = 0.0) -> None:
        self.first_sent_at: float | None = None
        self.deadline: float | None = None
        self.retries = 0
        self.sent_at: list[float] = []
        self._errors = iter(errors)
        self._clock = clock
        self._seconds = seconds

    async def send(self) -> str:
        """Make one try that lasts `seconds`. Its first byte is sent at once, unless its error is `UNSENT`."""
        error = next(self._errors, None)
        self.sent_at.append(self._clock.time())
        if self.first_sent_at is None and str(error) != UNSENT:
            self.first_sent_at = self._clock.time()
        if self._seconds:
            await self._clock.sleep(self._seconds)
        if error is not None:
            raise error
        return "done"


def failed(
    outcome: RequestOutcome = RequestOutcome.UNKNOWN, *, repeatable: bool = True, requested: float | None = None
) -> VoiceprintError:
    """Return an error without a response."""
    sentence = UNSENT if outcome is RequestOutcome.NEVER_SENT else "lost"
    return ApiConnectionError(sentence, retry_after=requested, **error_flags(outcome, repeatable=repeatable))


def unreadable(*, repeatable: bool) -> VoiceprintError:
    return UnexpectedResponseError(
        "unreadable", status=200, **error_flags(RequestOutcome.UNKNOWN, repeatable=repeatable)
    )


def response_error(status: int, retry_after_header: str | None = None, *, repeatable: bool) -> VoiceprintError:
    """Return the error of a response with this `Retry-After`."""
    headers = {} if retry_after_header is None else {"Retry-After": retry_after_header}
    error = UnexpectedResponseError if status < 400 else status_error_class(status)
    return error(
        f"status {status}",
        status=status,
        retry_after=retry_after(headers, 0.0),
        **error_flags(outcome_of_status(status, headers), repeatable=repeatable),
    )


def ignore(*_: object) -> None:
    """Ignore a retry."""


async def run(
    request: FailingRequest,
    clock: FakeClock,
    policy: RetryPolicy,
    *,
    until: float = 10_000.0,
    on_retry: Callable[[FailingRequest, VoiceprintError, int, float], None] = ignore,
) -> object:
    """Send the request with retries on the fake clock, and return its result or its error."""
    task = asyncio.create_task(
        with_retries(FailingRequest.send, request, policy=policy, clock=clock, sleep=clock.sleep, on_retry=on_retry)
    )
    await settle()
    while not task.done() and (due := clock.next_at()) is not None and due <= until:
        clock.jump(due)
        await settle()
    if not task.done():
        task.cancel()
    (result,) = await asyncio.gather(task, return_exceptions=True)
    return result


RETRIED = "retried"
RAISED = "raised"
UNKNOWN = "raised with outcome_unknown"


@pytest.mark.parametrize(
    ("what", "read", "submission", "submission_with_replay"),
    [
        # what happened, a repeatable operation, a submission, a submission with replay_unknown
        (UNSENT, RETRIED, RETRIED, RETRIED),
        ((503, "1"), RETRIED, RETRIED, RETRIED),
        ((503, "0.5"), RETRIED, RETRIED, RETRIED),
        ((503, "Thu, 01 Jan 1970 00:00:09 GMT"), RETRIED, RETRIED, RETRIED),
        ((503, "soon"), RETRIED, UNKNOWN, RETRIED),
        ((503, None), RETRIED, UNKNOWN, RETRIED),
        ((500, None), RETRIED, UNKNOWN, RETRIED),
        ((500, "1"), RETRIED, UNKNOWN, RETRIED),
        ((502, None), RETRIED, UNKNOWN, RETRIED),
        ((504, None), RETRIED, UNKNOWN, RETRIED),
        ((599, None), RETRIED, UNKNOWN, RETRIED),
        ((408, None), RETRIED, UNKNOWN, RETRIED),
        ("no response", RETRIED, UNKNOWN, RETRIED),
        ("unreadable", RETRIED, UNKNOWN, RETRIED),
        ((100, None), RETRIED, UNKNOWN, RETRIED),
        ((400, None), RAISED, RAISED, RAISED),
        ((401, None), RAISED, RAISED, RAISED),
        ((402, None), RAISED, RAISED, RAISED),
        ((403, None), RAISED, RAISED, RAISED),
        ((404, None), RAISED, RAISED, RAISED),
        ((404, "1"), RAISED, RAISED, RAISED),
        ((409, None), RAISED, RAISED, RAISED),
        ((418, None), RAISED, RAISED, RAISED),
        ((422, None), RAISED, RAISED, RAISED),
        ((499, None), RAISED, RAISED, RAISED),
        ((301, None), RAISED, RAISED, RAISED),
        ((307, None), RAISED, RAISED, RAISED),
    ],
)
async def test_the_table_of_retries(clock, what, read, submission, submission_with_replay):
    """Each row: a repeatable operation, a submission, a submission with `replay_unknown`."""
    outcomes = []
    for repeatable, replay in [(True, False), (False, False), (False, True)]:
        match what:
            case "never sent":  # UNSENT
                error = failed(RequestOutcome.NEVER_SENT, repeatable=repeatable)
            case "no response":
                error = failed(RequestOutcome.UNKNOWN, repeatable=repeatable)
            case "unreadable":
                error = unreadable(repeatable=repeatable)
            case status, retry_after_header:
                error = response_error(status, retry_after_header, repeatable=repeatable)
        request = FailingRequest(error, clock=clock)
        result = await run(request, clock, RetryPolicy(replay_unknown=replay))
        if result == "done":
            assert (len(request.sent_at), request.retries) == (2, 1)
            outcomes.append(RETRIED)
        else:
            assert result is error
            assert (len(request.sent_at), request.retries) == (1, 0)
            outcomes.append(UNKNOWN if error.outcome_unknown else RAISED)
    assert outcomes == [read, submission, submission_with_replay]


@pytest.mark.parametrize("requested", [None, 1.0, 121.0])
async def test_a_429_is_not_retried_here(clock, requested):
    """The rate limiter waits after a 429; a `RateLimitError` that reaches the retry loop is raised."""
    error = RateLimitError("wait", status=429, retryable=True, retry_after=requested)
    request = FailingRequest(error, clock=clock)
    assert await run(request, clock, RetryPolicy()) is error
    assert len(request.sent_at) == 1


@pytest.mark.parametrize("max_tries", [1, 2, 5])
@pytest.mark.parametrize("outcome", [RequestOutcome.NEVER_SENT, RequestOutcome.UNKNOWN])
async def test_no_more_tries_than_allowed(clock, max_tries, outcome):
    """The error of the last try is raised."""
    errors = [failed(outcome) for _ in range(10)]
    request = FailingRequest(*errors, clock=clock)
    assert await run(request, clock, RetryPolicy(max_tries=max_tries)) is errors[max_tries - 1]
    assert (len(request.sent_at), request.retries) == (max_tries, max_tries - 1)


async def test_a_success_ends_the_tries(clock):
    request = FailingRequest(failed(), failed(), clock=clock)
    assert await run(request, clock, RetryPolicy(max_tries=3)) == "done"
    assert request.retries == 2


@pytest.mark.parametrize("requested", [0.25, 1.0, 45.0, 120.0])
async def test_a_requested_wait_is_kept_exactly(clock, requested):
    """Neither `cap` nor jitter changes it."""
    request = FailingRequest(failed(requested=requested), failed(requested=requested), clock=clock)
    assert await run(request, clock, RetryPolicy(base=0.1, cap=0.2)) == "done"
    assert request.sent_at == [0.0, requested, 2 * requested]


@pytest.mark.parametrize("requested", [120.25, 1e6, 1e300, math.inf])
async def test_a_longer_wait_than_allowed_is_raised_at_once(clock, requested):
    """For every kind of failure, without another try."""
    for outcome in (RequestOutcome.RETRY_LATER, RequestOutcome.UNKNOWN):
        error = failed(outcome, requested=requested)
        request = FailingRequest(error, clock=clock)
        assert await run(request, clock, RetryPolicy(max_retry_after=120.0)) is error
        assert request.sent_at == [clock.time()]


@pytest.mark.parametrize(
    ("seconds_a_try", "requested", "max_elapsed", "sent_at"),
    [
        (0.0, 10.0, 30.0, [0.0, 10.0, 20.0, 30.0]),
        (0.0, 10.0, 29.75, [0.0, 10.0, 20.0]),
        (5.0, 10.0, 30.0, [0.0, 15.0, 30.0]),
        (5.0, 10.0, 29.75, [0.0, 15.0]),
        (31.0, 1.0, 30.0, [0.0]),
        (0.0, 31.0, 30.0, [0.0]),
    ],
)
async def test_no_try_is_sent_after_max_elapsed(clock, seconds_a_try, requested, max_elapsed, sent_at):
    """A requested wait that ends after `max_elapsed` is not shortened: the error is raised at once."""
    request = FailingRequest(*[failed(requested=requested) for _ in range(10)], clock=clock, seconds=seconds_a_try)
    result = await run(request, clock, RetryPolicy(max_tries=10, max_elapsed=max_elapsed))
    assert isinstance(result, ApiConnectionError)
    assert request.sent_at == sent_at


async def test_time_counts_from_the_first_byte(clock):
    """The time of tries that were never sent does not count."""
    unsent = [failed(RequestOutcome.NEVER_SENT, requested=50.0) for _ in range(3)]
    request = FailingRequest(*unsent, failed(requested=50.0), failed(requested=50.0), clock=clock)
    result = await run(request, clock, RetryPolicy(max_tries=10, max_elapsed=60.0))
    assert isinstance(result, ApiConnectionError)
    assert request.sent_at == [0.0, 50.0, 100.0, 150.0, 200.0]


@settings(deadline=None, max_examples=200)
@given(
    base=st.floats(1e-3, 100.0),
    cap=st.floats(1e-3, 1000.0),
    tries=st.one_of(st.integers(1, 20), st.integers(1, 10**9)),
)
def test_the_exponential_wait_doubles_up_to_the_cap_with_full_jitter(base, cap, tries):
    """The wait is between 0 and `base * 2 ** (tries - 1)`, and never above `cap`."""
    policy = RetryPolicy(base=base, cap=cap)
    doubled = min(cap, base * 2.0 ** min(tries - 1, 100))
    pauses = [exponential_wait(policy, tries) for _ in range(200)]
    assert all(0.0 <= pause <= doubled for pause in pauses)
    # With a probability of 1 to 10^-9, 200 samples include the first and the last tenth of the range.
    assert min(pauses) < doubled / 10
    assert max(pauses) > doubled * 9 / 10


async def test_exponential_waits_use_the_clock(clock, monkeypatch):
    """Without jitter they are 1, 2, 4 and 4 seconds."""
    monkeypatch.setattr("random.uniform", lambda _, most: most)
    request = FailingRequest(*[failed() for _ in range(5)], clock=clock)
    await run(request, clock, RetryPolicy(base=1.0, cap=4.0))
    assert request.sent_at == [0.0, 1.0, 3.0, 7.0, 11.0]


@pytest.mark.parametrize("absurd", [0.0, -0.0, -1.0, -1e300, -math.inf, math.nan])
async def test_invalid_requested_waits_fall_back_to_the_exponential_wait(clock, monkeypatch, absurd):
    """No invalid wait blocks the retry or sends it at once."""
    monkeypatch.setattr("random.uniform", lambda _, most: most)
    policy = RetryPolicy(base=1.0)
    assert retry_wait(failed(requested=absurd), 1, policy) == 1.0
    request = FailingRequest(failed(requested=absurd), clock=clock)
    assert await run(request, clock, policy, until=100.0) == "done"
    assert request.sent_at == [0.0, 1.0]


@pytest.mark.parametrize("max_tries", [0, -1, 0.5, 2.5, math.nan, math.inf, True, "5", None])
def test_an_invalid_max_tries_is_rejected(max_tries):
    """The number of tries is a whole number: 2.5 would never be reached."""
    with pytest.raises(ConfigurationError) as caught:
        RetryPolicy(max_tries=max_tries)
    assert "max_tries" in str(caught.value)


@pytest.mark.parametrize("field", ["max_elapsed", "base", "cap", "max_retry_after"])
@pytest.mark.parametrize("value", [0, -1.0, math.nan, False, "1", None])
def test_an_invalid_policy_is_rejected(field, value):
    with pytest.raises(ConfigurationError) as caught:
        RetryPolicy(**{field: value})
    assert field in str(caught.value)


@settings(deadline=None, max_examples=200)
@given(
    outcome=st.sampled_from(RequestOutcome),
    repeatable=st.booleans(),
    replay=st.booleans(),
    requested=st.one_of(st.none(), st.floats()),
)
def test_an_unknown_outcome_is_not_retried_without_replay_unknown(outcome, repeatable, replay, requested):
    """Whatever wait the server requests, an unknown outcome is final for a submission, and a refusal for all."""
    error = failed(outcome, repeatable=repeatable, requested=requested)
    final = is_final(error, RetryPolicy(replay_unknown=replay))
    if outcome is RequestOutcome.REFUSED or (outcome is RequestOutcome.UNKNOWN and not repeatable and not replay):
        assert final is True
    else:
        assert final is (requested is not None and requested > 120.0)


@pytest.mark.parametrize("foreign", [ValueError("a mistake"), asyncio.CancelledError()])
async def test_an_exception_of_other_code_is_raised_at_once(clock, foreign):
    request = FailingRequest(foreign, clock=clock)
    result = await run(request, clock, RetryPolicy())
    assert isinstance(result, type(foreign))
    assert len(request.sent_at) == 1


async def test_cancellation_ends_a_wait(clock):
    request = FailingRequest(failed(requested=100.0), clock=clock)
    task = asyncio.create_task(
        with_retries(
            FailingRequest.send, request, policy=RetryPolicy(), clock=clock, sleep=clock.sleep, on_retry=ignore
        )
    )
    await settle()
    task.cancel()
    await settle()
    assert task.cancelled()
    assert clock.next_at() is None


async def test_concurrent_requests_count_their_own_tries(clock):
    """Five requests are retried at the same time."""
    policy = RetryPolicy(max_tries=3)
    requests = [FailingRequest(failed(requested=1.0), failed(requested=2.0), clock=clock) for _ in range(5)]
    tasks = [
        asyncio.create_task(
            with_retries(FailingRequest.send, request, policy=policy, clock=clock, sleep=clock.sleep, on_retry=ignore)
        )
        for request in requests
    ]
    for _ in range(3):
        await settle()
        await clock.advance(1.0)
    assert [task.done() and task.result() for task in tasks] == ["done"] * 5
    assert [request.retries for request in requests] == [2] * 5


async def test_each_retry_is_reported(clock):
    """An error that is not retried is raised instead."""
    retries: list[tuple[str, int, float]] = []
    request = FailingRequest(failed(requested=1.0), ServerError("busy", retryable=True, retry_after=2.0), clock=clock)
    on_retry = lambda _, error, tries, wait: retries.append((str(error), tries, wait))  # noqa: E731
    await run(request, clock, RetryPolicy(), on_retry=on_retry)
    await run(FailingRequest(failed(RequestOutcome.REFUSED), clock=clock), clock, RetryPolicy(), on_retry=on_retry)
    assert retries == [("lost", 1, 1.0), ("busy", 2, 2.0)]


async def test_a_call_that_has_lost_its_submission_key_is_not_repeated(clock: FakeClock):
    """Each try would lose the key again. The caller can repeat the call."""
    request = FailingRequest(SubmissionInProgressError(UNSENT, key="a", retryable=True), clock=clock)
    with pytest.raises(SubmissionInProgressError):
        await with_retries(
            FailingRequest.send, request, policy=RetryPolicy(), clock=clock, sleep=clock.sleep, on_retry=ignore
        )
    assert request.retries == 0
