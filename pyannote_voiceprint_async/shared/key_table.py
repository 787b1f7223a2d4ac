"""The submission keys in a store."""

from __future__ import annotations

from typing import Any, NamedTuple

from .key_states import CHANGES, KeyChange, KeyState
from .store import Statement, Store

__all__ = ["Claim", "KeyTable", "StoredKey"]

# Milliseconds after its last sign of life at which the owner of a claim counts as ended. The owner measures this time
# with clocks of its own; see `claim_lease.py`.
LEASE = 10_000

# The sign of life is a column of the key: PostgreSQL reads the row of a conflict anew, but no other row.
_RENEW = (
    "UPDATE voiceprint_keys SET alive_until = {now} + :lease WHERE owner = :owner AND state IN ('claimed', 'sending') "
    "RETURNING submission_key, fence"
)
_OF_KEY = "scope = :scope AND submission_key = :key"
# The clock was set back: without this, the claim of an ended owner would last until the clock is there again.
_SHORTEN = (
    f"UPDATE voiceprint_keys SET alive_until = {{now}} + :lease WHERE {_OF_KEY} AND alive_until > {{now}} + :lease"  # noqa: S608 - constants
)
# The owner may have been stopped before the first byte: a key is not resolved while its owner may still send. The whole
# lease begins anew, because the clock may have been set forward.
_LOSE_ENDED = (
    f"UPDATE voiceprint_keys SET state = 'unknown', changed_at = {{now}}, alive_until = {{now}} + :lease "  # noqa: S608 - constants
    f"WHERE {_OF_KEY} AND state = 'sending' AND alive_until <= {{now}}"
)
_FREE_ENDED = f"DELETE FROM voiceprint_keys WHERE {_OF_KEY} AND state = 'claimed' AND alive_until <= {{now}}"  # noqa: S608 - constants
# A conflict changes nothing, but PostgreSQL locks the row, so that no other process deletes it before it is read.
_CLAIM = (
    "INSERT INTO voiceprint_keys (scope, submission_key, state, owner, fence, request, changed_at, alive_until) "
    "VALUES (:scope, :key, 'claimed', :owner, :number, :request, {now}, {now} + :lease) "
    "ON CONFLICT (scope, submission_key) DO UPDATE SET fence = excluded.fence WHERE false"
)
_READ = f"SELECT state, owner, fence, request, job_id, sent_at, {{now}} FROM voiceprint_keys WHERE {_OF_KEY}"  # noqa: S608 - constants
_RESOLVABLE = f"{_OF_KEY} AND (state = 'accepted' OR (state = 'unknown' AND alive_until <= {{now}}))"
_ADOPT = (
    f"UPDATE voiceprint_keys SET state = 'accepted', job_id = :job_id, changed_at = {{now}} WHERE {_RESOLVABLE} "  # noqa: S608 - constants
    "RETURNING job_id"
)
_FREE_RESOLVED = f"DELETE FROM voiceprint_keys WHERE {_RESOLVABLE} RETURNING state"  # noqa: S608 - constants
# Keys of unknown outcomes stay: without them the next call would be billed again.
_PURGE = (
    "DELETE FROM voiceprint_keys WHERE scope = :scope AND state = 'accepted' AND changed_at < {now} - :age "
    "RETURNING submission_key"
)
_JOBS = "SELECT job_id FROM voiceprint_keys WHERE scope = :scope AND job_id IS NOT NULL"


class Claim(NamedTuple):
    """The claim of one call to a key."""

    key: str
    owner: str
    number: int
    """Counts the claims of the owner."""


class StoredKey(NamedTuple):
    """A key as the store has it."""

    state: KeyState
    owner: str
    number: int
    request: str
    """The fingerprint of the request; see `fingerprint.py`."""
    job_id: str | None
    sent_at: int | None
    """When the first byte of the last try may have left, in milliseconds since 1970 on the clock of the store."""
    now: int
    """The time on the clock of the store."""

    def is_of(self, claim: Claim) -> bool:
        """Return whether this claim has the key."""
        return (self.owner, self.number) == (claim.owner, claim.number)


