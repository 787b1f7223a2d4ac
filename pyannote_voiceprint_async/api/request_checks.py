"""What can be known to be wrong before a request leaves: a 400 costs a place and a round trip."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from pyannote_voiceprint_async.errors import ConfigurationError, FieldError, InvalidRequestError
from pyannote_voiceprint_async.models import Model, VoiceprintRequest
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

# Lone surrogates are no text: they cannot be written as UTF-8.
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\x9f\ud800-\udfff]|\s")
# Nearly every URL, at a tenth of the price of taking it apart.
_PLAIN = re.compile(r"https?://[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?:/[!-~]*)?", re.ASCII)
_HOST_NEEDED = {"http", "https"}
# `media.input` in the vendor's OpenAPI.
_MEDIA_URL = re.compile(r"media://[A-Za-z0-9\-_./]+", re.ASCII)
_LONGEST_MEDIA_URL = 255
# Whatever the API gave is a job id; it is quoted where it stands in a path.
_JOB_ID = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,1000}")


def check_request(request: VoiceprintRequest) -> None:
    """Check the body of a submission.

    Raises:
        InvalidRequestError: with the same `errors` that the API would send.
    """
    url, model = _source_problem(request.url), _model_problem(request.model)
    webhook = None if request.webhook is None else _webhook_problem(request.webhook)
    if url or model or webhook:
        problems = (("url", url), ("model", model), ("webhook", webhook))
        _raise(FieldError(field, problem) for field, problem in problems if problem)


def check_webhook(webhook: object) -> None:
    """Check the webhook of a client.

    Raises:
        ConfigurationError: the API would refuse it.
    """
    if webhook is not None and (problem := _webhook_problem(webhook)) is not None:
        raise ConfigurationError(f"webhook {problem}.")


def check_media_key(media_key: str) -> str:
    """Give the `media://` URL of a key, with or without its scheme.

    Raises:
        InvalidRequestError: it has characters or a length that the API refuses.
    """
    problem: str | None = f"must be a str, not {type(media_key).__name__}"
    url = ""
    if isinstance(media_key, str):
        url = media_key if media_key.startswith("media://") else f"media://{media_key}"
        problem = _media_problem(url)
    _raise([FieldError("url", problem)] if problem else [])
    return url


def check_job_id(job_id: object) -> str:
    """Give a job id that can stand in a path.

    Raises:
        InvalidRequestError: it cannot.
    """
    if not isinstance(job_id, str) or not _JOB_ID.fullmatch(job_id) or set(job_id) == {"."}:
        _raise([FieldError("jobId", f"must be the id of a job, as submit() gave it, not {str(job_id)[:50]!r}")])
    return str(job_id)


def check_api_key(key: str | None) -> Secret:
    """Return a key that can stand in a header.

    Raises:
        ConfigurationError: there is none, or it cannot; says where keys come from.
    """
    key = hide(key)
    where = "Keys are made in the dashboard of pyannoteAI; put one into the environment as PYANNOTEAI_API_KEY."
    if not key:
        raise ConfigurationError(f"There is no API key. {where}")
    if not isinstance(key, str) or not key.isascii() or _FORBIDDEN.search(key):
        raise ConfigurationError(f"The API key has a line break, a space or another character that no key has. {where}")
    return Secret(key)


def check_base_url(base_url: str) -> str:
    """Return a base URL that requests can be sent to, without a slash at its end.

    Raises:
        ConfigurationError: it is none.
    """
    problem = "must be a string" if not isinstance(base_url, str) else _web_problem(base_url)
    if not problem and ({"?", "#", "@"} & set(base_url)):
        problem = "must have no query, fragment, user or password"
    if problem:
        raise ConfigurationError(f"base_url {_without_hint(problem)}. The API is at https://api.pyannote.ai.")
    # With and without the slash it is the same API: a ledger must not be refused for it.
    return base_url.rstrip("/")


def check_count(name: str, count: object) -> int:
    """Give a whole number from 1 on.

    Raises:
        ConfigurationError: it is none.
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ConfigurationError(f"{name} must be a whole number from 1 on, not {count!r}.")
    return count


def check_proxy(proxy: object) -> None:
    """Check an HTTP proxy.

    Raises:
        ConfigurationError: it is none. Only HTTP proxies are known; a SOCKS proxy needs a session of your own.
    """
    if proxy is not None and (problem := proxy_problem(proxy)) is not None:
        raise ConfigurationError(
            f"The argument `proxy` {problem}. It must be the URL of an HTTP proxy (http://host:port). For any other "
            "kind give a session of your own, whose connector knows it."
        )


def proxy_problem(proxy: object) -> str | None:
    """Return why this cannot be the URL of an HTTP proxy, or None if it can."""
    if not isinstance(proxy, str):
        return f"is no URL but {type(proxy).__name__}"
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
    if len(url) > _LONGEST_MEDIA_URL:
        return f"must be at most {_LONGEST_MEDIA_URL} characters long"
    if not _MEDIA_URL.fullmatch(url):
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
    if parts.scheme.lower() not in _HOST_NEEDED:
        return (
            "must begin with http://, https:// or media://; a str is always a URL, so give a file of this machine "
            "as pathlib.Path, and a bucket's object by a presigned URL"
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
    """Leave out what is only said of sources."""
    return problem.split(";", maxsplit=1)[0].replace(", https:// or media://", " or https://")


def is_loopback(host: str) -> bool:
    """Whether the host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _raise(errors: Iterable[FieldError]) -> None:
    found = tuple(errors)
    if found:
        said = "; ".join(f"{error.field} {error.message}" for error in found)
        raise InvalidRequestError(f"Nothing was sent: {said}.", errors=found)
