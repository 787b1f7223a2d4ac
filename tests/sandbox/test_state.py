from pyannote_voiceprint_async.sandbox import Tally, WebhookTally
from pyannote_voiceprint_async.sandbox.state import RequestCounters


def test_the_highest_number_in_flight_stays():
    counters = RequestCounters(["test", "job"])
    with counters.request("test"), counters.request("job"), counters.request("test"):
        pass
    with counters.request("test"):
        state = counters.snapshot(jobs=0, webhooks=WebhookTally(0, 0, 0))
    assert state.operations["test"] == Tally(3, in_flight=1, highest_in_flight=2)
    assert state.total == Tally(4, in_flight=1, highest_in_flight=3)


async def test_state_counts_by_operation(open_sandbox):
    caller = await open_sandbox(rate_limit=(2, 60.0))
    for _ in range(3):
        await caller.submit()
    await caller.get("/v2/jobs")
    await caller.put(f"{caller.sandbox.url}/_media/x", b"unsigned")
    state = (await caller.get("/_sandbox/state")).json
    quiet = {"requests": 0, "rateLimited": 0, "inFlight": 0, "highestInFlight": 0}
    once = {"requests": 1, "rateLimited": 0, "inFlight": 0, "highestInFlight": 1}
    assert state == {
        "operations": {
            "test": quiet,
            "media": quiet,
            "voiceprint": {"requests": 3, "rateLimited": 1, "inFlight": 0, "highestInFlight": 1},
            "job": quiet,
            "jobs": once,
            "upload": once,
        },
        "total": {"requests": 4, "rateLimited": 1, "inFlight": 0, "highestInFlight": 1},
        "jobs": 2,
        "webhooks": {"attempts": 0, "delivered": 0, "waiting": 0},
    }
    assert caller.sandbox.state.to_dict() == state


async def test_a_429_of_a_fault_counts_as_one(caller):
    caller.sandbox.fail_next("rate-limited")
    await caller.get("/v1/test")
    assert caller.sandbox.state.operations["test"] == Tally(1, rate_limited=1, highest_in_flight=1)


async def test_a_state_is_of_its_moment(caller):
    before = caller.sandbox.state
    await caller.submit()
    assert (before.total.requests, before.jobs) == (0, 0)
