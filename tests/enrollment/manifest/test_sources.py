"""Files, directories, patterns and URLs become rows with labels of their own."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyannote_voiceprint_async.enrollment.manifest.rows import Problem, Row
from pyannote_voiceprint_async.enrollment.manifest.source_kinds import AUDIO_SUFFIXES, is_manifest, is_url
from pyannote_voiceprint_async.enrollment.manifest.source_labels import distinct_labels
from pyannote_voiceprint_async.enrollment.manifest.sources import (
    rows_from_sources,
)


def labels(*arguments):
    found = list(rows_from_sources(arguments))
    assert not [one for one in found if isinstance(one, Problem)]
    return [row.label for row in found]


def problems(*arguments):
    return [str(found) for found in rows_from_sources(arguments) if isinstance(found, Problem)]


def test_each_recording_is_a_row_with_its_stem_as_label(audio):
    audio("d/anna.v2.wav", "notes.txt")
    assert list(rows_from_sources(["d", "notes.txt", "https://e.com/Mar%C3%ADa.wav?X-Amz-Signature=s"])) == [
        Row("anna.v2", Path("d/anna.v2.wav")),
        Row("notes", Path("notes.txt")),
        Row("María", "https://e.com/Mar%C3%ADa.wav?X-Amz-Signature=s"),
    ]


@pytest.mark.parametrize(
    ("files", "arguments", "expected"),
    [
        (["d/a/x.wav", "d/b/x.wav", "d/y.wav"], ["d"], ["a/x.wav", "b/x.wav", "y"]),
        # Labels do not change when more folders are added below.
        (["d/team/a/x.wav", "d/team/b/x.wav"], ["d"], ["team/a/x.wav", "team/b/x.wav"]),
        (["d/x.wav", "d/x.flac"], ["d"], ["x.flac", "x.wav"]),
        (["d1/x.wav", "d2/x.wav"], ["d1", "d2"], ["d1/x.wav", "d2/x.wav"]),
        (["d1/x.wav", "d2/x.wav"], ["d1/x.wav", "d2/x.wav"], ["d1/x.wav", "d2/x.wav"]),
        (["d/a/x.wav", "d/b/x.wav"], ["d/*/x.wav"], ["a/x.wav", "b/x.wav"]),
        (["d/a/x.wav", "d/b/x.wav"], ["d/a/../*/x.wav"], ["a/x.wav", "b/x.wav"]),
        # The path of one file may equal the stem of another.
        (["d/x.wav", "d/a/x.wav", "d/x.wav.flac"], ["d"], ["a/x.wav", "x.wav (2)", "x.wav"]),
    ],
)
def test_equal_stems_become_paths_below_the_common_folder(audio, files, arguments, expected):
    audio(*files)
    assert labels(*arguments) == expected


def test_urls_with_equal_names_become_paths_without_query():
    assert labels("https://u:p@e.com/a/x.wav?s=1", "https://e.com/x.mp3", "https://e.com/x.mp3?s=2") == [
        "e.com/a/x.wav",
        "e.com/x.mp3",
        "e.com/x.mp3 (2)",
    ]


@given(st.lists(st.sampled_from(["a", "a.wav", "a (2)", "b/a.wav", "b/a (2).wav", "c/a.wav", "c/b/a"]), unique=True))
def test_labels_are_always_distinct(paths):
    found = list(distinct_labels([Path(path) for path in paths], lambda source: Path(source).name))
    assert len(set(found)) == len(paths)


def test_a_recording_that_occurs_twice_has_one_row(audio):
    audio("d/a.wav", "b.wav")
    Path("also-b.wav").symlink_to("b.wav")
    assert labels("d", "b.wav", "d/a.wav", "./b.wav", "also-b.wav", "*.wav", "media://k", "media://k") == [
        "a",
        "b",
        "k",
    ]


def test_a_directory_is_searched_at_any_depth_without_hidden_files(audio):
    audio("d/b.WAV", "d/a/z.flac", "d/a.txt", "d/._b.wav", "d/.cache/c.wav", "d/noise")
    assert labels("d") == ["z", "b"]


def test_every_suffix_is_found(audio):
    audio(*(f"d/x{suffix}" for suffix in AUDIO_SUFFIXES))
    assert {row.source.suffix for row in rows_from_sources(["d"])} == set(AUDIO_SUFFIXES)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.wav", ["a"]),
        ("**/*.wav", ["a", "b", "c"]),
        ("*/*.wav", ["b"]),
        ("d/**", ["b", "c"]),
        ("d/*", ["b"]),
        ("?.w[a]v", ["a"]),
        ("**/*.pcm", ["raw"]),
        # The name of an existing file that looks like a pattern.
        ("odd[1].wav", ["odd[1]"]),
    ],
)
def test_patterns(audio, pattern, expected):
    """A suffix in the pattern selects that kind of file; otherwise recordings are selected."""
    audio("a.wav", "d/b.wav", "d/e/c.wav", "d/notes.txt", "d/raw.pcm", "d/.hidden.wav")
    if pattern.startswith("odd"):
        audio(pattern)
    assert labels(pattern) == expected


def test_a_path_is_never_a_pattern_or_a_url(audio):
    audio("a[1].wav", "a1.wav", "d/b.wav")
    assert list(rows_from_sources([Path("a[1].wav"), Path("d"), Path("*.wav"), Path("data:x.wav")])) == [
        Row("a[1]", Path("a[1].wav")),
        Row("b", Path("d/b.wav")),
        Row("*", Path("*.wav")),
        Row("data:x", Path("data:x.wav")),
    ]


@pytest.mark.parametrize("sources", ["voices", Path("voices")])
def test_one_source_must_be_in_a_list(sources):
    """The characters of a str would be read as sources."""
    with pytest.raises(TypeError, match=r"Pass a list: \[source\]"):
        rows_from_sources(sources)


def test_problems_do_not_affect_other_sources(audio):
    audio("a.wav")
    Path("quiet").mkdir()
    assert problems("quiet", "*.mp3", "", "a.wav") == [
        "quiet: contains no audio files; give a directory with recordings",
        "*.mp3: matches no file; check the folder, and quote the pattern if it contains spaces",
        "one of the sources is empty; give a file, a directory or a URL",
    ]
    assert list(rows_from_sources(["quiet", "a.wav"]))[1:] == [Row("a", Path("a.wav"))]


def test_skipped_files_are_counted_and_named(audio):
    """Hidden files and ledgers are not counted."""
    audio(
        "d/a.wav", "d/b.wav", "d/list.csv", "d/.DS_Store", "d/voiceprints.ledger", "d/voiceprints.ledger-wal", "d/x\x1b"
    )
    audio(*(f"d/e/{number}.txt" for number in range(5)))
    rows = rows_from_sources(["d"])
    first, second = rows
    assert (rows.skipped_files.count, rows.skipped_files.names) == (
        7, ["d/e/0.txt", "d/e/1.txt", "d/e/2.txt", "d/e/3.txt", "d/e/4.txt"]
    )  # fmt: skip
    (warning,) = first.warnings
    assert warning == (
        "7 files were skipped: d/e/0.txt, d/e/1.txt, d/e/2.txt, d/e/3.txt, d/e/4.txt, … (not named like recordings). "
        "To include one, pass its own name."
    )
    assert second.warnings == ()
    assert list(rows) == [first, second]
    assert rows.skipped_files.count == 7


def test_the_files_of_directories_are_counted_while_they_are_searched(audio):
    audio("d/b.wav", "d/a/z.flac", "d/a.txt", "c.wav")
    rows = rows_from_sources(["d", "c.wav"])
    assert rows.files_found == 0
    assert len(list(rows)) == len(list(rows)) == 3
    assert rows.files_found == 3


def test_patterns_skip_files_unless_they_name_their_suffix(audio):
    audio("d/a.wav", "d/b.pcm")
    for pattern, left_out in (("d/*", ["d/b.pcm"]), ("d/*.pcm", []), ("d/b.pcm", []), ("d/*.wav", [])):
        rows = rows_from_sources([pattern])
        assert len(list(rows)) == 1
        assert rows.skipped_files.names == left_out


def test_a_folder_without_recordings_is_a_problem_with_the_names_of_its_files(audio):
    audio("d/x\x1b[31m.raw", "d/b.txt")
    said = "only 2 files (d/b.txt, d/x\ufffd[31m.raw); to include a file, pass its own name"
    assert problems("d", "d/*") == [f"d: contains no audio files, {said}", f"d/*: matches no audio files, {said}"]


NFC, NFD = "Jos\u00e9", "Jose\u0301"


@pytest.mark.parametrize("given", [f"{NFC}.wav", f"{NFC}*.wav", NFC])
def test_files_folders_and_patterns_are_found_in_either_unicode_form(audio, given):
    audio(f"{NFD}.wav", f"{NFD}/{NFD} 2.wav")
    (row,) = rows_from_sources([given])
    assert row.source.exists()
    assert row.label in (NFC, f"{NFC} 2")


def test_labels_are_distinct_in_unicode_too():
    found = list(distinct_labels([Path(f"{NFC}.wav"), Path(f"{NFD}.wav")], str))
    assert found == [f"{NFC}.wav", f"{NFC}.wav (2)"]


def test_a_missing_file_is_a_row_that_check_row_refuses(audio):
    audio()
    assert list(rows_from_sources(["gone.wav"])) == [Row("gone", Path("gone.wav"))]


def test_an_unreadable_directory_is_a_problem_and_not_an_empty_one(audio, monkeypatch):
    """os.walk is replaced, because root can read every directory."""
    audio("d/a.wav")

    def refuse(directory, onerror):
        onerror(PermissionError(13, "Permission denied", "d/locked"))
        return iter(())

    monkeypatch.setattr(os, "walk", refuse)
    assert problems("d") == ["d/locked: permission denied; change its permissions"]


def test_a_broken_url_is_a_row_whose_query_is_not_in_its_label():
    assert labels("http://[?secret") == ["http://[?…"]


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("https://x", True), ("s3://b/k", True), ("media://k", True), ("data:audio/wav;base64,AA", True),
        ("a.wav", False), ("/a/b.wav", False), ("c:b.wav", False), ("", False), ("http", False),
    ],
)  # fmt: skip
def test_is_url(argument, expected):
    assert is_url(argument) is expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("speakers.csv", True), ("a/b.TSV", True), (Path("x.jsonl"), True), ("x.ndjson", True),
        ("x.wav", False), ("csv", False), ("x.json", False), ("", False),
    ],
)  # fmt: skip
def test_is_manifest(path, expected):
    assert is_manifest(path) is expected
