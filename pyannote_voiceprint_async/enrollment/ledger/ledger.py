"""The ledger of `enroll`, as its users open it."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Self

from pyannote_voiceprint_async.models import Voiceprint
from pyannote_voiceprint_async.reprs import safe_repr

from .store import LedgerStore

__all__ = ["Ledger"]


@safe_repr
class Ledger:
    """A ledger file. One run at a time may open it; readers work meanwhile.

    Use it with `async with`, or give `enroll` the path.

    Args:
        path: the file; it is created when it is missing, private to its owner.

    Raises:
        LedgerInUseError: another run has it.
        LedgerError: it cannot be used.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.store = LedgerStore(self.path)
        """Internal: what a run uses."""

    def __repr__(self) -> str:
        return f"<Ledger {'open' if self.is_open else 'closed'}>"

    async def __aenter__(self) -> Self:
        await self.store.open()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def is_open(self) -> bool:
        """Whether this program has it open."""
        return self.store.is_open

    async def aclose(self) -> None:
        """Close the file, and let others have it. Closing twice is fine."""
        await self.store.aclose()

    async def voiceprints(self) -> AsyncIterator[tuple[str, Voiceprint]]:
        """Yield the label and the voiceprint of every row that has one, of this run or an earlier one, by label."""
        async for label, voiceprint in self.store.voiceprints():
            yield label, voiceprint
