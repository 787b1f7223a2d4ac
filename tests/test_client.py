"""The client against the sandbox: each method as a program uses it."""

import asyncio
import io
import logging
import re

import pytest
from fake_clock import settle

import pyannote_voiceprint_async
from pyannote_voiceprint_async import (
    ApiTimeoutError,
    AsyncVoiceprintClient,
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    JobCanceledError,
    JobExpiredError,
    JobFailedError,
    JobStatus,
    JobTimeoutError,
    KeyStatus,
    MediaError,
    NotFoundError,
    PermissionDeniedError,
    Polling,
    QueueTooLongError,
    RateLimits,
    RetryPolicy,
    SubscriptionRequiredError,
    Timeouts,
    Voiceprint,
    VoiceprintRequest,
)
from pyannote_voiceprint_async.sandbox import Sandbox, voiceprint_of

URL = "https://example.com/voice.wav"


async def connect(start, sandbox, **settings):
    return await start(
        AsyncVoiceprintClient(
            sandbox.api_key, base_url=sandbox.url, **({"polling": Polling(first=0.01, longest=0.05)} | settings)
        )
    )


# voiceprint


async def test_the_voiceprint_of_a_file(client, sandbox, speech):
    """All steps: upload, submit, wait."""
    path = speech / "allison-en.wav"
    voiceprint = await client.voiceprint(path)
    job = sandbox.accepted[0]
    expected = Voiceprint(voiceprint_of(path.read_bytes()), "precision-2", job.id, voiceprint.created_at)
    assert voiceprint == expected
    assert voiceprint.created_at is not None


@pytest.mark.parametrize("kind", ["path", "bytes", "open file", "BytesIO", "URL", "request"])
async def test_every_kind_of_source(client, speech, kind):
    path = speech / "june-fr.wav"
    audio = path.read_bytes()
    with path.open("rb") as file:
        source = {
            "path": path,
            "bytes": audio,
            "open file": file,
            "BytesIO": io.BytesIO(audio),
            "URL": URL,
            "request": VoiceprintRequest(URL),
        }[kind]
        voiceprint = await client.voiceprint(source)
    assert voiceprint.value == voiceprint_of(URL if kind in {"URL", "request"} else audio)


async def test_on_submitted_gets_the_job_before_the_wait(start):
    sandbox = await start(Sandbox(window="none", job_seconds=1000.0))
    client = await connect(start, sandbox)
    received = []

    async def on_submitted(job):
        received.append(job)

    with pytest.raises(JobTimeoutError) as late:
        await client.voiceprint(URL, timeout=0.05, on_submitted=on_submitted)
    assert [job.job_id for job in received] == [late.value.job_id]


async def test_an_error_of_on_submitted_abandons_the_job(client, sandbox):
    def on_submitted(job):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full") as caught:
        await client.voiceprint(URL, on_submitted=on_submitted)
    assert [job.job_id for job in client.abandoned] == [sandbox.accepted[0].id]
    assert sandbox.accepted[0].id in caught.value.__notes__[0]


@pytest.mark.parametrize("method", ["voiceprint", "voiceprint_many"])
async def test_an_error_of_another_job_in_on_submitted_abandons_the_own_job(client, sandbox, method):
    """The error carries the id of the other job: without the note and `abandoned`, ours would be lost."""

    async def read_another(*_):
        await client.get_job("another")

    if method == "voiceprint":
        with pytest.raises(NotFoundError) as caught:
            await client.voiceprint(URL, on_submitted=read_another)
        error = caught.value
    else:
        async with client.voiceprint_many([URL], on_submitted=read_another) as results:
            error = (await anext(results)).error
    job = sandbox.accepted[0].id
    assert (error.job_id, [one.job_id for one in client.abandoned]) == ("another", [job])
    assert error.__notes__ == [f"The job is {job}; wait() continues to wait for it."]


