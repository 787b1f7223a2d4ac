"""The preflight of local files in a run: what it refuses, warns of and cuts, and that clips are billed once."""

import asyncio
import os
import sqlite3
import threading
from contextlib import closing

import numpy as np
import pytest
from audio_files import FLOAT, encoded, speechlike, wav, with_flac_length
from enrollment_world import make_first_version

from pyannote_voiceprint_async import ConfigurationError, ManifestError, MediaError
from pyannote_voiceprint_async.audio import best_segment, cut, cut_segments
from pyannote_voiceprint_async.enrollment import Manifest, Paused, Row, RowFailed, RowWarning, enroll
from pyannote_voiceprint_async.enrollment.ledger import checksums
from pyannote_voiceprint_async.enrollment.ledger.maintenance import forget
from pyannote_voiceprint_async.enrollment.ledger.schema import STEPS
from pyannote_voiceprint_async.enrollment.manifest import preflight as preflight_module
from pyannote_voiceprint_async.enrollment.manifest.preflight import Preflight
from pyannote_voiceprint_async.enrollment.options import Options
from pyannote_voiceprint_async.enrollment.run.dry_run import DryRun
from pyannote_voiceprint_async.sandbox import voiceprint_of

GOOD = wav(speechlike(4))
LONG = wav(speechlike(40))
ALONE = ". Check that only one person speaks there"
SILENCE = np.zeros(32000, np.int16)


@pytest.fixture
def write_list(tmp_path):
    """Return a function that writes a file and a list with one row for it, and returns the list."""

    def write(start="", end="", audio=GOOD):
        (tmp_path / "a.wav").write_bytes(audio)
        path = tmp_path / "speakers.csv"
        path.write_text(f"label,source,start,end\nAnna,a.wav,{start},{end}\n")
        return Manifest(path)

    return write


WRONG = {
    "garbage for a start": (GOOD, "x", "", "start must be seconds"),
    "start after end": (GOOD, "3", "2", "start (3 s) is not before end (2 s)"),
    "before the beginning": (GOOD, "-1", "2", "start (-1 s) is before the beginning"),
    "start beyond the end": (GOOD, "5", "", "a.wav: the audio ends at 4.00 s, before the clip's start at 5 s"),
    "end beyond the end": (GOOD, "1", "5", "a.wav: the audio ends at 4.00 s, before the clip's end at 5 s"),
    "too much": (LONG, "1", "39", "the segment has 38.00 s. A voiceprint takes at most 30 s"),
    "too much to an open end": (LONG, "1", "", "and the limit is 30 s"),
    "too much together": (LONG, "0 20", "20 31", "the 2 segments have in total 31.00 s"),
    "starts without ends": (GOOD, "1 2", "3", "start has 2 numbers and end has 1 number"),
    "too little": (GOOD, "1", "1.5", "lasts 0.50 s. A voice needs at least 1 s"),
    "too long": (LONG, "", "", "a.wav: lasts 40.00 s. A voiceprint takes at most 30 s"),
    "too short": (wav(speechlike(0.5)), "", "", "lasts 0.50 s"),
    "silent": (wav(SILENCE), "", "", "is silent (-120 dBFS)"),
    "a silent part": (wav(np.concatenate([speechlike(2), SILENCE])), "2", "4", "is silent (-120 dBFS)"),
    "truncated, to an open end": (wav(speechlike(4))[:-64000], "0.5", "", "ends at 2.00 s (damaged or incomplete"),
    "never closed, to an open end": (wav(speechlike(4), data_length=64000), "0.5", "", "continues after the 2.00 s"),
    "truncated": (wav(speechlike(4))[:-64000], "", "", "ends or is damaged after 2.0 of the 4.0 s"),
    "a lying header": (
        with_flac_length(encoded(speechlike(4)), 160000),
        "",
        "",
        "ends or is damaged after 4.0 of the 10.0",
    ),
    "not a number": (wav(np.full(32000, np.nan, np.float32), tag=FLOAT), "", "", "NaN or infinite"),
    "no channels": (wav(speechlike(2), channels=0), "", "", "header is damaged"),
    "no audio": (b"RIFF and nothing", "", "", "in none of the audio formats that are recognized"),
    "only a header": (wav(b""), "", "", "has no samples"),
}


