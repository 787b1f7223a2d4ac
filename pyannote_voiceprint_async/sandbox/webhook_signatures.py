"""How webhooks are signed: one HMAC, written in the three ways that sources know."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Literal

SignatureForm = Literal["hex", "base64", "v0"]

# The API's documentation says base64 and shows hex; programs in the field expect `v0=` and hex, too.
SIGNATURES: Mapping[SignatureForm, Callable[[bytes], str]] = {
    "hex": bytes.hex,
    "base64": lambda digest: base64.b64encode(digest).decode(),
    "v0": lambda digest: f"v0={digest.hex()}",
}


def signature_headers(secret: str, form: SignatureForm, timestamp: int, body: bytes) -> dict[str, str]:
    """The two headers by which a receiver knows a webhook.

    Args:
        secret: The team's secret.
        form: How the signature is written.
        timestamp: UTC epoch seconds, which are signed with the body.
        body: The bytes as they are sent.
    """
    digest = hmac.digest(secret.encode(), b"v0:%d:%b" % (timestamp, body), hashlib.sha256)
    return {"X-Request-Timestamp": str(timestamp), "X-Signature": SIGNATURES[form](digest)}
