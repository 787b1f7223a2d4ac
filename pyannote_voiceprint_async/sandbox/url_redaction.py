"""URLs without their secrets."""

import re

# The query of a signed URL is a secret in the sandbox, too: the URL may lead to a real object storage.
_QUERY = re.compile(r"[?#].*", re.DOTALL)
_USERINFO = re.compile(r"\A([^/?#]*//)[^/?#]*@")


def redact_url(url: str) -> str:
    """Return a URL without user, password, query and fragment."""
    return _QUERY.sub("?…", _USERINFO.sub(r"\1…@", url))
