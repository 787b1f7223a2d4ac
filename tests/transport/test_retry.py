"""What is sent once more, when, and when no more."""

import asyncio
import logging
import math

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
    UnexpectedResponseError,
    VoiceprintError,
)
from pyannote_voiceprint_async.api.rate_limit_headers import retry_after
from pyannote_voiceprint_async.api.responses import RequestOutcome, error_flags, outcome_of_status
from pyannote_voiceprint_async.errors import status_error_class
from pyannote_voiceprint_async.transport.retry import exponential, is_final, pause_after, with_retries

SECRET = "sk-not-to-be-shown"
UNSENT = "never sent"


class ApiRequest:
    """A call on its way down, which fails with each of `errors` in turn and then succeeds."""

    def __init__(self, *errors: BaseException, clock: FakeClock, seconds: float = 0.0) -> None:
        self.first_sent_at: float | None = None
        self.deadline: float | None = None
        self.retries = 0
        self.sent_at: list[float] = []
        self._errors = iter(errors)
        self._clock = clock
        self._seconds = seconds

    def __repr__(self) -> str:
        return SECRET

    async def send(self) -> str:
        """Take `seconds`; the first byte leaves at once, but for what is never sent."""
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
    fate: RequestOutcome = RequestOutcome.UNKNOWN, *, repeatable: bool = True, told: float | None = None
) -> VoiceprintError:
    """An error without an answer."""
    sentence = UNSENT if fate is RequestOutcome.NEVER_SENT else "lost"
    return ApiConnectionError(sentence, retry_after=told, **error_flags(fate, repeatable=repeatable))


def unreadable(*, repeatable: bool) -> VoiceprintError:
    return UnexpectedResponseError(
        "unreadable", status=200, **error_flags(RequestOutcome.UNKNOWN, repeatable=repeatable)
    )


def answered(status: int, said: str | None = None, *, repeatable: bool) -> VoiceprintError:
    """The error of an answer, with this `Retry-After`."""
    headers = {} if said is None else {"Retry-After": said}
    error = UnexpectedResponseError if status < 400 else status_error_class(status)
    return error(
        f"status {status}",
        status=status,
        retry_after=retry_after(headers, 0.0),
        **error_flags(outcome_of_status(status, headers), repeatable=repeatable),
    )


async def run(call: ApiRequest, clock: FakeClock, policy: RetryPolicy, *, until: float = 10_000.0) -> object:
    """Send the call through the loop, moving the clock on; give its result or its error."""
    task = asyncio.create_task(with_retries(ApiRequest.send, call, policy=policy, clock=clock, sleep=clock.sleep))
    await settle()
    while not task.done() and (due := clock.next_at()) is not None and due <= until:
        clock.jump(due)
        await settle()
    if not task.done():
        task.cancel()
    (result,) = await asyncio.gather(task, return_exceptions=True)
    return result


REPEATED = "repeated"
RAISED = "raised"
UNKNOWN = "raised with outcome_unknown"


