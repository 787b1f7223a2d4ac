"""The operations of the API: their paths, and how the sandbox limits and bills them."""

from collections.abc import Mapping

import attrs


@attrs.frozen
class Operation:
    """One operation of the API."""

    name: str
    """Name in `Sandbox.state`, `Sandbox.fail_next` and the rate limits."""
    method: str
    path: str
    """Path of the URL. A star stands for a job id."""
    reads: bool
    """Whether `read_limit` applies to it instead of `rate_limit`."""
    submits: bool
    """Whether it creates billed jobs."""


_TABLE = (
    Operation("test", "GET", "/v1/test", reads=False, submits=False),
    Operation("media", "POST", "/v1/media/input", reads=False, submits=False),
    Operation("voiceprint", "POST", "/v1/voiceprint", reads=False, submits=True),
    Operation("identify", "POST", "/v1/identify", reads=False, submits=True),
    Operation("job", "GET", "/v1/jobs/*", reads=True, submits=False),
    Operation("jobs", "GET", "/v2/jobs", reads=True, submits=False),
)

OPERATIONS: Mapping[str, Operation] = {operation.name: operation for operation in _TABLE}

# No two operations share a path today. If two ever do, the method must become part of the key.
_BY_PATH = {operation.path: operation for operation in _TABLE}


def find_operation(path: str) -> tuple[Operation | None, str]:
    """Return the operation at this path, and the part of the path that matched its star."""
    exact = _BY_PATH.get(path)
    if exact is not None:
        return exact, ""
    head, _, last = path.rpartition("/")
    return _BY_PATH.get(f"{head}/*"), last
