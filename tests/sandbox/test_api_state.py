"""The order of a gateway's checks: key, budget, body, credit."""

import io

import pytest

KEYLESS = {"headers": {"Authorization": "Bearer wrong"}}


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", "sandbox-key", "Basic sandbox-key"])
async def test_a_wrong_key_is_401(caller, header):
    reply = await caller.get("/v1/test", headers={"Authorization": header})
    assert reply.status == 401
    assert sorted(reply.json) == ["message", "requestId"]


async def test_a_wrong_key_takes_no_place(open_sandbox):
    caller = await open_sandbox(rate_limit=(1, 60.0))
    replies = [
        await caller.submit(),
        await caller.post("/v1/voiceprint", {}, **KEYLESS),
        await caller.submit(),
    ]
    assert [reply.status for reply in replies] == [200, 401, 429]


async def test_a_refused_body_takes_a_place(open_sandbox):
    caller = await open_sandbox(rate_limit=(1, 60.0))
    assert [(await caller.submit(url)).status for url in ("nonsense", "nonsense")] == [400, 429]


async def test_a_refused_body_costs_no_credit(open_sandbox):
    caller = await open_sandbox(credit=1)
    urls = ("nonsense", "https://example.com/1", "nonsense", "https://example.com/2")
    assert [(await caller.submit(url)).status for url in urls] == [400, 200, 400, 402]
    assert [job.url for job in caller.sandbox.accepted] == ["https://example.com/1"]


async def test_402_has_the_shape_of_an_error(open_sandbox):
    reply = await (await open_sandbox(credit=0)).submit()
    assert (reply.status, sorted(reply.json)) == (402, ["message", "requestId"])


async def test_400_names_the_fields(caller):
    reply = await caller.submit("nonsense", model="precision-1")
    assert reply.json["message"] == "Invalid request"
    assert [error["field"] for error in reply.json["errors"]] == ["url", "model"]


async def test_a_body_that_is_too_large_is_413(caller):
    reply = await caller.post("/v1/voiceprint", data=io.BytesIO(bytes(1024 * 1024 + 1)))
    assert (reply.status, sorted(reply.json)) == (413, ["message", "requestId"])
