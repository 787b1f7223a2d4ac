"""Identifications among more than 50 speakers."""

import asyncio
import json
import logging
import pickle

import pytest
from cancelled_calls import CancelledCall, cancel_at_every_await
from hostile_server import HostileServer, answer

from pyannote_voiceprint_async import (
    AsyncVoiceprintClient,
    AuthenticationError,
    ClientClosedError,
    ConfigurationError,
    InvalidRequestError,
    JobFailedError,
    Polling,
)
from pyannote_voiceprint_async.identification import (
    Identification,
    PartialIdentificationError,
    identify_among,
    jobs_needed,
)
from pyannote_voiceprint_async.sandbox import Sandbox

URL = "https://example.com/talk.wav"
QUICK = Polling(first=0.01, longest=0.05)
MANY = {f"Person {number}": f"value of person {number}" for number in range(120)}


class Server:
    """Accepts each submission; each job has one diarized speaker, who is the first of its speakers.

    Args:
        faults: the responses to single submissions, by their number.
        jobs: changes of single jobs, by their number.
    """

    def __init__(self, faults: dict[int, bytes] | None = None, jobs: dict[int, dict] | None = None) -> None:
        self.labels: list[list[str]] = []
        self.urls: set[str] = set()
        self._faults = faults or {}
        self._jobs = jobs or {}

    async def __call__(self, wire) -> None:
        body = await wire.body()
        if wire.asked.method == "POST":
            request, number = json.loads(body), len(self.labels)
            self.labels.append([one["label"] for one in request["voiceprints"]])
            self.urls.add(request["url"])
            accepted = json.dumps({"jobId": f"job-{number}", "status": "created"}).encode()
            await wire.send(self._faults.get(number) or answer(accepted))
        elif "/v2/" in wire.asked.target:
            await wire.send(answer(b"{}", 404))
        else:
            number = int(wire.asked.target.rpartition("-")[2])
            await wire.send(answer(json.dumps(self._job(number)).encode()))

    def _job(self, number: int) -> dict:
        label = self.labels[number][0]
        output = {
            "identification": [
                {"speaker": label, "start": 0, "end": 20, "diarizationSpeaker": f"S{number}", "match": label}
            ],
            "voiceprints": [{"speaker": f"S{number}", "match": label, "confidence": {label: 70 + number}}],
        }
        return {"jobId": f"job-{number}", "status": "succeeded", "output": output} | self._jobs.get(number, {})


def connect(server: HostileServer) -> AsyncVoiceprintClient:
    return AsyncVoiceprintClient("k", base_url=server.url, polling=QUICK)


async def test_there_is_one_job_for_each_50_speakers_and_the_expected_ones_are_in_the_first():
    server, submitted = Server(), []
    async with HostileServer(server) as hostile, connect(hostile) as client:
        expected = ["Person 119", "Person 3", "Person 119"]
        found = await identify_among(client, URL, MANY, expected=expected, max_jobs=3, on_submitted=submitted.append)
    assert [len(labels) for labels in server.labels] == [50, 50, 20]
    assert server.labels[0][:3] == ["Person 119", "Person 3", "Person 0"]
    assert sorted(label for labels in server.labels for label in labels) == sorted(MANY)
    assert sorted(job.job_id for job in submitted) == ["job-0", "job-1", "job-2"]
    # The one diarized speaker is the same in all jobs, and the last job has the highest score.
    (speaker,) = found.speakers
    assert (speaker.match, len(speaker.scores), found.job_id) == (server.labels[2][0], 3, "job-0")
    assert found.turns[0].speaker == server.labels[2][0]


async def test_a_local_recording_is_uploaded_once(client, sandbox, speech):
    found = await identify_among(client, speech / "allison-en.wav", MANY, max_jobs=3)
    assert isinstance(found, Identification)
    assert len(sandbox.accepted) == 3
    assert len({job.url for job in sandbox.accepted}) == 1


async def test_few_speakers_need_one_job(client, sandbox):
    assert (await identify_among(client, URL, {"Ann": "value"}, max_jobs=1)).turns
    assert len(sandbox.accepted) == 1


async def test_the_cost_is_logged_before_anything_is_sent(client, caplog):
    caplog.set_level(logging.INFO, "pyannote_voiceprint_async")
    await identify_among(client, URL, MANY, max_jobs=3)
    assert caplog.messages[0] == "Identification among 120 speakers: 3 job(s), each billed for the whole recording."
    assert "Person" not in caplog.text


@pytest.mark.parametrize(("speakers", "jobs"), [(0, 0), (1, 1), (50, 1), (51, 2), (100, 2), (101, 3)])
def test_the_number_of_jobs(speakers, jobs):
    assert jobs_needed({str(number): "v" for number in range(speakers)}) == jobs


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"max_jobs": 2},
            ConfigurationError,
            "120 speakers need 3 jobs, each billed for the whole recording",
        ),
        ({"max_jobs": 0}, ConfigurationError, "max_jobs must be a whole number above zero"),
        ({"expected": ["Ann"]}, ConfigurationError, "Expected speakers without a voiceprint: 'Ann'"),
        ({"expected": "Ann"}, TypeError, "Pass a list of labels"),
        ({"speakers": {}}, InvalidRequestError, "must be 1 to 50 voiceprints, not 0"),
        ({"speakers": ["v"]}, InvalidRequestError, "must be a mapping"),
        ({"speakers": MANY | {"speaker_1": "v"}}, InvalidRequestError, "must not begin with 'speaker_'"),
        ({"num_speakers": 0}, InvalidRequestError, "numSpeakers must be"),
        ({"source": "talk.wav"}, InvalidRequestError, "url must begin with"),
        ({"timeout": 0}, ConfigurationError, "timeout must be"),
    ],
)
async def test_nothing_is_sent_with_invalid_arguments(client, options, error, message):
    arguments = {"source": URL, "speakers": MANY, "max_jobs": 3} | options
    with pytest.raises(error) as caught:
        await identify_among(client, **arguments)
    assert message in str(caught.value)
    assert client.stats.requests == 0


