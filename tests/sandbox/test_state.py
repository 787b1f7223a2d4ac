async def test_the_state_has_the_counts_of_each_operation(open_sandbox):
    client = await open_sandbox(rate_limit=(2, 60.0))
    for _ in range(3):
        await client.submit()
    await client.get("/v2/jobs")
    await client.put(f"{client.sandbox.url}/_media/x", b"unsigned")
    state = (await client.get("/_sandbox/state")).json
    quiet = {"requests": 0, "rateLimited": 0, "inFlight": 0, "highestInFlight": 0}
    once = {"requests": 1, "rateLimited": 0, "inFlight": 0, "highestInFlight": 1}
    assert state == {
        "operations": {
            "test": quiet,
            "media": quiet,
            "voiceprint": {"requests": 3, "rateLimited": 1, "inFlight": 0, "highestInFlight": 1},
            "identify": quiet,
            "job": quiet,
            "jobs": once,
            "upload": once,
        },
        "total": {"requests": 4, "rateLimited": 1, "inFlight": 0, "highestInFlight": 1},
        "jobs": 2,
        "webhooks": {"attempts": 0, "delivered": 0, "waiting": 0},
    }
    assert client.sandbox.state.to_dict() == state
