import base64

import pytest

from pyannote_voiceprint_async.sandbox.webhook_signatures import signature_headers

# Computed with: printf 'v0:1800000000:{"a":1}' | openssl dgst -sha256 -hmac secret
DIGEST = "7fd3b086c5276a9d3bb9c620aa7ca35037ab080c8357c44b685584377fcd032d"


@pytest.mark.parametrize(
    ("form", "signature"),
    [("hex", DIGEST), ("base64", base64.b64encode(bytes.fromhex(DIGEST)).decode()), ("v0", f"v0={DIGEST}")],
)
def test_a_signature_covers_timestamp_and_body(form, signature):
    headers = signature_headers("secret", form, 1_800_000_000, b'{"a":1}')
    assert headers == {"X-Request-Timestamp": "1800000000", "X-Signature": signature}
