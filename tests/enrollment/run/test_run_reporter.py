"""What a run reports about pauses and about the error that ends it."""

import pytest

from pyannote_voiceprint_async.enrollment import Paused, Resumed, Stopping
from pyannote_voiceprint_async.enrollment.run.run_reporter import RunReporter


@pytest.fixture
def reporter():
    return RunReporter(lambda: 0.0)


async def reported(reporter) -> list:
    """Return all events, as the reader of the run gets them."""
    reporter.events.end()
    events = []
    while (event := await reporter.events.get()) is not None:
        events.append(event)
    return events


async def test_a_pause_is_in_the_progress_until_it_ends(reporter):
    reporter.pause("The API failed.", 2.0)
    assert reporter.paused_for == "The API failed."
    reporter.resume()
    assert reporter.paused_for is None
    assert await reported(reporter) == [Paused("The API failed.", 2.0), Resumed()]


async def test_the_end_of_no_pause_is_not_reported(reporter):
    reporter.resume()
    assert await reported(reporter) == []


async def test_only_the_first_error_is_reported_and_it_is_raised_once(reporter):
    first, second = ValueError("first"), ValueError("second")
    reporter.report_error(first)
    reporter.report_error(second)
    reporter.record_error(second)
    assert (reporter.pop_error(), reporter.pop_error()) == (first, None)
    assert await reported(reporter) == [Stopping("first")]


async def test_a_recorded_error_is_not_reported(reporter):
    reporter.record_error(ValueError("first"))
    assert await reported(reporter) == []


async def test_a_run_that_stops_reports_no_pause_of_the_circuit_breaker(reporter):
    reporter.on_breaker_change("The API failed.", 2.0)
    reporter.on_breaker_change(None, 0.0)
    reporter.report_error(ValueError("stop"))
    reporter.on_breaker_change("The API failed.", 2.0)
    assert await reported(reporter) == [Paused("The API failed.", 2.0), Resumed(), Stopping("stop")]


async def test_a_wait_for_another_program_is_a_pause(reporter):
    reporter.on_ledger_wait(True)
    assert "Another program has the ledger locked" in reporter.paused_for
    reporter.on_ledger_wait(False)
    assert [type(event) for event in await reported(reporter)] == [Paused, Resumed]
