"""The pipeline of `voiceprint`: one line per source, parallel uploads, and no job lost after a failed write."""

import asyncio
import io
import json

import pytest

from pyannote_voiceprint_async import AsyncVoiceprintClient, Polling
from pyannote_voiceprint_async.cli.output import Output
from pyannote_voiceprint_async.cli.progress import PlainProgress
from pyannote_voiceprint_async.cli.sources import find_recordings
from pyannote_voiceprint_async.cli.voiceprint_run import VoiceprintRun
from pyannote_voiceprint_async.sandbox import Sandbox


class Broken(io.BytesIO):
    """A pipe whose reader has ended."""

    def write(self, _data) -> int:
        raise BrokenPipeError


async def voiceprint_run(client, results, *arguments):
    output = Output(results, PlainProgress(lambda _: None))
    sources = await asyncio.to_thread(find_recordings, arguments)
    return VoiceprintRun(client, output, sources, model="precision-2", timeout=30.0)


async def test_every_source_gives_one_line(start):
    sandbox = await start(Sandbox(rate_limit=(10_000, 60.0), read_limit=(10_000, 60.0), job_seconds=0.0))
    client = await start(
        AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, polling=Polling(first=0.01, longest=0.05))
    )
    results = io.BytesIO()
    run = await voiceprint_run(client, results, *(f"https://e.com/{number}" for number in range(300)))
    await run.run()
    labels = [json.loads(line)["label"] for line in results.getvalue().splitlines()]
    assert sorted(labels, key=int) == [str(number) for number in range(300)]
    assert (run.succeeded, run.failed, run.open_jobs) == (300, 0, set())
    assert len(sandbox.accepted) == 300


async def test_files_are_uploaded_several_at_a_time(start, speech, tmp_path):
    sandbox = await start(Sandbox(window="none", job_seconds=0.0, latency=0.05))
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url))
    audio = (speech / "june-fr.wav").read_bytes()
    for number in range(20):
        (tmp_path / f"{number}.wav").write_bytes(audio)
    run = await voiceprint_run(client, io.BytesIO(), str(tmp_path))
    await run.run()
    assert run.succeeded == 20
    assert 1 < sandbox.state.operations["media"].highest_in_flight <= 8


async def test_a_deleted_file_gives_a_failed_line_and_the_others_finish(client, tmp_path, speech):
    (tmp_path / "gone.wav").write_bytes(b"RIFF")
    results = io.BytesIO()
    run = await voiceprint_run(client, results, str(tmp_path / "gone.wav"), str(speech / "june-fr.wav"))
    (tmp_path / "gone.wav").unlink()
    await run.run()
    statuses = {
        line["label"]: (line["status"], line["job_id"]) for line in map(json.loads, results.getvalue().splitlines())
    }
    assert statuses["gone"] == ("failed", None)
    assert statuses["june-fr"][0] == "succeeded"


async def test_every_job_id_is_on_stderr_when_no_result_can_be_written(client, sandbox, capsys):
    run = await voiceprint_run(client, Broken(), *(f"https://e.com/{number}" for number in range(20)))
    with pytest.raises(BrokenPipeError):
        await run.run()
    announced = {json.loads(line)["job_id"] for line in capsys.readouterr().err.splitlines()}
    assert announced == {job.id for job in sandbox.accepted}


async def test_a_webhook_is_requested_with_each_submission(client, sandbox, capsys):
    output = Output(io.BytesIO(), PlainProgress(lambda _: None))
    sources = await asyncio.to_thread(find_recordings, ["https://e.com/1"])
    url = "http://127.0.0.1:9/hook"
    run = VoiceprintRun(client, output, sources, model="precision-2", timeout=0.01, webhook=url)
    await run.run()
    assert [job.webhook for job in sandbox.accepted] == [url]
