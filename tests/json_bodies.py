"""Response bodies for hypothesis: random bytes, JSON that resembles the API's, and deeply nested lists."""

import json

from hypothesis import strategies as st

VALUES = st.sampled_from(
    [None, True, 0, -1, 1.5, 10**30, "", "1", "created", "9999-99-99", [], [[]], [None], {}, {"id": 1}]
)
NAMES = ["jobId", "id", "status", "createdAt", "updatedAt", "output", "voiceprint", "warning", "error", "items",
         "nextCursor", "message", "url", "errors", "field", "requestId"]  # fmt: skip
OBJECTS = st.dictionaries(st.sampled_from(NAMES), VALUES)
LIKE_A_RESPONSE = st.dictionaries(st.sampled_from(NAMES), VALUES | OBJECTS | st.lists(VALUES | OBJECTS, max_size=3))
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.text(), inner, max_size=4),
    max_leaves=12,
)


def nested_lists(name, depth):
    """Return a body with deeply nested lists in place of a field, and of a field of the first error."""
    nested = b"[" * depth + b"]" * depth
    return b'{"jobId":"1","id":"1","status":"created","%b":%b,"errors":[{"%b":%b}]}' % (name, nested, name, nested)


BODIES = (
    st.binary(max_size=100)
    | (VALUES | LIKE_A_RESPONSE | ANY_JSON).map(lambda raw: json.dumps(raw).encode())
    | st.builds(nested_lists, st.sampled_from([name.encode() for name in NAMES]), st.integers(1, 1100))
)
