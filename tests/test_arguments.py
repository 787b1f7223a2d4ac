"""Checks and conversions of the arguments of the client. `test_client.py` has the checks of each method."""

import pytest

from pyannote_voiceprint_async import VoiceprintRequest
from pyannote_voiceprint_async.arguments import first_set, run_callback, to_request

URL = "https://example.com/voice.wav"


@pytest.mark.parametrize(
    ("argument", "variables", "expected"),
    [
        ("argument", {"FIRST": "1", "SECOND": "2"}, "argument"),
        ("", {"FIRST": "1"}, ""),
        (None, {"FIRST": "1", "SECOND": "2"}, "1"),
        (None, {"SECOND": "2"}, "2"),
        (None, {"FIRST": "", "SECOND": "2"}, "2"),
        (None, {}, None),
    ],
)
def test_the_argument_comes_before_the_environment(monkeypatch, argument, variables, expected):
    """An empty argument counts as set, so that its check can refuse it; an empty variable does not."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert first_set(argument, "FIRST", "SECOND") == expected


def test_a_url_becomes_a_request():
    request = to_request(URL, "precision-3", "https://example.com/hook", webhook_status_only=True)
    assert request == VoiceprintRequest(URL, "precision-3", "https://example.com/hook", webhook_status_only=True)


def test_a_request_keeps_its_own_fields():
    request = VoiceprintRequest(URL)
    assert to_request(request, "precision-3", "https://example.com/hook") is request


async def test_a_callback_may_be_a_function_a_coroutine_function_or_none():
    calls = []

    async def awaited(value):
        calls.append(value)

    for callback in (None, calls.append, awaited):
        await run_callback(callback, 7)
    assert calls == [7, 7]
