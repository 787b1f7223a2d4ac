"""Signals during the event loop: the first cancels, the second ends at once; the handlers are restored afterwards."""

import asyncio
import os
import signal

import pytest

from pyannote_voiceprint_async.cli import signals
from pyannote_voiceprint_async.cli.interrupt import ExitAtInterrupt
from pyannote_voiceprint_async.cli.signals import run_until_signal, sigterm_as_interrupt


@pytest.fixture(autouse=True)
def handlers():
    """The handlers of this process, which are the same after each test."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield before
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number):
    os.kill(os.getpid(), number)


async def clean_up_slowly(number, *, again):
    try:
        send(number)
        await asyncio.sleep(60)
    finally:
        if again:
            send(number)
            await asyncio.sleep(60)


def test_the_first_signal_cancels_and_nothing_is_explained_yet(ending, handlers):
    explained = []
    with pytest.raises(KeyboardInterrupt):
        run_until_signal(clean_up_slowly(ending, again=False), lambda: explained.append(1))
    assert explained == []
    assert signal.getsignal(signal.SIGINT) == handlers[signal.SIGINT]


def test_the_second_signal_explains_and_ends_at_once(monkeypatch, ending):
    monkeypatch.setattr(signals, "_SAME_SIGNAL_SECONDS", -1.0)
    explained = []
    with pytest.raises(KeyboardInterrupt):
        run_until_signal(clean_up_slowly(ending, again=True), lambda: explained.append(1))
    assert explained == [1]


def test_after_the_event_loop_no_request_is_in_flight():
    handler = ExitAtInterrupt()
    handler.install()
    run_until_signal(asyncio.sleep(0))
    assert signal.getsignal(signal.SIGINT) is handler
    assert "no request is in flight" in handler._sentence


def test_a_block_that_cleans_up_gets_an_exception(ending):
    with pytest.raises(KeyboardInterrupt), sigterm_as_interrupt():
        send(ending)


def test_the_result_is_returned():
    async def main():
        return 7

    assert run_until_signal(main()) == 7


def test_a_signal_cancels_the_body_which_may_clean_up(ending):
    cleaned_up = []

    async def main():
        send(ending)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned_up.append(True)

    with pytest.raises(KeyboardInterrupt):
        run_until_signal(main())
    assert cleaned_up == [True]


def test_the_same_signal_twice_at_once_is_one_signal(ending):
    """`timeout` sends it to the process and to its group."""

    async def main():
        send(ending)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            send(ending)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            return "finished"

    assert run_until_signal(main()) == "finished"
