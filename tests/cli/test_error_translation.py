import sys
from pathlib import Path

import click
import pytest

from pyannote_voiceprint_async.cli.error_translation import translated_errors
from pyannote_voiceprint_async.cli.exit_codes import Terminated


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt, 130), (Terminated, 143), (BrokenPipeError, 1)])
def test_interrupts_and_broken_pipes_print_nothing(error, code):
    with pytest.raises(SystemExit) as raised, translated_errors():
        raise error
    assert raised.value.code == code


def test_errors_of_click_and_unexpected_errors_are_unchanged():
    for error in (click.UsageError("x"), ZeroDivisionError(), SystemExit(7)):
        with pytest.raises(type(error)) as raised, translated_errors():
            raise error
        assert raised.value is error


@pytest.mark.parametrize("arguments", [[], ["ledger"]])
def test_without_a_command_the_help_is_shown_once_and_as_it_is(invoke, arguments):
    result = invoke(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == invoke(*arguments, "--help").stdout


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
def test_output_that_cannot_be_written_is_reported_once(command):
    """Python flushes stdout again at exit, and a failure there would change the exit code to 120."""
    with Path("/dev/full").open("w") as full:
        result = command("check", "--sandbox", stdout=full)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("Error: The results cannot be written (no space left on device).")
