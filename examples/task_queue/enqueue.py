"""Put the speakers of a list into the task queue: `python enqueue.py speakers.csv`.

The list has the columns `name` and `url`. Run it as often as you like: speakers that have a voiceprint are skipped,
and a speaker that is in the queue twice is billed once.
"""

import asyncio
import csv
import sys
from pathlib import Path

import psycopg
from tasks import DATABASE, TABLE, app, make_voiceprint


async def main(path: Path) -> None:
    """Create the tables if they are missing, and add a task for each speaker without a voiceprint."""
    with path.open(newline="", encoding="utf-8") as file:
        speakers = list(csv.DictReader(file))
    async with await psycopg.AsyncConnection.connect(DATABASE, autocommit=True) as database:
        await database.execute(TABLE)
        found = await database.execute("SELECT to_regclass('procrastinate_jobs')")
        has_queue = (await found.fetchone() or [None])[0]
        done = await database.execute("SELECT name FROM speakers WHERE voiceprint IS NOT NULL")
        names = {name for (name,) in await done.fetchall()}
    async with app.open_async():
        if has_queue is None:
            await app.schema_manager.apply_schema_async()
        tasks = [{"name": row["name"], "url": row["url"]} for row in speakers if row["name"] not in names]
        if tasks:
            await make_voiceprint.batch_defer_async(*tasks)
    print(f"{len(tasks)} of {len(speakers)} speakers were added to the queue.")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