@pytest.mark.parametrize(("audio", "start", "end", "sentence"), WRONG.values(), ids=WRONG)
async def test_a_problem_names_its_line_and_nothing_is_sent(world, write_list, audio, start, end, sentence):
    with pytest.raises(ManifestError) as caught:
        await world.enroll(write_list(start, end, audio))
    (problem,) = caught.value.problems
    assert (problem.line, problem.label) == (2, "Anna")
    assert sentence in str(problem)
    assert str(problem).count("\n") == 0
    assert world.sandbox.state.total.requests == 0
    assert world.ask("SELECT count(*) FROM recordings") == [(0,)]


@pytest.mark.parametrize("audio", [LONG, wav(SILENCE), wav(speechlike(4))[:-64000], b"RIFF and nothing"])
async def test_without_preflight_files_are_uploaded_unchecked(world, write_list, audio):
    await world.enroll(write_list(audio=audio), preflight=False)
    assert world.sandbox.state.operations["media"].requests == 1


async def test_formats_that_cannot_be_checked_are_uploaded_with_a_warning(world, write_list):
    audio = b"\0\0\0\x20ftypM4A " + bytes(100)
    assert (await world.enroll(write_list(audio=audio))).succeeded == 1
    note = "is MP4/M4A, which cannot be checked here. It is uploaded unchecked"
    assert world.of(RowWarning) == [RowWarning("Anna", note)]
    assert world.voiceprints() == {"Anna": voiceprint_of(audio)}
    with pytest.raises(ManifestError, match="MP4/M4A, which cannot be read here"):
        await world.enroll(write_list("0", "1", audio=audio))


# Segments


async def test_segments_of_one_recording_are_several_speakers(world, tmp_path):
    """Only the segments are uploaded, never the rest of the recording."""
    path = tmp_path / "a.wav"
    await asyncio.to_thread(path.write_bytes, LONG)
    pieces = {"Anna": ((0.5, 3.0),), "Bo": ((4, 6), (10.25, 12)), "Cleo": ((38.0, None),)}
    report = await world.enroll([Row(label, path, segments=spans) for label, spans in pieces.items()])
    assert (report.succeeded, len(world.sandbox.accepted)) == (3, 3)
    clips = {label: await asyncio.to_thread(cut_segments, path, spans) for label, spans in pieces.items()}
    assert world.voiceprints() == {label: voiceprint_of(clip.audio) for label, clip in clips.items()}
    found = world.ask("SELECT label, identity FROM labels JOIN recordings ON id = recording_id")
    assert dict(found) == {label: f"samples:{clip.digest}" for label, clip in clips.items()}


async def test_the_same_segment_under_two_labels_is_refused(world, tmp_path):
    """Also if the two labels name different files."""
    path, other = tmp_path / "a.wav", tmp_path / "b.flac"
    await asyncio.to_thread(path.write_bytes, GOOD)
    await asyncio.to_thread(other.write_bytes, encoded(speechlike(4)))
    rows = [Row("Anna", path, segments=((1, 3),)), Row("Bo", other, segments=((1, 2), (2, 3)))]
    with pytest.raises(ManifestError, match=r"\(Bo\): the same audio is under 'Anna'"):
        await world.enroll(rows)
    assert (await world.enroll(rows, allow_shared_audio=True)).jobs == 1


async def test_a_recording_that_was_moved_is_not_billed_again(world, tmp_path):
    """Also if it was converted to a lossless format."""
    path, moved = tmp_path / "a.wav", tmp_path / "moved.flac"
    await asyncio.to_thread(path.write_bytes, GOOD)
    await world.enroll([Row("Anna", path, segments=((1, 3),))])
    await asyncio.to_thread(moved.write_bytes, encoded(speechlike(4)))
    await asyncio.to_thread(path.unlink)
    report = await world.enroll([Row("Anna", moved, segments=((1, 3),))])
    assert (report.succeeded, report.jobs, len(world.sandbox.accepted)) == (1, 0, 1)


