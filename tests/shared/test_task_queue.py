"""`examples/task_queue`: workers are killed and restarted, and no speaker is paid for twice."""

import asyncio
import csv
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
from warm_process import WarmProcess

from pyannote_voiceprint_async.sandbox import Sandbox, voiceprint_of

SPEAKERS = [f"speaker {number}" for number in range(200)]
WORKERS, KILLS = 3, 6


def url_of(name: str) -> str:
    return f"https://files.example.org/{name.replace(' ', '-')}.wav"


@pytest.fixture
def run(database: str, tmp_path: Path) -> Iterator[Callable[..., WarmProcess]]:
    """Return a function that starts a program of the example."""
    with ExitStack() as stack:
        log = stack.enter_context((tmp_path / "stderr").open("wb"))

        def run(api: Sandbox, *arguments: object) -> WarmProcess:
            environment = {
                "PYANNOTE_VOICEPRINT_SHARED": database,
                "PYANNOTEAI_API_KEY": api.api_key,
                "PYANNOTEAI_BASE_URL": api.url,
                "WORKER_HEARTBEAT": "0.5",
            }
            process = stack.enter_context(
                WarmProcess("task_queue_program", *arguments, environment=environment, stderr=log)
            )
            stack.callback(process.kill)
            return process

        yield run


@pytest.mark.slow
async def test_killed_workers_pay_for_no_speaker_twice(
    run: Callable[..., WarmProcess], database: str, start: Callable[..., Any], tmp_path: Path
):
    api = await start(Sandbox(rate_limit=(10_000, 60.0), read_limit=(10_000, 60.0), latency=(0.0, 0.2)))
    path = tmp_path / "speakers.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("name", "url"), *((name, url_of(name)) for name in SPEAKERS)])
    # A list that is added again, as after an interruption.
    for _ in range(2):
        output, _ = await asyncio.to_thread(run(api, "enqueue.py", path).communicate)
        assert output == "200 of 200 speakers were added to the queue.\n"

    rng, workers = random.Random(1), [run(api, "worker.py") for _ in range(WORKERS)]
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as db:

        async def count(sql: str) -> int:
            return (await (await db.execute(sql)).fetchone() or [0])[0]

        for kill in range(1, KILLS + 1):
            while await count("SELECT count(*) FROM speakers") < kill * 25:
                await asyncio.sleep(0.02)
            number = rng.randrange(WORKERS)
            workers[number].kill()
            workers[number] = run(api, "worker.py")
        while await count("SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"):
            await asyncio.sleep(0.05)
        assert await count("SELECT count(*) FROM procrastinate_jobs") == 0
        rows = await (await db.execute("SELECT name, voiceprint, error FROM speakers")).fetchall()

    assert sorted(name for name, *_ in rows) == sorted(SPEAKERS)
    done = {name: voiceprint for name, voiceprint, _ in rows if voiceprint}
    assert done == {name: voiceprint_of(url_of(name)) for name in done}
    # The submissions in flight of killed workers are left to a person.
    errors = {error.partition(":")[0] for _, _, error in rows if error}
    assert errors <= {"UnknownOutcomeError"}
    assert len(done) > len(SPEAKERS) - 32 * KILLS
    jobs = Counter(job.url for job in api.accepted)
    assert set(jobs.values()) == {1}
    assert {url_of(name) for name in done} <= set(jobs)
