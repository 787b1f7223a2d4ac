import json

import pytest

from pyannote_voiceprint_async.sandbox import WEBHOOK_FAULTS, Settings, voiceprint_of
from pyannote_voiceprint_async.sandbox.job_registry import JobRegistry
from pyannote_voiceprint_async.sandbox.webhook_faults import NO_FAULT
from pyannote_voiceprint_async.sandbox.webhook_messages import WebhookMessage, build_request
from pyannote_voiceprint_async.sandbox.webhook_signatures import signature_headers

URL = "https://example.com/voice.wav"
TIMESTAMP = 1_800_000_000
SETTINGS = Settings()


def message_with(fault) -> WebhookMessage:
    """Return the first message of a job whose webhook has this fault."""
    job = JobRegistry((0.0, 0.0), seed=0).accept({"url": URL, "webhook": "https://example.com/hook"}, None, 0.0)
    return WebhookMessage(job, job.webhook, fault)


def signature_of(body: bytes) -> str:
    headers = signature_headers(SETTINGS.webhook_secret, SETTINGS.webhook_signature, TIMESTAMP, body)
    return headers["X-Signature"]


def test_a_first_message_is_signed_and_has_no_retry_headers():
    message = message_with(NO_FAULT)
    body, headers = build_request(message, TIMESTAMP, SETTINGS)
    output = {"voiceprint": voiceprint_of(URL)}
    assert json.loads(body) == {"jobId": message.job.id, "status": "succeeded", "output": output}
    assert headers == {
        "Content-Type": "application/json",
        "X-Request-Timestamp": str(TIMESTAMP),
        "X-Signature": signature_of(body),
    }


def test_a_retry_reports_its_number_and_the_reason():
    retry = message_with(NO_FAULT).retry(TIMESTAMP, "http_error").retry(TIMESTAMP, "http_timeout")
    _, headers = build_request(retry, TIMESTAMP, SETTINGS)
    assert (retry.attempt, retry.signed_at) == (3, TIMESTAMP)
    assert {name: headers[name] for name in ("x-retry-num", "x-retry-reason")} == {
        "x-retry-num": "2",
        "x-retry-reason": "http_timeout",
    }


@pytest.mark.parametrize("retries", [0, 1])
def test_a_tampered_message_has_the_signature_of_the_original_body(retries):
    original = message_with(NO_FAULT)
    tampered = WebhookMessage(original.job, original.url, WEBHOOK_FAULTS["tampered"])
    for _ in range(retries):
        tampered = tampered.retry(TIMESTAMP, "http_error")
    expected, _ = build_request(original, TIMESTAMP, SETTINGS)
    body, headers = build_request(tampered, TIMESTAMP, SETTINGS)
    assert json.loads(body) == json.loads(expected) | {"status": "failed"}
    assert headers["X-Signature"] == signature_of(expected)
