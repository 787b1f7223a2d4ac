"""No exception of aiohttp reaches a caller: each class of it has a place in our tree."""

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
from pyannote_voiceprint_async.api.responses import RequestOutcome
from pyannote_voiceprint_async.transport.exceptions import NEVER_CONNECTED, translate


def translated(
    exc: Exception, fate: RequestOutcome = RequestOutcome.UNKNOWN, *, repeatable: bool = False
) -> VoiceprintError:
    return translate(exc, name="POST /v1/voiceprint", host="api.example.com", fate=fate, repeatable=repeatable)


@pytest.mark.parametrize("repeatable", [True, False])
@pytest.mark.parametrize("fate", [RequestOutcome.NEVER_SENT, RequestOutcome.UNKNOWN])
@pytest.mark.parametrize("kind", CLASSES)
def test_every_class_has_a_place_in_the_tree(kind, fate, repeatable):
    """And what it shows of the request (the key, a signed query, a proxy's password) stays behind."""
    error = translated(made(kind), fate, repeatable=repeatable)
    unknown = fate is RequestOutcome.UNKNOWN and not repeatable
    certificate = issubclass(kind, aiohttp.ClientConnectorCertificateError) and not unknown
    settings_are_wrong = isinstance(error, ConfigurationError) or certificate
    assert not (isinstance(error, ConfigurationError) and fate is RequestOutcome.UNKNOWN)
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
        (aiohttp.ClientConnectorDNSError, ApiConnectionError, "its name was not found"),
        (aiohttp.ClientConnectorCertificateError, ApiConnectionError, "certificate"),
        (aiohttp.ClientConnectorSSLError, ApiConnectionError, "TLS"),
        (aiohttp.ServerFingerprintMismatch, ApiConnectionError, "certificate"),
        (aiohttp.ClientProxyConnectionError, ApiConnectionError, "proxy could not be reached"),
        (aiohttp.ClientHttpProxyError, ApiConnectionError, "proxy refused"),
        (aiohttp.ClientConnectorError, ApiConnectionError, "no route to host"),
        (aiohttp.ServerDisconnectedError, ApiConnectionError, "closed before the answer"),
        (aiohttp.ClientPayloadError, ApiConnectionError, "no answer"),
        (aiohttp.ConnectionTimeoutError, ApiTimeoutError, "no connection was made in time"),
        (aiohttp.SocketTimeoutError, ApiTimeoutError, "no answer came in time"),
        (aiohttp.ServerTimeoutError, ApiTimeoutError, "no answer came in time"),
        (aiohttp.ClientResponseError, UnexpectedResponseError, "broken HTTP message"),
        (aiohttp.TooManyRedirects, UnexpectedResponseError, "broken HTTP message"),
        (aiohttp.InvalidURL, ApiConnectionError, "invalidurl"),
        (aiohttp.NonHttpUrlClientError, ApiConnectionError, "nonhttpurlclienterror"),
    ],
)
def test_each_class_says_what_happened(kind, expected, reason):
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
        (aiohttp.ClientOSError(None, f"Can not write request body for {INFO.url}"), ApiConnectionError, "no answer"),
        (aiohttp.ClientOSError(32, f"Can not write request body for {INFO.url}"), ApiConnectionError, "no answer"),
        (aiohttp.ClientConnectorError(SITE, OSError(None, SAID)), ApiConnectionError, "no answer"),
        (ssl.SSLError(1, "WRONG_VERSION_NUMBER"), ApiConnectionError, "TLS could not"),
        (socket.gaierror(-2, "Name or service not known"), ApiConnectionError, "name was not found"),
        (ValueError(SAID), ApiConnectionError, "ValueError was raised"),
        (RuntimeError(SAID), ApiConnectionError, "RuntimeError was raised"),
        (UnicodeError(SAID), ApiConnectionError, "UnicodeError was raised"),
        (KeyError(SAID), ApiConnectionError, "KeyError was raised"),
        (Exception(SAID), ApiConnectionError, "Exception was raised"),
    ],
)
def test_exceptions_of_python_too(exc, expected, reason):
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
def test_what_only_a_person_can_change_is_not_repeated(exc, kind, said):
    for fate, repeatable in (
        (RequestOutcome.NEVER_SENT, True),
        (RequestOutcome.NEVER_SENT, False),
        (RequestOutcome.UNKNOWN, True),
    ):
        error = translate(
            exc, name="POST /v1/voiceprint", host="h.example", fate=fate, repeatable=repeatable, proxy="VARIABLE"
        )
        assert (type(error), error.retryable, error.outcome_unknown) == (kind, False, False)
        assert [text for text in said if text not in str(error)] == []


@pytest.mark.parametrize(
    "exc", [aiohttp.ClientHttpProxyError(INFO, (), status=407), made(aiohttp.ClientConnectorCertificateError)]
)
def test_a_submission_that_was_sent_stays_unknown_whatever_is_raised(exc):
    """A trace hook may raise anything: how far the request got decides, never the class."""
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
def test_what_cannot_be_sent_is_a_mistake_of_the_program(kind, reason):
    error = translated(made(kind), RequestOutcome.NEVER_SENT)
    assert type(error) is ConfigurationError
    assert reason in str(error)
    assert found_in(str(error), KEY, SECRET) == []


@pytest.mark.parametrize(("fate", "repeatable"), list(itertools.product(RequestOutcome, [True, False])))
def test_a_timeout_is_repeated_when_it_was_never_sent_or_does_no_harm(fate, repeatable):
    error = translated(TimeoutError(), fate, repeatable=repeatable)
    expected = {
        RequestOutcome.NEVER_SENT: (True, False),
        RequestOutcome.RETRY_LATER: (True, False),
        RequestOutcome.UNKNOWN: (repeatable, not repeatable),
        RequestOutcome.REFUSED: (False, False),
    }[fate]
    assert (error.retryable, error.outcome_unknown) == expected


def test_what_never_connected_is_known_by_its_class():
    """For a request without a body this is all that tells; a class that may come later must not be among them."""
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


def test_a_translated_error_raised_from_an_aiohttp_one_would_show_the_key():
    """The reason for all this, and the proof that the tests of it can fail."""
    exc = made(aiohttp.ClientResponseError)
    error = translated(exc)
    error.__context__ = exc
    assert SECRET in "".join(traceback.format_exception(error)) + repr(exc)
