import pytest

from pyannote_voiceprint_async.sandbox.loopback import is_loopback


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("localhost", True),
        ("10.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("0.0.0.0", False),  # noqa: S104 - nothing is bound
        ("localhost.example.com", False),
        ("", False),
    ],
)
def test_only_localhost_and_loopback_addresses_are_loopback(host, expected):
    assert is_loopback(host) == expected
