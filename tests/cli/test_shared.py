"""`shared status` and `shared resolve`, with state that `submit --key` has made."""

import json
import sqlite3
from contextlib import closing

import pytest

URL = "https://files.example.org/a.wav"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "shared.db"


@pytest.fixture
def lose(path):
    """Return a function that makes the outcome of a key unknown."""

    def lose(key):
        with closing(sqlite3.connect(path)) as db, db:
            db.execute(
                "UPDATE voiceprint_keys SET state = 'unknown', alive_until = 0, job_id = NULL WHERE submission_key = ?",
                (key,),
            )

    return lose


def submit(invoke, sandbox, path, key="a", url=URL):
    return invoke("submit", url, "--key", key, "--shared", path, environment=sandbox.environment)


def test_a_repeated_command_with_a_key_submits_nothing(invoke, records, quick_sandbox, path):
    results = [submit(invoke, quick_sandbox, path) for _ in range(2)]
    assert [result.exit_code for result in results] == [0, 0]
    [first], [second] = (records(result.stdout) for result in results)
    assert first["job_id"] == second["job_id"]
    assert quick_sandbox.state()["operations"]["voiceprint"]["requests"] == 1


def test_a_key_belongs_to_one_url(invoke, quick_sandbox, path):
    result = invoke("submit", URL, f"{URL}2", "--key", "a", "--shared", path, environment=quick_sandbox.environment)
    assert result.exit_code == 2
    assert "--key belongs to one URL" in result.stderr


def test_status_reports_windows_and_keys_without_the_api_key(invoke, quick_sandbox, path, lose):
    submit(invoke, quick_sandbox, path)
    submit(invoke, quick_sandbox, path, key="b")
    lose("b")
    for arguments, environment in (([path], {}), ([], {"PYANNOTE_VOICEPRINT_SHARED": str(path)})):
        result = invoke("shared", "status", *arguments, environment=environment)
        assert (result.exit_code, result.stderr) == (0, "")
        status = json.loads(result.stdout)
        assert (status["team"], status["base_url"]) == ("default", quick_sandbox.url)
        assert status["keys"] == {"accepted": 1, "unknown": 1}
        assert [key["key"] for key in status["unresolved_keys"]] == ["b"]
        # The permits of ended commands return a minute after their responses.
        [window] = status["windows"]
        assert (window["operation"], window["in_use"], window["limit"]) == ("submissions", 2, 10000)


def test_status_is_a_table_on_a_terminal(invoke, on_terminal, quick_sandbox, path):
    submit(invoke, quick_sandbox, path)
    code, shown = on_terminal("shared", "status", path)
    assert code == 0
    lines = shown.decode().splitlines()
    assert lines[:3] == [f"API   {quick_sandbox.url}", "Team  default", "Keys  1 accepted"]
    operation, _processes, *counts = lines[-1].split()
    assert (operation, counts) == ("submissions", ["1", "10000", "0"])


def test_status_of_a_missing_file_creates_none(invoke, path):
    result = invoke("shared", "status", path)
    assert result.exit_code == 2
    assert "There is no shared state file" in result.stderr
    assert not path.exists()


def test_status_of_another_file_is_an_error(invoke, path):
    path.write_text("speaker,url\n" * 100)
    result = invoke("shared", "status", path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "file is not a database" in result.stderr


def test_an_unknown_outcome_is_resolved_with_a_job(invoke, records, quick_sandbox, path, lose):
    [first] = records(submit(invoke, quick_sandbox, path).stdout)
    lose("a")
    lost = submit(invoke, quick_sandbox, path)
    assert lost.exit_code == 1
    assert "pyannote-voiceprint shared resolve" in lost.stdout
    options = ("--shared", path)
    resolved = invoke(
        "shared", "resolve", "a", "--job-id", first["job_id"], *options, environment=quick_sandbox.environment
    )
    assert (resolved.exit_code, resolved.stderr) == (0, "Recorded: the key has this job.\n")
    [again] = records(submit(invoke, quick_sandbox, path).stdout)
    assert again["job_id"] == first["job_id"]
    assert quick_sandbox.state()["operations"]["voiceprint"]["requests"] == 1


def test_a_freed_key_pays_again(invoke, records, quick_sandbox, path, lose):
    [first] = records(submit(invoke, quick_sandbox, path).stdout)
    freed = invoke("shared", "resolve", "a", "--free", "--shared", path, environment=quick_sandbox.environment)
    assert (freed.exit_code, freed.stderr) == (0, "The key is free.\n")
    [again] = records(submit(invoke, quick_sandbox, path).stdout)
    assert again["job_id"] != first["job_id"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["a", "--shared", "{path}"], "Choose one of --job-id ID and --free."),
        (["a", "--free", "--job-id", "x", "--shared", "{path}"], "Choose one of --job-id ID and --free."),
        (["a", "--free"], "Name the shared state"),
        (["a", "--free", "--sandbox", "--shared", "{path}"], "Name the shared state"),
        (["b", "--free", "--shared", "{path}"], "There is no submission key 'b'"),
    ],
)
def test_wrong_arguments_of_resolve_are_reported(invoke, path, arguments, problem):
    arguments = [argument.format(path=path) for argument in arguments]
    result = invoke("shared", "resolve", *arguments, environment={"PYANNOTEAI_API_KEY": "key"})
    assert result.exit_code == 2
    assert problem in result.stderr


def test_two_enrollments_and_a_script_keep_one_limit(spawn, start_sandbox, path, tmp_path):
    """Each of them alone would use the whole limit."""
    sandbox = start_sandbox("--rate-limit", "30/1", "--read-limit", "10000/60", "--job-seconds", "0")
    options = ("--shared", path, "--rate-limit", "30/1")
    processes = []
    for name in ("one", "two"):
        rows = "".join(f"{name}-{number},https://files.example.org/{name}-{number}.wav\n" for number in range(40))
        (tmp_path / f"{name}.csv").write_text(f"label,source\n{rows}")
        arguments = ("enroll", tmp_path / f"{name}.csv", "--yes", *options)
        processes.append(spawn(*arguments, environment=sandbox.environment))
    urls = [f"{URL}?{number}" for number in range(40)]
    processes.append(spawn("submit", *urls, *options, environment=sandbox.environment))
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    submissions = sandbox.state()["operations"]["voiceprint"]
    assert (submissions["requests"], submissions["rateLimited"]) == (120, 0)
