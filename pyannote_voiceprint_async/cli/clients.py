"""The client of a command, made from its common options."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.errors import ConfigurationError
from pyannote_voiceprint_async.settings import Polling, RateLimits

from .exit_codes import WrongUsage
from .options import CommonOptions
from .output import Output

__all__ = ["SANDBOX_KEY", "create_client", "create_dry_run_client", "is_billed", "open_client"]


SANDBOX_KEY = "sandbox-key"
"""The default key of `pyannote-voiceprint sandbox`."""


def create_client(
    common: CommonOptions, api_key: str | None = None, base_url: str | None = None
) -> AsyncVoiceprintClient:
    """Return a client with the settings of the common options.

    Args:
        common: the common options.
        api_key: the API key; None reads it from the environment.
        base_url: the URL of the API, instead of that of the options.

    Raises:
        ConfigurationError: there is no key, or an option is invalid.
    """
    return AsyncVoiceprintClient(
        api_key,
        base_url=common.base_url if base_url is None else base_url,
        max_concurrency=common.max_concurrency,
        rate_limits=RateLimits(submissions=common.rate_limit, identify=common.rate_limit),
        # An embedded sandbox serves this command only.
        shared=None if common.sandbox else common.shared,
        # A webhook goes to another program, so there is no reason to wait for it here.
        polling=Polling(webhook_grace=Polling().first),
    )


def create_dry_run_client(common: CommonOptions) -> tuple[AsyncVoiceprintClient, bool]:
    """Return a client that sends nothing, and whether it has a key that can be compared with that of the ledger.

    Raises:
        ConfigurationError: an option is invalid.
    """
    if not common.sandbox:
        with suppress(ConfigurationError):  # a dry run needs no key; the last line raises any other error again
            return create_client(common), True
    return create_client(common, "none"), False


def is_billed(common: CommonOptions) -> bool:
    """Return whether jobs cost money, which those of a sandbox do not.

    Raises:
        ConfigurationError: there is no key, or an option is invalid.
    """
    return not common.sandbox and create_client(common).engine.api_key != SANDBOX_KEY


@asynccontextmanager
async def open_client(
    common: CommonOptions, output: Output, store: Path | None = None
) -> AsyncIterator[AsyncVoiceprintClient]:
    """Yield an open client; with `--sandbox`, one that is connected to an embedded sandbox.

    Args:
        common: the common options.
        output: where the use of the sandbox is reported.
        store: the file in which the sandbox keeps its jobs for the next command.

    Raises:
        ConfigurationError: there is no key, or an option is invalid.
        WrongUsage: the sandbox cannot start.
    """
    if not common.sandbox:
        async with create_client(common) as client:
            yield client
        return
    from pyannote_voiceprint_async.sandbox import Sandbox  # noqa: PLC0415 - most commands do not need a web server

    output.print_status("Sandbox: nothing is sent to pyannoteAI, and the voiceprints are not real.")
    async with AsyncExitStack() as stack:
        try:
            sandbox = await stack.enter_async_context(Sandbox(store=store))
        except (ValueError, OSError) as exc:
            raise WrongUsage(f"The sandbox cannot start: {exc}") from None
        yield await stack.enter_async_context(create_client(common, sandbox.api_key, sandbox.url))
