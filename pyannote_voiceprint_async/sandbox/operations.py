"""The API's operations as one table: their paths, and how the sandbox counts and limits them."""

from collections.abc import Mapping

import attrs


@attrs.frozen
class Operation:
    """One row of the table."""

    name: str
    """Its name in state, scripts and rate limits."""
    method: str
    path: str
    """A star stands for the id of a job."""
    reads: bool
    """Whether it counts against `read_limit` instead of `rate_limit`."""
    submits: bool
    """Whether it creates billable jobs."""


@attrs.frozen
class SandboxRequest:
    """A request of the API, read from its socket."""

    operation: Operation
    authorization: str
    """The header of this name."""
    argument: str
    """The part of the path that matched the star of the operation's path."""
    query: Mapping[str, str]
    body: bytes
    base_url: str
    """Scheme, host and port under which the client sees the server."""


_TABLE = (
    Operation("test", "GET", "/v1/test", reads=False, submits=False),
    Operation("media", "POST", "/v1/media/input", reads=False, submits=False),
    Operation("voiceprint", "POST", "/v1/voiceprint", reads=False, submits=True),
    Operation("job", "GET", "/v1/jobs/*", reads=True, submits=False),
    Operation("jobs", "GET", "/v2/jobs", reads=True, submits=False),
)

OPERATIONS: Mapping[str, Operation] = {operation.name: operation for operation in _TABLE}

# No two operations share a path today. If two ever do, the method must become part of the key.
_BY_PATH = {operation.path: operation for operation in _TABLE}


def find_operation(path: str) -> tuple[Operation | None, str]:
    """Return the operation at this path, and the part that matched its star."""
    exact = _BY_PATH.get(path)
    if exact is not None:
        return exact, ""
    head, _, last = path.rpartition("/")
    return _BY_PATH.get(f"{head}/*"), last
