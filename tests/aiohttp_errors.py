"""Every exception class of aiohttp, with secrets in what it shows."""

import inspect
import socket
import ssl

import aiohttp
from aiohttp import client_exceptions
from aiohttp.client_reqrep import ConnectionKey
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

KEY = "sk-THIS-IS-THE-KEY"
SECRET = "THIS-IS-A-SIGNATURE"

SITE = ConnectionKey("api.example.com", 443, True, True, URL(f"http://user:{KEY}@proxy"), None, None)
INFO = aiohttp.RequestInfo(
    URL(f"https://api.example.com/v1/voiceprint?X-Amz-Signature={SECRET}"),
    "POST",
    CIMultiDictProxy(CIMultiDict({"Authorization": f"Bearer {KEY}"})),
    URL("https://api.example.com/v1/voiceprint"),
)
SAID = f"Bearer {KEY} https://api.example.com/?{SECRET}"
OS_ERROR = OSError(113, "No route to host")

# How each class of aiohttp is made; a class that is not here is made with one text.
ARGUMENTS = {
    aiohttp.ClientConnectorError: (SITE, OS_ERROR),
    aiohttp.ClientConnectorDNSError: (SITE, socket.gaierror(-2, "Name or service not known")),
    aiohttp.ClientProxyConnectionError: (SITE, ConnectionRefusedError(111, "Connection refused")),
    aiohttp.ClientSSLError: (SITE, ssl.SSLError(1, "WRONG_VERSION_NUMBER")),
    aiohttp.ClientConnectorSSLError: (SITE, ssl.SSLError(1, "WRONG_VERSION_NUMBER")),
    aiohttp.ClientConnectorCertificateError: (SITE, ssl.SSLCertVerificationError(1, "self-signed")),
    client_exceptions.UnixClientConnectorError: ("/run/api.sock", SITE, OS_ERROR),
    aiohttp.ServerFingerprintMismatch: (b"expected", b"got", "api.example.com", 443),
    aiohttp.InvalidURL: (str(INFO.url), SAID),
} | {
    kind: (INFO, ())
    for kind in vars(client_exceptions).values()
    if inspect.isclass(kind) and issubclass(kind, aiohttp.ClientResponseError)
}

CLASSES = sorted(
    {
        kind
        for module in (aiohttp, client_exceptions)
        for kind in vars(module).values()
        if inspect.isclass(kind) and issubclass(kind, aiohttp.ClientError)
    },
    key=lambda kind: kind.__name__,
)


def made(kind: type[Exception]) -> Exception:
    for base in kind.__mro__:
        if base in ARGUMENTS:
            return kind(*ARGUMENTS[base])
    return kind(SAID)
