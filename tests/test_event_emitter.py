"""Operations, and hooks that fail or are slow."""

import asyncio
import logging
import time
from contextvars import Context

import pytest

from pyannote_voiceprint_async.event_emitter import EventEmitter
from pyannote_voiceprint_async.events import (
    ClientEvent,
    JobAccepted,
    OperationFinished,
    OperationStarted,
    UploadFinished,
)


@pytest.fixture
def events() -> list[ClientEvent]:
    return []


@pytest.fixture
def emitter(events, clock) -> EventEmitter:
    return EventEmitter(events.append, clock.time)


def upload(emitter: EventEmitter) -> UploadFinished:
    operation = emitter.operation
    return UploadFinished(operation.id, operation.name, 1, 0.0)


async def test_an_operation_reports_its_beginning_its_end_and_its_duration(emitter, events, clock):
    with emitter.operate("submit"):
        clock.jump(clock.time() + 2.0)
    assert events == [OperationStarted(1, "submit"), OperationFinished(1, "submit", 2.0)]


@pytest.mark.parametrize("error", [ValueError(), asyncio.CancelledError(), KeyboardInterrupt()])
async def test_an_operation_reports_the_class_of_its_error_and_raises_it(emitter, events, error):
    with pytest.raises(type(error)), emitter.operate("submit"):
        raise error
    assert events[-1] == OperationFinished(1, "submit", 0.0, error=type(error).__name__)


async def test_an_operation_reports_the_job_that_it_submitted(emitter, events):
    with emitter.operate("submit"):
        emitter.emit(JobAccepted(1, "submit", "job-1", "POST /v1/voiceprint", 0.0, 0.1))
    assert events[-1] == OperationFinished(1, "submit", 0.0, "job-1")


async def test_an_operation_inside_another_one_is_a_part_of_it(emitter, events):
    with emitter.operate("voiceprint"), emitter.operate("upload"):
        emitter.emit(upload(emitter))
    assert [type(event) for event in events] == [OperationStarted, UploadFinished, OperationFinished]
    assert {(event.operation_id, event.operation) for event in events} == {(1, "voiceprint")}


async def test_a_task_belongs_to_the_operation_that_created_it_until_that_one_ends(emitter, events):
    go_on = asyncio.Event()

    async def work() -> None:
        emitter.emit(upload(emitter))
        await go_on.wait()
        with emitter.operate("later"):
            emitter.emit(upload(emitter))

    with emitter.operate("voiceprint"):
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
    go_on.set()
    await task
    uploads = [event for event in events if isinstance(event, UploadFinished)]
    assert [(event.operation_id, event.operation) for event in uploads] == [(1, "voiceprint"), (2, "later")]


async def test_an_operation_may_end_in_another_context(emitter, events):
    """The garbage collector closes a coroutine wherever it runs."""

    async def work() -> None:
        with emitter.operate("submit"):
            await asyncio.sleep(0)

    coroutine = work()
    Context().run(coroutine.send, None)
    coroutine.close()
    assert events[-1] == OperationFinished(1, "submit", 0.0, error="GeneratorExit")


async def test_operations_of_two_clients_do_not_mix(emitter, events, clock):
    others: list[ClientEvent] = []
    other = EventEmitter(others.append, clock.time)
    with emitter.operate("voiceprint"), other.operate("submit"):
        emitter.emit(upload(emitter))
        other.emit(upload(other))
    assert [event.operation for event in others] == ["submit"] * 3


async def test_requests_outside_of_operations_belong_to_the_poller(emitter):
    assert (emitter.operation.id, emitter.operation.name) == (0, "poll")
    with emitter.operate("wait"):
        assert Context().run(lambda: emitter.operation.name) == "poll"


@pytest.mark.parametrize("error", [ValueError("no"), asyncio.CancelledError(), RuntimeError()])
async def test_a_hook_that_raises_is_logged_once_a_minute_and_changes_nothing(clock, caplog, error):
    def fail(_: ClientEvent) -> None:
        raise error

    emitter = EventEmitter(fail, clock.time)
    with emitter.operate("submit"):
        pass
    (record,) = caplog.records
    assert (record.levelno, type(error).__name__ in record.getMessage()) == (logging.WARNING, True)


async def test_a_slow_hook_is_logged(clock, caplog, monkeypatch):
    monotonic = iter([0.0, 1.5, 1.5])
    monkeypatch.setattr(time, "monotonic", lambda: next(monotonic))
    EventEmitter(lambda _: None, clock.time).emit(OperationStarted(1, "submit"))
    monkeypatch.undo()
    (record,) = caplog.records
    assert (record.levelno, "took 1.5 s" in record.getMessage()) == (logging.WARNING, True)


async def test_without_a_hook_and_a_log_no_operation_is_counted(clock, caplog):
    caplog.set_level(logging.WARNING, "pyannote_voiceprint_async")
    emitter = EventEmitter(None, clock.time)
    with emitter.operate("submit"):
        assert (emitter.is_wanted, emitter.operation.name) == (False, "poll")
