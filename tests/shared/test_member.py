"""The time at which a member makes its steps, on a fake clock."""

import pytest
from fake_clock import FakeClock, settle
from memory_store import MemoryStore

from pyannote_voiceprint_async.event_emitter import EventEmitter
from pyannote_voiceprint_async.shared.member import FleetMember, MemberSettings
from pyannote_voiceprint_async.shared.store_contact import StoreContact

SETTINGS = MemberSettings(window="w", limit=10, ceiling=None, per=60.0, reserve=1, response_timeout=60.0)


async def test_a_member_counts_its_wait_from_the_reply_of_the_store(clock: FakeClock):
    store = MemoryStore(clock)
    store.round_trip = 0.2
    contact = StoreContact(10.0, EventEmitter(None, clock.wall))
    member = FleetMember(store, contact, SETTINGS, clock, wanted=lambda: 1, on_change=lambda _: None)
    member.request_permits()
    while not member.granted:
        due = clock.next_at()
        assert due is not None
        clock.jump(due)
        await settle()
    # The first step reaches the store after 0.1 s, and the new window opens 1.5 s later. A step that begins then takes
    # a whole round trip.
    assert clock.time() == pytest.approx(0.1 + 1.5 + 0.001 + 0.2)
    await member.aclose()
