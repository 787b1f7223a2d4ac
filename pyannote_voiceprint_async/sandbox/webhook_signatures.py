"""Signatures of webhooks: one HMAC in the three encodings that documents and programs use."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Literal

SignatureForm = Literal["hex", "base64", "v0"]

# The API's documentation names base64 but shows hex. Existing receivers also expect `v0=` followed by hex.
SIGNATURES: Mapping[SignatureForm, Callable[[bytes], str]] = {
    "hex": bytes.hex,
    "base64": lambda digest: base64.b64encode(digest).decode(),
    "v0": lambda digest: f"v0={digest.hex()}",
}


def signature_headers(secret: str, form: SignatureForm, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the two headers with which a receiver verifies a webhook.

    Args:
        secret: The team's webhook secret.
        form: Encoding of the signature.
        timestamp: UTC epoch seconds, which are signed together with the body.
        body: The bytes of the body.
    """
    digest = hmac.digest(secret.encode(), b"v0:%d:%b" % (timestamp, body), hashlib.sha256)
    return {"X-Request-Timestamp": str(timestamp), "X-Signature": SIGNATURES[form](digest)}