@pytest.mark.parametrize("error", [asyncio.CancelledError, GeneratorExit])
async def test_an_on_submitted_that_raises_no_exception_abandons_the_job(client, sandbox, error):
    def fail(job):
        raise error

    with pytest.raises(error):
        await client.voiceprint(URL, on_submitted=fail)
    assert [one.job_id for one in client.abandoned] == [job.id for job in sandbox.accepted]


async def test_cancelling_a_wait_abandons_the_job(start):
    sandbox = await start(Sandbox(window="none", job_seconds=1000.0))
    client = await connect(start, sandbox)
    submitted = asyncio.Event()
    task = asyncio.create_task(client.voiceprint(URL, on_submitted=lambda job: submitted.set()))
    await submitted.wait()
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [job.job_id for job in client.abandoned] == [sandbox.accepted[0].id]


async def test_a_timeout_ends_an_upload_and_submits_nothing(start, speech):
    sandbox = await start(Sandbox(window="none", latency=1000.0))
    client = await connect(start, sandbox)
    with pytest.raises(ApiTimeoutError) as late:
        await client.voiceprint(speech / "carlo-it.wav", timeout=0.05)
    assert (late.value.outcome_unknown, list(sandbox.accepted)) == (False, [])


async def test_audio_that_is_too_large_is_refused_before_anything_is_sent(client, sandbox, tmp_path):
    path = tmp_path / "long.wav"
    with path.open("wb") as file:
        file.truncate(100 * 2**20 + 1)
    with pytest.raises(MediaError, match="100 MiB"):
        await client.voiceprint(path)
    assert client.stats.requests == 0


# rate_limit


async def test_the_rate_limit_of_an_operation_is_the_one_of_the_key(start):
    sandbox = await start(Sandbox(rate_limit=(5, 60.0)))
    client = await connect(start, sandbox)
    await client.submit(URL)
    status = client.rate_limit("submissions")
    assert (status.limit, status.per, status.remaining, status.next_permit_in) == (5, 60.0, 4, 0.0)


def test_the_rate_limit_can_be_read_before_the_client_is_used():
    assert AsyncVoiceprintClient("sk-1").rate_limit("job_reads").limit == 300


def test_an_unknown_rate_limit_lists_the_known_ones():
    with pytest.raises(ConfigurationError) as unknown:
        AsyncVoiceprintClient("sk-1").rate_limit("submit")
    assert str(unknown.value) == (
        "There is no rate limit 'submit'. The rate limits are: submissions, identify, media, job_reads, job_lists, "
        "key_test."
    )


# submit


async def test_every_field_of_a_request_is_sent(client, sandbox):
    request = VoiceprintRequest(URL, "precision-2", "https://example.com/hook", webhook_status_only=True)
    job = await client.submit(request)
    accepted = sandbox.accepted[0]
    assert (job.job_id, accepted.url, accepted.model, accepted.webhook, accepted.webhook_status_only) == (
        accepted.id,
        URL,
        "precision-2",
        "https://example.com/hook",
        True,
    )


async def test_the_webhook_of_the_client_is_the_default(start, sandbox):
    client = await connect(start, sandbox, webhook="https://example.com/all")
    await client.submit(URL)
    await client.submit(URL, webhook="https://example.com/one")
    assert [job.webhook for job in sandbox.accepted] == ["https://example.com/all", "https://example.com/one"]


async def test_another_model_is_sent(client, sandbox):
    await client.submit(URL, model="precision-3")
    assert sandbox.accepted[0].model == "precision-3"


async def test_the_error_has_the_reasons_of_the_server(client):
    with pytest.raises(InvalidRequestError) as refused:
        await client.submit(URL, model="no-such-model")
    assert [error.field for error in refused.value.errors] == ["model"]
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "source", ["voice.wav", "/etc/passwd", "s3://bucket/voice.wav", "data:audio/wav;base64,AA", ""]
)
async def test_a_str_that_is_not_a_url_is_refused_with_a_hint(client, source):
    with pytest.raises(InvalidRequestError, match=re.escape("pathlib.Path")):
        await client.voiceprint(source)
    assert client.stats.requests == 0


