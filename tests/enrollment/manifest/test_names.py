"""Names are equal in all their Unicode forms."""

import unicodedata
from pathlib import Path

import pytest

from pyannote_voiceprint_async.enrollment.manifest.names import find_existing, normalize_name, unicode_forms

NFC, NFD = "Jos\u00e9", "Jose\u0301"


def test_two_forms_of_a_name_are_equal():
    assert normalize_name(NFD) == normalize_name(NFC) == NFC
    assert unicode_forms(NFD) == unicode_forms(NFC) == (NFC, NFD)
    assert unicode_forms("Anna") == ("Anna",)


def test_a_mixed_form_is_kept_beside_the_two():
    mixed = f"{NFC} {NFD}"
    assert unicode_forms(mixed) == (f"{NFC} {NFC}", f"{NFD} {NFD}", mixed)


@pytest.mark.parametrize("stored", [NFC, NFD])
@pytest.mark.parametrize("given", [NFC, NFD])
def test_a_file_is_found_in_either_form(tmp_path, stored, given):
    (tmp_path / stored).mkdir()
    path = tmp_path / stored / f"{stored}.wav"
    path.touch()
    assert find_existing(tmp_path / given / f"{given}.wav") == path


def test_folders_and_files_may_differ_in_their_form(tmp_path):
    """A folder made on Linux with files that came from a Mac."""
    (tmp_path / NFC).mkdir()
    path = tmp_path / NFC / f"{NFD}.wav"
    path.touch()
    assert find_existing(tmp_path / NFC / f"{NFC}.wav") == path
    assert find_existing(tmp_path / NFD / f"{NFD}.wav") == path


def test_the_form_that_was_passed_comes_first(tmp_path):
    for name in (NFC, NFD):
        (tmp_path / name).touch()
    assert find_existing(tmp_path / NFC) == tmp_path / NFC
    assert find_existing(tmp_path / NFD) == tmp_path / NFD


def test_a_path_that_does_not_exist_is_unchanged(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / NFD, Path(NFD), Path("gone"), Path(), Path("..", NFD)):
        assert find_existing(path) == path


def test_a_relative_path_stays_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(NFD).touch()
    assert find_existing(Path(NFC)) == Path(NFD)
    assert unicodedata.is_normalized("NFD", str(find_existing(Path(NFC))))
