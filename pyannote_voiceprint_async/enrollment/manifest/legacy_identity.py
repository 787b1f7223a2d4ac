"""The identity of a URL by the rules of version 0.1.

Ledgers keep hashes of erased recordings. Those that were written by version 0.1 can only be compared with identities
that follow its rules: this file must not change.
"""

from pyannote_voiceprint_async.urls.url_parts import UrlParts

__all__ = ["legacy_identity"]

_IGNORED_PREFIXES = ("x-amz-", "x-goog-")
_S3 = frozenset({"awsaccesskeyid", "expires", "signature"})
_GOOGLE = frozenset({"googleaccessid", "expires", "signature"})
_CLOUDFRONT = frozenset({"expires", "hash-algorithm", "key-pair-id", "policy", "signature"})
_AZURE = frozenset({
    "saoid", "scid", "sdd", "se", "ses", "si", "sig", "sip", "skdutid", "ske", "skoid", "sks", "skt", "sktid", "skv",
    "sp", "spr", "sr", "srt", "ss", "st", "suoid", "sv",
})  # fmt: skip
# The parameters that identify a signer, and those that it ignores.
_SIGNERS = (
    (_S3, _S3),
    (_GOOGLE, _GOOGLE),
    (frozenset({"key-pair-id", "signature"}), _CLOUDFRONT),
    (frozenset({"sig", "sv"}), _AZURE),
    (frozenset({"sig", "se"}), _AZURE),
    (frozenset({"sig", "si"}), _AZURE),
)


def legacy_identity(url: str) -> str:
    """Return the identity of a URL by the rules of version 0.1."""
    parts = UrlParts.split(url)
    if parts is None:
        return url
    parameters = parts.query.split("&")
    names = [parameter.partition("=")[0].lower() for parameter in parameters]
    ignored = frozenset[str]().union(*(ignored for required, ignored in _SIGNERS if required <= frozenset(names)))
    kept = [
        parameter
        for parameter, name in zip(parameters, names, strict=True)
        if name not in ignored and not name.startswith(_IGNORED_PREFIXES)
    ]
    return parts.join(parts.path, kept)
