"""Local checks: which values are refused before a request is sent, and the hint in the error."""

import pytest
from hostile_server import found_in, shown_of
from hypothesis import given
from hypothesis import strategies as st

from pyannote_voiceprint_async import (
    AsyncVoiceprintClient,
    ConfigurationError,
    FieldError,
    InvalidRequestError,
    VoiceprintError,
    VoiceprintRequest,
)
from pyannote_voiceprint_async.api.request_checks import (
    check_api_key,
    check_base_url,
    check_job_id,
    check_media_key,
    check_request,
)

VALID_URL = "https://example.com/voice.wav"
PATHLIB, PRESIGNED = "pathlib.Path", "presigned URL"
NOT_UTF8 = "\udc80"  # how Python decodes a byte of a file name that is not UTF-8


def refused(check, *arguments) -> tuple[FieldError, ...]:
    with pytest.raises(InvalidRequestError) as caught:
        check(*arguments)
    error = caught.value
    assert (error.retryable, error.outcome_unknown, error.status) == (False, False, None)
    assert str(error).startswith("Nothing was sent")
    return error.errors


@pytest.mark.parametrize(
    "url",
    [
        VALID_URL,
        "http://example.com/voice.wav",
        "HTTPS://EXAMPLE.COM/VOICE.WAV",
        "https://example.com",
        "https://example.com:8443/a?X-Amz-Signature=a%2Fb#part",
        "https://user:password@example.com/voice.wav",
        "http://127.0.0.1:9000/voice.wav",
        "http://[::1]:9000/voice.wav",
        "https://bücher.example/größe.wav",
        "https://example.com/o'brien.wav",
        "media://voice",
        "media://a",
        "media://team/voice_1.wav",
        "media://" + "a" * 247,
    ],
)
def test_sources_that_are_accepted(url):
    check_request(VoiceprintRequest(url))


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("", PATHLIB),
        ("voice.wav", PATHLIB),
        ("./voice.wav", PATHLIB),
        ("/etc/passwd", PATHLIB),
        ("~/voice.wav", PATHLIB),
        ("C:\\voice.wav", PATHLIB),
        ("\\\\server\\voice.wav", PATHLIB),
        ("file:///etc/passwd", PATHLIB),
        ("FILE:///etc/passwd", PATHLIB),
        ("s3://bucket/voice.wav", PRESIGNED),
        ("gs://bucket/voice.wav", PRESIGNED),
        ("az://bucket/voice.wav", PRESIGNED),
        ("data:audio/wav;base64,UklGRg==", "http"),
        ("ftp://example.com/voice.wav", "http"),
        ("javascript:alert(1)", "http"),
        ("//example.com/voice.wav", "http"),
        ("example.com/voice.wav", "http"),
        ("https", "http"),
        ("https:", "host"),
        ("https://", "host"),
        ("https:///voice.wav", "host"),
        ("https://:443/voice.wav", "host"),
        ("https:example.com", "host"),
        (" https://example.com/", None),
        ("https://example.com/a b", "spaces"),
        ("https://example.com/a\n", "spaces"),
        ("https://example.com/a\r\nX: y", "spaces"),
        ("https://example.com/a\tb", "spaces"),
        ("https://example.com/a\x00", "spaces"),
        ("https://example.com/a\x7f", "spaces"),
        ("https://example.com/a\x85", "spaces"),
        ("https://example.com/a\u00a0b", "spaces"),
        ("https://example.com/a\u2028b", "spaces"),
        ("https://[::1/voice.wav", "valid"),
        ("https://example.com:port/", "valid"),
        ("https://example.com:99999/", "valid"),
        ("media://", "letters"),
        ("media://a b", "letters"),
        ("media://ä", "letters"),
        ("media://a\n", "letters"),
        ("media://a?b", "letters"),
        ("media://" + "a" * 248, "255"),
        ("MEDIA://voice", None),
        (None, "str"),
        (5, "int"),
        (b"https://example.com/voice.wav", "bytes"),
        (bytearray(b"RIFF"), "bytearray"),
        (["https://example.com"], "list"),
    ],
)
def test_sources_that_are_refused(url, hint):
    """A str is never a local file; the error says how to pass one."""
    (problem,) = refused(check_request, VoiceprintRequest(url))
    assert problem.field == "url"
    assert hint is None or hint in problem.message


