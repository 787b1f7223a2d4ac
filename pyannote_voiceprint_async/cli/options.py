"""The options that all commands have which speak to the API, defined once."""

import functools
import re
from collections.abc import Callable
from typing import Any, NoReturn

import attrs
import click

from pyannote_voiceprint_async.errors import ConfigurationError
from pyannote_voiceprint_async.settings import RateLimit

__all__ = ["Common", "common_options", "force_option", "model_option", "preflight_option", "timeout_option"]

_RATE_LIMIT = re.compile(r"([0-9]+)/([0-9]+(?:\.[0-9]+)?)", re.ASCII)


@attrs.frozen
class Common:
    """What the common options say."""

    sandbox: bool = False
    """Start the embedded sandbox, and speak to it."""
    base_url: str | None = None
    """Where the API is; else that of the environment, else pyannoteAI's."""
    max_concurrency: int = 64
    """API requests in flight."""
    rate_limit: RateLimit | None = None
    """A ceiling for submissions."""
    verbose: int = 0
    """0: warnings; 1: each accepted job too; 2: everything."""


def _rate_limit(_context: click.Context, _option: click.Parameter, text: str | None) -> RateLimit | None:
    if text is None:
        return None
    match = _RATE_LIMIT.fullmatch(text)
    try:
        return RateLimit(int(match[1]), float(match[2])) if match else _no_limit(text)
    except ConfigurationError:
        return _no_limit(text)


def _no_limit(text: str) -> NoReturn:
    raise click.BadParameter(f"{text!r} is no limit: write REQUESTS/SECONDS, such as 100/60.")


_OPTIONS = [
    click.option("--sandbox", is_flag=True, help="Start the embedded sandbox for this one command; needs no key."),
    click.option("--base-url", metavar="URL", help="Where the API is; else PYANNOTEAI_BASE_URL."),
    click.option(
        "--max-concurrency", type=click.IntRange(min=1), default=64, show_default=True, help="Requests in flight."
    ),
    click.option(
        "--rate-limit",
        callback=_rate_limit,
        metavar="N/S",
        help="At most N submissions in any S seconds; the API's limit holds too.",
    ),
    click.option("-v", "--verbose", count=True, help="Say more: -v each accepted job, -vv everything."),
]

model_option = click.option(
    "--model", default="precision-2", show_default=True, help="The voiceprint model; never mix models."
)

preflight_option = click.option(
    "--no-preflight", "preflight", flag_value=False, default=True, help="Send files without looking at them."
)


force_option = click.option(
    "--force", is_flag=True, help="Write over a file that holds something else than earlier output of this command."
)


def timeout_option(what: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add `--timeout`, saying what its seconds are for."""
    seconds = click.FloatRange(min=0, min_open=True)
    return click.option("--timeout", type=seconds, default=900.0, show_default=True, metavar="SECONDS", help=what)


def common_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the common options, as its first argument."""

    @functools.wraps(command)
    def with_common(**given: Any) -> None:
        common = Common(**{field.name: given.pop(field.name) for field in attrs.fields(Common)})
        if common.sandbox and common.base_url is not None:
            raise click.UsageError("--sandbox and --base-url exclude each other: the sandbox has a URL of its own.")
        command(common, **given)

    for option in reversed(_OPTIONS):
        option(with_common)
    return with_common