async def test_a_recording_that_changes_during_the_run_fails(world, tmp_path):
    """Also if its size and modification time stay the same: the clip is compared with the one that was checked."""
    path = tmp_path / "a.wav"
    await asyncio.to_thread(path.write_bytes, GOOD)

    another = wav(speechlike(4, loud=0.2))

    def change():
        found = path.stat()
        path.write_bytes(another)
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))

    world.sandbox.fail_next(["server-error"] * 5, operation="test")
    events = []
    async with (
        world.clock.running(world.client),
        enroll(world.client, [Row("Anna", path, segments=((1, 3),))], world.path) as run,
    ):
        async for event in run:
            events.append(event)
            if isinstance(event, Paused):
                await asyncio.to_thread(change)
    assert [event.label for event in events if isinstance(event, RowFailed)] == ["Anna"]
    assert world.sandbox.accepted == []


async def test_a_recording_that_decodes_differently_is_checked_again_by_the_next_run(world, tmp_path):
    """A new decoder changes the samples. The error message says to run again: that must help."""
    path = tmp_path / "a.wav"
    await asyncio.to_thread(path.write_bytes, GOOD)
    rows = [Row("Anna", path, segments=((1, 3),))]
    await world.enroll(rows, max_jobs=0)

    def remember_another():
        with closing(sqlite3.connect(world.path)) as connection, connection:
            checksums.register(connection)
            connection.execute("UPDATE recordings SET identity = 'samples:of another decoder'")

    await asyncio.to_thread(remember_another)
    assert (await world.enroll(rows)).failed == 1
    assert [event.error for event in world.of(RowFailed)] == ["The audio file changed since it was checked. Run again."]
    report = await world.enroll(rows)
    assert (report.succeeded, report.failed, len(world.sandbox.accepted)) == (1, 0, 1)


async def test_urls_are_not_cut(world):
    with pytest.raises(ManifestError, match="start and end can only cut a local file"):
        await world.enroll([Row("Anna", "https://e.com/a.wav", segments=((1, 2),))])

    async def resolve(row):
        raise AssertionError

    with pytest.raises(ManifestError, match="start and end can only cut a local file"):
        await world.enroll([Row("Anna", "asset 17", segments=((1, 2),))], resolve=resolve)


async def test_a_canceled_run_does_not_wait_for_hours_of_audio(tmp_path):
    """The run is canceled after the first blocks of a long file; the rest is not read."""
    path = tmp_path / "a.wav"
    await asyncio.to_thread(path.write_bytes, wav(b"", data_length=0x7000_0000, riff_length=0x7000_0024))
    await asyncio.to_thread(os.truncate, path, 44 + 0x7000_0000)
    looked, over = [], threading.Event()

    def is_over():
        looked.append(1)
        return over.is_set()

    preflight = Preflight(is_enabled=True, is_canceled=is_over)
    found = await asyncio.to_thread(path.stat)
    checking = asyncio.create_task(asyncio.to_thread(preflight.check_file, path, found, ()))
    while len(looked) < 50:
        await asyncio.sleep(0.001)
    over.set()
    with pytest.raises(MediaError, match="the run is over"):
        await checking


async def test_the_results_of_checks_are_kept_if_the_list_is_refused(world, tmp_path, monkeypatch):
    """The next run does not read the files again, but still reports the warnings."""
    path = tmp_path / "a.wav"
    await asyncio.to_thread(path.write_bytes, wav(np.stack([speechlike(4)] * 2, axis=1), channels=2))
    rows = [Row("Anna", path), Row("Bo", path, segments=((1, 3),))]
    with pytest.raises(ManifestError, match="s3"):
        await world.enroll([*rows, Row("Cleo", "s3://b/k")])
    with monkeypatch.context() as patch:
        patch.setattr(Preflight, "check_file", None)
        assert (await world.enroll(rows)).succeeded == 2
    assert [note.label for note in world.of(RowWarning)] == ["Anna"]
    assert world.ask("SELECT count(*) FROM looks") == [(0,)]
    with pytest.raises(ManifestError):
        await world.enroll([Row("Dora", path, segments=((2, 4),)), Row("Cleo", "s3://b/k")])
    await asyncio.to_thread(forget, world.path, ["Anna"])
    assert world.ask("SELECT count(*) FROM looks") == [(0,)]


