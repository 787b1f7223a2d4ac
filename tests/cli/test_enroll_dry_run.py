"""A dry run shows that it reads a long list."""

import asyncio
from types import SimpleNamespace

from pyannote_voiceprint_async.cli.enroll_dry_run import show_reading
from pyannote_voiceprint_async.cli.progress import PlainProgress
from pyannote_voiceprint_async.enrollment import Progress


async def test_the_progress_of_a_long_list_is_reported_within_ten_seconds(clock):
    dry, lines = SimpleNamespace(progress=Progress()), []
    showing = asyncio.create_task(show_reading(dry, PlainProgress(lines.append, clock), int, clock.sleep))
    for second in range(10):
        dry.progress.read = second * 500
        await clock.advance(1.0)
    assert [line.split("Z ")[1] for line in lines] == ["Reading the list: 2000 rows\n"]
    showing.cancel()
