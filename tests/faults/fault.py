"""One fault, and the outcomes that its calls may have."""

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
    """A row of the table of faults."""

    family: str
    name: str
    expected: frozenset[str]
    """The outcomes that calls may have."""
    run: Callable[[], Awaitable[Counts]]
    """Makes calls that meet the fault, and counts the results."""
    tries: int | None = None
    """The number of requests; None if it is random."""
    least_met: int = 0
    """The minimum number of requests that meet the fault; the exact number if nothing is random."""

    def __str__(self) -> str:
        return f"{self.family}: {self.name}"


def faults(family: str, scenes: Mapping[str, Provoke], *kinds: Calls) -> Iterator[Fault]:
    """Yield one fault per scene; the calls have the same outcomes in all scenes."""
    expected = frozenset(text for kind in kinds for text in kind.outcome_texts)
    is_certain = all(len(kind.expected) == 1 and kind.expected[0].tries is not None for kind in kinds)
    tries = sum(kind.times * (kind.expected[0].tries or 0) for kind in kinds) if is_certain else None
    least = sum(kind.times * min(outcome.least_met for outcome in kind.expected) for kind in kinds)
    for name, provoke in scenes.items():
        yield Fault(family, name, expected, partial(runner.run, provoke, *kinds), tries, least)


def in_a_run(family: str, name: str, case: Case, ends: str) -> Fault:
    """Return a fault that an enrollment run meets."""
    return Fault(family, name, frozenset({f"enroll: {ends}, then done"}), partial(killed.run, case))


def submits(*expected: Outcome, times: int = 60) -> Calls:
    return Calls(calls.submit, times, expected)


def reads(*expected: Outcome, times: int = 12) -> Calls:
    return Calls(calls.read, times, expected)


def made(call: Call, *expected: Outcome, times: int = 60) -> Calls:
    """Return calls of any kind."""
    return Calls(call, times, expected)
