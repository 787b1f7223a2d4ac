"""The public API as users write it. mypy checks this file (`nox -s types`); it is never run."""

import io
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, TypedDict, assert_type

import aiohttp
import numpy as np
from aiohttp import web
from numpy.typing import NDArray

from pyannote_voiceprint_async import (
    AccountError,
    ApiConnectionError,
    ApiStatusError,
    ApiTimeoutError,
    AsyncVoiceprintClient,
    AuthenticationError,
    Certainty,
    ClientClosedError,
    ClientStats,
    Clock,
    ConfigurationError,
    Decision,
    DiarizedTurn,
    EnrollmentError,
    FieldError,
    FrameConfidence,
    Identification,
    IdentificationOptions,
    IdentificationOutput,
    IdentificationRequest,
    IdentificationResult,
    IdentifiedSpeaker,
    IdentifiedTurn,
    InvalidRequestError,
    InvalidSignatureError,
    Job,
    JobCanceledError,
    JobCreated,
    JobError,
    JobExpiredError,
    JobFailedError,
    JobStatus,
    JobSummary,
    JobTimeoutError,
    KeyStatus,
    LedgerError,
    LedgerInUseError,
    LedgerOriginError,
    LocalAudio,
    ManifestError,
    Matching,
    MediaError,
    Model,
    NotFoundError,
    PermissionDeniedError,
    Polling,
    ProxyError,
    QueueTooLongError,
    RateLimit,
    RateLimiter,
    RateLimitError,
    RateLimits,
    RateLimitStatus,
    ResponseInfo,
    Results,
    RetryPolicy,
    ServerError,
    SharedState,
    Source,
    SpeakerScores,
    StaleWebhookError,
    Submission,
    SubscriptionRequiredError,
    Timeouts,
    UnexpectedResponseError,
    UnknownOutcomeError,
    Voiceprint,
    VoiceprintError,
    VoiceprintOutput,
    VoiceprintRequest,
    VoiceprintResult,
    WebhookError,
    WebhookEvent,
    __version__,
)
from pyannote_voiceprint_async.enrollment import (
    Finished,
    Ledger,
    Manifest,
    Problem,
    Report,
    Row,
    RowFailed,
    RowSkipped,
    RowSucceeded,
    RowWarning,
    RunPlan,
    RunPlanned,
    enroll,
    rows_from_rttm,
    rows_from_sources,
)
from pyannote_voiceprint_async.events import ClientEvent, JobFinished
from pyannote_voiceprint_async.otel import OpenTelemetryEvents
from pyannote_voiceprint_async.sandbox import Sandbox
from pyannote_voiceprint_async.testing import SandboxThread
from pyannote_voiceprint_async.webhooks import aiohttp_webhook_handler, verify_webhook

URL = "https://example.com/voices/ada.wav"


# Settings


def log_jobs(event: ClientEvent) -> None:
    if isinstance(event, JobFinished):
        assert_type((event.job_id, event.status, event.seconds), tuple[str, str, float])


def settings(rate_limiter: RateLimiter, session: aiohttp.ClientSession, clock: Clock) -> AsyncVoiceprintClient:
    AsyncVoiceprintClient()
    AsyncVoiceprintClient(None)
    AsyncVoiceprintClient("key", rate_limiter=rate_limiter, webhook=None, proxy=None, session=None)
    AsyncVoiceprintClient("key", on_event=OpenTelemetryEvents(tracer_provider=None, meter_provider=None))
    AsyncVoiceprintClient("key", on_event=log_jobs)
    AsyncVoiceprintClient("key", unknown=True)  # type: ignore[call-arg]
    AsyncVoiceprintClient("key", "https://api.example.com")  # type: ignore[call-arg]  # keyword-only
    return AsyncVoiceprintClient(
        api_key="key",
        base_url="https://api.example.com",
        max_concurrency=16,
        max_uploads=2,
        rate_limits=RateLimits(
            submissions=RateLimit(50),
            identify=RateLimit(limit=50, per=60),
            media=RateLimit(50, 60.0),
            job_reads=None,
            job_lists=None,
            key_test=None,
        ),
        max_queue_wait=5.0,
        retry=RetryPolicy(max_tries=3, max_elapsed=60, base=0.1, cap=5, max_retry_after=30, replay_unknown=False),
        timeouts=Timeouts(connect=5, read=10, total=20, upload_stall=30),
        polling=Polling(first=0.5, longest=10, webhook_grace=60),
        webhook="https://example.com/hook",
        proxy="http://proxy.example.com:3128",
        session=session,
        clock=clock,
    )