class KeyTable:
    """The keys of one team and one API. Each method is one transaction, and raises `StoreUnavailableError`.

    Args:
        store: the store.
        scope: the team and the base URL.
    """

    def __init__(self, store: Store, scope: str) -> None:
        self._store = store
        self._scope = scope

    def _values(self, key: str) -> dict[str, Any]:
        return {"scope": self._scope, "key": key}

    async def claim(self, claim: Claim, request: str) -> StoredKey:
        """Claim a key if it is free, or if its owner ended before it sent anything; return the key as it is then."""
        values = self._values(claim.key)
        rows = await self._store.run(
            *_end_lost_owner(values),
            (_CLAIM, {**values, "owner": claim.owner, "number": claim.number, "request": request, "lease": LEASE}),
            (_READ, values),
        )
        state, *rest = rows[0]
        return StoredKey(KeyState(state), *rest)

    async def read(self, key: str) -> StoredKey | None:
        """Return a key, or None if it is free."""
        values = self._values(key)
        rows = await self._store.run(*_end_lost_owner(values), (_READ, values))
        return StoredKey(KeyState(rows[0][0]), *rows[0][1:]) if rows else None

    async def change(self, claim: Claim, change: KeyChange, job_id: str | None = None) -> bool:
        """Make a change, and return whether the claim still had the key in a state that allows it."""
        before, after = CHANGES[change]
        states = ", ".join(f"'{state}'" for state in sorted(before))
        where = f"{_OF_KEY} AND owner = :owner AND fence = :number AND state IN ({states}) RETURNING state"
        values = {**self._values(claim.key), "owner": claim.owner, "number": claim.number}
        if after is None:
            return bool(await self._store.run((f"DELETE FROM voiceprint_keys WHERE {where}", values)))  # noqa: S608 - constants
        sets = "state = :after, changed_at = {now}, alive_until = {now} + :lease"
        # After a try without a response, nothing is sent any more: a person can resolve the key at once.
        values |= {"after": str(after), "lease": 0 if change is KeyChange.LOSE else LEASE}
        if change is KeyChange.ACCEPT:
            sets, values = f"{sets}, job_id = :job_id", {**values, "job_id": str(job_id)}
        if change is KeyChange.BEGIN:
            # No earlier try of the claim was accepted, so only the last one can have created a job.
            sets = f"{sets}, sent_at = {{now}}"
        return bool(await self._store.run((f"UPDATE voiceprint_keys SET {sets} WHERE {where}", values)))  # noqa: S608 - constants

    async def resolve(self, key: str, job_id: str | None) -> bool:
        """Adopt a job for a key, or free the key; return whether there was a key to resolve."""
        values = self._values(key)
        last = (_FREE_RESOLVED, values) if job_id is None else (_ADOPT, {**values, "job_id": job_id})
        return bool(await self._store.run(*_end_lost_owner(values), last))

    async def purge(self, age: int) -> int:
        """Delete the keys that were accepted more than `age` milliseconds ago, and return their number."""
        return len(await self._store.run((_PURGE, {"scope": self._scope, "age": age})))

    async def jobs(self) -> set[str]:
        """Return the jobs of all keys."""
        return {job_id for (job_id,) in await self._store.run((_JOBS, {"scope": self._scope}))}

    async def renew(self, owner: str) -> set[Claim]:
        """Report that the owner of claims is alive, and return the claims that it has."""
        rows = await self._store.run((_RENEW, {"owner": owner, "lease": LEASE}))
        return {Claim(key, owner, number) for key, number in rows}

    async def end(self, owner: str) -> None:
        """Report that the owner of claims ends."""
        await self._store.run((_RENEW, {"owner": owner, "lease": 0}))


def _end_lost_owner(values: dict[str, Any]) -> tuple[Statement, ...]:
    """Return the statements that end the claim of an owner that has ended: what it had not sent, it never sends."""
    values_with_lease = {**values, "lease": LEASE}
    return (_SHORTEN, values_with_lease), (_LOSE_ENDED, values_with_lease), (_FREE_ENDED, values)
