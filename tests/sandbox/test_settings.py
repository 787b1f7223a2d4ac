import math
from pathlib import Path

import pytest

from pyannote_voiceprint_async.sandbox import Limit, Sandbox, Settings


def test_numbers_and_tuples_are_converted():
    settings = Settings(rate_limit=(5, 10.0), read_limit=Limit(7), job_seconds=2, latency=(0.1, 0.2))
    assert settings.rate_limit == Limit(5, 10.0)
    assert settings.read_limit == Limit(7, 60.0)
    assert settings.job_seconds == (2.0, 2.0)
    assert settings.latency == (0.1, 0.2)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("window", "tumbling"),
        ("reset_header", "date"),
        ("media_keys", "nested"),
        ("failed_output", "empty"),
        ("job_seconds", -1),
        ("job_seconds", (3, 1)),
        ("latency", math.inf),
        ("latency", math.nan),
        ("credit", -1),
        ("output_seconds", -1.0),
        ("media_seconds", -1.0),
        ("presigned_seconds", -1),
        ("accept_late_seconds", -1.0),
        ("rate_limit", (0, 60.0)),
        ("webhook_signature", "sha1"),
        ("webhook_timeout", 0.0),
        ("webhook_timeout", math.inf),
        ("webhook_retry_delays", (0.0, -1.0)),
        ("webhook_retry_delays", (math.nan,)),
        ("webhook_time_scale", -1.0),
        ("webhook_time_scale", math.inf),
        ("webhook_failed_as", "succeeded"),
        ("webhook_faults", {"server-error": 0.1}),
        ("webhook_faults", {"lost": 0.6, "early": 0.6}),
        ("faults", {"gremlins": 0.1}),
        ("faults", {"server-error": -0.1}),
        ("faults", {"server-error": math.nan}),
        ("faults", {"server-error": 0.6, "bad-gateway": 0.6}),
    ],
)
def test_an_invalid_value_is_refused(setting, value):
    with pytest.raises(ValueError):
        Sandbox(**{setting: value})


@pytest.mark.parametrize("value", [5, "100/60", (5, 60.0, 1), ("5", 60.0)])
def test_a_value_that_is_no_limit_is_reported_with_the_accepted_form(value):
    with pytest.raises(ValueError) as caught:
        Settings(rate_limit=value)
    assert str(caught.value) == f"A limit must be (requests, seconds), for example (100, 60.0), not {value!r}."


@pytest.mark.parametrize(("value", "expected"), [(None, None), ("a/b", Path("a/b")), (Path("c"), Path("c"))])
def test_a_store_is_a_path_or_none(value, expected):
    assert Settings(store=value).store == expected


def test_faults_cannot_be_changed_later():
    faults = {"server-error": 0.1}
    settings = Settings(faults=faults)
    faults["server-error"] = 0.9
    assert settings.faults == {"server-error": 0.1}
    with pytest.raises(TypeError):
        settings.faults["server-error"] = 0.9


@pytest.mark.parametrize("secret", ["api_key", "webhook_secret"])
def test_the_repr_does_not_show_secrets(secret):
    assert "my-secret" not in repr(Settings(**{secret: "my-secret"}))
