"""Checks of URLs and of files that are only uploaded; `test_row_checks` tests the sources of rows."""

from pathlib import Path

import pytest

from pyannote_voiceprint_async.enrollment.manifest.source_checks import file_problem, url_problem


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://example.com/a.wav", None),
        ("media://a.wav", None),
        ("https://", "has no host"),
        ("http://[", "is not a valid URL"),
        ("https://example.com/a b", "must have no spaces or control characters"),
        ("https://example.com/a\n", "must have no spaces or control characters"),
        ("media://ä", "must be media:// and a key of letters, digits, '-', '_', '.' and '/'"),
        ("s3://b/k", "must begin with http://, https:// or media://; give an object of a bucket by a presigned URL"),
    ],
)
def test_url_problem(url, problem):
    assert url_problem(url) == problem


def test_a_file_has_a_maximum_size_only_if_one_is_passed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Path("large.wav").open("wb") as large:
        large.truncate(100 * 2**20 + 1)
    assert file_problem(Path("large.wav")) is None
    assert file_problem(Path("large.wav"), max_size=2**20) == "has 100 MiB. A voiceprint takes at most 1 MiB"
