"""What is in a store, for people."""

from typing import Any

from pyannote_voiceprint_async.shared.fleet_window import PermitReport, ReportKind, StepMessage, WindowRules
from pyannote_voiceprint_async.shared.key_states import KeyChange
from pyannote_voiceprint_async.shared.key_table import Claim, KeyTable
from pyannote_voiceprint_async.shared.sqlite_store import SqliteStore
from pyannote_voiceprint_async.shared.status import WindowStatus, read_status
from pyannote_voiceprint_async.shared.store import Store

RULES = WindowRules(limit=5, per=60_000, permit_lifetime=90_000, member_lifetime=60_000, grace=0, reserve=0)
WINDOW = "team|https://example.com/a|b|submissions"


async def test_a_new_store_has_no_state(store: Store):
    assert await read_status(store) == []


async def test_windows_are_reported_with_members_permits_queue_and_pause(store: Store):
    granted = await store.step(WINDOW, StepMessage("a", 1, 2, RULES))
    assert granted
    # One request goes first, so the second member waits.
    await store.step(WINDOW, StepMessage("b", 1, 3, RULES))
    await store.step(
        WINDOW, StepMessage("a", 2, 0, RULES, (PermitReport(ReportKind.REFUSED, granted.granted[0], 9000),))
    )
    [scope] = await read_status(store)
    assert (scope.team, scope.base_url) == ("team", "https://example.com/a|b")
    [window] = scope.windows
    assert window == WindowStatus("submissions", 5, 2, 0, 1, 3, window.pause_seconds)
    assert 0 < window.pause_seconds <= 9


async def test_keys_are_counted_by_state_and_those_of_ended_owners_as_others_take_them(store: Store):
    table = KeyTable(store, "team|url")
    paths = {
        "accepted": [KeyChange.BEGIN, KeyChange.ACCEPT],
        "unknown": [KeyChange.BEGIN, KeyChange.LOSE],
        "in flight": [KeyChange.BEGIN],
        "in flight of an ended owner": [KeyChange.BEGIN],
        "claimed": [],
        "claimed by an ended owner": [],
    }
    for key, path in paths.items():
        claim = Claim(key, key, 1)
        await table.claim(claim, "request")
        for change in path:
            await table.change(claim, change, "job")
        if "ended" in key:
            await table.end(claim.owner)
    [scope] = await read_status(store)
    assert scope.keys == {"accepted": 1, "claimed": 1, "sending": 1, "unknown": 2}
    assert [key.key for key in scope.unresolved_keys] == ["unknown", "in flight of an ended owner"]


async def test_no_member_is_left_after_a_restart_of_the_machine(tmp_path: Any):
    now = 1_000_000_000
    store = SqliteStore(tmp_path / "shared.db", lambda: now)
    await store.step(WINDOW, StepMessage("a", 1, 1, RULES))
    now = 5
    [scope] = await read_status(store)
    assert [(window.members, window.in_use) for window in scope.windows] == [(0, 0)]
    await store.aclose()
