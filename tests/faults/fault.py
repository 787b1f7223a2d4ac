"""One thing that can go wrong, and how calls may end then."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial

import attrs
from enrollment.torture.cases import Case
from faults import calls, killed, runner
from faults.calls import Call
from faults.counts import Counts
from faults.outcomes import Outcome
from faults.runner import Calls
from faults.scenes import Provoke


@attrs.frozen
class Fault:
    """A line of the table."""

    family: str
    name: str
    expected: frozenset[str]
    """How calls may end."""
    happen: Callable[[], Awaitable[Counts]]
    """Let it happen, and count."""
    tries: int | None = None
    """Requests that are made; None where that is left to chance."""
    least_met: int = 0
    """Requests that meet it, however chance decides; where nothing is left to it, no more than that."""

    def __str__(self) -> str:
        return f"{self.family}: {self.name}"


def faults(family: str, scenes: Mapping[str, Provoke], *kinds: Calls) -> Iterator[Fault]:
    """Give the faults in whose scenes these calls end alike."""
    expected = frozenset(said for kind in kinds for said in kind.said)
    is_certain = all(len(kind.expected) == 1 and kind.expected[0].tries is not None for kind in kinds)
    tries = sum(kind.times * (kind.expected[0].tries or 0) for kind in kinds) if is_certain else None
    least = sum(kind.times * min(outcome.least_met for outcome in kind.expected) for kind in kinds)
    for name, provoke in scenes.items():
        yield Fault(family, name, expected, partial(runner.run, provoke, *kinds), tries, least)


def in_a_run(family: str, name: str, case: Case, ends: str) -> Fault:
    """Give a fault that a run of enrollment meets."""
    return Fault(family, name, frozenset({f"enroll: {ends}, then done"}), partial(killed.run, case))


def submits(*expected: Outcome, times: int = 60) -> Calls:
    return Calls(calls.submit, times, expected)


def reads(*expected: Outcome, times: int = 12) -> Calls:
    return Calls(calls.read, times, expected)


def made(call: Call, *expected: Outcome, times: int = 60) -> Calls:
    """Make calls of another kind."""
    return Calls(call, times, expected)