# Trimming and warnings


async def test_long_recordings_are_trimmed_on_request(world, tmp_path):
    long, short = tmp_path / "long.wav", tmp_path / "short.wav"
    await asyncio.to_thread(long.write_bytes, wav(np.concatenate([np.zeros(160000, np.int16), speechlike(40)])))
    await asyncio.to_thread(short.write_bytes, GOOD)
    rows = [Row("Anna", long), Row("Bo", short)]
    report = await world.enroll(rows, trim=True)
    assert report.succeeded == 2
    start, end = await asyncio.to_thread(best_segment, long)
    clip = await asyncio.to_thread(cut, long, start, end)
    assert world.voiceprints() == {"Anna": voiceprint_of(clip.audio), "Bo": voiceprint_of(GOOD)}
    assert world.of(RowWarning) == [RowWarning("Anna", f"is too long. Only {start:.1f} to {end:.1f} s are used{ALONE}")]
    assert (await world.enroll(rows, trim=True)).jobs == 0
    assert world.of(RowWarning) == []


async def test_the_warnings_of_a_row_are_reported_once(world, tmp_path):
    """One event has all warnings of a row; it comes after the list is read."""
    path = tmp_path / "a.wav"
    loud = np.stack([np.clip(speechlike(2).astype(int) * 5, -32768, 32767).astype(np.int16)] * 2, axis=1)
    await asyncio.to_thread(path.write_bytes, wav(loud, channels=2))
    rows = [Row("Anna", path), Row("Bo", "https://e.com/b.wav")]
    await world.enroll(rows)
    (note,) = world.of(RowWarning)
    assert note.label == "Anna"
    assert "is clipped" in note.message
    assert "has 2 channels" in note.message
    assert world.events[0] == note
    await world.enroll(rows)
    assert world.of(RowWarning) == []


async def test_a_warning_of_many_segments_of_a_file_is_reported_once(world, tmp_path):
    paths = [tmp_path / name for name in ("a.wav", "b.wav")]
    for path, loud in zip(paths, (0.3, 0.2), strict=True):
        stereo = np.stack([speechlike(20, loud=loud)] * 2, axis=1)
        await asyncio.to_thread(path.write_bytes, wav(stereo, channels=2))
    rows = [Row(f"{path.stem} {at}", path, segments=((at, at + 2.5),)) for path in paths for at in range(0, 16, 2)]
    await world.enroll([*rows, Row("twice", paths[0], segments=((14, 17), (16, 18)))])
    note = "has 2 channels, which are mixed down to one. See that they have the same speaker"
    assert world.of(RowWarning) == [
        RowWarning("a 0", f"{note} (8 more of this file, too)"),
        RowWarning("b 0", f"{note} (7 more of this file, too)"),
        RowWarning("twice", "has overlapping segments, so that the same speech is used twice"),
    ]


@pytest.mark.parametrize("pieces", [((0, None),), ((0.0, None),), [(0, None)]])
async def test_a_segment_from_beginning_to_end_is_the_whole_file(world, tmp_path, pieces):
    """It has the same identity, and is not billed again."""
    path = tmp_path / "a.wav"
    await asyncio.to_thread(path.write_bytes, GOOD)
    with pytest.raises(ManifestError, match=r"\(Bo\): the same audio is under 'Anna'"):
        await world.enroll([Row("Anna", path), Row("Bo", path, segments=pieces)])
    await world.enroll([Row("Anna", path)])
    assert (await world.enroll([Row("Anna", path, segments=pieces)])).jobs == 0


