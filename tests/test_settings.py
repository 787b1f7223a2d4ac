"""Invalid settings are refused by the constructor."""

import math
import pickle

import attrs
import pytest

from pyannote_voiceprint_async import (
    AsyncVoiceprintClient,
    ConfigurationError,
    Polling,
    RateLimit,
    RateLimiter,
    RateLimits,
    RetryPolicy,
    Timeouts,
)

BAD = [0, 0.0, -1, -0.001, math.nan, -math.inf, True, False, None, "1", b"1", [1], 1j]
NUMBERS = [
    (kind, field.name)
    for kind in (RateLimit, RetryPolicy, Timeouts, Polling)
    for field in attrs.fields(kind)
    if field.type in (int, float)
]


def make(kind, **values):
    return kind(**({"limit": 5} if kind is RateLimit else {}) | values)


@pytest.mark.parametrize(("kind", "name"), NUMBERS)
@pytest.mark.parametrize("value", BAD, ids=repr)
def test_invalid_number_is_refused(kind, name, value):
    """Also NaN, which no comparison rejects by itself, and True, which is an int in Python."""
    with pytest.raises(ConfigurationError, match=name) as caught:
        make(kind, **{name: value})
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(("kind", "name"), NUMBERS)
@pytest.mark.parametrize("value", [1, 2, 10**6])
def test_valid_number_is_kept(kind, name, value):
    assert getattr(make(kind, **{name: value}), name) == value


@pytest.mark.parametrize(("kind", "name"), [(RateLimit, "limit"), (RetryPolicy, "max_tries")])
@pytest.mark.parametrize("value", [1.5, 2.5])
def test_counts_are_whole_numbers(kind, name, value):
    with pytest.raises(ConfigurationError, match=name):
        make(kind, **{name: value})


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (RateLimit(5), {"limit": 5, "per": 60.0}),
        (RateLimits(), dict.fromkeys(["submissions", "identify", "media", "job_reads", "job_lists", "key_test"])),
        (
            RetryPolicy(),
            {
                "max_tries": 5,
                "max_elapsed": 300.0,
                "base": 0.5,
                "cap": 30.0,
                "max_retry_after": 120.0,
                "replay_unknown": False,
            },
        ),
        (Timeouts(), {"connect": 10.0, "read": 30.0, "total": 60.0, "upload_stall": 60.0}),
        (Polling(), {"first": 1.0, "longest": 10.0, "webhook_grace": 60.0}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_defaults_are_the_documented_ones(settings, expected):
    assert attrs.asdict(settings) == expected


@pytest.mark.parametrize("settings", [RateLimit(5), RateLimits(), RetryPolicy(), Timeouts(), Polling()])
def test_settings_compare_hash_and_pickle(settings):
    """They are frozen, and reject unknown fields."""
    assert pickle.loads(pickle.dumps(settings)) == settings  # noqa: S301
    assert hash(settings) == hash(attrs.evolve(settings))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(settings, attrs.fields(type(settings))[0].name, 1)
    with pytest.raises(TypeError):
        type(settings)(unknown=1)


@pytest.mark.parametrize("name", ["max_concurrency", "max_uploads"])
@pytest.mark.parametrize("value", [0, -1, 1.5, math.nan, math.inf, True, None, "64"], ids=repr)
def test_invalid_count_of_the_client_is_refused(name, value):
    with pytest.raises(ConfigurationError, match=name):
        AsyncVoiceprintClient("sk-1", **{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_queue_wait", -1.0),
        ("max_queue_wait", math.nan),
        ("max_queue_wait", "5"),
        ("rate_limits", 100),
        ("retry", 3),
        ("timeouts", 30.0),
        ("polling", 5.0),
        ("proxy", 5),
        ("session", "session"),
        ("webhook", "http://example.com/hook"),
        ("webhook", 5),
        ("rate_limiter", 5),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_invalid_argument_of_the_client_is_refused(name, value):
    """At construction, not at the first request."""
    with pytest.raises(ConfigurationError, match=name):
        AsyncVoiceprintClient("sk-1", **{name: value})


def test_unknown_keyword_is_a_type_error():
    with pytest.raises(TypeError):
        AsyncVoiceprintClient("sk-1", timeout=5)


@pytest.mark.parametrize("concurrency", [0, -1, math.nan])
def test_rate_limiter_without_concurrency_is_refused(concurrency):
    """Every request would wait forever."""
    with pytest.raises(ConfigurationError):
        RateLimiter(concurrency)
