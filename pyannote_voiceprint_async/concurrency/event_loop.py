"""The running event loop."""

from __future__ import annotations

import asyncio

from pyannote_voiceprint_async.errors import ConfigurationError

__all__ = ["running_loop"]


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the running asyncio event loop.

    Raises:
        ConfigurationError: no asyncio event loop is running, for example under trio.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        pass  # raised below, so that asyncio's own error is not shown as the context
    raise ConfigurationError(
        "No asyncio event loop is running, and this client needs one: nothing was sent. Call the client inside "
        'asyncio.run(main()). It does not run under trio; with anyio, use anyio.run(main, backend="asyncio").'
    )
