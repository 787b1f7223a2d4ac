"""`voiceprint` in real processes, with real speech and signals."""

import json
import signal
import stat
import time

import numpy as np
import pytest
from audio_files import speechlike, wav

from pyannote_voiceprint_async.sandbox import voiceprint_of

_FIELDS = ["label", "source", "status", "job_id", "model", "voiceprint", "warnings", "error"]
_VOICES = ["allison-en", "allison-es", "carlo-it", "ivrvoice-ru", "june-fr"]


def wavs(speech):
    return sorted(speech.glob("*.wav"))


def test_real_speech_through_the_embedded_sandbox(command, records, speech):
    result = command("voiceprint", "--sandbox", *wavs(speech))
    lines = {line["label"]: line for line in records(result.stdout)}
    assert result.returncode == 0
    assert sorted(lines) == _VOICES
    assert len(result.stdout.splitlines()) == len(_VOICES)
    for path in wavs(speech):
        line = lines[path.stem]
        assert list(line) == _FIELDS
        assert line["voiceprint"] == voiceprint_of(path.read_bytes())
        assert (line["source"], line["status"], line["model"]) == (str(path), "succeeded", "precision-2")
        assert (line["warnings"], line["error"]) == ([], None)
    first, *_, last = result.stderr.splitlines()
    assert first == "Sandbox: nothing is sent to pyannoteAI, and the voiceprints are not real."
    assert last == "All well: 5 voiceprints."


def test_each_submitted_job_is_on_stderr_and_no_voiceprint_is(command, records, speech):
    result = command("voiceprint", "--sandbox", speech / "june-fr.wav", speech / "carlo-it.wav")
    announced, lines = records(result.stderr), records(result.stdout)
    assert {line["status"] for line in announced} == {"submitted"}
    assert {(line["label"], line["job_id"]) for line in announced} == {
        (line["label"], line["job_id"]) for line in lines
    }
    assert all(line["voiceprint"] not in result.stderr for line in lines)


def test_results_in_a_private_file_leave_stdout_empty(command, records, speech, tmp_path):
    out = tmp_path / "results.jsonl"
    result = command("voiceprint", "--sandbox", speech / "june-fr.wav", "--out", out)
    assert (result.returncode, result.stdout) == (0, "")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert [line["label"] for line in records(out.read_text())] == ["june-fr"]


def test_a_failed_source_stops_no_other_and_is_exit_code_1(command, records, speech, tmp_path):
    (tmp_path / "noise.wav").write_bytes(b"no audio")
    result = command("voiceprint", "--sandbox", "--no-preflight", tmp_path, speech / "june-fr.wav")
    lines = {line["label"]: line for line in records(result.stdout)}
    assert result.returncode == 1
    assert {label: line["status"] for label, line in lines.items()} == {"noise": "failed", "june-fr": "succeeded"}
    assert "Could not load audio" in lines["noise"]["error"]
    assert lines["noise"]["voiceprint"] is None
    assert f"noise: {lines['noise']['error']}" in result.stderr.splitlines()
    assert result.stderr.splitlines()[-1].startswith("1 voiceprint, and 1 of 2 recordings without")