@pytest.mark.parametrize(
    ("what", "read", "submission", "submission_with_replay"),
    [
        # what happened, a repeatable operation, a submission, a submission with replay_unknown
        (UNSENT, REPEATED, REPEATED, REPEATED),
        ((503, "1"), REPEATED, REPEATED, REPEATED),
        ((503, "0.5"), REPEATED, REPEATED, REPEATED),
        ((503, "Thu, 01 Jan 1970 00:00:09 GMT"), REPEATED, REPEATED, REPEATED),
        ((503, "soon"), REPEATED, UNKNOWN, REPEATED),
        ((503, None), REPEATED, UNKNOWN, REPEATED),
        ((500, None), REPEATED, UNKNOWN, REPEATED),
        ((500, "1"), REPEATED, UNKNOWN, REPEATED),
        ((502, None), REPEATED, UNKNOWN, REPEATED),
        ((504, None), REPEATED, UNKNOWN, REPEATED),
        ((599, None), REPEATED, UNKNOWN, REPEATED),
        ((408, None), REPEATED, UNKNOWN, REPEATED),
        ("no answer", REPEATED, UNKNOWN, REPEATED),
        ("unreadable", REPEATED, UNKNOWN, REPEATED),
        ((100, None), REPEATED, UNKNOWN, REPEATED),
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
async def test_the_table_of_repeating(clock, what, read, submission, submission_with_replay):
    """The design's table, row by row: what is sent again, and what the caller hears instead."""
    outcomes = []
    for repeatable, replay in [(True, False), (False, False), (False, True)]:
        match what:
            case "never sent":  # UNSENT
                error = failed(RequestOutcome.NEVER_SENT, repeatable=repeatable)
            case "no answer":
                error = failed(RequestOutcome.UNKNOWN, repeatable=repeatable)
            case "unreadable":
                error = unreadable(repeatable=repeatable)
            case status, said:
                error = answered(status, said, repeatable=repeatable)
        call = ApiRequest(error, clock=clock)
        result = await run(call, clock, RetryPolicy(replay_unknown=replay))
        if result == "done":
            assert (len(call.sent_at), call.retries) == (2, 1)
            outcomes.append(REPEATED)
        else:
            assert result is error
            assert (len(call.sent_at), call.retries) == (1, 0)
            outcomes.append(UNKNOWN if error.outcome_unknown else RAISED)
    assert outcomes == [read, submission, submission_with_replay]


@pytest.mark.parametrize("told", [None, 1.0, 121.0])
async def test_a_429_is_not_repeated_here(clock, told):
    """Its wait belongs to the throttle; what comes up the ladder is to be raised."""
    error = RateLimitError("told to wait", status=429, retryable=True, retry_after=told)
    call = ApiRequest(error, clock=clock)
    assert await run(call, clock, RetryPolicy()) is error
    assert len(call.sent_at) == 1


@pytest.mark.parametrize("max_tries", [1, 2, 5])
@pytest.mark.parametrize("fate", [RequestOutcome.NEVER_SENT, RequestOutcome.UNKNOWN])
async def test_no_more_tries_than_allowed(clock, max_tries, fate):
    """The last failure is the one that is raised."""
    errors = [failed(fate) for _ in range(10)]
    call = ApiRequest(*errors, clock=clock)
    assert await run(call, clock, RetryPolicy(max_tries=max_tries)) is errors[max_tries - 1]
    assert (len(call.sent_at), call.retries) == (max_tries, max_tries - 1)


async def test_a_success_ends_the_tries(clock):
    call = ApiRequest(failed(), failed(), clock=clock)
    assert await run(call, clock, RetryPolicy(max_tries=3)) == "done"
    assert call.retries == 2


@pytest.mark.parametrize("told", [0.25, 1.0, 45.0, 120.0])
async def test_the_told_wait_is_kept_to_the_second_and_never_cut(clock, told):
    """Neither by `cap` nor by jitter."""
    call = ApiRequest(failed(told=told), failed(told=told), clock=clock)
    assert await run(call, clock, RetryPolicy(base=0.1, cap=0.2)) == "done"
    assert call.sent_at == [0.0, told, 2 * told]


@pytest.mark.parametrize("told", [120.25, 1e6, 1e300, math.inf])
async def test_a_longer_wait_than_allowed_is_raised_at_once(clock, told):
    """For every kind of failure: nobody waits for it, and nothing is sent before it is over."""
    for fate in (RequestOutcome.RETRY_LATER, RequestOutcome.UNKNOWN):
        error = failed(fate, told=told)
        call = ApiRequest(error, clock=clock)
        assert await run(call, clock, RetryPolicy(max_retry_after=120.0)) is error
        assert call.sent_at == [clock.time()]


@pytest.mark.parametrize(
    ("seconds_a_try", "told", "max_elapsed", "sent_at"),
    [
        (0.0, 10.0, 30.0, [0.0, 10.0, 20.0, 30.0]),
        (0.0, 10.0, 29.75, [0.0, 10.0, 20.0]),
        (5.0, 10.0, 30.0, [0.0, 15.0, 30.0]),
        (5.0, 10.0, 29.75, [0.0, 15.0]),
        (31.0, 1.0, 30.0, [0.0]),
        (0.0, 31.0, 30.0, [0.0]),
    ],
)
async def test_nothing_is_sent_after_the_longest_time(clock, seconds_a_try, told, max_elapsed, sent_at):
    """A told wait that does not fit into it is not shortened: the failure is raised at once."""
    call = ApiRequest(*[failed(told=told) for _ in range(10)], clock=clock, seconds=seconds_a_try)
    result = await run(call, clock, RetryPolicy(max_tries=10, max_elapsed=max_elapsed))
    assert isinstance(result, ApiConnectionError)
    assert call.sent_at == sent_at


async def test_time_counts_from_the_first_byte(clock):
    """What was spent on tries that were never sent does not count."""
    unsent = [failed(RequestOutcome.NEVER_SENT, told=50.0) for _ in range(3)]
    call = ApiRequest(*unsent, failed(told=50.0), failed(told=50.0), clock=clock)
    result = await run(call, clock, RetryPolicy(max_tries=10, max_elapsed=60.0))
    assert isinstance(result, ApiConnectionError)
    assert call.sent_at == [0.0, 50.0, 100.0, 150.0, 200.0]


@settings(deadline=None, max_examples=200)
@given(
    base=st.floats(1e-3, 100.0),
    cap=st.floats(1e-3, 1000.0),
    tries=st.one_of(st.integers(1, 20), st.integers(1, 10**9)),
)
def test_our_own_pause_doubles_up_to_the_cap_with_full_jitter(base, cap, tries):
    """Anything from nothing to `base * 2 ** (tries - 1)`, and never above `cap`."""
    policy = RetryPolicy(base=base, cap=cap)
    doubled = min(cap, base * 2.0 ** min(tries - 1, 100))
    pauses = [exponential(policy, tries) for _ in range(200)]
    assert all(0.0 <= pause <= doubled for pause in pauses)
    # The chance that 200 throws of full jitter leave out a whole tenth at either end is one in a thousand million.
    assert min(pauses) < doubled / 10
    assert max(pauses) > doubled * 9 / 10


async def test_our_own_pauses_are_made_on_the_clock(clock, monkeypatch):
    """Without jitter they would be 1, 2, 4, 4 seconds."""
    monkeypatch.setattr("random.uniform", lambda _, most: most)
    call = ApiRequest(*[failed() for _ in range(5)], clock=clock)
    await run(call, clock, RetryPolicy(base=1.0, cap=4.0))
    assert call.sent_at == [0.0, 1.0, 3.0, 7.0, 11.0]


@pytest.mark.parametrize("absurd", [0.0, -0.0, -1.0, -1e300, -math.inf, math.nan])
async def test_absurd_waits_fall_back_to_the_exponential(clock, monkeypatch, absurd):
    """Whoever has put them into an error: nothing hangs, nothing is sent at once."""
    monkeypatch.setattr("random.uniform", lambda _, most: most)
    policy = RetryPolicy(base=1.0)
    assert pause_after(failed(told=absurd), 1, policy) == 1.0
    call = ApiRequest(failed(told=absurd), clock=clock)
    assert await run(call, clock, policy, until=100.0) == "done"
    assert call.sent_at == [0.0, 1.0]


@pytest.mark.parametrize("max_tries", [0, -1, 0.5, 2.5, math.nan, math.inf, True, "5", None])
def test_a_number_of_tries_that_would_never_be_reached_is_refused(max_tries):
    """Tries are counted: 2.5 of them are never reached exactly."""
    with pytest.raises(ConfigurationError) as caught:
        RetryPolicy(max_tries=max_tries)
    assert "max_tries" in str(caught.value)


@pytest.mark.parametrize("field", ["max_elapsed", "base", "cap", "max_retry_after"])
@pytest.mark.parametrize("value", [0, -1.0, math.nan, False, "1", None])
def test_absurd_policies_are_refused(field, value):
    with pytest.raises(ConfigurationError) as caught:
        RetryPolicy(**{field: value})
    assert field in str(caught.value)


@settings(deadline=None, max_examples=200)
@given(
    fate=st.sampled_from(RequestOutcome),
    repeatable=st.booleans(),
    replay=st.booleans(),
    told=st.one_of(st.none(), st.floats()),
)
def test_nothing_that_may_have_been_accepted_is_repeated_unasked(fate, repeatable, replay, told):
    """Whatever the server told: an unknown outcome is final for a submission, a refusal for everybody."""
    error = failed(fate, repeatable=repeatable, told=told)
    final = is_final(error, RetryPolicy(replay_unknown=replay))
    if fate is RequestOutcome.REFUSED or (fate is RequestOutcome.UNKNOWN and not repeatable and not replay):
        assert final is True
    else:
        assert final is (told is not None and told > 120.0)


@pytest.mark.parametrize("foreign", [ValueError("a mistake"), asyncio.CancelledError()])
async def test_what_is_no_error_of_ours_passes_at_once(clock, foreign):
    call = ApiRequest(foreign, clock=clock)
    result = await run(call, clock, RetryPolicy())
    assert isinstance(result, type(foreign))
    assert len(call.sent_at) == 1


async def test_cancellation_ends_a_pause(clock):
    call = ApiRequest(failed(told=100.0), clock=clock)
    task = asyncio.create_task(
        with_retries(ApiRequest.send, call, policy=RetryPolicy(), clock=clock, sleep=clock.sleep)
    )
    await settle()
    task.cancel()
    await settle()
    assert task.cancelled()
    assert clock.next_at() is None


async def test_calls_do_not_count_each_others_tries(clock):
    """Many go through one loop at the same time."""
    policy = RetryPolicy(max_tries=3)
    calls = [ApiRequest(failed(told=1.0), failed(told=2.0), clock=clock) for _ in range(5)]
    tasks = [
        asyncio.create_task(with_retries(ApiRequest.send, call, policy=policy, clock=clock, sleep=clock.sleep))
        for call in calls
    ]
    for _ in range(3):
        await settle()
        await clock.advance(1.0)
    assert [task.done() and task.result() for task in tasks] == ["done"] * 5
    assert [call.retries for call in calls] == [2] * 5


async def test_one_line_is_logged_for_each_repeat_and_no_secret(clock, caplog):
    """At DEBUG, by the one logger; what is not repeated is not logged here."""
    caplog.set_level(logging.DEBUG)
    call = ApiRequest(failed(told=1.0), ServerError("busy", retryable=True, retry_after=2.0), clock=clock)
    await run(call, clock, RetryPolicy())
    await run(ApiRequest(failed(RequestOutcome.REFUSED), clock=clock), clock, RetryPolicy())
    records = [record for record in caplog.records if record.name != "asyncio"]
    assert [(record.name, record.levelno) for record in records] == [("pyannote_voiceprint_async", logging.DEBUG)] * 2
    assert [("lost" in record.getMessage(), "busy" in record.getMessage()) for record in records] == [
        (True, False),
        (False, True),
    ]
    assert not any(SECRET in record.getMessage() + repr(record.args) for record in records)
