"""The shapes of the API's answers, over the wire."""

import uuid

import pytest

from pyannote_voiceprint_async.sandbox import voiceprint_of

URL = "https://example.com/voice.wav"


async def test_the_key_is_told_to_be_right(caller):
    reply = await caller.get("/v1/test")
    assert (reply.status, reply.json["status"]) == (200, "OK")
    assert sorted(reply.json) == ["message", "status"]
    assert reply.headers["Content-Type"] == "application/json; charset=utf-8"


async def test_a_submission_is_answered_with_an_id(caller):
    reply = await caller.submit(URL)
    assert reply.status == 200
    assert reply.json == {"jobId": caller.sandbox.accepted[0].id, "status": "pending"}
    assert str(uuid.UUID(reply.json["jobId"])) == reply.json["jobId"]


async def test_a_url_with_half_a_surrogate_pair_is_a_url(caller, time):
    """JSON can hold one; what it stands for is nobody's business here."""
    job_id = (await caller.submit("https://x/\ud800")).json["jobId"]
    await time.advance(1.0)
    assert (await caller.job(job_id))["output"] == {"voiceprint": voiceprint_of("https://x/\ud800")}


async def test_a_job_from_submission_to_expiry(open_sandbox, time):
    """Every step is a function of age; the output comes with the end and goes a day later."""
    caller = await open_sandbox(job_seconds=10)
    job_id = (await caller.submit(URL)).json["jobId"]
    seen = []
    for pause in (0, 1, 2, 7, 24 * 3600 - 1, 1):
        await time.advance(pause)
        seen.append(await caller.job(job_id))
    always = {"jobId": job_id, "createdAt": "2027-01-15T08:00:00.000Z"}
    output = {"output": {"voiceprint": voiceprint_of(URL)}}
    done = {**always, "status": "succeeded", "updatedAt": "2027-01-15T08:00:10.000Z"}
    assert seen == [
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
async def test_jobs_that_end_badly(open_sandbox, url, failed_output, expected):
    caller = await open_sandbox(job_seconds=0, failed_output=failed_output)
    job = await caller.job((await caller.submit(url)).json["jobId"])
    assert {name: value for name, value in job.items() if name in {"status", "output"}} == expected


@pytest.mark.parametrize("path", ["/v1/jobs/unknown", f"/v1/jobs/{uuid.UUID(int=0)}"])
async def test_an_unknown_job_is_404(caller, path):
    reply = await caller.get(path)
    assert (reply.status, sorted(reply.json)) == (404, ["message", "requestId"])


async def test_jobs_come_in_pages(caller):
    ids = [(await caller.submit(f"{URL}?{index}")).json["jobId"] for index in range(25)]
    pages, cursor = [], None
    while not pages or cursor:
        query = {"cursor": cursor} if cursor else {}
        page = (await caller.get("/v2/jobs", params=query)).json
        pages.append([item["id"] for item in page["items"]])
        cursor = page["nextCursor"]
    assert [len(page) for page in pages] == [10, 10, 5]
    assert [job_id for page in pages for job_id in page] == ids[::-1]


async def test_a_list_shows_statuses_without_output(open_sandbox, time):
    caller = await open_sandbox(job_seconds=10)
    old = (await caller.submit("https://x/unreachable")).json["jobId"]
    await time.advance(10)
    new = (await caller.submit(URL)).json["jobId"]
    kind = {"type": "voiceprint", "source": "api", "model": "precision-2", "quantity": 1}
    listed = {"id": new, "status": "pending", "createdAt": "2027-01-15T08:00:10.000Z"}
    listed |= kind | {"reason": None, "completedAt": None}
    failed = {"id": old, "status": "failed", "createdAt": "2027-01-15T08:00:00.000Z"}
    failed |= kind | {"reason": "Could not load audio", "completedAt": "2027-01-15T08:00:10.000Z"}
    assert (await caller.get("/v2/jobs")).json == {"items": [listed, failed], "nextCursor": None}
    assert (await caller.get("/v2/jobs?status=failed")).json == {"items": [failed], "nextCursor": None}
    assert (await caller.get("/v2/jobs?status=running")).json == {"items": [], "nextCursor": None}


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
async def test_a_list_checks_its_query(caller, query, fields):
    reply = await caller.get(f"/v2/jobs?{query}")
    assert reply.status == 400
    assert [error["field"] for error in reply.json["errors"]] == fields


@pytest.mark.parametrize("limit", ["1", "9", "10", "99", "100"])
async def test_a_list_takes_limits_up_to_a_hundred(caller, limit):
    assert (await caller.get(f"/v2/jobs?limit={limit}")).status == 200


async def test_uploads_are_asked_for(caller):
    reply = await caller.post("/v1/media/input", {"url": "media://voice.wav"})
    assert (reply.status, list(reply.json)) == (201, ["url"])
    assert reply.json["url"].startswith(f"{caller.sandbox.url}/_media/")
    assert "X-Amz-Signature=" in reply.json["url"]


async def test_an_upload_goes_to_the_host_that_was_asked(caller):
    """Behind a forwarded port the sandbox's own address would lead nowhere."""
    headers = {"Host": "sandbox.test:8443"}
    reply = await caller.post("/v1/media/input", {"url": "media://voice.wav"}, headers=headers)
    assert reply.json["url"].startswith("http://sandbox.test:8443/_media/")


async def test_flat_media_keys_hold_for_uploads_and_submissions(open_sandbox):
    caller = await open_sandbox(media_keys="flat")
    upload = await caller.post("/v1/media/input", {"url": "media://a/b"})
    assert (upload.status, (await caller.submit("media://a_b")).status) == (400, 400)