async def test_a_partial_failure_keeps_what_is_paid():
    server = Server(jobs={1: {"status": "failed", "output": {"error": "Could not load audio"}}})
    async with HostileServer(server) as hostile, connect(hostile) as client:
        with pytest.raises(PartialIdentificationError) as caught:
            await identify_among(client, URL, MANY, max_jobs=3)
    error = caught.value
    assert sorted(error.job_ids) == ["job-0", "job-1", "job-2"]
    assert [type(one) for one in error.errors] == [JobFailedError]
    assert (error.job_id, error.outcome_unknown, error.retryable) == ("job-1", False, False)
    assert error.identification.speakers[0].match == server.labels[2][0]
    assert str(error).startswith("2 of 3 jobs have a result; the first error is: Job job-1 failed")


async def test_a_submission_with_an_unknown_outcome_is_a_partial_failure():
    async with HostileServer(Server(faults={1: answer(b"", 500)})) as hostile, connect(hostile) as client:
        with pytest.raises(PartialIdentificationError) as caught:
            await identify_among(client, URL, MANY, max_jobs=3)
    assert caught.value.outcome_unknown
    assert sorted(caught.value.job_ids) == ["job-0", "job-2"]
    assert caught.value.identification is not None


async def test_an_error_before_anything_is_accepted_is_raised_as_it_is():
    refused = dict.fromkeys(range(3), answer(b'{"message":"No"}', 401))
    async with HostileServer(Server(faults=refused)) as hostile, connect(hostile) as client:
        with pytest.raises(AuthenticationError):
            await identify_among(client, URL, MANY, max_jobs=3)


async def test_a_single_job_raises_its_own_error():
    server = Server(jobs={0: {"status": "failed", "output": None}})
    async with HostileServer(server) as hostile, connect(hostile) as client:
        with pytest.raises(JobFailedError):
            await identify_among(client, URL, {"Ann": "value"}, max_jobs=1)


async def test_a_cancelled_caller_loses_no_job(start):
    sandbox = await start(Sandbox(window="none", job_seconds=1000.0))
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, polling=QUICK))
    submitted: list[str] = []
    task = asyncio.create_task(
        identify_among(client, URL, MANY, max_jobs=3, on_submitted=lambda job: submitted.append(job.job_id))
    )
    while len(submitted) < 3:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert {job.job_id for job in client.abandoned} == {job.id for job in sandbox.accepted} == set(submitted)


async def test_a_client_that_is_closed_meanwhile_keeps_all_jobs_in_the_error(start):
    sandbox = await start(Sandbox(window="none", job_seconds=1000.0))
    client = await start(AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, polling=QUICK))
    submitted = asyncio.Semaphore(0)
    task = asyncio.create_task(
        identify_among(client, URL, MANY, max_jobs=3, on_submitted=lambda _: submitted.release())
    )
    for _ in range(3):
        await submitted.acquire()
    await client.aclose()
    with pytest.raises(PartialIdentificationError) as caught:
        await task
    assert sorted(caught.value.job_ids) == sorted(job.id for job in sandbox.accepted)
    assert {type(error) for error in caught.value.errors} == {ClientClosedError}


async def test_two_clients_identify_at_once(client, sandbox):
    async with AsyncVoiceprintClient(sandbox.api_key, base_url=sandbox.url, polling=QUICK) as other:
        one, two = await asyncio.gather(
            identify_among(client, URL, MANY, max_jobs=3), identify_among(other, URL, MANY, max_jobs=3)
        )
    assert (one.speakers, len(sandbox.accepted)) == (two.speakers, 6)


@pytest.mark.parametrize("source", [URL, b"RIFF" * 100], ids=["URL", "bytes"])
async def test_a_caller_cancelled_at_any_await_loses_no_job(sandbox, source):
    """The ids of all accepted jobs are returned, in the error, or in `abandoned`; nothing is submitted twice."""
    submitted: list[str] = []

    async def call(client: AsyncVoiceprintClient) -> Identification:
        submitted.clear()
        return await identify_among(
            client, source, MANY, max_jobs=3, on_submitted=lambda job: submitted.append(job.job_id)
        )

    def check(left: CancelledCall) -> None:
        if isinstance(left.returned, Identification):
            assert left.returned.job_id in left.accepted
            assert (sorted(submitted), left.abandoned) == (sorted(left.accepted), ())
        elif isinstance(left.returned, PartialIdentificationError):
            assert sorted(left.returned.job_ids) == sorted(left.accepted)
        else:
            assert isinstance(left.returned, asyncio.CancelledError)
            assert left.known == sorted(left.accepted)

    counts = await cancel_at_every_await(sandbox, call, check)
    assert {*counts} >= {0, 3}


def test_the_error_can_be_pickled():
    error = PartialIdentificationError(
        "1 of 2",
        identification=Identification("job-1", "precision-2"),
        job_ids=["job-1", "job-2"],
        errors=[JobFailedError("No.", job_id="job-2")],
        job_id="job-2",
        outcome_unknown=True,
    )
    error.add_note("a note")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own data
    assert (type(again), str(again), again.__notes__) == (PartialIdentificationError, "1 of 2", ["a note"])
    assert (again.identification, again.job_ids) == (error.identification, error.job_ids)
    assert (again.job_id, again.outcome_unknown, str(again.errors[0])) == ("job-2", True, "No.")