def shared_rate_limiter() -> None:
    rate_limiter = RateLimiter(32, RateLimits(submissions=RateLimit(500)))
    assert_type(rate_limiter.in_flight, int)
    assert_type(rate_limiter.queued, int)
    assert_type(rate_limiter.limit("submissions"), int)


class FrozenClock:
    """A clock needs no base class."""

    def time(self) -> float:
        return 0.0

    def wall(self) -> float:
        return 0.0

    def call_at(self, when: float, callback: Callable[[], object]) -> "FrozenTimer":
        return FrozenTimer()


class FrozenTimer:
    def cancel(self) -> None: ...


def own_clock() -> None:
    AsyncVoiceprintClient("key", clock=FrozenClock())


# One voice


class BucketFile:
    """A file needs no base class."""

    def read(self, size: int, /) -> bytes:
        return b""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return 0

    def tell(self) -> int:
        return 0


class Waveform(TypedDict):
    waveform: NDArray[np.float32]
    sample_rate: int


async def one_voiceprint(
    client: AsyncVoiceprintClient, path: Path, file: BinaryIO, samples: NDArray[np.float32]
) -> None:
    voiceprint = assert_type(await client.voiceprint(URL), Voiceprint)
    await client.voiceprint(path)
    await client.voiceprint(path.read_bytes())
    await client.voiceprint(io.BytesIO())
    await client.voiceprint(file)
    await client.voiceprint({"waveform": samples, "sample_rate": 16000})
    await client.voiceprint(Waveform(waveform=samples, sample_rate=16000))
    await client.voiceprint(BucketFile())
    with tempfile.SpooledTemporaryFile() as spooled:
        await client.voiceprint(spooled)
    await client.voiceprint(io.StringIO())  # type: ignore[arg-type]  # open it in binary mode
    await client.voiceprint(VoiceprintRequest(URL))
    await client.voiceprint(7)  # type: ignore[arg-type]
    await client.voiceprint(
        URL,
        model="precision-3",
        webhook="https://example.com/hook",
        timeout=None,
        on_submitted=keep,
        max_queue_wait=1.0,
    )
    await client.voiceprint(URL, on_submitted=keep_at_once)
    jobs: list[JobCreated] = []
    await client.voiceprint(URL, model=Model.PRECISION_2, on_submitted=jobs.append)
    await client.voiceprint(URL, model=Model.PRECISION_3)

    assert_type(voiceprint.value, str)
    assert_type(voiceprint.model, str)
    assert_type(voiceprint.job_id, str)
    assert_type(voiceprint.created_at, datetime | None)
    assert_type(voiceprint.warnings, tuple[str, ...])
    assert_type(voiceprint.to_dict(), dict[str, Any])
    assert_type(Voiceprint.from_dict(voiceprint.to_dict()), Voiceprint)
    voiceprint.value = "another"  # type: ignore[misc]  # frozen


async def keep(job: JobCreated) -> None: ...


def keep_each(index: int, job: JobCreated) -> None: ...


def keep_at_once(job: JobCreated) -> None: ...