@pytest.mark.parametrize("field", ["url", "webhook"])
def test_error_does_not_show_the_url(field):
    """The URL may be presigned."""
    url = "https://example.com/a b?X-Amz-Signature=THIS-IS-A-SECRET"
    with pytest.raises(InvalidRequestError) as caught:
        check_request(VoiceprintRequest(**{"url": VALID_URL, field: url}))
    assert found_in(shown_of(caught.value), "THIS-IS-A-SECRET") == []


@pytest.mark.parametrize(
    "webhook",
    [
        "https://example.com/hook",
        "HTTPS://example.com",
        "https://example.com:8443/hook?token=1",
        "http://localhost/hook",
        "http://localhost:8000/hook",
        "http://app.localhost:8000/hook",
        "http://127.0.0.1/hook",
        "http://127.9.9.9:8000/hook",
        "http://[::1]:8000/hook",
        None,
    ],
)
def test_webhooks_that_are_accepted(webhook):
    """Plain http is allowed only to a loopback host."""
    check_request(VoiceprintRequest(VALID_URL, webhook=webhook))


@pytest.mark.parametrize(
    ("webhook", "hint"),
    [
        ("http://example.com/hook", "https://"),
        ("HTTP://example.com/hook", "https://"),
        ("http://10.0.0.1/hook", "https://"),
        ("http://0.0.0.0/hook", "https://"),
        ("http://localhost.example.com/hook", "https://"),
        ("http://127.0.0.1.example.com/hook", "https://"),
        ("http://notlocalhost/hook", "https://"),
        ("media://hook", "https://"),
        ("ftp://example.com", "https://"),
        ("example.com/hook", "https://"),
        ("", "https://"),
        ("https://", "host"),
        ("https://example.com/a b", "spaces"),
        (5, "int"),
        (False, "bool"),
    ],
)
def test_webhooks_that_are_refused(webhook, hint):
    (problem,) = refused(check_request, VoiceprintRequest(VALID_URL, webhook=webhook))
    assert problem.field == "webhook"
    assert hint in problem.message
    assert "media://" not in problem.message


@pytest.mark.parametrize("model", ["", None, 2, ["precision-2"]])
def test_models_that_are_refused(model):
    (problem,) = refused(check_request, VoiceprintRequest(VALID_URL, model=model))
    assert problem.field == "model"


def test_error_lists_every_invalid_field():
    problems = refused(check_request, VoiceprintRequest("voice.wav", model="", webhook="http://example.com"))
    assert [problem.field for problem in problems] == ["url", "model", "webhook"]


@pytest.mark.parametrize("key", ["voice", "a/b/c.wav", "A-Z_0.9", "media://voice", "a" * 247])
def test_media_keys_that_are_accepted(key):
    assert check_media_key(key) == "media://" + key.removeprefix("media://")


@pytest.mark.parametrize("key", ["", "media://", "a b", "a\n", "ä", "a?", "a#", "a%20", "s3://a", "a" * 248, 5, b"a"])
def test_media_keys_that_are_refused(key):
    (problem,) = refused(check_media_key, key)
    assert problem.field == "url"


@pytest.mark.parametrize(
    "job_id",
    [
        "1",
        "job-1",
        "bd7e97c9-0742-4a19-bd5a-9df519ce8c74",
        "a.b:c~d",
        "ünï",
        "a/b",
        "../v2/jobs",
        "a?b",
        "a#b",
        "a b",
        "a" * 1000,
    ],
)
def test_job_ids_that_are_accepted(job_id):
    assert check_job_id(job_id) == job_id