async def test_submit_many_sends_its_model_and_webhook_with_urls_only(client, sandbox):
    """A request has its own."""
    items = [URL, VoiceprintRequest(URL, "precision-2")]
    async with client.submit_many(items, model="precision-3", webhook="https://example.com/hook") as submissions:
        indexes = {submission.job.job_id: submission.index async for submission in submissions}
    sent = {indexes[job.id]: (job.model, job.webhook) for job in sandbox.accepted}
    assert sent == {0: ("precision-3", "https://example.com/hook"), 1: ("precision-2", None)}


async def test_submit_refuses_to_queue_longer_than_its_own_max_queue_wait(start, clock):
    """The limit of one call replaces the client's, in both directions."""
    sandbox = await start(Sandbox(rate_limit=(1, 60.0), now=clock.wall, sleep=clock.sleep))
    client = await connect(start, sandbox, clock=clock, max_queue_wait=5.0)
    await client.submit(URL)
    for limit in (None, 30.0):
        with pytest.raises(QueueTooLongError):
            await client.submit(URL, max_queue_wait=limit)
    async with clock.running(client):
        await client.submit(URL, max_queue_wait=90.0)
    assert (len(sandbox.accepted), clock.time()) == (2, pytest.approx(60.0, abs=1.0))


@pytest.mark.parametrize("limit", [-1, float("nan"), "5"])
@pytest.mark.parametrize("call", ["submit", "voiceprint"])
async def test_an_invalid_max_queue_wait_is_refused_before_anything_is_sent(client, call, limit):
    with pytest.raises(ConfigurationError, match="max_queue_wait"):
        await getattr(client, call)(URL, max_queue_wait=limit)
    assert client.stats.requests == 0


# wait, get_job, list_jobs, check_key


async def test_wait_for_a_job_of_another_program(start, client, sandbox):
    job = await client.submit(URL)
    other = await connect(start, sandbox)
    assert (await other.wait(job.job_id)).voiceprint == voiceprint_of(URL)


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("https://example.com/unreachable.wav", JobFailedError),
        ("https://example.com/canceled.wav", JobCanceledError),
    ],
)
async def test_a_job_that_ends_without_a_voiceprint(client, sandbox, url, error):
    job = await client.submit(url)
    with pytest.raises(error) as ended:
        await client.wait(job)
    assert ended.value.job_id == job.job_id


@pytest.mark.parametrize(("shape", "reason"), [("error", "Could not load audio"), ("null", None), ("missing", None)])
async def test_a_failed_job_in_every_form(start, shape, reason):
    sandbox = await start(Sandbox(window="none", job_seconds=0.0, failed_output=shape))
    client = await connect(start, sandbox)
    with pytest.raises(JobFailedError) as failed:
        await client.voiceprint("https://example.com/unreachable.wav")
    assert failed.value.message == reason


async def test_a_deleted_output_raises_an_error_of_its_own(start, clock):
    sandbox = await start(Sandbox(window="none", job_seconds=0.0, now=clock.wall, sleep=clock.sleep))
    client = await connect(start, sandbox, clock=clock)
    job = await client.submit(URL)
    await clock.advance(24 * 3600 + 1)
    async with clock.running(client):
        with pytest.raises(JobExpiredError) as expired:
            await client.wait(job)
    assert expired.value.job_id == job.job_id


async def test_a_job_that_does_not_exist(client):
    with pytest.raises(NotFoundError):
        await client.get_job("00000000-0000-4000-8000-000000000000")


@pytest.mark.parametrize("job_id", ["", "..", "a\nb", None, 7])
async def test_an_invalid_job_id_is_refused_before_anything_is_sent(client, job_id):
    with pytest.raises(InvalidRequestError):
        await client.get_job(job_id)
    assert client.stats.requests == 0


@pytest.mark.parametrize("fault", ["server-error", "bad-gateway", "unavailable", "drop-before-read"])
async def test_a_failed_poll_does_not_end_the_wait_for_a_paid_job(start, fault):
    sandbox = await start(Sandbox(window="none", job_seconds=0.05))
    client = await connect(start, sandbox, retry=RetryPolicy(max_tries=1))
    job = await client.submit(URL)
    sandbox.fail_next([fault] * 3, operation="job")
    assert (await client.wait(job)).voiceprint == voiceprint_of(URL)


