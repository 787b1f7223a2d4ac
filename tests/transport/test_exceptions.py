"""Every exception class of aiohttp is translated into an error of this package."""

import itertools
import socket
import ssl
import traceback

import aiohttp
import pytest
from aiohttp_errors import CLASSES, INFO, KEY, SAID, SECRET, SITE, made
from hostile_server import found_in

from pyannote_voiceprint_async import (
    ApiConnectionError,
    ApiTimeoutError,
    ConfigurationError,
    ProxyError,
    UnexpectedResponseError,
    VoiceprintError,
)
from pyannote_voiceprint_async.api.outcomes import RequestOutcome
from pyannote_voiceprint_async.transport.exceptions import NEVER_CONNECTED, translate


def translated(
    exc: Exception, outcome: RequestOutcome = RequestOutcome.UNKNOWN, *, repeatable: bool = False
) -> VoiceprintError:
    return translate(exc, name="POST /v1/voiceprint", host="api.example.com", outcome=outcome, repeatable=repeatable)


@pytest.mark.parametrize("repeatable", [True, False])
@pytest.mark.parametrize("outcome", [RequestOutcome.NEVER_SENT, RequestOutcome.UNKNOWN])
@pytest.mark.parametrize("kind", CLASSES)
def test_every_exception_class_is_translated(kind, outcome, repeatable):
    """The error shows no secret of the request: not the key, a signed query or the password of a proxy."""
    error = translated(made(kind), outcome, repeatable=repeatable)
    unknown = outcome is RequestOutcome.UNKNOWN and not repeatable
    certificate = issubclass(kind, aiohttp.ClientConnectorCertificateError) and not unknown
    settings_are_wrong = isinstance(error, ConfigurationError) or certificate
    assert not (isinstance(error, ConfigurationError) and outcome is RequestOutcome.UNKNOWN)
    assert isinstance(error, ApiConnectionError | UnexpectedResponseError | ConfigurationError)
    assert (error.retryable, error.outcome_unknown) == (
        (False, False) if settings_are_wrong else (not unknown, unknown)
    )
    shown = f"{error} {error!r} {vars(error)}"
    assert found_in(shown, KEY, SECRET, "aiohttp") == []
    assert (error.__cause__, error.__context__) == (None, None)


@pytest.mark.parametrize(
    ("kind", "expected", "reason"),
    [
        (aiohttp.ClientConnectorDNSError, ApiConnectionError, "its name cannot be resolved"),
        (aiohttp.ClientConnectorCertificateError, ApiConnectionError, "certificate"),
        (aiohttp.ClientConnectorSSLError, ApiConnectionError, "TLS"),
        (aiohttp.ServerFingerprintMismatch, ApiConnectionError, "certificate"),
        (aiohttp.ClientProxyConnectionError, ApiConnectionError, "proxy cannot be reached"),
        (aiohttp.ClientHttpProxyError, ApiConnectionError, "proxy refused"),
        (aiohttp.ClientConnectorError, ApiConnectionError, "no route to host"),
        (aiohttp.ServerDisconnectedError, ApiConnectionError, "closed before the response"),
        (aiohttp.ClientPayloadError, ApiConnectionError, "no response"),
        (aiohttp.ConnectionTimeoutError, ApiTimeoutError, "connecting timed out"),
        (aiohttp.SocketTimeoutError, ApiTimeoutError, "did not respond in time"),
        (aiohttp.ServerTimeoutError, ApiTimeoutError, "did not respond in time"),
        (aiohttp.ClientResponseError, UnexpectedResponseError, "invalid HTTP message"),
        (aiohttp.TooManyRedirects, UnexpectedResponseError, "invalid HTTP message"),
        (aiohttp.InvalidURL, ApiConnectionError, "invalidurl"),
        (aiohttp.NonHttpUrlClientError, ApiConnectionError, "nonhttpurlclienterror"),
    ],
)
def test_the_message_names_the_reason(kind, expected, reason):
    error = translated(made(kind))
    assert type(error) is expected
    assert reason in str(error)


