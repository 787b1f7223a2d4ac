"""Questions at a terminal: asked only where a person can answer, and ended by a cancellation."""

import asyncio
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from pyannote_voiceprint_async.cli import questions
from pyannote_voiceprint_async.cli.exit_codes import WrongUsage
from pyannote_voiceprint_async.cli.questions import ask, confirm_change, is_interactive


@pytest.fixture
def keyboard(monkeypatch):
    """Make stdin and stderr a terminal; return the descriptor that a person types into."""
    ours, theirs = os.openpty()
    os.set_blocking(ours, False)
    with os.fdopen(os.dup(theirs)) as stdin, os.fdopen(theirs, "w") as stderr:
        # pytest replaces the streams of `sys` itself before each test.
        monkeypatch.setattr(questions, "sys", SimpleNamespace(stdin=stdin, stderr=stderr))
        yield ours
    os.close(ours)


def shown(keyboard) -> str:
    return os.read(keyboard, 4096).decode()


@pytest.mark.parametrize(("typed", "expected"), [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False)])
async def test_only_yes_is_yes(keyboard, typed, expected):
    question = asyncio.create_task(ask("Continue?"))
    await asyncio.sleep(0)
    assert shown(keyboard) == "Continue? [y/N] "
    os.write(keyboard, typed.encode())
    assert await question is expected


async def test_a_long_question_is_broken_between_words(keyboard, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    question = asyncio.create_task(ask("Erase 1 label (Ada) with all recordings?"))
    await asyncio.sleep(0)
    assert shown(keyboard) == "Erase 1 label (Ada) with all\r\nrecordings? [y/N] "
    os.write(keyboard, b"n\n")
    assert not await question


async def test_the_end_of_the_input_is_no(keyboard):
    os.write(keyboard, b"\x04")
    assert not await ask("Continue?")


async def test_a_cancelled_question_reads_nothing_more(keyboard):
    question = asyncio.create_task(ask("Continue?"))
    await asyncio.sleep(0)
    question.cancel()
    with pytest.raises(asyncio.CancelledError):
        await question
    os.write(keyboard, b"y\n")
    assert questions.sys.stdin.readline() == "y\n"
    assert not any(thread.name.startswith("asyncio") for thread in threading.enumerate())


@pytest.mark.parametrize(("typed", "is_refused"), [("y\n", False), ("n\n", True)])
def test_a_change_needs_a_yes(keyboard, typed, is_refused):
    os.write(keyboard, typed.encode())
    if not is_refused:
        confirm_change("Delete it?", yes=False)
        return
    with pytest.raises(WrongUsage, match=r"Nothing was changed\."):
        confirm_change("Delete it?", yes=False)


def test_with_yes_or_without_a_terminal_nothing_is_asked(keyboard, monkeypatch):
    assert is_interactive()
    confirm_change("Delete it?", yes=True)
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr(questions.sys, "stdin", nothing)
        assert not is_interactive()
        confirm_change("Delete it?", yes=False)
    with pytest.raises(BlockingIOError):
        os.read(keyboard, 1)
