"""The help of every command: options in groups, one column of texts, and examples that the command accepts."""

import shlex

import click
import pytest

from pyannote_voiceprint_async.cli.app import app, load
from pyannote_voiceprint_async.cli.option_groups import OPTION_GROUPS, Command


def _all_commands():
    for name in app.commands:
        command = load(name)
        yield name, command
        for sub_name, sub_command in getattr(command, "commands", {}).items():
            yield f"{name} {sub_name}", sub_command


COMMANDS = dict(_all_commands())
_GROUPED = {name: command for name, command in COMMANDS.items() if isinstance(command, Command) and name != "sandbox"}


def options(command):
    return {parameter.name for parameter in command.params if isinstance(parameter, click.Option)}


def test_every_group_names_options_that_exist_and_each_only_once():
    grouped = [name for names in OPTION_GROUPS.values() for name in names]
    assert sorted(set(grouped)) == sorted(grouped)
    assert set(grouped) - set().union(*map(options, _GROUPED.values())) == set()


@pytest.mark.parametrize("name", _GROUPED)
def test_every_option_is_in_a_group(name):
    grouped = {name for names in OPTION_GROUPS.values() for name in names}
    assert options(_GROUPED[name]) - grouped == set()


def test_the_groups_of_enroll_are_in_the_order_of_use(invoke):
    lines = invoke("enroll", "--help").stdout.splitlines()
    titles = [line for line in lines if line.endswith(":") and not line.startswith((" ", "Usage"))]
    assert titles == ["Input:", "Money:", "Retry:", "Output:", "Connection:", "Other:", "Examples:"]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_that_it_accepts(invoke, name):
    examples = COMMANDS[name].examples
    assert examples
    shown = invoke("help", *name.split()).stdout
    for example in examples:
        assert f"\n  pyannote-voiceprint {example}\n" in shown
        called = max((name for name in COMMANDS if f"{example} ".startswith(f"{name} ")), key=len)
        assert called.startswith(name)
        COMMANDS[called].make_context("example", shlex.split(example)[len(called.split()) :])


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_fits_the_terminal(name, width):
    command = COMMANDS[name]
    lines = command.get_help(click.Context(command, info_name=name, terminal_width=width)).splitlines()
    examples = {f"  pyannote-voiceprint {example}" for example in command.examples}
    assert [line for line in lines if len(line) > width and line not in examples] == []


def test_each_choice_of_on_unknown_is_explained_in_a_sentence(invoke):
    shown = " ".join(invoke("enroll", "--help").stdout.split())
    for choice in ("hold", "resubmit", "adopt"):
        assert f". {choice}: " in shown


@pytest.mark.parametrize(
    ("words", "same"),
    [((), ["--help"]), (("job",), ["job", "--help"]), (("ledger", "status"), ["ledger", "status", "--help"])],
)
def test_the_word_help_is_the_option_of_the_command(invoke, words, same):
    result = invoke("help", *words)
    assert (result.exit_code, result.stdout) == (0, invoke(*same).stdout)
    assert result.stdout.startswith("Usage: ")


def test_help_for_an_unknown_command_names_it(invoke):
    result = invoke("help", "nonsense")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "No such command 'nonsense'" in result.stderr


@pytest.mark.parametrize("arguments", [[], ["ledger"], ["manifest"]])
def test_the_list_of_commands_is_not_cut_off(invoke, arguments):
    """Click cuts off the first sentence of a command if it is longer than the line."""
    assert "..." not in invoke(*arguments, "--help").stdout.partition("Commands:")[2]
