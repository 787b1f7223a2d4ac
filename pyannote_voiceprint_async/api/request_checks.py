"""Check settings and requests locally, before a request is sent: a 400 costs a permit and a round trip."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from pyannote_voiceprint_async.errors import ConfigurationError, FieldError, InvalidRequestError
from pyannote_voiceprint_async.models import IdentificationRequest, Model, VoiceprintRequest
from pyannote_voiceprint_async.secret import Secret, hide

__all__ = [
    "check_api_key",
    "check_base_url",
    "check_count",
    "check_job_id",
    "check_media_key",
    "check_proxy",
    "check_request",
    "check_webhook",
    "is_loopback",
    "proxy_problem",
]

# Lone surrogates cannot be encoded as UTF-8.
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\x9f\ud800-\udfff]|\s")
# Matches nearly every URL, in a tenth of the time of `urlsplit`.
_PLAIN = re.compile(r"https?://[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?:/[!-~]*)?", re.ASCII)
_WEB_SCHEMES = {"http", "https"}
# The schema of `media.input` in the OpenAPI of the vendor.
_MEDIA_URL = r"media://[A-Za-z0-9\-_./]+"
_MAX_MEDIA_URL = 255
# The API may choose any text as a job id. It is percent-encoded in a path.
_JOB_ID = r"[^\x00-\x1f\x7f\ud800-\udfff]{1,1000}"


def check_request(request: VoiceprintRequest | IdentificationRequest) -> None:
    """Check the body of a submission of either kind.

    Raises:
        InvalidRequestError: a field is invalid; `errors` is the list that the API would return.
    """
    url, model = _source_problem(request.url), _model_problem(request.model)
    webhook = None if request.webhook is None else _webhook_problem(request.webhook)
    errors = []
    if url or model or webhook:
        problems = (("url", url), ("model", model), ("webhook", webhook))
        errors = [FieldError(field, problem) for field, problem in problems if problem]
    if isinstance(request, IdentificationRequest):
        # Imported here, because programs that only make voiceprints do not use it.
        from . import identification_checks  # noqa: PLC0415

        errors += identification_checks.field_errors(request)
    if errors:
        _raise(errors)


def check_webhook(webhook: object) -> None:
    """Check the webhook URL of a client.

    Raises:
        ConfigurationError: the API would refuse the URL.
    """
    if webhook is not None and (problem := _webhook_problem(webhook)) is not None:
        raise ConfigurationError(f"webhook {problem}.")


def check_media_key(media_key: str) -> str:
    """Return the `media://` URL of a media key, which may already have the scheme.

    Raises:
        InvalidRequestError: the key has characters or a length that the API refuses.
    """
    problem: str | None = f"must be a str, not {type(media_key).__name__}"
    url = ""
    if isinstance(media_key, str):
        url = media_key if media_key.startswith("media://") else f"media://{media_key}"
        problem = _media_problem(url)
    _raise([FieldError("url", problem)] if problem else [])
    return url


def check_job_id(job_id: object) -> str:
    """Return the job id if it can be part of a path.

    Raises:
        InvalidRequestError: it is not a job id.
    """
    if not isinstance(job_id, str) or not re.fullmatch(_JOB_ID, job_id) or set(job_id) == {"."}:
        _raise([FieldError("jobId", f"must be the id of a job, as returned by submit(), not {str(job_id)[:50]!r}")])
    return str(job_id)


def check_api_key(key: str | None) -> Secret:
    """Return the API key if it can be sent in a header.

    Raises:
        ConfigurationError: there is no key, or it is invalid. The message says where keys come from.
    """
    key = hide(key)
    hint = "Create a key in the dashboard of pyannoteAI, and set the environment variable PYANNOTEAI_API_KEY."
    if not key:
        raise ConfigurationError(
            f"There is no API key. {hint} To try the package without a key, run `pyannote-voiceprint sandbox`, or "
            "add --sandbox to a command that has this option."
        )
    if not isinstance(key, str) or not key.isascii() or _FORBIDDEN.search(key):
        raise ConfigurationError(
            f"The API key has a line break, a space or another character that is not allowed in keys. {hint}"
        )
    return Secret(key)


def check_base_url(base_url: str) -> str:
    """Return the base URL of the API without a trailing slash.

    Raises:
        ConfigurationError: the URL is invalid.
    """
    problem = "must be a str" if not isinstance(base_url, str) else _web_problem(base_url)
    if not problem and ({"?", "#", "@"} & set(base_url)):
        problem = "must have no query, fragment, user or password"
    if problem:
        raise ConfigurationError(f"base_url {_without_hint(problem)}. The API is at https://api.pyannote.ai.")
    # A ledger belongs to one base URL, and must not be refused because of a trailing slash.
    return base_url.rstrip("/")


def check_count(name: str, count: object) -> int:
    """Return the count if it is a whole number above zero.

    Raises:
        ConfigurationError: it is not.
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ConfigurationError(f"{name} must be a whole number above zero, not {count!r}.")
    return count


