"""aiohttp's exceptions in the words of our tree. None of them may reach a caller: they show the key."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from http import HTTPStatus

import aiohttp

from pyannote_voiceprint_async.api.responses import RequestOutcome, error_flags, next_step
from pyannote_voiceprint_async.errors import (
    ApiConnectionError,
    ApiTimeoutError,
    ConfigurationError,
    ProxyError,
    UnexpectedResponseError,
    VoiceprintError,
)

__all__ = ["NEVER_CONNECTED", "DisconnectedError", "translate"]

# Raised before there is a connection. A request with a body notes itself when its first byte leaves; for one
# without, these classes are all that is known.
NEVER_CONNECTED = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
    aiohttp.ServerFingerprintMismatch,
)


class DisconnectedError(aiohttp.ClientConnectionError):
    """The connection was dead. aiohttp's own exceptions for it would make aiohttp send a GET or PUT again."""


_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (aiohttp.ClientConnectorDNSError, "its name was not found"),
    (aiohttp.ClientConnectorCertificateError, "its TLS certificate cannot be verified"),
    (aiohttp.ClientSSLError, "TLS could not be agreed on"),
    (ssl.SSLError, "TLS could not be agreed on"),
    (socket.gaierror, "its name was not found"),
    (aiohttp.ServerFingerprintMismatch, "its TLS certificate is not the expected one"),
    (aiohttp.ClientProxyConnectionError, "the proxy could not be reached"),
    (aiohttp.ClientHttpProxyError, "the proxy refused"),
    (aiohttp.ConnectionTimeoutError, "no connection was made in time"),
    (asyncio.TimeoutError, "no answer came in time"),
    (ConnectionRefusedError, "the connection was refused"),
    (aiohttp.ServerDisconnectedError, "the connection was closed before the answer came"),
    (DisconnectedError, "the connection was closed before the answer came"),
    (ConnectionResetError, "the connection was reset before the answer came"),
)


def translate(  # noqa: PLR0913 - what is known of a request that failed, by keyword
    exc: BaseException,
    *,
    name: str,
    host: str | None,
    fate: RequestOutcome,
    repeatable: bool,
    proxy: str = "the settings of the proxy",
) -> VoiceprintError:
    """Return the error of the tree. What became of the request decides its flags, the exception only its words.

    Args:
        exc: what aiohttp raised, or other code that runs in a request: trace hooks, a session, connector or resolver.
        name: the operation, as `POST /v1/voiceprint`.
        host: whom it was sent to.
        fate: what became of the request.
        repeatable: whether sending it twice does no harm.
        proxy: where the proxy of the request is set.
    """
    flags = error_flags(fate, repeatable=repeatable)
    if not flags["outcome_unknown"] and (blocked := _blocked(exc, name, host, proxy)) is not None:
        return blocked
    if not isinstance(exc, aiohttp.ClientError | OSError):
        if fate is RequestOutcome.NEVER_SENT:
            return ConfigurationError(
                f"{name}: aiohttp cannot make this request ({type(exc).__name__}). Check base_url, proxy and session: "
                "a session of your own must be open, and have no Authorization of its own; with trust_env=True it must "
                "find none for this host in .netrc either. Trace hooks, connectors and resolvers must not fail."
            )
        return ApiConnectionError(
            f"{name}: {type(exc).__name__} was raised while the response of {host} was awaited, by a trace hook, a "
            f"session or a connector of your program, or by a defect. {next_step(fate, repeatable=repeatable)}",
            **flags,
        )
    if isinstance(exc, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError) and fate is RequestOutcome.NEVER_SENT:
        return ConfigurationError(f"{name}: the URL or the proxy is not valid. Check base_url and proxy.")
    if isinstance(exc, aiohttp.ClientResponseError) and not isinstance(exc, aiohttp.ClientHttpProxyError):
        return UnexpectedResponseError(
            f"{name}: {host} sent a broken HTTP message. {next_step(fate, repeatable=repeatable)}", **flags
        )
    error = ApiTimeoutError if isinstance(exc, asyncio.TimeoutError) else ApiConnectionError
    reason = _reason(exc)
    if isinstance(exc, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
        reason += f" (it is set by {proxy})"
    return error(f"{name}: no answer from {host}, {reason}. {next_step(fate, repeatable=repeatable)}", **flags)


def _blocked(exc: BaseException, name: str, host: str | None, proxy: str) -> ApiConnectionError | None:
    """Build the error for what stays as it is until a person changes a setting: another attempt is useless."""
    if isinstance(exc, ProxyError):
        return exc
    if isinstance(exc, aiohttp.ClientHttpProxyError) and exc.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return ProxyError(
            f"{name}: the proxy refused with 407, because the user or the password is missing or wrong. Nothing was "
            f"sent. Correct {proxy}: http://user:password@host:port, with special characters percent-encoded.",
            status=exc.status,
        )
    if isinstance(exc, aiohttp.ClientConnectorCertificateError):
        cause = getattr(exc.certificate_error, "verify_message", None) or "it is not valid"
        return ApiConnectionError(
            f"{name}: the TLS certificate of {host} cannot be verified ({cause}). Nothing was sent. If a proxy or "
            "firewall of this network decrypts TLS, append its CA certificate to a copy of the system's certificates "
            "(a PEM file), and set the environment variable SSL_CERT_FILE to the path of that file. Else check "
            "base_url and the clock of this machine."
        )
    return None


def _reason(exc: BaseException) -> str:
    cause = exc.os_error if isinstance(exc, aiohttp.ClientConnectorError) else exc
    for kind, reason in _REASONS:
        if isinstance(exc, kind) or isinstance(cause, kind):
            return reason
    # Never aiohttp's own text: it holds the URL.
    number = getattr(cause, "errno", None)
    return (os.strerror(number) if isinstance(number, int) else type(exc).__name__).lower()
