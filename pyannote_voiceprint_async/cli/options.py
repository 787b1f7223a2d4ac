"""Options that several commands share, each defined once."""

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import click

from pyannote_voiceprint_async.enrollment.plan import DEFAULT_PRICE
from pyannote_voiceprint_async.errors import ConfigurationError
from pyannote_voiceprint_async.secret import hide
from pyannote_voiceprint_async.settings import RateLimit

from .log_format import log_format_option

__all__ = [
    "FILE_PATH",
    "SHARED_VARIABLE",
    "SOURCE_PATH",
    "CommonOptions",
    "common_options",
    "force_option",
    "hide_dsn",
    "json_option",
    "model_option",
    "preflight_option",
    "price_option",
    "timeout_option",
    "yes_option",
]

SOURCE_PATH = click.Path(readable=False)
"""The click type of an argument that is a file, a directory, a pattern or a URL: a str that shells complete as a path.
"""

FILE_PATH = click.Path(dir_okay=False, path_type=Path)
"""The click type of an argument or option that names a file."""

_RATE_LIMIT = re.compile(r"([0-9]+)/([0-9]+(?:\.[0-9]+)?)", re.ASCII)


SHARED_VARIABLE = "PYANNOTE_VOICEPRINT_SHARED"
"""The environment variable of `--shared`."""


@attrs.frozen
class CommonOptions:
    """The values of the options that every command with a client has."""

    sandbox: bool = False
    """Start the embedded sandbox, and use it as the API."""
    base_url: str | None = None
    """The URL of the API; None reads it from the environment, else it is pyannoteAI's."""
    max_concurrency: int = 64
    """API requests in flight."""
    rate_limit: RateLimit | None = None
    """A ceiling for submissions."""
    shared: str | None = None
    """The state shared with other processes: the path of a SQLite file, or the DSN of PostgreSQL, as a `Secret`."""
    log_format: str = "text"
    """`text` or `json`; see `log_format.is_json_log`."""
    verbose: int = 0
    """0: log warnings; 1: also accepted and finished jobs; 2: everything."""


def _parse_rate_limit(_context: click.Context, _option: click.Parameter, text: str | None) -> RateLimit | None:
    if text is None:
        return None
    try:
        if match := _RATE_LIMIT.fullmatch(text):
            return RateLimit(int(match[1]), float(match[2]))
    except ConfigurationError:
        pass  # a number out of range is reported like any other invalid limit
    raise click.BadParameter(f"{text!r} is not a rate limit: write REQUESTS/SECONDS, such as 100/60.")


def hide_dsn(_context: click.Context, _option: click.Parameter, text: str | None) -> str | None:
    """Return a DSN as a `Secret`, and the path of a file as it is: the callback of `--shared`."""
    return hide(text) if text is not None and "://" in text else text


_COMMON_OPTIONS = [
    click.option("--sandbox", is_flag=True, help="Use a simulation of the API on this machine: no key, no cost."),
    click.option("--base-url", metavar="URL", help="URL of the API [default: PYANNOTEAI_BASE_URL, else pyannoteAI's]"),
    click.option(
        "--max-concurrency",
        type=click.IntRange(min=1),
        default=64,
        show_default=True,
        metavar="N",
        help="Largest number of API requests in flight.",
    ),
    click.option(
        "--rate-limit",
        callback=_parse_rate_limit,
        metavar="N/S",
        help="Send at most N submissions in any S seconds. The limit of the API applies too.",
    ),
    click.option(
        "--shared",
        callback=hide_dsn,
        envvar=SHARED_VARIABLE,
        metavar="FILE|DSN",
        help="Share the rate limit of the team with other processes: the path of a SQLite file, or postgresql://…. "
        f"Set a DSN with a password in {SHARED_VARIABLE} instead.",
    ),
    log_format_option,
    click.option(
        "-v", "--verbose", count=True, help="Log more to stderr: -v accepted and finished jobs, -vv everything."
    ),
]

model_option = click.option(
    "--model",
    default="precision-2",
    show_default=True,
    help="Voiceprint model. Do not mix voiceprints of different models.",
)

preflight_option = click.option(
    "--no-preflight", "preflight", flag_value=False, default=True, help="Do not check audio files before upload."
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on a terminal too, as in a pipe.")

force_option = click.option(
    "--force", is_flag=True, help="Replace an existing file that is not earlier output of this command."
)


price_option = click.option(
    "--price",
    type=click.FloatRange(min=0),
    default=DEFAULT_PRICE,
    show_default=True,
    metavar="EUR",
    help="Price of a voiceprint, for the costs that are shown. The default is an estimate from public documentation "
    "and programs, as of October 2026; the plan page of pyannoteAI's dashboard has your price. Failed jobs are free.",
)


def yes_option(text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the decorator that adds `--yes` with this help text."""
    return click.option("--yes", is_flag=True, help=text)


def timeout_option(text: str, default: float = 900.0) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return the decorator that adds `--timeout` with this help text, and a default in seconds."""
    seconds = click.FloatRange(min=0, min_open=True)
    return click.option("--timeout", type=seconds, default=default, show_default=True, metavar="SECONDS", help=text)


def common_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the common options to a command, whose first argument is then a `CommonOptions`."""

    @functools.wraps(command)
    def with_common_options(**values: Any) -> None:
        common = CommonOptions(**{field.name: values.pop(field.name) for field in attrs.fields(CommonOptions)})
        if common.sandbox and common.base_url is not None:
            raise click.UsageError("--sandbox and --base-url exclude each other: the sandbox has its own URL.")
        command(common, **values)

    for option in reversed(_COMMON_OPTIONS):
        option(with_common_options)
    return with_common_options
