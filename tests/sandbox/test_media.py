from urllib.parse import parse_qsl, urlsplit

import pytest

from pyannote_voiceprint_async.sandbox.media import PREFIX, MediaStorage, StoredMedia, url_of

NOW = 1_800_000_000.0
URL = "media://team/../voice.wav"
FILE = StoredMedia(sha256=b"x" * 32, size=1, usable=True, stored_at=NOW)


@pytest.fixture
def storage():
    return MediaStorage(seconds=100.0, presigned_seconds=60)


def presign(storage, url=URL):
    """Return path and query of a presigned URL."""
    parts = urlsplit(storage.presign(url, NOW))
    return parts.path, dict(parse_qsl(parts.query))


def test_a_presigned_path_is_one_segment(storage):
    path, _ = presign(storage)
    assert path.startswith(PREFIX)
    assert "/" not in path.removeprefix(PREFIX)


def test_a_signature_is_valid_for_its_path_only(storage):
    path, query = presign(storage)
    other, _ = presign(storage, "media://other")
    assert [storage.is_signed(signed, query) for signed in (path, other)] == [True, False]
    assert not MediaStorage(100.0, 60).is_signed(path, query)


def test_a_presigned_url_expires(storage):
    _, query = presign(storage)
    assert [storage.is_expired(query, NOW + age) for age in (0.0, 60.0, 60.5)] == [False, False, True]


def test_a_file_is_found_until_it_expires(storage):
    path, _ = presign(storage)
    assert storage.find(URL, NOW) is None
    storage.store(path, FILE)
    assert [storage.find(URL, NOW + age) for age in (0.0, 99.5, 100.0)] == [FILE, FILE, None]


def test_restored_files_replace_all_others(storage):
    path, _ = presign(storage)
    storage.store(path, FILE)
    storage.restore({})
    assert storage.find(URL, NOW) is None


def test_the_path_of_an_upload_names_its_url(storage):
    path, _ = presign(storage)
    assert url_of(path) == URL
    assert [url_of(PREFIX + segment) for segment in ("", "x", "\xfc", "aHR0cHM6Ly94")] == [None] * 4
