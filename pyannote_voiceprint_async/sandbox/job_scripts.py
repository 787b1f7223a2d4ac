"""Scripted jobs: how the next job, or each job of a URL, ends, and what its output is."""

import json
import re
from collections import deque
from collections.abc import Mapping
from typing import Any, Literal

import attrs

from pyannote_voiceprint_async.sandbox.operations import OPERATIONS
from pyannote_voiceprint_async.sandbox.validators import one_of, optional_range, positive

FinalStatus = Literal["succeeded", "failed", "canceled"]
FINAL_STATUSES: tuple[FinalStatus, ...] = ("succeeded", "failed", "canceled")

# An output of more turns would need gigabytes of memory.
MOST_TURNS = 1_000_000


def _at_most(_instance: object, attribute: "attrs.Attribute[Any]", value: int | None) -> None:
    if value is not None and not 1 <= value <= MOST_TURNS:
        raise ValueError(f"{attribute.name!r} must be a number from 1 to {MOST_TURNS:,}, not {value!r}.")


def _copy_json(value: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return a copy, which later changes of the original do not affect, and which is JSON for sure."""
    copy: Mapping[str, Any] | None = json.loads(json.dumps(value))
    return copy


@attrs.frozen(kw_only=True)
class JobScript:
    """What happens to a job. Without a value, the settings and the source of the job decide.

    Args:
        job: Final status: `succeeded`, `failed` or `canceled`. `error` implies `failed`, `output` implies `succeeded`.
        error: The error in the output of a failed job.
        output: The whole output of a succeeded job.
        seconds: Duration of the job in seconds, or a random duration in a range (low, high).
        audio_seconds: Length of the recording, which decides what an identification costs.
        turns: Number of turns in the output of an identification.
    """

    job: FinalStatus | None = attrs.field(default=None, validator=attrs.validators.optional(one_of(*FINAL_STATUSES)))
    error: str | None = None
    output: Mapping[str, Any] | None = attrs.field(default=None, converter=_copy_json)
    seconds: tuple[float, float] | None = attrs.field(default=None, converter=optional_range)
    audio_seconds: float | None = attrs.field(default=None, validator=attrs.validators.optional(positive))
    turns: int | None = attrs.field(default=None, validator=_at_most)

    def __attrs_post_init__(self) -> None:
        implied = {"failed": self.error, "succeeded": self.output}
        for status, value in implied.items():
            if value is not None and self.job not in {None, status}:
                name = "error" if status == "failed" else "output"
                raise ValueError(f"{name!r} belongs to a job that ends as {status!r}, not as {self.job!r}.")
        if self.error is not None and self.output is not None:
            raise ValueError("'error' and 'output' cannot both be the output of one job.")

    @property
    def final_status(self) -> FinalStatus | None:
        """The final status, or `None` if the source of the job decides."""
        if self.job is not None:
            return self.job
        return "failed" if self.error is not None else "succeeded" if self.output is not None else None


@attrs.frozen
class _UrlRule:
    """A script for all jobs of some URLs."""

    pattern: re.Pattern[str]
    operation: str | None
    script: JobScript


class JobScripts:
    """Chooses the script of each accepted job: those of the next jobs first, then the newest one for its URL."""

    def __init__(self) -> None:
        self._next: deque[tuple[str | None, JobScript]] = deque()
        self._rules: list[_UrlRule] = []

    def add_next(self, script: JobScript, operation: str | None, times: int) -> None:
        """Assign a script to the next jobs of this operation, or of any submission.

        Raises:
            ValueError: For an operation that submits no job, or for `times` below 1.
        """
        _check_operation(operation)
        if times < 1:
            raise ValueError(f"'times' must be 1 or more, not {times!r}.")
        self._next.extend([(operation, script)] * times)

    def add_url(self, url: str, script: JobScript, operation: str | None) -> None:
        """Assign a script to all jobs of a URL, in which `*` stands for any characters.

        Raises:
            ValueError: For an operation that submits no job.
        """
        _check_operation(operation)
        pattern = re.compile(".*".join(map(re.escape, url.split("*"))), re.DOTALL)
        self._rules.insert(0, _UrlRule(pattern, operation, script))

    def choose(self, operation: str, url: str) -> JobScript | None:
        """Return the script of a job that is about to be accepted, or `None`."""
        for entry in self._next:
            if entry[0] in {None, operation}:
                self._next.remove(entry)
                return entry[1]
        matching = (rule for rule in self._rules if rule.operation in {None, operation} and rule.pattern.fullmatch(url))
        rule = next(matching, None)
        return None if rule is None else rule.script


def _check_operation(name: str | None) -> None:
    submissions = [operation.name for operation in OPERATIONS.values() if operation.submits]
    if name is not None and name not in submissions:
        raise ValueError(f"No job is submitted by {name!r}. The operations are {', '.join(submissions)}.")
