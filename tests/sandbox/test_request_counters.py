from pyannote_voiceprint_async.sandbox import Tally, WebhookTally
from pyannote_voiceprint_async.sandbox.request_counters import RequestCounters


def test_the_highest_number_in_flight_is_kept():
    counters = RequestCounters(["test", "job"])
    with counters.request("test"), counters.request("job"), counters.request("test"):
        pass
    with counters.request("test"):
        state = counters.snapshot(jobs=0, webhooks=WebhookTally(0, 0, 0))
    assert state.operations["test"] == Tally(3, in_flight=1, highest_in_flight=2)
    assert state.total == Tally(4, in_flight=1, highest_in_flight=3)


async def test_an_injected_429_is_counted(client):
    client.sandbox.fail_next("rate-limited")
    await client.get("/v1/test")
    assert client.sandbox.state.operations["test"] == Tally(1, rate_limited=1, highest_in_flight=1)


async def test_a_snapshot_is_not_changed_by_later_requests(client):
    before = client.sandbox.state
    await client.submit()
    assert (before.total.requests, before.jobs) == (0, 0)