@pytest.mark.parametrize(
    "job_id",
    ["", ".", "..", "a\n", "\x00", "a" * 1001, None, 5, b"job-1", ["job-1"]],
)
def test_job_ids_that_are_refused(job_id):
    """Such ids would change the path of the request."""
    (problem,) = refused(check_job_id, job_id)
    assert problem.field == "jobId"


@pytest.mark.parametrize("key", ["sk-1234", "a", "!#$%&'*+-.^_`|~:/=@", "k" * 5000])
def test_api_keys_that_are_accepted(key):
    assert check_api_key(key) == key


@pytest.mark.parametrize(
    "key",
    [
        "",
        None,
        "sk 1",
        " sk-1",
        "sk-1\n",
        "sk-1\r\nX: y",
        "sk\t1",
        "sk-\x00",
        "sk-\x7f",
        "schlüssel",
        "sk-1\u00a0",
        "\uff53\uff4b",
        b"sk-1",
        5,
    ],
)
def test_api_keys_that_are_refused(key):
    """The error says where keys come from, and does not show the key."""
    with pytest.raises(ConfigurationError, match="PYANNOTEAI_API_KEY") as caught:
        check_api_key(key)
    assert not key or found_in(str(caught.value), str(key)) == []


@pytest.mark.parametrize(
    "base_url",
    ["https://api.pyannote.ai", "https://api.pyannote.ai/", "http://127.0.0.1:8000", "http://[::1]:8000/below//"],
)
def test_base_urls_that_are_accepted(base_url):
    """A trailing slash is removed."""
    assert check_base_url(base_url) == base_url.rstrip("/")


@pytest.mark.parametrize(
    "base_url",
    [
        "api.pyannote.ai",
        "ftp://api.pyannote.ai",
        "media://api",
        "file:///etc",
        "https://",
        "https://api.pyannote.ai/ v1",
        "https://api.pyannote.ai\n",
        "https://api.pyannote.ai?key=1",
        "https://api.pyannote.ai#v1",
        "https://user:THIS-IS-A-SECRET@api.pyannote.ai",
        "https://[::1",
        "https://api.pyannote.ai:port",
        5,
        b"https://api.pyannote.ai",
    ],
)
def test_base_urls_that_are_refused(base_url):
    """A query or a fragment would swallow the path of each request."""
    with pytest.raises(ConfigurationError, match="base_url") as caught:
        check_base_url(base_url)
    assert found_in(str(caught.value), "THIS-IS-A-SECRET") == []


@given(st.text())
def test_any_text_is_a_valid_source_or_refused(url):
    """An accepted URL contains no character that ends a line or a header."""
    try:
        check_request(VoiceprintRequest(url))
    except InvalidRequestError:
        return
    assert url.lower().startswith(("http://", "https://", "media://"))
    assert not any(character.isspace() or ord(character) < 0x20 for character in url)


@given(st.text(max_size=300))
def test_any_text_is_a_valid_job_id_or_refused(job_id):
    try:
        checked = check_job_id(job_id)
    except InvalidRequestError:
        return
    assert checked == job_id
    assert not set(job_id) & set("\r\n\x00")


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.submit(f"https://example.com/{NOT_UTF8}.wav"),
        lambda client: client.submit(VoiceprintRequest(VALID_URL, webhook=f"https://example.com/{NOT_UTF8}")),
        lambda client: client.submit(VALID_URL, model=NOT_UTF8),
        lambda client: client.get_job(NOT_UTF8),
        lambda client: client.wait(NOT_UTF8, timeout=0.01),
        lambda client: client.upload(b"x", media_key=NOT_UTF8),
    ],
    ids=["url", "webhook", "model", "get_job", "wait", "media_key"],
)
async def test_text_that_cannot_be_encoded_is_an_invalid_request_error(call):
    """Python reads such text from file names and command lines. orjson and urllib would raise their own errors."""
    async with AsyncVoiceprintClient("sk-1", base_url="http://127.0.0.1:9") as client:
        with pytest.raises(VoiceprintError) as caught:
            await call(client)
        assert type(caught.value) is InvalidRequestError
        assert client.stats.requests == 0
