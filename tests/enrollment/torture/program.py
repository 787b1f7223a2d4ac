"""The program that is killed: one run over a ledger.

Run as `python -m enrollment.torture.program`, with `ProgramArguments` as JSON on the standard input.

It writes one line of JSON for each event, and a last line with its end. Each line is written to the pipe before the
program goes on, so that all reported events survive a kill.
"""

import asyncio
import json
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
from enrollment.torture.points import arm
from enrollment.torture.scaled_clock import ScaledClock

from pyannote_voiceprint_async import AsyncVoiceprintClient, EnrollmentError, RateLimit, RateLimits, VoiceprintError
from pyannote_voiceprint_async.enrollment import Event, Ledger, Row, RowSubmitted, RowSucceeded, enroll


@attrs.frozen
class ProgramArguments:
    """What the program does."""

    began: float
    scale: float
    base_url: str
    api_key: str
    ledger: str
    sources: list[list[str]]
    """Label, kind (`url` or `file`) and source of each row."""
    on_unknown: str
    concurrency: int
    limited: bool
    """Whether the rate limits are the documented ones."""
    point: str | None = None
    nth: int = 0
    growth: int | None = None
    """The bytes by which an empty ledger may grow until the disk acts as full."""


_UNLIMITED = RateLimit(10**9)


def read_rows(arguments: ProgramArguments) -> Iterator[Row]:
    for label, kind, source in arguments.sources:
        yield Row(label, Path(source) if kind == "file" else source)


def write_line(**line: Any) -> None:
    """Write a line without any buffer: what is in the pipe survives the process."""
    os.write(1, json.dumps(line).encode() + b"\n")


def write_event(event: Event) -> None:
    """Write a line for an event that the harness audits."""
    if isinstance(event, RowSubmitted):
        write_line(submitted=event.label, job=event.job_id)
    elif isinstance(event, RowSucceeded):
        write_line(succeeded=event.label, voiceprint=event.voiceprint.value)


async def run(arguments: ProgramArguments) -> None:
    """Run the enrollment, and write its events and its end."""
    limits = RateLimits() if arguments.limited else RateLimits(*(_UNLIMITED for _ in attrs.fields(RateLimits)))
    async with (
        AsyncVoiceprintClient(
            arguments.api_key,
            base_url=arguments.base_url,
            max_concurrency=arguments.concurrency,
            rate_limits=limits,
            clock=ScaledClock(arguments.began, arguments.scale),
        ) as client,
        enroll(client, read_rows(arguments), arguments.ledger, on_unknown=arguments.on_unknown) as enrollment,  # type: ignore[arg-type]
    ):
        ended: dict[str, Any] = {"error": None}
        try:
            async for event in enrollment:
                write_event(event)
        except VoiceprintError as error:
            ended = {"error": type(error).__name__, "message": str(error)}
        try:
            report = enrollment.report.to_dict()
        except EnrollmentError:
            report = None
        write_line(ended=ended | {"report": report})


async def create_ledger(path: Path) -> int:
    """Create an empty ledger and return its size in bytes, which changes with the schema."""
    async with Ledger(path):
        pass
    return path.stat().st_size


def main() -> None:
    arguments = ProgramArguments(**json.load(sys.stdin))
    if arguments.growth is not None:
        largest_file = asyncio.run(create_ledger(Path(arguments.ledger))) + arguments.growth
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, resource.RLIM_INFINITY))
    if arguments.point is not None:
        arm(arguments.point, arguments.nth)
    asyncio.run(run(arguments))


if __name__ == "__main__":
    main()