async def step_by_step(client: AsyncVoiceprintClient) -> None:
    job = assert_type(await client.submit(URL), JobCreated)
    await client.submit(URL, model=Model.PRECISION_2, webhook="https://example.com/hook", webhook_status_only=True)
    await client.submit(VoiceprintRequest(URL, "precision-2", webhook=None, webhook_status_only=False))
    await client.submit(Path("ada.wav"))  # type: ignore[arg-type]  # upload it first
    assert_type(job.job_id, str)
    assert_type(job.status, JobStatus)
    assert_type(job.warning, str | None)

    assert_type(await client.wait(job), Job)
    assert_type(await client.wait(job.job_id, timeout=60), Job)
    await client.wait(job, timeout=None)
    done = assert_type(await client.get_job(job.job_id), Job)
    assert_type(done.created_at, datetime | None)
    assert_type(done.updated_at, datetime | None)
    assert_type(done.output, VoiceprintOutput | IdentificationOutput | None)
    assert_type(done.voiceprint, str | None)
    assert_type(done.status.is_terminal, bool)
    if isinstance(done.output, IdentificationOutput):
        assert_type(done.output.identification, Sequence[IdentifiedTurn])
        assert_type(done.output.voiceprints, tuple[SpeakerScores, ...])
    elif done.output:
        assert_type(done.output.voiceprint, str | None)
    if done.output:
        assert_type(done.output.warning, str | None)
        assert_type(done.output.error, str | None)


async def name_speakers(client: AsyncVoiceprintClient, path: Path, voiceprint: Voiceprint) -> None:
    speakers = {"Ada": voiceprint}
    found = assert_type(await client.identify(path, speakers), Identification)
    await client.identify(URL, {"Ada": "the value"}, num_speakers=2, matching=Matching(threshold=50, exclusive=False))
    await client.identify(
        {"waveform": [0.0], "sample_rate": 8000},
        {"Ada": voiceprint, "Bo": "the value"},
        model=Model.PRECISION_3,
        min_speakers=1,
        max_speakers=3,
        exclusive=True,
        confidence=True,
        turn_level_confidence=True,
        vad_sensitivity=-0.5,
        crosstalk_sensitivity=1,
        webhook="https://example.com/hook",
        webhook_status_only=True,
        timeout=None,
        on_submitted=keep,
        max_queue_wait=5,
    )
    await client.identify(URL, [voiceprint])  # type: ignore[arg-type]  # labels are needed
    for turn in found.turns:
        assert_type((turn.speaker, turn.start, turn.end), tuple[str, float, float])
        assert_type((turn.diarization_speaker, turn.match), tuple[str, str | None])
    for speaker in found.speakers:
        assert_type(speaker, IdentifiedSpeaker)
        assert_type(speaker.scores, Mapping[str, float])
    for decision in found.decide(min_score=60, min_margin=15, min_speech=8.0):
        assert_type(decision, Decision)
        assert_type(decision.certainty is Certainty.CERTAIN, bool)
        assert_type(decision.label, str | None)
    assert_type(found.diarization, Sequence[DiarizedTurn])
    assert_type(found.confidence, FrameConfidence | None)
    assert_type(found.to_rttm("talk"), str)
    assert_type(Identification.from_dict(found.to_dict()), Identification)

    options: IdentificationOptions = {"num_speakers": 2, "model": "precision-3"}
    assert_type(await client.submit_identification(URL, speakers, max_queue_wait=1, **options), JobCreated)
    await client.submit_identification(IdentificationRequest(URL, speakers, num_speakers=2))
    await client.submit_identification(URL, speakers, number=2)  # type: ignore[call-arg]
    IdentificationRequest(URL, [voiceprint])  # type: ignore[arg-type]  # labels are needed
    async with client.identify_many([URL, path], speakers, timeout=None, on_submitted=keep_each, **options) as results:
        assert_type(results, Results[IdentificationResult])
        async for result in results:
            assert_type(result.identification, Identification | None)
            assert_type(result.error, Exception | None)


async def upload(client: AsyncVoiceprintClient, path: Path, audio: LocalAudio) -> None:
    url = assert_type(await client.upload(path), str)
    await client.upload(audio, media_key="ada.wav", on_progress=show)
    await client.upload({"waveform": [0.0], "sample_rate": 8000})
    await client.upload("ada.wav")  # type: ignore[arg-type]  # a str is never local
    await client.submit(url, max_queue_wait=5.0)


