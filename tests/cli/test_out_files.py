"""`--report` and `--out` of every command refuse foreign files before anything is sent."""

import json
import os
import subprocess

import pytest

_URL = "https://e.com/ada.wav"


@pytest.fixture
def speakers(tmp_path):
    """A list with one speaker."""
    (tmp_path / "l.csv").write_text(f"label,source\n=1+1,{_URL}\n")
    return tmp_path


_COMMANDS = [
    ["enroll", "l.csv", "--report"],
    ["enroll", "l.csv", "--dry-run", "--report"],
    ["enroll", "l.csv", "--out"],
    ["voiceprint", _URL, "--out"],
]


@pytest.mark.parametrize("arguments", _COMMANDS, ids=lambda arguments: f"{arguments[0]} {arguments[-1]}")
def test_foreign_files_are_refused_before_anything_is_sent(invoke, quick_sandbox, speakers, monkeypatch, arguments):
    monkeypatch.chdir(speakers)
    (speakers / "notes.json").write_text("precious")
    (speakers / "victim.json").write_text("")
    (speakers / "link.json").symlink_to("victim.json")
    refusals = [("notes.json", "notes.json holds something other"), ("link.json", "link.json is a symbolic link")]
    if arguments[0] == "enroll":
        beside = ("l.csv", "l.ledger", "l.ledger-wal", "l.ledger.lock", "l.ledger.server")
        names = beside if arguments[-1] == "--report" else ["l.csv"]
        refusals += [(name, "is read by this command") for name in names]
    for name, message in refusals:
        result = invoke(*arguments, name, environment=quick_sandbox.environment)
        assert (result.exit_code, result.stdout) == (2, ""), name
        assert message in result.stderr
    assert (speakers / "notes.json").read_text() == "precious"
    assert (speakers / "victim.json").read_text() == ""
    assert {path.name for path in speakers.iterdir()} == {"l.csv", "notes.json", "victim.json", "link.json"}
    assert quick_sandbox.state()["total"]["requests"] == 0


@pytest.mark.parametrize("arguments", _COMMANDS, ids=lambda arguments: f"{arguments[0]} {arguments[-1]}")
def test_force_replaces_a_file_and_earlier_output_needs_no_force(
    invoke, quick_sandbox, speakers, monkeypatch, arguments
):
    monkeypatch.chdir(speakers)
    (speakers / "out.json").write_text("precious")
    for more in (["--force"], [], ["--force"]):
        result = invoke(*arguments, "out.json", *more, environment=quick_sandbox.environment)
        assert result.exit_code == 0, result.stderr
        written = (speakers / "out.json").read_text()
        assert "precious" not in written
    # Results of `voiceprint` were paid: they are added to, forced or not.
    assert len(written.splitlines()) == 3 if arguments[0] == "voiceprint" else json.loads(written)


def test_a_run_and_a_dry_run_replace_each_others_report(invoke, quick_sandbox, speakers, monkeypatch):
    monkeypatch.chdir(speakers)
    for more in (["--dry-run"], [], ["--dry-run"]):
        result = invoke("enroll", "l.csv", *more, "--report", "r.json", environment=quick_sandbox.environment)
        assert result.exit_code == 0, result.stderr
    assert "uploads" in json.loads((speakers / "r.json").read_text())


def test_stdout_devices_and_pipes_accept_every_format(command, quick_sandbox, speakers):
    """A redirected /dev/stdout is where the shell opened it, after what stands there."""
    with (speakers / "all.txt").open("w") as file:
        file.write("before\n")
        file.flush()
        result = command(
            "enroll", "l.csv", "--out", "/dev/stdout", "--report", "/dev/null",
            cwd=speakers, environment=quick_sandbox.environment, stdout=file,
        )  # fmt: skip
    assert result.returncode == 0, result.stderr
    first, line = (speakers / "all.txt").read_text().splitlines()
    assert (first, json.loads(line)["label"]) == ("before", "=1+1")

    os.mkfifo(speakers / "pipe")
    with subprocess.Popen(["/bin/cat", speakers / "pipe"], stdout=subprocess.PIPE, text=True) as reader:
        result = command("voiceprint", _URL, "--out", "pipe", cwd=speakers, environment=quick_sandbox.environment)
        assert result.returncode == 0, result.stderr
        assert json.loads(reader.stdout.read())["label"] == "ada"


def test_labels_with_spreadsheet_formulas_cause_a_warning(invoke, quick_sandbox, speakers, monkeypatch):
    monkeypatch.chdir(speakers)
    message = "Warning: a spreadsheet would run cells of 1 row as formulas (label '=1+1')."
    assert message in invoke("enroll", "l.csv", "--out", "o.csv", environment=quick_sandbox.environment).stderr
    assert message in invoke("export", "l.ledger", "--format", "csv").stderr
    assert "Warning" not in invoke("export", "l.ledger").stderr
    assert (speakers / "o.csv").read_text().splitlines()[1].startswith(f"=1+1,{_URL},succeeded,")