async def test_columns_that_look_like_segments_are_reported_once(world, write_list, tmp_path):
    write_list()
    path = tmp_path / "speakers.csv"
    path.write_text("label,source,start_time,duration\nUrl,https://e.com/u.wav,1,2\nAnna,a.wav,1,2\nBo,a.wav,2,1\n")
    await world.enroll(Manifest(path), allow_shared_audio=True)
    warning = (
        "the list has columns that are not read ('start_time', 'duration'); 'start' and 'end' select a segment, in "
        "seconds"
    )
    assert world.of(RowWarning) == [RowWarning("Anna", warning)]


async def test_a_dry_run_has_the_same_warnings(world, tmp_path):
    path = tmp_path / "a.wav"
    await asyncio.to_thread(path.write_bytes, LONG)
    found = await DryRun(world.client, [Row("Anna", path)], world.path, Options(trim=True)).run()
    assert (found.jobs, found.uploads, [note.label for note in found.warnings]) == (1, 1, ["Anna"])


# Without the extra, and with an old ledger


@pytest.fixture
def _bare(monkeypatch):
    """The extra is not installed."""
    monkeypatch.setattr(preflight_module, "find_spec", lambda name: None)


@pytest.mark.usefixtures("_bare")
async def test_without_the_audio_extra_files_are_uploaded_unchecked(world, write_list, tmp_path):
    """One warning says so, and how to install the extra."""
    again = tmp_path / "again.wav"
    await asyncio.to_thread(again.write_bytes, GOOD)
    rows = [*write_list(audio=wav(SILENCE)), Row("Bo", again), Row("Cleo", "https://e.com/c.wav")]
    assert (await world.enroll(rows)).rows == 3
    (note,) = world.of(RowWarning)
    assert note.label == "Anna"
    assert "not checked before upload. To check them: pip install 'pyannote-voiceprint-async[audio]'" in note.message
    await world.enroll(rows)
    assert world.of(RowWarning) == []
    await world.enroll([Row("Dora", "https://e.com/d.wav")], tmp_path / "urls.ledger")
    assert world.of(RowWarning) == []
    with pytest.raises(ConfigurationError, match=r"cannot be trimmed .*async\[audio\]"):
        await world.enroll(write_list(), trim=True)


async def test_a_format_that_cannot_be_trimmed_is_a_warning(world, write_list):
    audio = b"\0\0\0\x20ftypM4A " + bytes(100)
    await world.enroll(write_list(audio=audio), trim=True)
    assert world.of(RowWarning) == [
        RowWarning("Anna", "is MP4/M4A, which cannot be trimmed here. It is uploaded unchanged")
    ]


async def test_trimming_needs_the_preflight(world):
    with pytest.raises(ConfigurationError, match="trim needs preflight"):
        await world.enroll([], trim=True, preflight=False)


async def test_a_ledger_of_the_first_step_goes_on(world, tmp_path):
    """Rows that it has paid are not checked again: their files may exceed the limits of today."""
    path = tmp_path / "a.wav"
    await asyncio.to_thread(path.write_bytes, LONG)
    await world.enroll([Row("Anna", path), Row("Bo", "https://e.com/b.wav")], preflight=False)

    def downgrade():
        """Undo all schema steps after the first."""
        with closing(sqlite3.connect(world.path)) as connection, connection:
            make_first_version(connection)
            connection.execute("UPDATE recordings SET state = 'succeeded', voiceprint = 'paid' WHERE is_file")

    await asyncio.to_thread(downgrade)
    rows = [Row("Anna", path), Row("Bo", "https://e.com/b.wav"), Row("Cleo", path, segments=((1, 3),))]
    jobs = len(world.sandbox.accepted)
    found = await DryRun(world.client, rows, world.path, Options()).run()
    assert (found.succeeded, found.jobs) == (2, 1)
    report = await world.enroll(rows)
    assert (report.succeeded, report.jobs, len(world.sandbox.accepted)) == (3, 1, jobs + 1)
    assert world.voiceprints()["Anna"] == "paid"
    assert world.ask("PRAGMA user_version") == [(len(STEPS),)]
