"""Make calls that meet a fault, and count the results."""

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
    """The outcomes that each call may have."""

    def __iter__(self) -> Iterator[tuple[Call, str]]:
        """Yield each call with its URL."""
        name = self.make.__name__
        return ((self.make, f"https://e.com/{name}-{number}?X-Amz-Signature={_SECRET}") for number in range(self.times))

    @property
    def outcome_texts(self) -> set[str]:
        """The texts of the outcomes in the table."""
        return {outcome_text(self.make, outcome) for outcome in self.expected}


def outcome_text(make: Call, outcome: Outcome) -> str:
    return f"{make.__name__}: {outcome}"


async def run(provoke: Provoke, *kinds: Calls) -> Counts:
    """Make all calls at once."""
    before = census()
    calls = [call for kind in kinds for call in kind]
    async with provoke() as scene:
        async with Stage(scene) as stage:
            ended = await asyncio.gather(*(make(stage, url) for make, url in calls), return_exceptions=True)
        left_in_flight = stage.in_flight
    counts = _what_happened(calls, ended)
    counts.tries = stage.requests
    counts.requests = counts.tries if scene.met is None else scene.met
    end_of = dict(zip([url for _, url in calls], ended, strict=True))
    known = {url: {getattr(end, "job_id", None)} for url, end in end_of.items()}
    announced = {url for url, end in end_of.items() if getattr(end, "outcome_unknown", False)}
    counts.duplicates, counts.losses = audit(scene.accepted, {**known, "": stage.abandoned}, announced)
    counts.leaks = await left_since(before)
    counts.leaks["requests"] = left_in_flight
    return counts


def _what_happened(calls: list[tuple[Call, str]], ended: list[Any]) -> Counts:
    counts = Counts(calls=len(calls))
    for (make, _), end in zip(calls, ended, strict=True):
        said = outcome_text(make, Outcome.of(end))
        # Calls with the same outcome raise the same error: it is enough to check one of them for secrets.
        if isinstance(end, BaseException) and said not in counts.happened:
            assert found_in(shown_of(end), KEY, _SECRET) == []
        counts.happened[said] += 1
    return counts