@pytest.mark.parametrize(
    ("exc", "expected", "reason"),
    [
        (TimeoutError(), ApiTimeoutError, "in time"),
        (ConnectionResetError(104, "Connection reset by peer"), ApiConnectionError, "reset"),
        (ConnectionRefusedError(111, "Connection refused"), ApiConnectionError, "refused"),
        (BrokenPipeError(32, "Broken pipe"), ApiConnectionError, "broken pipe"),
        (OSError(24, "Too many open files"), ApiConnectionError, "too many open files"),
        (OSError(), ApiConnectionError, "oserror"),
        (aiohttp.ClientOSError(104, "Connection reset by peer"), ApiConnectionError, "reset"),
        (aiohttp.ClientOSError(), ApiConnectionError, "clientoserror"),
        (aiohttp.ClientOSError(None, f"Can not write request body for {INFO.url}"), ApiConnectionError, "no response"),
        (aiohttp.ClientOSError(32, f"Can not write request body for {INFO.url}"), ApiConnectionError, "no response"),
        (aiohttp.ClientConnectorError(SITE, OSError(None, SAID)), ApiConnectionError, "no response"),
        (ssl.SSLError(1, "WRONG_VERSION_NUMBER"), ApiConnectionError, "TLS handshake failed"),
        (socket.gaierror(-2, "Name or service not known"), ApiConnectionError, "name cannot be resolved"),
        (ValueError(SAID), ApiConnectionError, "ValueError was raised"),
        (RuntimeError(SAID), ApiConnectionError, "RuntimeError was raised"),
        (UnicodeError(SAID), ApiConnectionError, "UnicodeError was raised"),
        (KeyError(SAID), ApiConnectionError, "KeyError was raised"),
        (Exception(SAID), ApiConnectionError, "Exception was raised"),
    ],
)
def test_the_exceptions_of_python_are_translated_too(exc, expected, reason):
    error = translated(exc)
    assert type(error) is expected
    assert reason in str(error)
    assert found_in(str(error), KEY, SECRET) == []


@pytest.mark.parametrize(
    ("exc", "kind", "said"),
    [
        (aiohttp.ClientHttpProxyError(INFO, (), status=407), ProxyError, ("407", "VARIABLE", "http://user:password@")),
        (made(aiohttp.ClientConnectorCertificateError), ApiConnectionError, ("certificate", "SSL_CERT_FILE")),
        (ProxyError("As it is."), ProxyError, ("As it is.",)),
    ],
)
def test_a_cause_that_only_a_person_can_change_is_not_retryable(exc, kind, said):
    for outcome, repeatable in (
        (RequestOutcome.NEVER_SENT, True),
        (RequestOutcome.NEVER_SENT, False),
        (RequestOutcome.UNKNOWN, True),
    ):
        error = translate(
            exc, name="POST /v1/voiceprint", host="h.example", outcome=outcome, repeatable=repeatable, proxy="VARIABLE"
        )
        assert (type(error), error.retryable, error.outcome_unknown) == (kind, False, False)
        assert [text for text in said if text not in str(error)] == []


@pytest.mark.parametrize(
    "exc", [aiohttp.ClientHttpProxyError(INFO, (), status=407), made(aiohttp.ClientConnectorCertificateError)]
)
def test_a_submission_that_was_sent_keeps_its_unknown_outcome(exc):
    """A trace hook may raise any class: the progress of the request decides."""
    error = translated(exc, RequestOutcome.UNKNOWN, repeatable=False)
    assert (error.retryable, error.outcome_unknown) == (False, True)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (ValueError, "session"),
        (RuntimeError, "session"),
        (KeyError, "session"),
        (aiohttp.InvalidURL, "base_url"),
        (aiohttp.NonHttpUrlClientError, "base_url"),
    ],
)
def test_a_request_that_cannot_be_sent_is_a_configuration_error(kind, reason):
    error = translated(made(kind), RequestOutcome.NEVER_SENT)
    assert type(error) is ConfigurationError
    assert reason in str(error)
    assert found_in(str(error), KEY, SECRET) == []


@pytest.mark.parametrize(("outcome", "repeatable"), list(itertools.product(RequestOutcome, [True, False])))
def test_a_timeout_is_retryable_if_the_request_was_never_sent_or_is_repeatable(outcome, repeatable):
    error = translated(TimeoutError(), outcome, repeatable=repeatable)
    expected = {
        RequestOutcome.NEVER_SENT: (True, False),
        RequestOutcome.RETRY_LATER: (True, False),
        RequestOutcome.UNKNOWN: (repeatable, not repeatable),
        RequestOutcome.REFUSED: (False, False),
    }[outcome]
    assert (error.retryable, error.outcome_unknown) == expected


def test_never_connected_holds_only_classes_of_connecting():
    """The classes decide about a request without a body, so none of them may be raised after connecting."""
    later = {
        aiohttp.ServerDisconnectedError,
        aiohttp.ClientOSError,
        aiohttp.ClientConnectionResetError,
        aiohttp.ClientPayloadError,
        aiohttp.ClientResponseError,
        aiohttp.ServerTimeoutError,
        aiohttp.SocketTimeoutError,
    }
    assert [kind for kind in later if issubclass(kind, NEVER_CONNECTED)] == []
    connecting = {kind for kind in CLASSES if issubclass(kind, aiohttp.ClientConnectorError)}
    assert [kind for kind in connecting if not issubclass(kind, NEVER_CONNECTED)] == []


def test_an_error_with_an_aiohttp_exception_as_its_context_would_show_the_key():
    """This is the reason for dropping the context, and shows that the tests of secrets can fail."""
    exc = made(aiohttp.ClientResponseError)
    error = translated(exc)
    error.__context__ = exc
    assert SECRET in "".join(traceback.format_exception(error)) + repr(exc)
