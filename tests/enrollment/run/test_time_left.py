"""The estimate of the remaining time, against a simulation of the rate limit, and in runs on the fake clock."""

import heapq
import math

import pytest
from enrollment_world import people

from pyannote_voiceprint_async import RateLimit
from pyannote_voiceprint_async.enrollment import enroll
from pyannote_voiceprint_async.enrollment.run.time_left import RemainingWork, seconds_left
from pyannote_voiceprint_async.sandbox import Limit

_READS = RateLimit(300)


def work(**values) -> RemainingWork:
    defaults = {
        "queued": 0, "in_flight": 0, "awaiting_result": 0, "limit": RateLimit(100), "read_limit": _READS,
        "max_concurrency": 64, "job_seconds": 0.0,
    }  # fmt: skip
    return RemainingWork(**{**defaults, **values})


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, 0),
        ({"queued": 100}, 0),
        ({"queued": 101}, 60),
        ({"queued": 1000}, 540),
        ({"queued": 1000, "job_seconds": 20.0}, 560),
        ({"queued": 1000, "limit": RateLimit(12)}, 83 * 60),
        ({"queued": 300, "limit": RateLimit(12, 1.0)}, 24),
        # 40 permits are free, 60 return in 30 s.
        ({"queued": 40, "returning_permits": [(30.0, 60)]}, 0),
        ({"queued": 41, "returning_permits": [(30.0, 60)]}, 30),
        ({"queued": 141, "returning_permits": [(30.0, 60)]}, 90),
        # A permit that is held returns a window after its response.
        ({"queued": 100, "in_flight": 1}, 60),
        ({"queued": 99, "in_flight": 1}, 0),
        # The API has lowered its limit from 100: 88 of the permits do not return.
        ({"queued": 1, "limit": RateLimit(12), "returning_permits": [(10.0, 88), (20.0, 12)]}, 20),
        # A pause: permits return meanwhile, and are granted when it ends.
        ({"queued": 41, "returning_permits": [(30.0, 60)], "pause": 50.0}, 50),
        ({"queued": 101, "returning_permits": [(30.0, 60)], "pause": 50.0}, 110),
        ({"awaiting_result": 1, "job_seconds": 5.0, "pause": 50.0}, 50),
        # Few slots and slow responses: 4 requests of 10 s at once.
        ({"queued": 100, "max_concurrency": 4, "request_seconds": 10.0}, 260),
        # Slow responses make the windows longer.
        ({"queued": 1000, "request_seconds": 3.0}, 9 * 63 + 3),
        ({"awaiting_result": 50, "job_seconds": 300.0, "since_last_acceptance": 100.0}, 200),
        ({"awaiting_result": 50, "job_seconds": 300.0, "since_last_acceptance": 400.0}, 0),
        # Results of an earlier run: 300 reads a minute.
        ({"awaiting_result": 301}, 60),
        ({"awaiting_result": 1000}, 180),
    ],
)
def test_the_seconds_left_follow_the_rate_limit_the_slots_the_jobs_and_pauses(values, expected):
    assert seconds_left(work(**values)) == pytest.approx(expected)


@pytest.mark.parametrize("limit", [100, 12])
@pytest.mark.parametrize("job_seconds", [1.0, 20.0, 300.0])
@pytest.mark.parametrize("rows", [60, 250, 1000])
@pytest.mark.parametrize("pause", [0.0, 45.0, 200.0])
def test_the_estimate_is_right_at_every_moment_of_a_simulated_run(limit, job_seconds, rows, pause):
    """A pause begins in the middle, between two submissions."""
    sent, pause_at = _simulate(limit, rows, pause)
    ends_at = sent[-1] + job_seconds
    # The end of the pause is not known before the pause begins.
    for now in (at for at in [0.0, *sent[::9], *(at + 7.0 for at in sent[::9])] if at >= pause_at):
        done = sum(at + job_seconds <= now for at in sent)
        accepted = [at for at in sent if at <= now]
        estimate = seconds_left(
            work(
                queued=rows - len(accepted),
                awaiting_result=len(accepted) - done,
                limit=RateLimit(limit),
                read_limit=RateLimit(100_000),
                returning_permits=[(at + 60.0 - now, 1) for at in accepted if at + 60.0 > now],
                job_seconds=job_seconds,
                since_last_acceptance=now - accepted[-1] if accepted else 0.0,
                pause=max(0.0, pause_at + pause - now) if pause else 0.0,
            )
        )
        assert estimate == pytest.approx(max(0.0, ends_at - now), abs=1e-6)


def _simulate(limit: int, rows: int, pause: float) -> tuple[list[float], float]:
    """Return when each submission is sent, and when the pause begins."""
    returning: list[float] = []
    sent: list[float] = []
    paused_until = pause_at = 0.0
    for number in range(rows):
        if pause and number == rows // 2:
            pause_at = sent[-1]
            paused_until = pause_at + pause
        free_at = 0.0 if len(returning) < limit else heapq.heappop(returning)
        sent.append(max(free_at, paused_until))
        heapq.heappush(returning, sent[-1] + 60.0)
    return sent, pause_at


@pytest.mark.parametrize(
    ("limit", "job_seconds", "rows"),
    [(100, 1.0, 250), (100, 20.0, 250), (100, 300.0, 150), (12, 20.0, 60), (12, 1.0, 60), (12, 7.0, 30)],
)
async def test_the_progress_of_a_run_is_within_15_percent_from_the_20th_row_on(
    make_world, monkeypatch, limit, job_seconds, rows
):
    """At each event, and at each second between two timers, as the display reads it."""
    monkeypatch.setattr("fake_clock._FAR", 5.0)
    world = await make_world(window="sliding", rate_limit=Limit(limit, 60.0), job_seconds=job_seconds)
    clock, samples, jump = world.clock, [], world.clock.jump

    def sample() -> None:
        progress = run.progress
        if progress.finished_now >= 20:
            samples.append((clock.time(), progress.seconds_left))

    def sample_and_jump(when: float) -> None:
        """A timer for each second would make the clock run ahead of the ledger's thread."""
        for second in range(math.ceil(clock.time()), math.ceil(when)):
            clock._now = float(second)
            sample()
        jump(when)

    monkeypatch.setattr(clock, "jump", sample_and_jump)
    async with clock.running(world.client), enroll(world.client, people(rows), world.path) as run:
        async for _ in run:
            ended_at = clock.time()
            sample()
    wrong = [(at, left, ended_at - at) for at, left in samples if abs(left - (ended_at - at)) > 0.15 * (ended_at - at)]
    assert wrong == []
    # The estimate is not merely near to its end.
    assert ended_at - samples[0][0] > 20.0
