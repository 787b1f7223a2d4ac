"""A team's jobs and its API, as the watcher sees them, in made-up time."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import repeat
from typing import Any

from fake_clock import START, FakeClock

from pyannote_voiceprint_async import JobStatus, JobSummary, NotFoundError, Polling, VoiceprintJob
from pyannote_voiceprint_async.api.endpoints import LIST_JOBS
from pyannote_voiceprint_async.concurrency.waiters import Waiters
from pyannote_voiceprint_async.jobs.poller import JobPoller
from pyannote_voiceprint_async.models import JobPage, VoiceprintOutput

_ENDS = {
    "succeeded": VoiceprintOutput("voice"),
    "failed": VoiceprintOutput(error="Could not load audio"),
    "failed without a word": None,
    "canceled": None,
    "cancelled": None,
}
ENDS = tuple(_ENDS)


@dataclass(eq=False)
class ModelJob:
    """One job of the team."""

    job_id: str
    created_at: float
    seconds: float
    end: str = "succeeded"
    """One of `ENDS`."""
    vanishes_at: float = float("inf")
    """From then on the API does not know it."""
    output_after: float = 0.0
    """Seconds after its end at which its output can be seen."""
    before: str = "running"
    """The status that it has until its end."""

    @property
    def ends_at(self) -> float:
        return self.created_at + self.seconds

    def is_over(self, now: float) -> bool:
        return now >= self.ends_at

    def status(self, now: float) -> JobStatus:
        return JobStatus(self.end.split()[0] if self.is_over(now) else self.before)

    def output(self, now: float) -> VoiceprintOutput | None:
        return _ENDS[self.end] if self.tells_all(now) else None

    def tells_all(self, now: float) -> bool:
        """Whether who reads it now knows all of it; only a voiceprint may come later than the status."""
        return now >= self.ends_at + (self.output_after if self.end == "succeeded" else 0.0)


@dataclass
class ModelApi:
    """Plays the transport: it has what the watcher calls, and notes each request.

    Args:
        clock: time; latencies pass on it.
        latencies: seconds that each answer takes.
        faults: for each request, the error that it meets, or None.
        has_pages: whether there is `GET /v2/jobs`.
        budget: requests a minute of each kind; more than that wait for their turn, as they do in the throttle.
    """

    clock: FakeClock
    latencies: Iterator[float] = field(default_factory=lambda: repeat(0.0))
    faults: Iterator[Exception | None] = field(default_factory=lambda: repeat(None))
    has_pages: bool = True
    budget: int = 1_000_000
    jobs: dict[str, ModelJob] = field(default_factory=dict)
    lists: list[float] = field(default_factory=list)
    reads: list[tuple[float, str]] = field(default_factory=list)
    useful: Counter[str] = field(default_factory=Counter)
    """How often each job was read after all was there to be known."""
    under_way: int = 0
    _newest_last: list[ModelJob] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._place = {"lists": Place(self.clock, self.budget), "reads": Place(self.clock, self.budget)}

    def add(self, job_id: str, seconds: float, **how: Any) -> ModelJob:
        """Let a job begin now."""
        job = self.jobs[job_id] = ModelJob(job_id, self.clock.time(), seconds, **how)
        self._newest_last.append(job)
        return job

    def add_foreign(self, number: int) -> None:
        """Let another program of the team make so many jobs, now."""
        for _ in range(number):
            self.add(f"foreign-{len(self._newest_last)}", 1.0)

    # What the watcher calls

    def check_usable(self) -> None:
        """Nothing of this model is ever closed."""

    async def send(self, endpoint: object, *, query: Mapping[str, str]) -> JobPage:
        assert endpoint is LIST_JOBS
        return await self._exchange("lists", self.lists.append, lambda: self._page(**query))

    async def read_job(self, job_id: str) -> VoiceprintJob:
        return await self._exchange("reads", lambda at: self.reads.append((at, job_id)), lambda: self._read(job_id))

    async def _exchange(self, kind: str, note: Callable[[float], None], answer: Callable[[], Any]) -> Any:
        await self._place[kind].take()
        self.under_way += 1
        note(self.clock.time())
        try:
            latency = next(self.latencies)
            if latency:
                await self.clock.sleep(latency / 2)
            fault = next(self.faults)
            given = None if fault else answer()
            if latency:
                await self.clock.sleep(latency / 2)
            if fault:
                raise fault
            return given
        finally:
            self.under_way -= 1

    def _page(self, limit: str, cursor: str | None = None) -> JobPage:
        now = self.clock.time()
        if not self.has_pages:
            raise NotFoundError("There are no pages here.", status=404)
        end = len(self._newest_last) if cursor is None else int(cursor)
        start = max(0, end - int(limit))
        jobs = [job for job in self._newest_last[start:end][::-1] if now < job.vanishes_at]
        return JobPage(tuple(JobSummary(job.job_id, job.status(now)) for job in jobs), str(start) if start else None)

    def _read(self, job_id: str) -> VoiceprintJob:
        now = self.clock.time()
        job = self.jobs.get(job_id)
        if job is None or now >= job.vanishes_at:
            raise NotFoundError("There is no such job.", status=404)
        self.useful[job_id] += job.tells_all(now)
        since = datetime.fromtimestamp(START + (job.ends_at if job.is_over(now) else job.created_at), UTC)
        return VoiceprintJob(job_id, job.status(now), None, since, job.output(now) if job.is_over(now) else None)


class Place:
    """A sliding window of a minute: first come, first served."""

    def __init__(self, clock: FakeClock, limit: int) -> None:
        self._clock = clock
        self._limit = limit
        self._taken: deque[float] = deque()
        self._line = asyncio.Lock()

    async def take(self) -> None:
        async with self._line:
            if len(self._taken) == self._limit:
                await self._clock.sleep(max(0.0, self._taken.popleft() + 60.0 - self._clock.time()))
            self._taken.append(self._clock.time())


class World:
    """A watcher on the model, and time that passes as fast as it can."""

    def __init__(self, clock: FakeClock, **api: Any) -> None:
        self.clock = clock
        self.api = ModelApi(clock, **api)
        self.waits = Waiters(clock)
        self.watcher = JobPoller(self.api, Polling(), clock, self.waits)

    async def pass_by(self, until: float) -> None:
        """Let time pass up to this moment, from timer to timer."""
        await idle()
        while (due := self.clock.next_at()) is not None and due <= until:
            self.clock.jump(due)
            await idle()
        self.clock.jump(until)
        await idle()

    async def finish(self, *tasks: "asyncio.Task[Any]", within: float = 1e6) -> list[Any]:
        """Let time pass until all of these are done, and give what they gave or raised."""
        await idle()
        while not all(task.done() for task in tasks):
            due = self.clock.next_at()
            assert due is not None, "somebody waits, and nothing will ever happen"
            assert due <= within, "this takes for ever"
            self.clock.jump(due)
            await idle()
        return await asyncio.gather(*tasks, return_exceptions=True)

    def wait(
        self, job_id: str, timeout: float = 86_400.0, *, has_webhook: bool = False
    ) -> "asyncio.Task[VoiceprintJob]":
        """Begin to wait for a job."""
        if has_webhook:
            self.watcher.expect_webhook(job_id)
        return asyncio.create_task(self.watcher.wait(job_id, self.clock.time() + timeout))

    async def leftovers(self) -> list[str]:
        """Name all that is still there although nobody waits."""
        await idle()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        return [
            *map(repr, tasks),
            *([] if self.clock.next_at() is None else [f"a timer at {self.clock.next_at()}"]),
            *(["open futures"] if len(self.waits) else []),
            *(["watched jobs"] if len(self.watcher) else []),
            *(["requests"] if self.api.under_way else []),
        ]


@asynccontextmanager
async def world(**api: Any) -> AsyncIterator[World]:
    """Give a world, and make sure that it is empty when it is left."""
    made = World(FakeClock(), **api)
    yield made
    assert await made.leftovers() == []


def most_in_a_minute(times: Iterable[float]) -> int:
    """Give the most requests in any 60 seconds."""
    window: deque[float] = deque()
    most = 0
    for time in sorted(times):
        window.append(time)
        while window[0] <= time - 60.0:
            window.popleft()
        most = max(most, len(window))
    return most


async def idle() -> None:
    """Let everybody do what they can do now."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(0)
    while loop._ready:  # type: ignore[attr-defined]
        await asyncio.sleep(0)


def run(scene: Coroutine[Any, Any, Any]) -> Any:
    """Run a scene in a loop of its own, as a property has to."""
    return asyncio.run(scene)
