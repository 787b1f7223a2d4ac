"""The proxy for a URL, and the error for an unusable one."""

import pytest
from yarl import URL

from pyannote_voiceprint_async import ProxyError
from pyannote_voiceprint_async.transport.proxies import proxy_for, proxy_source

API = URL("https://api.example.com/v1/test")
PROXY = "http://proxy.example:3128"


@pytest.fixture(autouse=True)
def _no_proxy_variables(monkeypatch):
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_no_proxy_is_none():
    assert proxy_for(API, None) is None


@pytest.mark.parametrize(
    "value", [PROXY, "https://proxy.example", "HTTP://user:p%40ss@proxy.example:3128/", "http://[::1]:3128"]
)
def test_the_proxy_of_the_environment(monkeypatch, value):
    monkeypatch.setenv("HTTPS_PROXY", value)
    assert proxy_for(API, None) == value
    assert proxy_for(URL("http://api.example.com/"), None) is None


def test_the_proxy_of_the_client_has_priority(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:9")
    assert proxy_for(API, PROXY) == PROXY


@pytest.mark.parametrize(
    "url", ["https://localhost/", "https://127.0.0.1:8000/", "https://[::1]/", "https://a.localhost/"]
)
def test_a_loopback_host_has_no_proxy(monkeypatch, url):
    monkeypatch.setenv("HTTPS_PROXY", "no scheme")
    assert proxy_for(URL(url), None) is None


def test_a_host_in_no_proxy_has_no_proxy(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "no scheme")
    monkeypatch.setenv("NO_PROXY", "example.com")
    assert proxy_for(API, None) is None


def test_an_error_shows_no_password(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "user:THIS-IS-A-SECRET@proxy.example:3128")
    with pytest.raises(ProxyError, match="no scheme") as caught:
        proxy_for(API, None)
    assert "SECRET" not in str(caught.value)
    assert (caught.value.retryable, caught.value.outcome_unknown) == (False, False)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], "the proxy settings of this system"),
        (["HTTPS_PROXY"], "the environment variable HTTPS_PROXY"),
        (["https_proxy"], "the environment variable https_proxy"),
        (["HTTPS_PROXY", "https_proxy"], "the environment variable https_proxy"),
        (["HTTP_PROXY"], "the proxy settings of this system"),
    ],
)
def test_the_source_of_a_proxy_is_named(monkeypatch, names, expected):
    for name in names:
        monkeypatch.setenv(name, PROXY)
    assert proxy_source(API, None) == expected
    assert proxy_source(API, PROXY) == "the argument `proxy` of the client"
