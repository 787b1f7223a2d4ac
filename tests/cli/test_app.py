"""Properties of all commands: help, usage errors, and the extra that they need."""

import signal
import subprocess
import sys

import pytest

from pyannote_voiceprint_async import AsyncVoiceprintClient, __version__
from pyannote_voiceprint_async.cli import entry
from pyannote_voiceprint_async.cli.app import app, load

_COMMANDS = [
    "enroll", "export", "ledger", "inspect", "manifest",
    "identify", "voiceprint", "submit", "job", "jobs", "upload", "shared", "check", "sandbox",
]  # fmt: skip
_OF_THIS_MACHINE = {"export", "ledger", "inspect", "manifest", "sandbox", "shared"}


def test_help_lists_the_commands_in_the_order_of_use(invoke):
    result = invoke("--help")
    listed = [line.split()[0] for line in result.stdout.partition("Commands:\n")[2].splitlines() if line[2:3].isalpha()]
    assert result.exit_code == 0
    assert listed[: len(_COMMANDS)] == _COMMANDS


@pytest.mark.parametrize("name", _COMMANDS)
def test_every_command_has_help(invoke, name):
    result = invoke(name, "--help")
    assert (result.exit_code, result.stderr) == (0, "")
    assert load(name).help.splitlines()[0] in result.stdout


@pytest.mark.parametrize("name", _COMMANDS)
def test_the_list_of_commands_repeats_the_first_line_of_each_help(name):
    assert app.commands[name].get_short_help_str(1000) == load(name).get_short_help_str(1000)


@pytest.mark.parametrize("name", [name for name in _COMMANDS if name not in _OF_THIS_MACHINE])
def test_every_command_with_a_client_has_the_common_options_and_none_for_the_key(name):
    options = {option for parameter in load(name).params for option in parameter.opts}
    assert {"--sandbox", "--base-url", "--max-concurrency", "--rate-limit", "--shared", "-v"} <= options
    # Neither of these is the API key: the submission key, and the permission to use another API key.
    expected = {"enroll": ["--new-key"], "identify": ["--new-key"], "submit": ["--key"]}.get(name, [])
    assert [option for option in options if "key" in option] == expected


def test_the_version(command):
    result = command("--version")
    assert (result.returncode, result.stdout) == (0, f"pyannote-voiceprint {__version__}\n")


def test_the_package_runs_as_a_module():
    run = subprocess.run(
        [sys.executable, "-m", "pyannote_voiceprint_async", "help", "job"], capture_output=True, text=True, timeout=60,
        check=True,
    )  # fmt: skip
    assert run.stdout.startswith("Usage: pyannote-voiceprint job ")


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_import_no_client(option):
    script = (
        f"import sys; from pyannote_voiceprint_async.cli.app import app; app(['{option}'], standalone_mode=False); "
        "print(sorted({'aiohttp', 'asyncio', 'attrs', 'rich', 'sqlite3'} & set(sys.modules)), "
        "sorted({name.split('.')[1] for name in sys.modules if name.startswith('pyannote_voiceprint_async.')}))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.splitlines()[-1] == "[] ['cli', 'redaction', 'version']"


@pytest.mark.parametrize("missing", [["click"], ["rich"], ["click", "rich"]])
def test_a_missing_extra_is_reported_with_the_command_that_installs_it(monkeypatch, capsys, missing):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in missing else object())
    before = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(SystemExit) as raised:
            entry.main()
    finally:
        signal.signal(signal.SIGINT, before)
    assert raised.value.code == 2
    assert capsys.readouterr().err == (
        f"Error: The command line needs {' and '.join(missing)}. Install the extra: "
        "pip install 'pyannote-voiceprint-async[cli]' (in a clone: pip install '.[cli]')\n"
    )


def test_the_entry_point_imports_neither_click_nor_rich():
    script = "import sys; import pyannote_voiceprint_async.cli; print({'click', 'rich'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout == "set()\n"


