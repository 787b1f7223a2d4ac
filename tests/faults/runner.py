"""Makes calls while a fault is on, and counts."""

import asyncio
from collections.abc import Iterator
from typing import Any

import attrs
from faults.calls import Call
from faults.counts import Counts, audit, census, left_since
from faults.outcomes import Outcome
from faults.scenes import KEY, Provoke
from faults.stage import Stage
from hostile_server import found_in, shown_of

_SECRET = "THIS-IS-A-SECRET"


@attrs.frozen
class Calls:
    """Calls of one kind."""

    make: Call
    times: int
    expected: tuple[Outcome, ...]
    """How each of them may end."""

    def __iter__(self) -> Iterator[tuple[Call, str]]:
        """Give each call with its URL."""
        name = self.make.__name__
        return ((self.make, f"https://e.com/{name}-{number}?X-Amz-Signature={_SECRET}") for number in range(self.times))

    @property
    def said(self) -> set[str]:
        """How each of them may end, as a table says it."""
        return {said_of(self.make, outcome) for outcome in self.expected}


def said_of(make: Call, outcome: Outcome) -> str:
    return f"{make.__name__}: {outcome}"


async def run(provoke: Provoke, *kinds: Calls) -> Counts:
    """Make all calls at once."""
    before = census()
    calls = [call for kind in kinds for call in kind]
    async with provoke() as scene:
        async with Stage(scene) as stage:
            ended = await asyncio.gather(*(make(stage, url) for make, url in calls), return_exceptions=True)
        left_on_the_wire = stage.in_flight
    counts = _what_happened(calls, ended)
    counts.tries = stage.requests
    counts.requests = counts.tries if scene.met is None else scene.met
    end_of = dict(zip([url for _, url in calls], ended, strict=True))
    known = {url: {getattr(end, "job_id", None)} for url, end in end_of.items()}
    announced = {url for url, end in end_of.items() if getattr(end, "outcome_unknown", False)}
    counts.duplicates, counts.losses = audit(scene.accepted, {**known, "": stage.abandoned}, announced)
    counts.leaks = await left_since(before)
    counts.leaks["requests"] = left_on_the_wire
    return counts


def _what_happened(calls: list[tuple[Call, str]], ended: list[Any]) -> Counts:
    counts = Counts(calls=len(calls))
    for (make, _), end in zip(calls, ended, strict=True):
        said = said_of(make, Outcome.of(end))
        # All that end alike are made alike: looking at one of them is enough.
        if isinstance(end, BaseException) and said not in counts.happened:
            assert found_in(shown_of(end), KEY, _SECRET) == []
        counts.happened[said] += 1
    return counts
