"""The event loop that a call runs in: asyncio's, or a clear error."""

from __future__ import annotations

import asyncio

from pyannote_voiceprint_async.errors import ConfigurationError

__all__ = ["running_loop"]


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the running event loop of asyncio.

    Raises:
        ConfigurationError: there is none, as under trio.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        pass
    raise ConfigurationError(
        "No asyncio event loop is running here, and this client needs one: nothing was sent. Call it inside "
        'asyncio.run(main()). It does not run under trio; with anyio, choose anyio.run(main, backend="asyncio").'
    )