def show(sent_bytes: int, total_bytes: int) -> None: ...


# Many voices


def name_of(item: str | VoiceprintRequest) -> str:
    return item if isinstance(item, str) else item.url


def stem_of(path: Path) -> str:
    return path.stem


def urls() -> Iterator[str]:
    yield URL


async def presigned() -> AsyncIterator[VoiceprintRequest]:
    yield VoiceprintRequest(URL)


async def shared_state(path: Path) -> None:
    AsyncVoiceprintClient(shared=path)
    AsyncVoiceprintClient(shared="postgresql://host/database")
    async with AsyncVoiceprintClient(shared=SharedState(path, team="a", reserve=2, patience=5.0)) as client:
        await client.submit(URL, key="speaker-1")
        await client.voiceprint(path, key="speaker-1")
        client.submit_many([URL], key=str)
        await client.resolve_key("speaker-1", job_id=None)
        assert_type(await client.purge_keys(older_than=3600), int)


async def submit_many(client: AsyncVoiceprintClient) -> None:
    async with client.submit_many(urls()) as results:
        async for submission in results:
            assert_type(submission, Submission)
            assert_type(submission.index, int)
            assert_type(submission.request, VoiceprintRequest | str)
            assert_type(submission.job, JobCreated | None)
            assert_type(submission.error, Exception | None)
    assert_type(results.unfinished, list[Submission])

    async with client.submit_many([URL, URL]) as results, client.submit_many(presigned()):
        await results.aclose()
    assert_type(results, Results[Submission])
    client.submit_many(urls(), model="precision-3", webhook="https://example.com/hook")
    client.submit_many([7])  # type: ignore[list-item]
    client.submit_many([URL, VoiceprintRequest(URL)], key=name_of)


async def voiceprint_many(client: AsyncVoiceprintClient, sources: list[Source]) -> None:
    async with client.voiceprint_many(sources, model="precision-2", webhook=None, timeout=60) as results:
        async for result in results:
            assert_type(result, VoiceprintResult)
            assert_type(result.index, int)
            assert_type(result.voiceprint, Voiceprint | None)
            assert_type(result.error, Exception | None)
            source: Source = result.source
            await client.voiceprint(source)
    assert_type(results.unfinished, list[VoiceprintResult])
    client.voiceprint_many(Path("examples").glob("*.wav"))
    client.voiceprint_many([URL, b"RIFF", VoiceprintRequest(URL)])
    client.voiceprint_many({"waveform": number, "sample_rate": 8000} for number in range(3))
    client.voiceprint_many(presigned())
    client.voiceprint_many(Path("examples").glob("*.wav"), key=stem_of)
    client.voiceprint_many([URL, Path("ada.wav"), BucketFile()])


# The rest of the client


async def account(client: AsyncVoiceprintClient) -> None:
    status = assert_type(await client.check_key(), KeyStatus)
    assert_type(status.status, str)
    assert_type(status.message, str)
    async for summary in client.list_jobs(status=JobStatus.SUCCEEDED):
        assert_type(summary, JobSummary)
        assert_type(summary.job_id, str)
        assert_type(summary.status, JobStatus)
        assert_type(summary.created_at, datetime | None)
    newest = assert_type([summary async for summary in client.list_jobs()], list[JobSummary])
    client.list_jobs(status="succeeded")
    print(newest, __version__)  # noqa: T201


async def lifespan() -> None:
    async with AsyncVoiceprintClient() as client:
        assert_type(client, AsyncVoiceprintClient)
        assert_type(client.abandoned, tuple[JobCreated, ...])
        stats = assert_type(client.stats, ClientStats)
        counts = (stats.in_flight, stats.queued, stats.requests, stats.retries, stats.rate_limited)
        assert_type(counts, tuple[int, int, int, int, int])
        if (response := (await client.check_key()).response) is not None:
            assert_type(response, ResponseInfo)
            assert_type((response.status, response.elapsed, response.request_id), tuple[int, float, str | None])
            assert_type(response.headers, dict[str, str])
        window = assert_type(client.rate_limit("submissions"), RateLimitStatus)
        assert_type((window.limit, window.per), tuple[int, float])
        assert_type((window.remaining, window.next_permit_in), tuple[int, float])
    await client.aclose()


