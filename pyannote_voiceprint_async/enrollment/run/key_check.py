"""The check whether the API still accepts the key. Refusals that arrive together share one check."""

import asyncio

from pyannote_voiceprint_async.client import AsyncVoiceprintClient
from pyannote_voiceprint_async.errors import AccountError, VoiceprintError

__all__ = ["KeyCheck"]

# The result of a check is used for all refusals within this many seconds.
_VALID_FOR = 5.0


class KeyCheck:
    """Checks the key of a client, at most once in a few seconds.

    Args:
        client: the client.
    """

    def __init__(self, client: AsyncVoiceprintClient) -> None:
        self._client = client
        self._lock = asyncio.Lock()
        self._checked_at = float("-inf")
        self._is_refused = False

    async def is_refused(self) -> bool:
        """Return whether the API refuses the key. If not, a gateway has refused a single row with status 401 or 403."""
        async with self._lock:
            if self._client.engine.clock.time() - self._checked_at > _VALID_FOR:
                try:
                    await self._client.check_key()
                except VoiceprintError as error:
                    self._is_refused = isinstance(error, AccountError)
                else:
                    self._is_refused = False
                self._checked_at = self._client.engine.clock.time()
            return self._is_refused