def test_nothing_is_sent_when_any_source_is_wrong(command, quick_sandbox, speech, tmp_path):
    (tmp_path / "empty.wav").touch()
    result = command(
        "voiceprint", speech / "june-fr.wav", tmp_path, "s3://b/k", "gone.wav", environment=quick_sandbox.environment
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert [problem in result.stderr for problem in ("empty.wav: is empty", "s3://b/k: must", "gone.wav: no such")] == [
        True
    ] * 3
    assert quick_sandbox.state()["total"]["requests"] == 0


def test_files_are_checked_before_anything_is_sent(command, records, quick_sandbox, speech, tmp_path):
    files = {
        "text.wav": b"no audio",
        "silent.wav": wav(np.zeros(32000, np.int16)),
        "long.wav": wav(speechlike(75)),
        "cut.wav": wav(speechlike(4))[:-64000],
    }
    for name, audio in files.items():
        (tmp_path / name).write_bytes(audio)
    result = command("voiceprint", tmp_path, speech / "june-fr.wav", environment=quick_sandbox.environment)
    assert (result.returncode, result.stdout) == (2, "")
    problems = (
        "text.wav: the file is in none of the audio formats",
        "silent.wav: is silent",
        "long.wav: lasts 75.00 s",
        "cut.wav: ends or is",
    )
    assert [problem in result.stderr for problem in problems] == [True] * 4
    assert quick_sandbox.state()["total"]["requests"] == 0


def test_a_warning_is_reported_and_the_file_is_sent(command, records, quick_sandbox, tmp_path):
    (tmp_path / "anna.wav").write_bytes(wav(np.stack([speechlike(2)] * 2, axis=1), channels=2))
    result = command("voiceprint", tmp_path, environment=quick_sandbox.environment)
    [line] = records(result.stdout)
    note = "has 2 channels, which are mixed down to one. See that they have the same speaker"
    assert (result.returncode, line["warnings"]) == (0, [note])
    assert result.stderr.splitlines()[0] == f"anna: {note}"


def test_queries_of_urls_are_never_printed(command, records, quick_sandbox, tmp_path):
    out = tmp_path / "results.jsonl"
    result = command(
        "voiceprint", "https://e.com/maria.wav?sig=secret", "--out", out, "-vv", environment=quick_sandbox.environment
    )
    [line] = records(out.read_text())
    assert (result.returncode, line["label"], line["source"]) == (0, "maria", "https://e.com/maria.wav?…")
    assert "secret" not in result.stderr + out.read_text()


def test_a_rejected_account_stops_new_work_and_submitted_jobs_are_waited_for(command, records, start_sandbox):
    server = start_sandbox("--credit", "3", "--window", "none", "--job-seconds", "0.5")
    urls = [f"https://e.com/{number}.wav" for number in range(200)]
    result = command("voiceprint", "--max-concurrency", "4", *urls, environment=server.environment)
    lines = records(result.stdout)
    assert result.returncode == 3
    assert sorted(line["source"] for line in lines) == sorted(urls)
    assert [line["status"] for line in lines].count("succeeded") == 3 == server.state()["jobs"]
    assert {line["status"] for line in lines} == {"succeeded", "failed"}
    assert server.state()["operations"]["voiceprint"]["requests"] <= 3 + 4
    assert "402" in result.stderr.splitlines()[-1]
    assert result.stderr.count("402") == 1


def test_a_rejected_key_stops_uploads_too(command, records, quick_sandbox, speech):
    result = command(
        "voiceprint", *wavs(speech), environment={**quick_sandbox.environment, "PYANNOTEAI_API_KEY": "no-such-key"}
    )
    lines = records(result.stdout)
    assert result.returncode == 3
    assert sorted(line["label"] for line in lines) == _VOICES
    assert {line["status"] for line in lines} == {"failed"}
    assert "no-such-key" not in result.stdout + result.stderr


def test_a_job_that_exceeds_the_timeout_continues(command, records, start_sandbox):
    server = start_sandbox("--job-seconds", "600")
    result = command("voiceprint", "https://e.com/a", "--timeout", "0.2", environment=server.environment)
    [line] = records(result.stdout)
    assert result.returncode == 1
    assert (line["status"], line["voiceprint"]) == ("submitted", None)
    assert line["job_id"] in line["error"]


def test_the_timeout_excludes_the_time_in_the_wait_queue(command, records, start_sandbox):
    """With one submission in a second, the last one queues for longer than its job may take."""
    server = start_sandbox("--job-seconds", "0")
    arguments = ["--timeout", "3", "--rate-limit", "1/1", *(f"https://e.com/{number}" for number in range(5))]
    result = command("voiceprint", *arguments, environment=server.environment)
    assert result.returncode == 0, result.stderr
    assert len(records(result.stdout)) == 5


def until_announced(process, count) -> str:
    stderr = ""
    while stderr.count('"status": "submitted"') < count:
        line = process.stderr.readline()
        assert line, stderr
        stderr += line
    return stderr


@pytest.mark.parametrize("count", [1, 3])
def test_an_interrupted_command_has_printed_every_job_id(spawn, records, start_sandbox, ending_code, ending, count):
    server = start_sandbox("--job-seconds", "600")
    process = spawn(
        "voiceprint", *(f"https://e.com/{number}" for number in range(count)), environment=server.environment
    )
    announced = until_announced(process, count)
    process.send_signal(ending)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (ending_code, "")
    assert len({line["job_id"] for line in records(announced)}) == count == server.state()["jobs"]
    assert stderr.splitlines()[-1] == (
        f"Interrupted: {count} job{'s' * (count > 1)} submitted but not waited for; fetch each with "
        "`pyannote-voiceprint job ID --wait`, the ids are printed above."
    )


def test_a_killed_command_has_printed_the_job_id_before_it_waited(spawn, start_sandbox, records):
    server = start_sandbox("--job-seconds", "600")
    process = spawn("voiceprint", "https://e.com/a", environment=server.environment)
    [line] = records(until_announced(process, 1))
    process.kill()
    assert process.wait(timeout=60) == -signal.SIGKILL
    assert (line["label"], line["source"], bool(line["job_id"])) == ("a", "https://e.com/a", True)


def test_a_submission_in_flight_is_finished_and_printed_after_the_signal(
    spawn, start_sandbox, records, ending, ending_code
):
    server = start_sandbox("--latency", "2", "--job-seconds", "600")
    process = spawn("voiceprint", "https://e.com/a", environment=server.environment)
    while not server.state()["operations"]["voiceprint"]["inFlight"]:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(ending)
    stdout, stderr = process.communicate(timeout=60)
    [announced] = records(stderr)
    assert (process.returncode, stdout) == (ending_code, "")
    assert stderr.startswith("Stopping when the requests in flight are finished.")
    assert (announced["label"], announced["status"]) == ("a", "submitted")
    assert stderr.splitlines()[-1].startswith("Interrupted: 1 job submitted but not waited for")


def test_queued_submissions_are_not_sent_after_the_signal(spawn, start_sandbox, ending, ending_code):
    server = start_sandbox("--job-seconds", "600")
    urls = [f"https://e.com/{number}" for number in range(5)]
    process = spawn("voiceprint", "--rate-limit", "1/600", *urls, environment=server.environment)
    until_announced(process, 1)
    process.send_signal(ending)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == ending_code
    assert stderr.splitlines()[-1].startswith("Interrupted: 1 job submitted")
    assert server.state()["jobs"] == 1


def test_results_before_the_signal_are_written(spawn, records, start_sandbox, tmp_path):
    server = start_sandbox("--job-seconds", "0")
    out = tmp_path / "results.jsonl"
    process = spawn(
        "voiceprint",
        "--rate-limit",
        "1/600",
        "https://e.com/a",
        "https://e.com/b",
        "--out",
        out,
        environment=server.environment,
    )
    while not (out.exists() and out.read_bytes().endswith(b"\n")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert (
        stderr.splitlines()[-1] == "Interrupted: 1 recording not submitted, run the command again with this recording."
    )
    assert [json.loads(line)["status"] for line in out.read_text().splitlines()] == ["succeeded"]


def test_a_closed_pipe_ends_the_command_quietly(spawn, quick_sandbox):
    process = spawn("voiceprint", "https://e.com/a", environment=quick_sandbox.environment)
    process.stdout.close()
    stderr = process.stderr.read()
    assert process.wait(timeout=60) == 1
    assert [json.loads(line)["status"] for line in stderr.splitlines()] == ["submitted"]
