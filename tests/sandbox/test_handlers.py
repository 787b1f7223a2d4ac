"""The responses of each operation, over real sockets."""

import uuid

import pytest

from pyannote_voiceprint_async.sandbox import voiceprint_of

URL = "https://example.com/voice.wav"


async def test_a_valid_key_is_confirmed(client):
    response = await client.get("/v1/test")
    assert (response.status, response.json["status"]) == (200, "OK")
    assert sorted(response.json) == ["message", "status"]
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"


async def test_the_response_to_a_submission_has_the_job_id(client):
    response = await client.submit(URL)
    assert response.status == 200
    assert response.json == {"jobId": client.sandbox.accepted[0].id, "status": "pending"}
    assert str(uuid.UUID(response.json["jobId"])) == response.json["jobId"]


async def test_a_url_with_half_a_surrogate_pair_is_accepted(client, clock):
    """JSON allows half a surrogate pair, and such a URL has a voiceprint, too."""
    job_id = (await client.submit("https://x/\ud800")).json["jobId"]
    await clock.advance(1.0)
    assert (await client.job(job_id))["output"] == {"voiceprint": voiceprint_of("https://x/\ud800")}


async def test_a_job_from_submission_to_expiry(open_sandbox, clock):
    """The status depends on the job's age. The output exists from the end of the job until one day later."""
    client = await open_sandbox(job_seconds=10)
    job_id = (await client.submit(URL)).json["jobId"]
    responses = []
    for pause in (0, 1, 2, 7, 24 * 3600 - 1, 1):
        await clock.advance(pause)
        responses.append(await client.job(job_id))
    always = {"jobId": job_id, "createdAt": "2027-01-15T08:00:00.000Z"}
    output = {"output": {"voiceprint": voiceprint_of(URL)}}
    done = {**always, "status": "succeeded", "updatedAt": "2027-01-15T08:00:10.000Z"}
    assert responses == [
        {**always, "status": "pending", "updatedAt": None},
        {**always, "status": "created", "updatedAt": "2027-01-15T08:00:01.000Z"},
        {**always, "status": "running", "updatedAt": "2027-01-15T08:00:03.000Z"},
        {**done, **output},
        {**done, **output},
        done,
    ]


@pytest.mark.parametrize(
    ("url", "failed_output", "expected"),
    [
        ("https://x/unreachable", "error", {"status": "failed", "output": {"error": "Could not load audio"}}),
        ("https://x/unreachable", "null", {"status": "failed", "output": None}),
        ("https://x/unreachable", "missing", {"status": "failed"}),
        ("https://x/canceled", "error", {"status": "canceled"}),
        (
            "media://never-uploaded",
            "error",
            {"status": "failed", "output": {"error": "Could not load audio"}},
        ),
    ],
)
async def test_the_output_of_jobs_that_do_not_succeed(open_sandbox, url, failed_output, expected):
    client = await open_sandbox(job_seconds=0, failed_output=failed_output)
    job = await client.job((await client.submit(url)).json["jobId"])
    assert {name: value for name, value in job.items() if name in {"status", "output"}} == expected


@pytest.mark.parametrize("path", ["/v1/jobs/unknown", f"/v1/jobs/{uuid.UUID(int=0)}"])
async def test_an_unknown_job_is_404(client, path):
    response = await client.get(path)
    assert (response.status, sorted(response.json)) == (404, ["message", "requestId"])


async def test_jobs_are_listed_in_pages(client):
    ids = [(await client.submit(f"{URL}?{index}")).json["jobId"] for index in range(25)]
    pages, cursor = [], None
    while not pages or cursor:
        query = {"cursor": cursor} if cursor else {}
        page = (await client.get("/v2/jobs", params=query)).json
        pages.append([item["id"] for item in page["items"]])
        cursor = page["nextCursor"]
    assert [len(page) for page in pages] == [10, 10, 5]
    assert [job_id for page in pages for job_id in page] == ids[::-1]


async def test_a_list_has_statuses_without_output(open_sandbox, clock):
    client = await open_sandbox(job_seconds=10)
    old = (await client.submit("https://x/unreachable")).json["jobId"]
    await clock.advance(10)
    new = (await client.submit(URL)).json["jobId"]
    kind = {"type": "voiceprint", "source": "api", "model": "precision-2", "quantity": 1}
    listed = {"id": new, "status": "pending", "createdAt": "2027-01-15T08:00:10.000Z"}
    listed |= kind | {"reason": None, "completedAt": None}
    failed = {"id": old, "status": "failed", "createdAt": "2027-01-15T08:00:00.000Z"}
    failed |= kind | {"reason": "Could not load audio", "completedAt": "2027-01-15T08:00:10.000Z"}
    assert (await client.get("/v2/jobs")).json == {"items": [listed, failed], "nextCursor": None}
    assert (await client.get("/v2/jobs?status=failed")).json == {"items": [failed], "nextCursor": None}
    assert (await client.get("/v2/jobs?status=running")).json == {"items": [], "nextCursor": None}


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("limit=0", ["limit"]),
        ("limit=101", ["limit"]),
        ("limit=-1", ["limit"]),
        ("limit=1.5", ["limit"]),
        ("limit=ten", ["limit"]),
        ("limit=", ["limit"]),
        ("limit=%D9%A1", ["limit"]),
        ("cursor=", ["cursor"]),
        ("cursor=unknown", ["cursor"]),
        ("status=", ["status"]),
        ("status=cancelled", ["status"]),
        ("limit=0&cursor=x&status=done", ["limit", "cursor", "status"]),
    ],
)
async def test_a_list_checks_its_query(client, query, fields):
    response = await client.get(f"/v2/jobs?{query}")
    assert response.status == 400
    assert [error["field"] for error in response.json["errors"]] == fields


@pytest.mark.parametrize("limit", ["1", "9", "10", "99", "100"])
async def test_a_list_accepts_limits_from_1_to_100(client, limit):
    assert (await client.get(f"/v2/jobs?limit={limit}")).status == 200


async def test_media_input_returns_a_presigned_url(client):
    response = await client.post("/v1/media/input", {"url": "media://voice.wav"})
    assert (response.status, list(response.json)) == (201, ["url"])
    assert response.json["url"].startswith(f"{client.sandbox.url}/_media/")
    assert "X-Amz-Signature=" in response.json["url"]


async def test_flat_media_keys_apply_to_uploads_and_submissions(open_sandbox):
    client = await open_sandbox(media_keys="flat")
    upload = await client.post("/v1/media/input", {"url": "media://a/b"})
    assert (upload.status, (await client.submit("media://a_b")).status) == (400, 400)
