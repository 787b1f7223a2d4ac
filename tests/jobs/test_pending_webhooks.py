"""Expected and early webhooks: a pure record, fed with the time."""

import pytest

from pyannote_voiceprint_async import DiarizedTurn, IdentificationOutput, JobStatus, WebhookEvent
from pyannote_voiceprint_async.jobs.pending_webhooks import PendingWebhooks


@pytest.fixture
def webhooks():
    return PendingWebhooks(grace=60.0)


def event(job_id):
    return WebhookEvent(job_id, JobStatus.SUCCEEDED)


def test_a_job_is_left_to_its_webhook_for_the_grace_period(webhooks):
    webhooks.expect("job", 10.0)
    assert [webhooks.grace_left("job", now) for now in (10.0, 40.0, 70.0, 100.0)] == [60.0, 30.0, 0.0, 0.0]


def test_a_job_without_an_expected_webhook_has_no_grace_period(webhooks):
    assert webhooks.grace_left("job", 10.0) == 0.0


def test_after_the_delivery_no_webhook_is_expected(webhooks):
    webhooks.expect("job", 10.0)
    webhooks.record_delivery("job")
    assert webhooks.grace_left("job", 10.0) == 0.0


def test_an_early_webhook_is_returned_once(webhooks):
    kept = event("job")
    webhooks.keep_early(kept, 0.0)
    assert [webhooks.pop_early("job", 59.9), webhooks.pop_early("job", 59.9)] == [kept, None]


def test_an_early_webhook_is_kept_for_a_minute(webhooks):
    webhooks.keep_early(event("job"), 0.0)
    assert webhooks.pop_early("job", 60.0) is None


def test_old_webhooks_are_dropped(webhooks):
    """They may hold voiceprints."""
    for now in (0.0, 10.0):
        webhooks.keep_early(event(f"job at {now}"), now)
    assert [webhooks.drop_old(now) for now in (5.0, 60.0, 70.0)] == [60.0, 70.0, None]


@pytest.mark.parametrize("turns", [1000, 1001])
def test_an_early_webhook_is_kept_without_a_long_output(webhooks, turns):
    """Its wait reads the job instead."""
    output = IdentificationOutput(diarization=(DiarizedTurn("S", 0, 1),) * turns)
    webhooks.keep_early(WebhookEvent("job", JobStatus.SUCCEEDED, output), 0.0)
    kept = webhooks.pop_early("job", 0.0)
    assert (kept.status, kept.is_complete) == (JobStatus.SUCCEEDED, turns == 1000)


def test_the_oldest_early_webhooks_are_dropped(webhooks):
    for number in range(1001):
        webhooks.keep_early(event(f"job-{number}"), 0.0)
    assert webhooks.pop_early("job-0", 0.0) is None
    assert webhooks.pop_early("job-1", 0.0) is not None


def test_the_oldest_expected_webhooks_are_dropped(webhooks):
    for number in range(10_001):
        webhooks.expect(f"job-{number}", 0.0)
    assert (webhooks.grace_left("job-0", 0.0), webhooks.grace_left("job-1", 0.0)) == (0.0, 60.0)
