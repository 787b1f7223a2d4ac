"""The program that is killed: one run over a ledger.

Run as `python -m enrollment.torture.runner`, with its order as JSON on the standard input.

It writes one line of JSON for each event as it happens, and a last one with how it ended. A line is on its way before
the program goes on, so that a kill leaves all lines of what was told.
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
from pyannote_voiceprint_async.enrollment import Event, Row, RowSubmitted, RowSucceeded, enroll


@attrs.frozen
class Order:
    """What the program is told."""

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
    largest_file: int | None = None
    """Bytes that a file may have: a disk that is full, as far as this process can see."""


_UNLIMITED = RateLimit(10**9)


def rows(order: Order) -> Iterator[Row]:
    for label, kind, source in order.sources:
        yield Row(label, Path(source) if kind == "file" else source)


def tell(**line: Any) -> None:
    # At once, past every buffer of ours: what stands in the pipe survives the process.
    os.write(1, json.dumps(line).encode() + b"\n")


def tell_event(event: Event) -> None:
    if isinstance(event, RowSubmitted):
        tell(submitted=event.label, job=event.job_id)
    elif isinstance(event, RowSucceeded):
        tell(succeeded=event.label, voiceprint=event.voiceprint.value)


async def run(order: Order) -> None:
    limits = RateLimits() if order.limited else RateLimits(*(_UNLIMITED for _ in attrs.fields(RateLimits)))
    async with (
        AsyncVoiceprintClient(
            order.api_key,
            base_url=order.base_url,
            max_concurrency=order.concurrency,
            rate_limits=limits,
            clock=ScaledClock(order.began, order.scale),
        ) as client,
        enroll(client, rows(order), order.ledger, on_unknown=order.on_unknown) as enrollment,  # type: ignore[arg-type]
    ):
        ended: dict[str, Any] = {"error": None}
        try:
            async for event in enrollment:
                tell_event(event)
        except VoiceprintError as error:
            ended = {"error": type(error).__name__, "message": str(error)}
        try:
            report = enrollment.report.to_dict()
        except EnrollmentError:
            report = None
        tell(ended=ended | {"report": report})


def main() -> None:
    order = Order(**json.load(sys.stdin))
    if order.largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order.largest_file, resource.RLIM_INFINITY))
    if order.point is not None:
        arm(order.point, order.nth)
    asyncio.run(run(order))


if __name__ == "__main__":
    main()
