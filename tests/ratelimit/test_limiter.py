"""The public rate limiter."""

import pytest

from pyannote_voiceprint_async import ConfigurationError, RateLimit, RateLimiter, RateLimits


def test_repr_shows_the_live_counts():
    rate_limiter = RateLimiter(max_concurrency=3, rate_limits=RateLimits(submissions=RateLimit(2)))
    assert repr(rate_limiter) == "<RateLimiter in_flight=0/3 queued=0>"
    for _ in range(2):
        rate_limiter.scheduler.request("submissions", 0.0, lambda _: None)
    assert repr(rate_limiter) == "<RateLimiter in_flight=1/3 queued=1>"
    assert (rate_limiter.in_flight, rate_limiter.queued, rate_limiter.max_concurrency) == (1, 1, 3)


def test_the_defaults_are_the_documented_limits():
    rate_limiter = RateLimiter()
    assert rate_limiter.max_concurrency == 64
    limits = {operation: rate_limiter.limit(operation) for operation in ("submissions", "media", "job_reads")}
    assert limits == {"submissions": 100, "media": 100, "job_reads": 300}


@pytest.mark.parametrize("max_concurrency", [0, -1, 1.5, True, "64", None])
def test_an_invalid_max_concurrency_is_rejected(max_concurrency):
    with pytest.raises(ConfigurationError, match="max_concurrency"):
        RateLimiter(max_concurrency)
