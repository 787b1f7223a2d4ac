"""The order of the API's checks: key, rate limit, body, credit."""

import pytest

WRONG_KEY = {"headers": {"Authorization": "Bearer wrong"}}


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", "sandbox-key", "Basic sandbox-key"])
async def test_a_wrong_key_is_401(client, header):
    response = await client.get("/v1/test", headers={"Authorization": header})
    assert response.status == 401
    assert sorted(response.json) == ["message", "requestId"]


async def test_a_request_with_a_wrong_key_does_not_count_against_the_limit(open_sandbox):
    client = await open_sandbox(rate_limit=(1, 60.0))
    responses = [
        await client.submit(),
        await client.post("/v1/voiceprint", {}, **WRONG_KEY),
        await client.submit(),
    ]
    assert [response.status for response in responses] == [200, 401, 429]


async def test_a_refused_body_counts_against_the_limit(open_sandbox):
    client = await open_sandbox(rate_limit=(1, 60.0))
    assert [(await client.submit(url)).status for url in ("nonsense", "nonsense")] == [400, 429]


async def test_a_refused_body_costs_no_credit(open_sandbox):
    client = await open_sandbox(credit=1)
    urls = ("nonsense", "https://example.com/1", "nonsense", "https://example.com/2")
    assert [(await client.submit(url)).status for url in urls] == [400, 200, 400, 402]
    assert [job.url for job in client.sandbox.accepted] == ["https://example.com/1"]


async def test_402_has_the_format_of_an_error(open_sandbox):
    response = await (await open_sandbox(credit=0)).submit()
    assert (response.status, sorted(response.json)) == (402, ["message", "requestId"])


async def test_400_names_the_invalid_fields(client):
    response = await client.submit("nonsense", model="precision-1")
    assert response.json["message"] == "Invalid request"
    assert [error["field"] for error in response.json["errors"]] == ["url", "model"]
