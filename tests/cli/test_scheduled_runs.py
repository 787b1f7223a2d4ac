"""The command lines of the documented systemd unit and cron line work, and so do the exit codes that they rely on."""

import configparser
import json
import re
import shlex
from pathlib import Path

import pytest

from pyannote_voiceprint_async.cli import exit_codes
from pyannote_voiceprint_async.cli.exit_codes import ExitCode
from pyannote_voiceprint_async.sandbox import voiceprint_of

_PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "overnight.md").read_text()
_URL = "https://e.com/ada.wav"


def unit() -> configparser.SectionProxy:
    """Return the section of the documented unit that describes the service."""
    parser = configparser.ConfigParser()
    parser.optionxform = str
    [text] = re.findall(r"```ini\n(\[Unit\].*?)```", _PAGE, re.DOTALL)
    parser.read_string(text)
    return parser["Service"]


def cron_line() -> str:
    """Return the command of the documented cron line, without its time."""
    [line] = re.findall(r"^15 2 \* \* \* (.*)$", _PAGE, re.MULTILINE)
    return line


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory of the service, with its list."""
    (tmp_path / "speakers.csv").write_text(f"label,source\nAda,{_URL}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_in_sandbox(invoke, words) -> None:
    """Run a documented command line, whose first word is the command, in the embedded sandbox."""
    program, *arguments = words
    assert Path(program).name == "pyannote-voiceprint"
    result = invoke(*arguments, "--sandbox")
    assert result.exit_code == 0, result.stderr
    out = Path(arguments[arguments.index("--out") + 1])
    assert json.loads(out.read_text())["voiceprint"] == voiceprint_of(_URL)
    assert json.loads(Path(arguments[arguments.index("--report") + 1]).read_text())["succeeded"] == 1


def test_the_command_of_the_unit_works_and_runs_unattended(invoke, folder):
    run_in_sandbox(invoke, shlex.split(unit()["ExecStart"]))


def test_the_command_of_the_cron_line_works(invoke, folder):
    [command] = [part for part in cron_line().split(" && ") if "pyannote-voiceprint" in part]
    words = shlex.split(command.partition(" 2>>")[0])
    run_in_sandbox(invoke, words)
    assert "%" not in cron_line()  # cron would end the command there


def test_a_stopped_service_has_not_failed_and_has_time_for_the_requests_in_flight():
    assert int(unit()["SuccessExitStatus"]) == ExitCode.TERMINATED == 128 + 15
    assert ExitCode.INTERRUPTED == 128 + 2
    assert float(unit()["TimeoutStopSec"]) > 60  # `Timeouts.total` of a request in flight


def test_the_reference_has_every_exit_code():
    documented = {int(code) for code in re.findall(r"^\| (\d+) \| ", exit_codes.__doc__, re.MULTILINE)}
    assert documented == {*ExitCode}