def check_proxy(proxy: object) -> None:
    """Check the URL of an HTTP proxy.

    Raises:
        ConfigurationError: it is not the URL of an HTTP proxy. Other proxies need a session of the user.
    """
    if proxy is not None and (problem := proxy_problem(proxy)) is not None:
        raise ConfigurationError(
            f"The argument `proxy` {problem}. It must be the URL of an HTTP proxy (http://host:port). For another "
            "kind of proxy, pass your own `session` with a connector for it."
        )


def proxy_problem(proxy: object) -> str | None:
    """Return what is wrong with the URL of an HTTP proxy, or None."""
    if not isinstance(proxy, str):
        return f"must be a str, not {type(proxy).__name__}"
    scheme, separator, _ = proxy.partition("://")
    if not separator:
        return "has no scheme"
    if scheme.lower().startswith("socks"):
        return f"is a SOCKS proxy ({scheme[:10]}), which is not supported"
    problem = _web_problem(proxy)
    return None if problem is None else _without_hint(problem).replace(" or media://", "")


def _model_problem(model: object) -> str | None:
    if model is Model.PRECISION_2:
        return None
    if not isinstance(model, str) or not model or _FORBIDDEN.search(model):
        return "must be the name of a model"
    return None


def _source_problem(url: object) -> str | None:
    if not isinstance(url, str):
        local = 'a path, bytes, an open binary file or {"waveform": array, "sample_rate": hertz}'
        return f"must be a URL as str (local audio: {local}), not {type(url).__name__}"
    if url.startswith("media://"):
        return _media_problem(url)
    return _web_problem(url)


def _media_problem(url: str) -> str | None:
    if len(url) > _MAX_MEDIA_URL:
        return f"must be at most {_MAX_MEDIA_URL} characters long"
    if not re.fullmatch(_MEDIA_URL, url):
        return "must be media:// and a key of letters, digits, '-', '_', '.' and '/'"
    return None


def _web_problem(url: str) -> str | None:
    if _PLAIN.fullmatch(url):
        return None
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is not a valid URL"
    if parts.scheme.lower() not in _WEB_SCHEMES:
        return (
            "must begin with http://, https:// or media://; a str is always a URL, so pass a local file as "
            "pathlib.Path, and an object in a bucket as a presigned URL"
        )
    if _FORBIDDEN.search(url):
        return "must have no spaces or control characters"
    return None if host else "has no host"


def _webhook_problem(url: object) -> str | None:
    if not isinstance(url, str):
        return f"must be a URL as str, not {type(url).__name__}"
    if (problem := _web_problem(url)) is not None:
        return _without_hint(problem)
    parts = urlsplit(url)
    if parts.scheme.lower() == "http" and not is_loopback(parts.hostname or ""):
        return "must begin with https://"
    return None


def _without_hint(problem: str) -> str:
    """Remove the parts of a message that are about sources only."""
    return problem.split(";", maxsplit=1)[0].replace(", https:// or media://", " or https://")


def is_loopback(host: str) -> bool:
    """Return whether the host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _raise(errors: Iterable[FieldError]) -> None:
    found = tuple(errors)
    if found:
        sentences = "; ".join(f"{error.field} {error.message}" for error in found)
        raise InvalidRequestError(f"Nothing was sent: {sentences}.", errors=found)
