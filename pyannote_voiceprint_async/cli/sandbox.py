"""`pyannote-voiceprint sandbox`: the API on this machine, until a signal ends it."""

import asyncio
import json
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import click

from .exit_codes import WrongUsage

__all__ = ["sandbox"]


def _parsed(parser: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """Read an option in the sandbox's own way of writing, with its function of this name."""

    def read(_context: click.Context, _option: click.Parameter, given: str | tuple[str, ...] | None) -> Any:
        from pyannote_voiceprint_async.sandbox import options  # noqa: PLC0415 - a server that is rarely wanted

        parse: Callable[[str], Any] = getattr(options, parser)
        try:
            if isinstance(given, tuple):
                return dict(map(parse, given))
            return given if given is None else parse(given)
        except ValueError as exc:
            raise click.BadParameter(str(exc)) from None

    return read


_LIMIT: dict[str, Any] = {"metavar": "N/SECONDS", "callback": _parsed("parse_limit")}
_RANGE: dict[str, Any] = {"metavar": "SECONDS|LOW:HIGH", "callback": _parsed("parse_range")}
_FAULT: dict[str, Any] = {"metavar": "NAME=PROBABILITY", "callback": _parsed("parse_fault")}
_WEBHOOK_FAULT: dict[str, Any] = {"metavar": "NAME=PROBABILITY", "callback": _parsed("parse_webhook_fault")}


# The defaults are those of the sandbox's `Settings`; a test holds them together.
@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="Port to listen on; 0 takes a free one."
)
@click.option(
    "--api-key", default="sandbox-key", show_default=True, help="The one key that is accepted. Give no real one."
)
@click.option(
    "--rate-limit", **_LIMIT, default="100/60", show_default=True, help="Submissions, media, key tests: so many each."
)
@click.option(
    "--read-limit", **_LIMIT, default="300/60", show_default=True, help="Job reads and job lists: so many each."
)
@click.option(
    "--window",
    type=click.Choice(["sliding", "fixed", "none"]),
    default="sliding",
    show_default=True,
    help="How they are counted: in any such span of time, in spans from the epoch, or not at all.",
)
@click.option("--shared-budgets", is_flag=True, help="One budget of --rate-limit for everything.")
@click.option("--job-seconds", **_RANGE, default="1", show_default=True, help="How long a job takes, as 1 or 0.5:3.")
@click.option("--credit", type=click.IntRange(min=0), help="Submissions before 402; else without end.")
@click.option(
    "--latency", **_RANGE, default="0", show_default=True, help="How long an answer takes, as 0.1 or 0.01:0.2."
)
@click.option(
    "--fault", "faults", **_FAULT, multiple=True, help="What goes wrong, as drop-after-accept=0.02; repeatable."
)
@click.option(
    "--webhook-secret", default="sandbox-webhook-secret", show_default=True, help="What webhooks are signed with."
)
@click.option(
    "--webhook-signature",
    type=click.Choice(["hex", "base64", "v0"]),
    default="hex",
    show_default=True,
    help="How the signature is written.",
)
@click.option(
    "--webhook-time-scale",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="Factor of the minutes between the tries of a webhook.",
)
@click.option(
    "--webhook-sign-anew/--webhook-sign-once", default=True, show_default=True, help="Whether each try has a signature."
)
@click.option(
    "--webhook-failed-as",
    type=click.Choice(["failed", "canceled"]),
    default="failed",
    show_default=True,
    help="How a webhook tells of a failed job.",
)
@click.option(
    "--webhook-fault",
    "webhook_faults",
    **_WEBHOOK_FAULT,
    multiple=True,
    help="What goes wrong with webhooks, as lost=0.02; repeatable.",
)
@click.option(
    "--store",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where jobs and uploads are kept for a sandbox that is started again with it; else nowhere.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Where all chance comes from.")
def sandbox(**settings: Any) -> None:
    """Run pyannoteAI's voiceprint API on this machine.

    Prints one line of JSON, url and api_key, when it is ready; ends at SIGINT or SIGTERM. Its voiceprints are made
    up. Point PYANNOTEAI_BASE_URL and PYANNOTEAI_API_KEY to it.
    """
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(settings))


async def _serve(settings: dict[str, Any]) -> None:
    from pyannote_voiceprint_async.sandbox import Sandbox  # noqa: PLC0415 - as above

    ended = asyncio.Event()
    # Windows has no such handlers: there, Ctrl-C ends it as a KeyboardInterrupt.
    with suppress(NotImplementedError):
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with AsyncExitStack() as stack:
        try:
            server = await stack.enter_async_context(Sandbox(**settings))
        except ValueError as exc:
            raise WrongUsage(f"The sandbox cannot start: {exc}") from None
        except OSError as exc:
            raise WrongUsage(
                f"The sandbox cannot listen there ({exc.strerror or exc}). Give another --host or --port."
            ) from None
        click.echo(json.dumps({"url": server.url, "api_key": server.api_key}))
        await ended.wait()
