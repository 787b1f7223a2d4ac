"""The commands `check`, `upload`, `submit`, `job` and `jobs` against a sandbox in another process."""

import json

import pytest

from pyannote_voiceprint_async.sandbox import voiceprint_of

_FIELDS_OF_A_JOB = ["job_id", "status", "created_at", "updated_at", "voiceprint", "warning", "error"]


def test_check_prints_the_status_of_the_key(invoke, quick_sandbox):
    result = invoke("check", environment=quick_sandbox.environment)
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout) == {"status": "OK", "message": "API key is valid"}


def test_a_rejected_key_is_exit_code_3_and_not_printed(invoke, quick_sandbox):
    result = invoke("check", environment={**quick_sandbox.environment, "PYANNOTEAI_API_KEY": "no-such-key"})
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith("Error: ")
    assert "no-such-key" not in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_an_unreachable_api_is_exit_code_1(invoke):
    """Port 9 is discard, which nobody runs; the retries in between take a few seconds."""
    result = invoke("check", "--base-url", "http://127.0.0.1:9", environment={"PYANNOTEAI_API_KEY": "k"})
    assert (result.exit_code, result.stdout) == (1, "")
    assert "127.0.0.1" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_upload_prints_a_url_that_submit_accepts(invoke, records, quick_sandbox, speech):
    uploaded = invoke("upload", speech / "june-fr.wav", environment=quick_sandbox.environment)
    assert (uploaded.exit_code, uploaded.stderr) == (0, "")
    url = uploaded.stdout.rstrip("\n")
    assert url.startswith("media://")

    submitted = invoke("submit", url, environment=quick_sandbox.environment)
    [record] = records(submitted.stdout)
    assert (submitted.exit_code, submitted.stderr) == (0, "")

    done = invoke("job", record["job_id"], "--wait", environment=quick_sandbox.environment)
    [job] = records(done.stdout)
    assert done.exit_code == 0
    assert list(job) == _FIELDS_OF_A_JOB
    assert (job["status"], job["error"]) == ("succeeded", None)
    assert job["voiceprint"] == voiceprint_of((speech / "june-fr.wav").read_bytes())


def test_upload_refuses_an_empty_file_before_anything_is_sent(invoke, quick_sandbox, tmp_path):
    (tmp_path / "empty.wav").touch()
    result = invoke("upload", tmp_path / "empty.wav", environment=quick_sandbox.environment)
    assert result.exit_code == 2
    assert quick_sandbox.state()["total"]["requests"] == 0


def test_submit_prints_one_line_for_each_url_without_its_query(invoke, records, quick_sandbox):
    result = invoke(
        "submit", "https://e.com/a.wav?sig=secret", "media://b", "media://b", environment=quick_sandbox.environment
    )
    lines = records(result.stdout)
    assert result.exit_code == 0
    assert [list(line) for line in lines] == [["source", "job_id", "status", "warning", "error"]] * 2
    assert {line["source"] for line in lines} == {"https://e.com/a.wav?…", "media://b"}
    assert all(line["job_id"] and line["error"] is None for line in lines)
    assert "secret" not in result.output
    assert quick_sandbox.state()["jobs"] == 2


def test_submit_sends_nothing_when_one_url_is_bad(invoke, quick_sandbox):
    result = invoke("submit", "media://good", "ftp://bad", environment=quick_sandbox.environment)
    assert result.exit_code == 2
    assert quick_sandbox.state()["total"]["requests"] == 0


def test_submit_with_a_rejected_account_prints_all_lines_and_is_exit_code_3(invoke, records, start_sandbox):
    server = start_sandbox("--credit", "2", "--window", "none")
    urls = [f"https://e.com/{number}.wav" for number in range(100)]
    result = invoke("submit", "--max-concurrency", "1", *urls, environment=server.environment)
    lines = records(result.stdout)
    assert result.exit_code == 3
    assert sorted(line["source"] for line in lines) == sorted(urls)
    assert sum(line["job_id"] is not None for line in lines) == 2
    assert {line["status"] for line in lines if line["job_id"] is None} == {"failed"}
    assert server.state()["operations"]["voiceprint"]["requests"] < 10


def test_submit_reports_an_unknown_outcome(invoke, records, start_sandbox):
    server = start_sandbox("--fault", "drop-after-accept=1")
    result = invoke("submit", "media://a", environment=server.environment)
    [line] = records(result.stdout)
    assert result.exit_code == 1
    assert (line["status"], line["job_id"]) == ("unknown", None)
    assert server.state()["jobs"] == 1


def test_job_prints_a_failed_job_and_is_exit_code_1(invoke, records, quick_sandbox, tmp_path):
    (tmp_path / "noise.wav").write_bytes(b"no audio")
    url = invoke("upload", tmp_path / "noise.wav", environment=quick_sandbox.environment).stdout.strip()
    [record] = records(invoke("submit", url, environment=quick_sandbox.environment).stdout)
    for arguments in (["--wait"], []):
        result = invoke("job", record["job_id"], *arguments, environment=quick_sandbox.environment)
        [job] = records(result.stdout)
        assert result.exit_code == 1
        assert (job["status"], job["voiceprint"], job["error"]) == ("failed", None, "Could not load audio")


def test_job_prints_an_unfinished_job_and_waits_no_longer_than_the_timeout(invoke, records, start_sandbox):
    server = start_sandbox("--job-seconds", "600")
    [record] = records(invoke("submit", "media://a", environment=server.environment).stdout)
    shown = invoke("job", record["job_id"], environment=server.environment)
    assert shown.exit_code == 0
    assert records(shown.stdout)[0]["voiceprint"] is None
    waited = invoke("job", record["job_id"], "--wait", "--timeout", "0.1", environment=server.environment)
    assert (waited.exit_code, waited.stdout) == (1, "")
    assert record["job_id"] in waited.stderr


def test_job_with_an_unknown_id_is_exit_code_1(invoke, quick_sandbox):
    result = invoke("job", "nobody", environment=quick_sandbox.environment)
    assert (result.exit_code, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) == 1


def test_jobs_lists_all_pages_and_filters_by_status(invoke, records, quick_sandbox):
    urls = [f"https://e.com/{number}.wav" for number in range(101)]
    submitted = records(invoke("submit", *urls, environment=quick_sandbox.environment).stdout)
    result = invoke("jobs", environment=quick_sandbox.environment)
    lines = records(result.stdout)
    assert (result.exit_code, result.stderr) == (0, "")
    assert [list(line) for line in lines] == [["job_id", "status", "created_at"]] * 101
    assert {line["job_id"] for line in lines} == {line["job_id"] for line in submitted}
    assert invoke("jobs", "--status", "canceled", environment=quick_sandbox.environment).stdout == ""


def test_a_closed_pipe_ends_a_listing_quietly(spawn, quick_sandbox, invoke):
    """Far more is listed than a pipe holds, so that writing must fail."""
    invoke("submit", *(f"https://e.com/{number}" for number in range(1000)), environment=quick_sandbox.environment)
    process = spawn("jobs", environment=quick_sandbox.environment)
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 1


@pytest.mark.parametrize(("flags", "levels"), [([], set()), (["-v"], {"INFO"}), (["-vv"], {"INFO", "DEBUG"})])
def test_verbose_prints_the_log_to_stderr(invoke, start_sandbox, flags, levels):
    server = start_sandbox("--fault", "unavailable=0.3", "--seed", "1")
    urls = [f"media://{number}" for number in range(4)]
    result = invoke("submit", *urls, *flags, environment=server.environment)
    assert result.exit_code == 0
    assert {line.split()[0] for line in result.stderr.splitlines()} == levels
