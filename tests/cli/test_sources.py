import os
from pathlib import Path

import click
import pytest
from audio_files import speechlike, wav

from pyannote_voiceprint_async.cli.sources import find_recordings
from pyannote_voiceprint_async.enrollment.manifest.preflight import PREFLIGHT_UNAVAILABLE, Preflight


def labels(*arguments):
    return [recording.label for recording in find_recordings(arguments)]


@pytest.mark.parametrize(
    ("argument", "label"),
    [
        ("https://example.com/a/maria.wav", "maria"),
        ("https://example.com/a/maria.v2.wav?X-Amz-Signature=1", "maria.v2"),
        ("https://example.com/Mar%C3%ADa%20P.wav", "María P"),
        ("https://example.com/a/", "a"),
        ("https://example.com/", "example.com"),
        ("HTTPS://example.com?id=1", "example.com"),
        ("http://[::1]:8000", "::1"),
        ("media://maria.wav", "maria"),
        ("media://team/maria.wav", "maria"),
    ],
)
def test_the_label_of_a_url_is_its_last_part_or_its_host(argument, label):
    assert labels(argument) == [label]


def test_the_label_of_a_file_is_its_stem(audio):
    audio("a/maria.v2.wav", "notes.txt")
    assert labels("a/maria.v2.wav", "notes.txt") == ["maria.v2", "notes"]


def test_equal_names_become_whole_paths_and_redacted_urls(audio):
    audio("a/x.wav", "b/x.wav", "y.wav")
    assert labels("a/x.wav", "b/x.wav", "y.wav", "https://e.com/x.mp3?s=1") == [
        "a/x.wav",
        "b/x.wav",
        "y",
        "https://e.com/x.mp3?…",
    ]


def test_urls_that_differ_only_in_their_query_are_numbered():
    assert labels("https://e.com/get?id=1", "https://e.com/get?id=2") == [
        "https://e.com/get?…",
        "https://e.com/get?… (2)",
    ]


def test_a_directory_is_searched_at_any_depth_without_hidden_files(audio):
    audio("d/b.WAV", "d/a/z.flac", "d/a.txt", "d/._b.wav", "d/.cache/c.wav", "d/noise")
    assert [recording.shown for recording in find_recordings(["d"])] == ["d/a/z.flac", "d/b.WAV"]


def test_a_recording_that_occurs_twice_is_found_once(audio):
    audio("d/a.wav", "b.wav")
    Path("also-b.wav").symlink_to("b.wav")
    found = find_recordings(["d", "b.wav", "d/a.wav", "./b.wav", "also-b.wav", "media://k", "media://k"])
    assert [recording.shown for recording in found] == ["d/a.wav", "b.wav", "media://k"]


def test_one_error_lists_all_problems_and_hides_queries(audio):
    audio("good.wav")
    Path("empty.wav").touch()
    Path("quiet").mkdir()
    with pytest.raises(click.UsageError) as raised:
        find_recordings(
            ["good.wav", "gone.wav", "empty.wav", "quiet", "s3://bucket/x?key=secret", "https://a b/?secret"]
        )
    message = str(raised.value)
    assert [line.strip().split(": ")[0] for line in message.splitlines()] == [
        "Nothing was sent:",
        "gone.wav",
        "empty.wav",
        "quiet",
        "s3://bucket/x?…",
        "https://a b/?…",
    ]
    assert "secret" not in message


def test_an_empty_file_in_a_directory_is_a_problem(audio):
    audio("d/a.wav")
    Path("d/b.wav").touch()
    with pytest.raises(click.UsageError, match=r"d/b.wav: is empty"):
        find_recordings(["d"])


def test_an_unreadable_directory_is_a_problem_and_not_an_empty_one(audio, monkeypatch):
    """os.walk is replaced, because root can read every directory."""
    audio("d/a.wav")

    def refuse(directory, onerror):
        onerror(PermissionError(13, "Permission denied", "d/locked"))
        return iter(())

    monkeypatch.setattr(os, "walk", refuse)
    with pytest.raises(click.UsageError) as raised:
        find_recordings(["d"])
    assert str(raised.value) == "Nothing was sent:\n  d/locked: permission denied; change its permissions"


def test_a_pattern_is_expanded(audio):
    audio("d/a.wav", "d/b.wav", "d/c.txt")
    assert labels("d/*.wav") == ["a", "b"]


def test_an_empty_argument_is_a_problem_and_not_the_current_folder(audio):
    audio("a.wav")
    with pytest.raises(click.UsageError, match="one of the sources is empty"):
        find_recordings([""])


def test_a_missing_audio_extra_is_a_warning_of_the_first_file(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.wav").write_bytes(wav(speechlike(2)))
    found = find_recordings(["media://k", str(tmp_path)], Preflight(is_enabled=False, is_unavailable=True))
    assert [recording.warnings for recording in found] == [(), (PREFLIGHT_UNAVAILABLE,), ()]


def test_skipped_files_are_a_warning_of_the_first_recording(audio):
    audio("d/a.wav", "d/b.wav", "d/c.txt")
    first, second = find_recordings(["d"])
    assert first.warnings[0].startswith("1 file was skipped: d/c.txt (")
    assert second.warnings == ()
