"""Commands on terminals of several widths: text, no value of a voiceprint, and no line that is cut."""

import json

import pytest

from pyannote_voiceprint_async.sandbox import voiceprint_of


@pytest.mark.parametrize("columns", ["60", "80", "200"])
def test_no_terminal_shows_the_value_of_a_voiceprint(on_terminal, quick_sandbox, invoke, speech, columns):
    environment = {**quick_sandbox.environment, "COLUMNS": columns}
    audio = speech / "june-fr.wav"
    code, shown = on_terminal("voiceprint", audio, environment=environment)
    assert code == 0
    assert b"june-fr: voiceprint by precision-2" in shown
    assert b"pyannote-voiceprint job ID --out FILE.jsonl" in shown
    [job_id] = [json.loads(line)["job_id"] for line in invoke("jobs", environment=environment).stdout.splitlines()]
    screens = [shown]
    for arguments in (["job", job_id], ["job", job_id, "--json"], ["jobs"], ["check"]):
        code, shown = on_terminal(*arguments, environment=environment)
        assert code == 0
        screens.append(shown)
        lines = [line for line in shown.decode().splitlines() if not line.startswith(("{", "pyannote-voiceprint"))]
        assert all(len(line) <= int(columns) or "pyannote-voiceprint job" in line for line in lines), lines
    value = voiceprint_of(audio.read_bytes())
    assert not [screen for screen in screens if value[:40].encode() in screen]
    assert json.loads(invoke("job", job_id, environment=environment).stdout)["voiceprint"] == value


def test_a_job_can_be_saved_from_a_terminal_more_than_once(on_terminal, quick_sandbox, invoke, tmp_path):
    """The file holds earlier output of the command, so the second job is appended."""
    submitted = invoke("submit", "https://e.com/a", "https://e.com/b", environment=quick_sandbox.environment).stdout
    ids = [json.loads(line)["job_id"] for line in submitted.splitlines()]
    for job_id in ids:
        arguments = ("job", job_id, "--wait", "--out", tmp_path / "jobs.jsonl")
        code, shown = on_terminal(*arguments, environment=quick_sandbox.environment)
        assert (code, shown) == (0, b"")
    saved = [json.loads(line) for line in (tmp_path / "jobs.jsonl").read_text().splitlines()]
    assert [job["job_id"] for job in saved] == ids
    assert all(job["voiceprint"] for job in saved)


def test_no_output_option_shows_the_value_of_a_voiceprint(on_terminal, quick_sandbox, speech, tmp_path):
    audio, ledger = speech / "june-fr.wav", tmp_path / "june.ledger"
    value = voiceprint_of(audio.read_bytes())[:40].encode()
    codes = []
    for arguments in (
        ("enroll", audio, "--ledger", ledger, "--out", "/dev/stdout"),
        ("enroll", audio, "--ledger", ledger),
        ("export", ledger, "--out", "/dev/stdout"),
        ("voiceprint", audio, "--out", "/dev/stdout"),
    ):
        code, shown = on_terminal(*arguments, environment=quick_sandbox.environment)
        assert value not in shown
        codes.append(code)
    assert codes == [2, 0, 2, 0]
    assert quick_sandbox.state()["jobs"] == 2


@pytest.mark.parametrize("columns", ["60", "200"])
def test_submit_prints_text_on_a_terminal_and_json_on_request(on_terminal, quick_sandbox, invoke, columns):
    environment = {**quick_sandbox.environment, "COLUMNS": columns}
    urls = ("https://e.com/a.wav?sig=secret", "media://" + "b" * 40)
    code, shown = on_terminal("submit", *urls, environment=environment)
    ids = [json.loads(line)["job_id"] for line in invoke("jobs", environment=environment).stdout.splitlines()]
    text = " ".join(shown.decode().split())
    assert code == 0
    assert sorted(text.count(job_id) for job_id in ids) == [1, 1]
    assert "https://e.com/a.wav?…: submitted, job " in text
    lines = [line for line in shown.decode().splitlines() if "\x1b" not in line]
    assert all(len(line) <= int(columns) for line in lines), lines
    code, shown = on_terminal("submit", *urls, "--json", environment=environment)
    assert shown.decode().count('{"source": ') == 2


def test_submit_on_a_terminal_prints_the_error_of_an_account_once(on_terminal, start_sandbox):
    server = start_sandbox("--credit", "0")
    urls = [f"https://e.com/{number}.wav" for number in range(3)]
    code, shown = on_terminal("submit", *urls, environment={**server.environment, "COLUMNS": "200"})
    assert code == 3
    assert shown.decode().count("Error: ") == 1
    assert "e.com" not in shown.decode()


def test_a_dry_run_is_broken_between_words(on_terminal, tmp_path):
    (tmp_path / "list.csv").write_text("label,source\n" + "".join(f"p{n},https://e.com/{n}\n" for n in range(400)))
    code, shown = on_terminal("enroll", "--sandbox", tmp_path / "list.csv", "--dry-run", environment={"COLUMNS": "40"})
    lines = shown.decode().replace("\r", "").splitlines()
    assert code == 0
    assert lines[-2:] == ["At 100 submissions in 60 seconds, the", "last one is sent after 3 min."]


def test_a_long_error_is_broken_between_words(on_terminal):
    code, shown = on_terminal("check", "--rate-limit", "x", environment={"COLUMNS": "60"})
    lines = shown.decode().replace("\r", "").splitlines()
    error = lines[next(index for index, line in enumerate(lines) if line.startswith("Error: ")) :]
    assert code == 2
    assert len(error) > 1
    assert all(len(line) <= 60 for line in error)