async def test_all_jobs_are_listed_newest_first(client):
    """On more than one page of 100."""
    jobs = [(await client.submit(URL)).job_id for _ in range(205)]
    listed = [summary async for summary in client.list_jobs()]
    assert [summary.job_id for summary in listed] == jobs[::-1]
    assert {summary.status for summary in listed} == {JobStatus.SUCCEEDED}


async def test_jobs_are_listed_by_status(client):
    failed = await client.submit("https://example.com/unreachable.wav")
    await client.submit(URL)
    assert [summary.job_id async for summary in client.list_jobs(status=JobStatus.FAILED)] == [failed.job_id]


async def test_the_key_is_checked(client):
    assert await client.check_key() == KeyStatus(status="OK", message="API key is valid")


# The account


async def test_a_wrong_key_raises_an_error(start, sandbox):
    client = await start(AsyncVoiceprintClient("wrong", base_url=sandbox.url))
    with pytest.raises(AuthenticationError, match="PYANNOTEAI_API_KEY"):
        await client.check_key()


async def test_an_exhausted_credit_raises_an_error(start):
    sandbox = await start(Sandbox(window="none", credit=1))
    client = await connect(start, sandbox)
    await client.submit(URL)
    with pytest.raises(SubscriptionRequiredError) as refused:
        await client.submit(URL)
    assert (refused.value.status, refused.value.outcome_unknown) == (402, False)
    assert refused.value.request_id


# The constructor


@pytest.mark.parametrize("key", ["", "a key", "key\n", "ключ", "a\tb"])
def test_the_error_for_an_invalid_key_names_the_source_of_keys(key):
    with pytest.raises(ConfigurationError, match="PYANNOTEAI_API_KEY"):
        AsyncVoiceprintClient(key)


def test_the_error_for_a_missing_key_names_the_source_of_keys():
    with pytest.raises(ConfigurationError, match="dashboard"):
        AsyncVoiceprintClient()


@pytest.mark.parametrize("variables", [("PYANNOTEAI_API_KEY",), ("PYANNOTE_API_KEY",)])
async def test_the_key_comes_from_the_environment(start, sandbox, monkeypatch, variables):
    for name in variables:
        monkeypatch.setenv(name, sandbox.api_key)
    monkeypatch.setenv("PYANNOTEAI_BASE_URL", sandbox.url)
    client = await start(AsyncVoiceprintClient())
    assert (await client.check_key()).status == "OK"


@pytest.mark.parametrize(
    "settings",
    [
        {"max_concurrency": 0},
        {"max_concurrency": 1.5},
        {"max_uploads": 0},
        {"base_url": "ftp://example.com"},
        {"base_url": "https://user:password@example.com"},
        {"base_url": "https://example.com?key=1"},
    ],
)
def test_an_invalid_setting_is_refused(settings):
    with pytest.raises(ConfigurationError):
        AsyncVoiceprintClient("key", **settings)


def test_an_unknown_keyword_is_a_type_error():
    with pytest.raises(TypeError):
        AsyncVoiceprintClient("key", max_concurency=3)


def test_the_defaults_are_the_documented_ones():
    assert (RateLimits().submissions, RetryPolicy().max_tries, Timeouts().total, Polling().longest) == (
        None,
        5,
        60.0,
        10.0,
    )


async def test_the_repr_shows_live_counts_and_never_the_key(start, sandbox):
    client = await start(AsyncVoiceprintClient("very-secret-key", base_url=sandbox.url))
    assert repr(client) == f"<AsyncVoiceprintClient {sandbox.url} in_flight=0 queued=0>"


# Secrets


