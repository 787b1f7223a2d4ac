"""The format of stderr: lines for people, or one JSON object per line (`--log-format json`)."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import click

from .records import json_line

__all__ = ["format_time", "is_json_log", "log_format_option", "log_object"]


def _remember(context: click.Context, _option: click.Parameter, value: str) -> str:
    # The root context outlives the command, so that the error that ends it is written in the same format.
    context.find_root().obj = value
    return value


log_format_option = click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    callback=_remember,
    # Before the other options: an invalid one is reported in this format.
    is_eager=True,
    help="Write stderr as lines of text, or as one JSON object per line: time, level, event, message and fields.",
)


def is_json_log() -> bool:
    """Return whether the current command writes JSON to stderr."""
    context = click.get_current_context(silent=True)
    return context is not None and context.find_root().obj == "json"


def log_object(
    event: str, message: str, *, level: str = "info", fields: Mapping[str, Any] | None = None, wall: float | None = None
) -> str:
    """Return the line of an event.

    Args:
        event: its name.
        message: the line that people get instead.
        level: `debug`, `info`, `warning` or `error`.
        fields: plain JSON types, without secrets.
        wall: UTC epoch seconds; by default the current time.
    """
    now = format_time(time.time() if wall is None else wall, timespec="milliseconds")
    return json_line({"time": now, "level": level, "event": event, "message": message, **(fields or {})})


def format_time(wall: float, timespec: str = "seconds") -> str:
    """Return UTC epoch seconds in the form of ISO 8601: `2026-11-30T03:45:10Z`."""
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec=timespec).replace("+00:00", "Z")
