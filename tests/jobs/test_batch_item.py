"""One item of a batch."""

import asyncio

import pytest

from pyannote_voiceprint_async.jobs.batch_item import BatchItem

URL = "https://example.com/voice.wav"


async def test_a_stopped_item_is_not_sent():
    """Its request may be about to begin: an item that is reported as unsent must not be sent afterwards."""
    item = BatchItem(0, URL, lambda item: None, lambda item: None)
    item.task = asyncio.create_task(asyncio.Event().wait())
    item.stop(None)
    with pytest.raises(asyncio.CancelledError):
        await item.before_send()