async def in_a_test() -> None:
    async with Sandbox(job_seconds=(0.1, 0.2), rate_limit=(10, 1.0), media_keys="flat") as sandbox:
        sandbox.fail_next(["server-error", "drop-after-accept"], operation="voiceprint")
        client = AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url)
        await client.aclose()
        assert_type(sandbox.accepted[0].id, str)
        assert_type(sandbox.state.operations["voiceprint"].rate_limited, int)


async def test_with_fixtures(voiceprint_client: AsyncVoiceprintClient, voiceprint_sandbox: Sandbox) -> None:
    await voiceprint_client.voiceprint("https://example.com/voice.wav")
    assert_type(voiceprint_sandbox.url, str)


def test_of_a_synchronous_service() -> None:
    with SandboxThread(Sandbox(job_seconds=0.0)) as sandbox:
        assert_type(sandbox, Sandbox)


# Webhooks


def deliver(client: AsyncVoiceprintClient, body: bytes, headers: dict[str, str]) -> None:
    event = assert_type(verify_webhook(body, headers, "secret"), WebhookEvent)
    verify_webhook(body, headers, ["new secret", "old secret"], tolerance=60, now=1_753_000_000.0)
    verify_webhook("text", headers, b"secret")
    verify_webhook(bytearray(body), list(headers.items()), [b"new", "old"])
    verify_webhook(memoryview(body), [(b"x-signature", b"1")], "secret")
    verify_webhook(body, {name: [value] for name, value in headers.items()}, headers["secrets"].split(","))
    verify_webhook({"jobId": "1"}, headers, "secret")  # type: ignore[arg-type]  # the raw body
    client.deliver(event)
    assert_type(event.job_id, str)
    assert_type(event.status, JobStatus)
    assert_type(event.output, VoiceprintOutput | IdentificationOutput | None)
    assert_type(event.timestamp, datetime | None)
    assert_type(event.retry_num, int | None)
    assert_type(event.retry_reason, str | None)


def receive(client: AsyncVoiceprintClient, app: web.Application) -> None:
    app.router.add_post("/webhooks/pyannote", aiohttp_webhook_handler(client.deliver, "secret", tolerance=60))


# Enrollment


async def presign(row: Row) -> str:
    assert_type(row.label, str)
    assert_type(row.source, str | Path)
    return f"https://bucket.example.com/{row.source}"


def presign_locally(row: Row) -> str:
    return f"https://bucket.example.com/{row.source}"


async def enroll_all(client: AsyncVoiceprintClient) -> None:
    async with enroll(client, Manifest("speakers.csv"), "speakers.ledger", on_unknown="hold", max_jobs=10) as run:
        async for event in run:
            match event:
                case RowSucceeded(label=label, voiceprint=voiceprint):
                    assert_type(label, str)
                    assert_type(voiceprint, Voiceprint)
                case RowSkipped(problem=problem):
                    assert_type(problem, Problem)
                case RowWarning(label=label, message=message):
                    assert_type(message, str)
                case RunPlanned(plan=plan):
                    assert_type(plan, RunPlan)
                    assert_type(plan.cost, float)
                case RowFailed(label=label, error=error):
                    assert_type(error, str)
                case Finished(report=report):
                    assert_type(report, Report)
                    assert_type(report.succeeded, int)
                case _:
                    run.stop()
    assert_type(run.report, Report)
    enroll(client, [Row("Ada", Path("ada.wav"))], Path("x.ledger"), resolve=presign)
    enroll(client, [Row("Ada", "s3://bucket/ada.wav")], Path("x.ledger"), resolve=presign_locally)
    enroll(client, rows_from_sources(["voices"]), Ledger("x.ledger"), preflight=True, trim=True, replace=True)
    enroll(client, [Row("Ada", Path("long.wav"), segments=((12.5, 20), (31.0, None)))], "x.ledger")
    enroll(client, rows_from_rttm(Path("a.rttm"), Path("a.wav"), labels={"SPEAKER_00": "Ada"}), "x.ledger")
    enroll(client, [], "x.ledger", price=0.02, confirm=lambda plan: plan.jobs < 100)
    enroll(client, [], "x.ledger", on_unknown="guess")  # type: ignore[arg-type]  # hold, resubmit or adopt
    enroll(client, "speakers.csv", "x.ledger")  # type: ignore[arg-type]  # Manifest("speakers.csv")


