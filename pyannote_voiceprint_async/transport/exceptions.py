"""Translate aiohttp's exceptions into this package's errors. None may reach a caller, because they show the key."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from http import HTTPStatus

import aiohttp

from pyannote_voiceprint_async.api.outcomes import RequestOutcome, error_flags, next_step
from pyannote_voiceprint_async.errors import (
    ApiConnectionError,
    ApiTimeoutError,
    ConfigurationError,
    ProxyError,
    UnexpectedResponseError,
    VoiceprintError,
)

__all__ = ["NEVER_CONNECTED", "DisconnectedError", "translate"]

# Raised before there is a connection. They show that a request without a body was never sent; a request with a body
# records its first byte itself.
NEVER_CONNECTED = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
    aiohttp.ServerFingerprintMismatch,
)


class DisconnectedError(aiohttp.ClientConnectionError):
    """The connection was closed. aiohttp repeats a GET or PUT on its own exceptions for this, but not on this one."""


_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (aiohttp.ClientConnectorDNSError, "its name cannot be resolved"),
    (aiohttp.ClientConnectorCertificateError, "its TLS certificate cannot be verified"),
    (aiohttp.ClientSSLError, "the TLS handshake failed"),
    (ssl.SSLError, "the TLS handshake failed"),
    (socket.gaierror, "its name cannot be resolved"),
    (aiohttp.ServerFingerprintMismatch, "its TLS certificate is not the expected one"),
    (aiohttp.ClientProxyConnectionError, "the proxy cannot be reached"),
    (aiohttp.ClientHttpProxyError, "the proxy refused the connection"),
    (aiohttp.ConnectionTimeoutError, "connecting timed out"),
    (asyncio.TimeoutError, "it did not respond in time"),
    (ConnectionRefusedError, "the connection was refused"),
    (aiohttp.ServerDisconnectedError, "the connection was closed before the response arrived"),
    (DisconnectedError, "the connection was closed before the response arrived"),
    (ConnectionResetError, "the connection was reset before the response arrived"),
)


def translate(  # noqa: PLR0913 - the facts about a failed request, by keyword
    exc: BaseException,
    *,
    name: str,
    host: str | None,
    outcome: RequestOutcome,
    repeatable: bool,
    proxy: str = "the settings of the proxy",
) -> VoiceprintError:
    """Return this package's error for an exception. The outcome decides its flags, the exception only its message.

    Args:
        exc: an exception of aiohttp, or of other code that runs in a request: a trace hook, session, connector or
            resolver.
        name: the operation, such as `POST /v1/voiceprint`.
        host: the host that the request was for, with its port if it is not the usual one.
        outcome: the outcome of the request.
        repeatable: whether the request may be sent twice without harm.
        proxy: where the proxy of the request is configured.
    """
    flags = error_flags(outcome, repeatable=repeatable)
    if not flags["outcome_unknown"] and (blocked := _blocked(exc, name, host, proxy)) is not None:
        return blocked
    if not isinstance(exc, aiohttp.ClientError | OSError):
        if outcome is RequestOutcome.NEVER_SENT:
            return ConfigurationError(
                f"{name}: aiohttp cannot make this request ({type(exc).__name__}). Check base_url, proxy and session: "
                "your session must be open and must not set Authorization; with trust_env=True, .netrc must have no "
                "entry for this host. Trace hooks, connectors and resolvers must not raise."
            )
        return ApiConnectionError(
            f"{name}: {type(exc).__name__} was raised while waiting for the response of {host}. Check the trace hooks, "
            f"session and connector of your program; else this is a bug. {next_step(outcome, repeatable=repeatable)}",
            **flags,
        )
    if isinstance(exc, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError) and outcome is RequestOutcome.NEVER_SENT:
        return ConfigurationError(f"{name}: the URL or the proxy URL is invalid. Check base_url and proxy.")
    if isinstance(exc, aiohttp.ClientResponseError) and not isinstance(exc, aiohttp.ClientHttpProxyError):
        return UnexpectedResponseError(
            f"{name}: {host} sent an invalid HTTP message. {next_step(outcome, repeatable=repeatable)}", **flags
        )
    error = ApiTimeoutError if isinstance(exc, asyncio.TimeoutError) else ApiConnectionError
    reason = _reason(exc)
    if isinstance(exc, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
        reason += f" (set by {proxy})"
    return error(f"{name}: no response from {host}: {reason}. {next_step(outcome, repeatable=repeatable)}", **flags)


def _blocked(exc: BaseException, name: str, host: str | None, proxy: str) -> ApiConnectionError | None:
    """Return the error for a cause that remains until a person changes a setting, or None for any other cause."""
    if isinstance(exc, ProxyError):
        return exc
    if isinstance(exc, aiohttp.ClientHttpProxyError) and exc.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return ProxyError(
            f"{name}: the proxy refused with 407, because the user or the password is missing or wrong. Nothing was "
            f"sent. Correct {proxy}: http://user:password@host:port, with special characters percent-encoded.",
            status=exc.status,
        )
    if isinstance(exc, aiohttp.ClientConnectorCertificateError):
        cause = getattr(exc.certificate_error, "verify_message", None) or "it is invalid"
        return ApiConnectionError(
            f"{name}: the TLS certificate of {host} cannot be verified ({cause}). Nothing was sent. If a proxy or "
            "firewall of this network decrypts TLS, append its CA certificate to a copy of the system's certificates "
            "(a PEM file), and set the environment variable SSL_CERT_FILE to the path of that file. Otherwise check "
            "base_url and the clock of this machine."
        )
    return None


def _reason(exc: BaseException) -> str:
    cause = exc.os_error if isinstance(exc, aiohttp.ClientConnectorError) else exc
    for kind, reason in _REASONS:
        if isinstance(exc, kind) or isinstance(cause, kind):
            return reason
    # aiohttp's own text holds the URL.
    number = getattr(cause, "errno", None)
    return (os.strerror(number) if isinstance(number, int) else type(exc).__name__).lower()