def test_the_default_concurrency_is_that_of_the_client():
    default = next(parameter.default for parameter in load("check").params if parameter.name == "max_concurrency")
    assert default == AsyncVoiceprintClient.__init__.__kwdefaults__["max_concurrency"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["voiceprint"], "Missing argument"),
        (["submit"], "Missing argument"),
        (["job"], "Missing argument"),
        (["voiceprint", "--api-key", "k", "media://x"], "No such option"),
        (["check", "--sandbox", "--base-url", "http://x"], "--sandbox and --base-url exclude each other"),
        (["check", "--rate-limit", "100"], "'100' is not a rate limit: write REQUESTS/SECONDS, such as 100/60."),
        (["check", "--rate-limit", "0/60"], "'0/60' is not a rate limit"),
        (["check", "--rate-limit", "1/0"], "'1/0' is not a rate limit"),
        (["check", "--rate-limit", "-1/60"], "'-1/60' is not a rate limit"),
        (["check", "--rate-limit", "\u0661/\u0666"], "is not a rate limit"),
        (["check", "--max-concurrency", "0"], "0 is not in the range"),
        (["voiceprint", "--timeout", "0", "media://x"], "0.0 is not in the range"),
        (["voiceprint", "--webhook", "http://e.com", "media://x"], "webhook must begin with https://"),
        (["inspect"], "Missing argument"),
        (["inspect", "https://e.com/a.wav"], "https://e.com/a.wav: is a URL; download it first"),
        (["inspect", "*.wav"], "*.wav: matches no file"),
        (["manifest", "from-rttm", "a.rttm"], "Missing option '--audio'"),
        (["manifest", "from-rttm", "a.rttm", "--audio", "a.wav", "--label", "x"], "write OLD=NEW"),
        (["manifest", "from-rttm", "a.rttm", "--audio", "a.wav", "--out", "a.wav"], "is read by this command"),
        (["jobs", "--status", "done"], "'done' is not one of"),
        (["voiceprint", "s3://bucket/key"], "must begin with http://, https:// or media://"),
        (["voiceprint", "gone.wav"], "gone.wav: no such file or directory"),
        (["submit", "a.wav"], "a.wav: is not a URL; upload a file first"),
        (["submit", "https://"], "https://: has no host"),
        (["upload", "gone.wav"], "gone.wav: no such file or directory"),
        (["job", "..", "--sandbox"], "jobId must be the id of a job"),
        (["check", "--base-url", "ftp://x"], "base_url must begin with http://"),
        (["sandbox", "--fault", "nonsense=0.1"], "nonsense"),
        (["sandbox", "--fault", "server-error"], "A fault must have the form NAME=PROBABILITY"),
        (["sandbox", "--rate-limit", "x"], "A limit must have the form REQUESTS/SECONDS"),
        (["sandbox", "--rate-limit", "0/60"], "positive"),
        (["sandbox", "--job-seconds", "3:1"], "A range must have the form SECONDS or LOW:HIGH"),
        (["sandbox", "--latency", "x"], "A range must have the form SECONDS or LOW:HIGH"),
        (["sandbox", "--window", "round"], "'round' is not one of"),
        (["sandbox", "--port", "70000"], "70000 is not in the range"),
        (["sandbox", "--credit", "-1"], "-1 is not in the range"),
    ],
)
def test_wrong_usage_is_a_message_and_exit_code_2(invoke, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    result = invoke(*arguments, environment={"PYANNOTEAI_API_KEY": "k"})
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


@pytest.mark.parametrize(
    ("key", "message"),
    [("", "There is no API key."), ("a\nb", "The API key has a line break"), ("ä", "The API key has")],
)
def test_an_invalid_key_is_a_message_and_exit_code_2(invoke, key, message):
    result = invoke("check", environment={"PYANNOTEAI_API_KEY": key})
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert "PYANNOTEAI_API_KEY" in result.stderr
    assert len(result.stderr.splitlines()) == 1
