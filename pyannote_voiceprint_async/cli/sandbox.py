"""The command `pyannote-voiceprint sandbox`, which runs the sandbox until SIGINT or SIGTERM."""

import asyncio
import json
import shlex
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from .exit_codes import WrongUsage
from .option_groups import Command
from .output import print_status

__all__ = ["sandbox"]


def _parse_with(parser: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """Return a click callback that parses an option with the function of this name in `sandbox.options`."""

    def parse_option(_context: click.Context, _option: click.Parameter, value: str | tuple[str, ...] | None) -> Any:
        from pyannote_voiceprint_async.sandbox import options  # noqa: PLC0415 - `--help` must not import a web server

        parse: Callable[[str], Any] = getattr(options, parser)
        try:
            if isinstance(value, tuple):
                return dict(map(parse, value))
            return value if value is None else parse(value)
        except ValueError as exc:
            raise click.BadParameter(str(exc)) from None

    return parse_option


_LIMIT: dict[str, Any] = {"metavar": "N/SECONDS", "callback": _parse_with("parse_limit")}
_RANGE: dict[str, Any] = {"metavar": "SECONDS|LOW:HIGH", "callback": _parse_with("parse_range")}
_FAULT: dict[str, Any] = {"metavar": "NAME=PROBABILITY", "callback": _parse_with("parse_fault")}
_WEBHOOK_FAULT: dict[str, Any] = {"metavar": "NAME=PROBABILITY", "callback": _parse_with("parse_webhook_fault")}


# The defaults repeat those of `Settings`, whose import would slow down `--help`. A test compares them.
@click.command(cls=Command, groups={}, examples=["sandbox --job-seconds 0.5:3 --fault drop-after-accept=0.02"])
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="Port to listen on; 0: a free port."
)
@click.option(
    "--api-key", default="sandbox-key", show_default=True, help="The only valid API key. Do not use a real one."
)
@click.option(
    "--rate-limit",
    **_LIMIT,
    default="100/60",
    show_default=True,
    help="Limit of voiceprints, of identifications, of media requests and of key tests, each on its own.",
)
@click.option(
    "--read-limit",
    **_LIMIT,
    default="300/60",
    show_default=True,
    help="Limit of job reads and of job lists, each on its own.",
)
@click.option(
    "--window",
    type=click.Choice(["sliding", "fixed", "none"]),
    default="sliding",
    show_default=True,
    help="Rate-limit window: any span of that length, fixed spans one after the other, or no limit.",
)
@click.option("--shared-limit", is_flag=True, help="All operations share one window of --rate-limit.")
@click.option(
    "--job-seconds", **_RANGE, default="1", show_default=True, help="Duration of a job, for example 1 or 0.5:3."
)
@click.option("--credit", type=click.IntRange(min=0), help="Submissions before a 402; without it, there is no limit.")
@click.option(
    "--latency",
    **_RANGE,
    default="0",
    show_default=True,
    help="Time from a request to its response, for example 0.1 or 0.01:0.2.",
)
@click.option(
    "--fault",
    "faults",
    **_FAULT,
    multiple=True,
    help="A fault of requests, for example drop-after-accept=0.02; repeatable.",
)
@click.option(
    "--webhook-secret",
    default="sandbox-webhook-secret",
    show_default=True,
    help="Secret with which webhooks are signed.",
)
@click.option(
    "--webhook-signature",
    type=click.Choice(["hex", "base64", "v0"]),
    default="hex",
    show_default=True,
    help="Encoding of the signature.",
)
@click.option(
    "--webhook-time-scale",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="Factor of the delays between the attempts of a webhook (0, 60 and 300 seconds).",
)
@click.option(
    "--webhook-sign-anew/--webhook-sign-once",
    default=True,
    show_default=True,
    help="Sign each attempt of a webhook, or only the first one.",
)
@click.option(
    "--webhook-failed-as",
    type=click.Choice(["failed", "canceled"]),
    default="failed",
    show_default=True,
    help="Status of a failed job in webhooks.",
)
@click.option(
    "--webhook-fault",
    "webhook_faults",
    **_WEBHOOK_FAULT,
    multiple=True,
    help="A fault of webhooks, for example lost=0.02; repeatable.",
)
@click.option(
    "--store",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="File that keeps jobs and uploads for the next start; without it, they are lost at the end.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of all random choices.")
@click.option(
    "-v",
    "--verbose",
    "on_request",
    is_flag=True,
    callback=lambda _context, _option, value: _print_request if value else None,
    help="Print each request and its response to stderr, without keys, signatures and voiceprints.",
)
def sandbox(**settings: Any) -> None:
    """Run pyannoteAI's voiceprint and identification API on this machine.

    Prints one line of JSON with `url` and `api_key` when it is ready, and to stderr the `export` command that makes
    other programs use it. Ends at SIGINT or SIGTERM.

    Nothing is recognized. Voiceprints and labels are made up, or come from a simple comparison of sounds, which tells
    the voices of the examples apart.
    """
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(settings))


def _print_request(request: object) -> None:
    # A closed stderr must not stop the sandbox.
    with suppress(OSError):
        print_status(f"{datetime.now().astimezone():%H:%M:%S} {request}")


async def _serve(settings: dict[str, Any]) -> None:
    from pyannote_voiceprint_async.sandbox import Sandbox  # noqa: PLC0415 - `--help` must not import a web server

    stopped = asyncio.Event()
    # Windows does not support signal handlers of the event loop. Ctrl-C raises a KeyboardInterrupt there.
    with suppress(NotImplementedError):
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with AsyncExitStack() as stack:
        try:
            server = await stack.enter_async_context(Sandbox(**settings))
        except ValueError as exc:
            raise WrongUsage(f"The sandbox cannot start: {exc}") from None
        except OSError as exc:
            raise WrongUsage(
                f"The sandbox cannot listen on {settings['host']}, port {settings['port']} ({exc.strerror or exc})."
                " Use another --host or --port."
            ) from None
        click.echo(json.dumps({"url": server.url, "api_key": server.api_key}))
        settings_line = f"PYANNOTEAI_API_KEY={shlex.quote(server.api_key)} PYANNOTEAI_BASE_URL={server.url}"
        print_status(f"To use this sandbox in another terminal: export {settings_line}")
        await stopped.wait()
