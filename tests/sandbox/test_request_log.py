import json

import pytest

from pyannote_voiceprint_async.sandbox.request_log import MOST_BYTES, MOST_REQUESTS, ReceivedRequest, RequestLog


def received(body: bytes = b"", **fields) -> ReceivedRequest:
    return ReceivedRequest(
        method="POST", path="/v1/voiceprint", operation="voiceprint", status=200, **fields, body=body
    )


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (received(), "POST /v1/voiceprint → 200"),
        (
            received(b'{"url": "https://e.com/a.wav?sig=secret"}', job_id="8c1d"),
            "POST /v1/voiceprint https://e.com/a.wav?… → 200 job 8c1d",
        ),
        (
            received(b'{"url": "https://u:p@e.com/a", "voiceprints": [{"label": "anna", "voiceprint": "secret"}]}'),
            "POST /v1/voiceprint https://…@e.com/a (1 voiceprints) → 200",
        ),
        (received(b"[" * 100_000, fault="bad-gateway"), "POST /v1/voiceprint → 200 (fault bad-gateway)"),
        (received(b'["url"]'), "POST /v1/voiceprint → 200"),
        (received(b'{"url": 7}'), "POST /v1/voiceprint → 200"),
    ],
)  # fmt: skip
def test_the_text_of_a_request_shows_no_secrets(request_, expected):
    assert str(request_) == expected


def test_a_cut_connection_is_named():
    assert str(ReceivedRequest("GET", "/v1/test", "test", None)) == "GET /v1/test → connection cut"


def test_the_repr_hides_body_headers_and_query():
    request = received(b"secret", headers={"cookie": "secret"}, query={"key": "secret"})
    assert "secret" not in repr(request)


def test_the_body_is_read_as_json():
    assert received(b'{"url": "media://a"}').json == {"url": "media://a"}
    with pytest.raises(json.JSONDecodeError):
        _ = received(b"").json


def test_the_oldest_requests_are_forgotten():
    log = RequestLog(None)
    for number in range(MOST_REQUESTS + 5):
        log.add(received(b"%d" % number))
    assert (len(log.requests), log.requests[0].body, log.requests[-1].body) == (MOST_REQUESTS, b"5", b"1004")


def test_large_bodies_push_out_older_requests():
    log, large = RequestLog(None), bytes(MOST_BYTES // 2)
    for body in (b"first", large, b"small", large):
        log.add(received(body))
    assert [len(request.body) for request in log.requests] == [5, len(large)]


def test_each_request_is_passed_to_the_listener():
    heard = []
    log = RequestLog(heard.append)
    log.add(received(b"one"))
    assert heard == log.requests