async def test_nothing_secret_is_logged(start, sandbox, speech, caplog):
    caplog.set_level(logging.DEBUG, "pyannote_voiceprint_async")
    client = await connect(start, sandbox)
    sandbox.fail_next("server-error", operation="job")
    voiceprint = await client.voiceprint(speech / "allison-es.wav")
    await client.submit(f"{URL}?X-Amz-Signature=secret-signature")
    logged = "\n".join(record.getMessage() for record in caplog.records)
    assert sandbox.accepted[0].id in logged
    for secret in (sandbox.api_key, voiceprint.value, "secret-signature", "allison-es", "Signature"):
        assert secret not in logged


def test_every_public_name_exists_and_is_sorted():
    names = pyannote_voiceprint_async.__all__
    assert names == sorted(names)
    assert all(hasattr(pyannote_voiceprint_async, name) for name in names)


def test_a_missing_permission_is_an_account_error():
    assert issubclass(PermissionDeniedError, pyannote_voiceprint_async.AccountError)


@pytest.mark.parametrize("job_id", ["../v2/jobs", "a/b", "a?b#c", "a b", "a%2Fb"])
async def test_an_unusual_job_id_is_quoted(client, job_id):
    """It must reach no other endpoint, but be accepted: the API may return ids of any form."""
    with pytest.raises(NotFoundError) as missing:
        await client.get_job(job_id)
    assert missing.value.job_id == job_id


async def test_a_wait_may_begin_at_the_moment_at_which_another_ends(start, clock):
    """The task of the poller is ending while the second wait begins."""
    sandbox = await start(Sandbox(job_seconds=5.0, now=clock.wall, sleep=clock.sleep))
    client = await connect(start, sandbox, clock=clock, polling=Polling())
    async with clock.running(client):
        with pytest.raises(JobTimeoutError) as late:
            await client.voiceprint(URL, timeout=2.0)
        assert (await client.wait(late.value.job_id)).voiceprint == voiceprint_of(URL)


# Mistakes that would cost money


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), "60", True])
@pytest.mark.parametrize("call", ["voiceprint", "voiceprint_many", "wait"])
async def test_an_invalid_timeout_is_refused_before_anything_is_sent(client, sandbox, call, timeout):
    with pytest.raises(ConfigurationError, match="timeout"):
        if call == "voiceprint_many":
            client.voiceprint_many([URL], timeout=timeout)
        else:
            await getattr(client, call)(URL, timeout=timeout)
    assert (client.stats.requests, list(sandbox.accepted)) == (0, [])


async def test_an_on_submitted_that_is_not_callable_is_refused_before_anything_is_sent(client):
    with pytest.raises(TypeError, match="on_submitted"):
        await client.voiceprint(URL, on_submitted="print")
    with pytest.raises(TypeError, match="on_submitted"):
        client.voiceprint_many([URL], on_submitted="print")
    assert client.stats.requests == 0


@pytest.mark.parametrize("items", [URL, URL.encode()])
async def test_a_single_source_is_not_accepted_as_a_batch(client, items):
    """It would be read character by character."""
    for many in (client.submit_many, client.voiceprint_many):
        with pytest.raises(TypeError, match="list"):
            many(items)


@pytest.mark.parametrize("name", ["retry", "timeouts", "polling", "rate_limits"])
def test_none_is_not_a_valid_setting(name):
    with pytest.raises(ConfigurationError, match=name):
        AsyncVoiceprintClient("key", **{name: None})


async def test_on_submitted_of_a_batch_gets_each_job_before_the_wait(client, sandbox):
    received = {}

    def on_submitted(index, job):
        received[index] = job.job_id
        if index == 2:
            raise OSError("disk full")

    urls = [f"https://example.com/{number}.wav" for number in range(5)]
    async with client.voiceprint_many(urls, on_submitted=on_submitted) as results:
        errors = {result.index: result.error async for result in results}
    accepted = {job.url: job.id for job in sandbox.accepted}
    assert received == {index: accepted[url] for index, url in enumerate(urls)}
    assert [type(errors[index]) for index in range(5)] == [type(None), type(None), OSError, type(None), type(None)]
    assert [job.job_id for job in client.abandoned] == [received[2]]