def manifest_problems(error: ManifestError) -> None:
    assert_type(error.problems, tuple[Problem, ...])
    assert_type(error.problems[0].line, int | None)


# Errors


async def error_classes(call: Awaitable[Voiceprint]) -> None:
    try:
        await call
    except InvalidRequestError as error:
        assert_type(error.errors, tuple[FieldError, ...])
        assert_type(error.errors[0].field, str)
        assert_type(error.errors[0].message, str)
    except JobError as error:
        assert_type(error.job_id, str)
    except UnknownOutcomeError as error:
        newest = error.candidates[0]
        assert_type((newest.job_id, newest.status, newest.created_at), tuple[str, str, datetime | None])
    except QueueTooLongError as error:
        assert_type(error.expected_wait, float)
    except VoiceprintError as error:
        assert_type(error.retryable, bool)
        assert_type(error.outcome_unknown, bool)
        assert_type(error.status, int | None)
        assert_type(error.message, str | None)
        assert_type(error.request_id, str | None)
        assert_type(error.job_id, str | None)
        assert_type(error.retry_after, float | None)
        assert_type(error.headers, dict[str, str])


async def wait_longer(client: AsyncVoiceprintClient) -> None:
    """Resume waits as docs/explanation/waiting.md shows."""
    try:
        await client.voiceprint(URL, timeout=60)
    except JobTimeoutError as error:
        assert_type(await client.wait(error.job_id), Job)


# `except` with the class on the left catches the classes on the right.
configuration: list[ConfigurationError] = [ClientClosedError()]
connection: list[ApiConnectionError] = [ApiTimeoutError(), ProxyError()]
account_errors: list[AccountError] = [AuthenticationError(), SubscriptionRequiredError(), PermissionDeniedError()]
status: list[ApiStatusError] = [
    *account_errors,
    InvalidRequestError(),
    NotFoundError(),
    RateLimitError(),
    ServerError(),
]
job: list[JobError] = [JobFailedError(), JobCanceledError(), JobTimeoutError(), JobExpiredError()]
webhook: list[WebhookError] = [InvalidSignatureError(), StaleWebhookError()]
ledger: list[LedgerError] = [LedgerInUseError(), LedgerOriginError()]
enrollment: list[EnrollmentError] = [*ledger, ManifestError()]
every: list[VoiceprintError] = [
    *configuration,
    *connection,
    *status,
    *job,
    *webhook,
    QueueTooLongError(),
    UnexpectedResponseError(),
    MediaError(),
    *enrollment,
]


async def maintain_a_ledger() -> tuple[int, int, int, int]:
    async with Ledger(Path("speakers.ledger")) as ledger:
        models: list[str] = [voiceprint.model async for _, voiceprint in ledger.voiceprints()]
        errors: list[str | None] = [row.error async for row in ledger.failed_rows()]
        await ledger.accept("Ada", "job-id")
        await ledger.export("voiceprints.jsonl", "jsonl", model=models[0])
        forgotten = await ledger.forget(["Ada"])
        purged = await ledger.purge()
        await ledger.export("voiceprints.xml", "xml")  # type: ignore[arg-type]  # jsonl, csv or json
        return (await ledger.status()).succeeded, len(errors), forgotten.recordings, purged.dropped
