"""The first signal cancels the body of a command, which may clean up; SIGTERM acts as SIGINT does."""

import asyncio
import os
import signal

import pytest

from pyannote_voiceprint_async.cli.signals import run_until_signal, sigterm_as_interrupt


def test_the_result_is_returned():
    async def main():
        return 7

    assert run_until_signal(main()) == 7


def test_a_signal_cancels_the_body_which_may_clean_up(ending):
    cleaned_up = []

    async def main():
        os.kill(os.getpid(), ending)
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
        os.kill(os.getpid(), ending)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            os.kill(os.getpid(), ending)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            return "finished"

    assert run_until_signal(main()) == "finished"


def test_sigterm_is_an_interrupt_within_the_block_only():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), sigterm_as_interrupt():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
