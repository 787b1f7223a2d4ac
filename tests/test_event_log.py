"""The log lines of events."""

import inspect
import logging

import attrs
import pytest

from pyannote_voiceprint_async import events
from pyannote_voiceprint_async.event_log import log_event
from pyannote_voiceprint_async.events import (
    JobAbandoned,
    JobAccepted,
    JobFinished,
    JobWaitStarted,
    OperationFinished,
    OperationStarted,
    RateLimited,
    RequestFinished,
    RequestRetried,
    SharedStateLost,
    SharedStateRestored,
    UploadFinished,
    WebhookDelivered,
)

ENDPOINT = "POST /v1/voiceprint"
LINES = [
    (OperationStarted(7, "submit"), "DEBUG", "Operation 7 (submit) began."),
    (OperationFinished(7, "submit", 1.5, "job-1"), "DEBUG", "Operation 7 (submit): succeeded after 1.500 s."),
    (
        OperationFinished(7, "submit", 1.5, error="ServerError"),
        "DEBUG",
        "Operation 7 (submit): ServerError after 1.500 s.",
    ),
    (
        RequestFinished(7, "submit", ENDPOINT, 2.0, 0.25, 200, "job-1"),
        "DEBUG",
        "POST /v1/voiceprint: status 200 after 0.250 s, and 2.000 s in the queue.",
    ),
    (
        RequestFinished(7, "submit", ENDPOINT, 0.0, 0.25, 503, error="ServerError"),
        "DEBUG",
        "POST /v1/voiceprint: ServerError, status 503 after 0.250 s, and 0.000 s in the queue.",
    ),
    (
        RequestRetried(7, "submit", ENDPOINT, 2, 4.0, "ApiTimeoutError"),
        "DEBUG",
        "POST /v1/voiceprint failed in try 2 (ApiTimeoutError). Retrying in 4.0 s.",
    ),
    (
        RateLimited(7, "submit", ENDPOINT, 30.0, is_long_pause=True),
        "WARNING",
        "The API requests a pause of 30 s for POST /v1/voiceprint.",
    ),
    (
        RateLimited(7, "submit", ENDPOINT, 30.0, is_long_pause=False),
        "DEBUG",
        "The API requests a pause of 30 s for POST /v1/voiceprint.",
    ),
    (UploadFinished(7, "upload", 1000, 0.5), "DEBUG", "Upload of 1000 bytes: succeeded after 0.500 s."),
    (JobAccepted(7, "submit", "job-1", ENDPOINT, 0.0, 0.1), "INFO", "Job job-1 was accepted."),
    (JobWaitStarted(7, "wait", "job-1"), "DEBUG", "The wait for job job-1 began."),
    (JobFinished(7, "wait", "job-1", "failed", 12.34), "INFO", "Job job-1 failed after 12.3 s."),
    (
        SharedStateLost(0, "shared", "The database does not respond."),
        "WARNING",
        (
            "The database does not respond. Until it can be reached again, this process sends its share of each rate "
            "limit: the limit divided by the number of processes that it knows of; if it has not reached the shared "
            "state since its start, as many requests per window as SharedState.reserve (1 by default). Requests with a "
            "submission key are refused."
        ),
    ),
    (
        SharedStateRestored(0, "shared"),
        "INFO",
        "The shared state can be reached again. All processes share one rate limit again.",
    ),
    (
        JobAbandoned(7, "submit", "job-1"),
        "WARNING",
        "Job job-1 was accepted, but its caller was cancelled or failed. Fetch its result by this id.",
    ),
    (WebhookDelivered(0, "deliver", "job-1", "failed"), "DEBUG", "A webhook reports job job-1 as failed."),
]


@pytest.mark.parametrize(("event", "level", "line"), LINES)
def test_each_event_is_a_line_with_its_fields_in_extra(caplog, event, level, line):
    caplog.set_level(logging.DEBUG, "pyannote_voiceprint_async")
    log_event(event)
    (record,) = caplog.records
    assert (record.name, record.levelname, record.getMessage()) == ("pyannote_voiceprint_async", level, line)
    assert record.event == type(event).__name__
    assert {name: getattr(record, name) for name in attrs.asdict(event)} == attrs.asdict(event)


def test_every_event_has_a_line():
    classes = {
        value for _, value in inspect.getmembers(events, inspect.isclass) if issubclass(value, events.ClientEvent)
    }
    assert {type(event) for event, _, _ in LINES} == classes - {events.ClientEvent}


def test_an_event_below_the_level_is_not_logged(caplog):
    caplog.set_level(logging.INFO, "pyannote_voiceprint_async")
    log_event(OperationStarted(7, "submit"))
    assert caplog.records == []
