"""The command line that a message suggests: the arguments of the current one, without secrets."""

import click
import pytest

from pyannote_voiceprint_async.cli.app import load
from pyannote_voiceprint_async.cli.repeat_command import repeat_command


def repeated(*arguments, more=()) -> str:
    with load("enroll").make_context("enroll", list(arguments)) as context:
        return repeat_command(context, *more)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["l.csv"], "l.csv"),
        (["my list.csv"], "'my list.csv'"),
        (["--sandbox", "l.csv", "--out", "o.json"], "l.csv --out o.json --sandbox"),
        (["l.csv", "--rate-limit", "15/600"], "l.csv --rate-limit 15/600"),
        (["l.csv", "--dry-run", "-vv", "--force", "--replace"], "l.csv"),
        (["https://e.com/a.wav?sig=secret"], "'https://e.com/a.wav?…'"),
        (["l.csv", "--shared", "shared.db"], "l.csv --shared shared.db"),
        (["l.csv", "--shared", "postgresql://u:secret@h/d"], 'l.csv --shared "$PYANNOTE_VOICEPRINT_SHARED"'),
        ([f"{number}.wav" for number in range(5)], "0.wav 1.wav 2.wav 3.wav 4.wav"),
        ([f"{number}.wav" for number in range(6)], "0.wav 1.wav 2.wav 3.wav …"),
    ],
)
def test_only_arguments_that_apply_again_are_repeated(arguments, expected):
    shown = repeated(*arguments).removeprefix("pyannote-voiceprint enroll ")
    assert sorted(shown.split()) == sorted(expected.split())
    assert shown.startswith(expected.split()[0])


def test_further_arguments_are_appended():
    assert repeated("l.csv", more=["--retry-failed"]) == "pyannote-voiceprint enroll l.csv --retry-failed"


def test_options_of_the_environment_and_defaults_are_left_out():
    command = click.Command("name", params=[click.Option(["--size"], default=3, envvar="SIZE")])
    with command.make_context("name", []) as context:
        assert repeat_command(context) == "pyannote-voiceprint name"
