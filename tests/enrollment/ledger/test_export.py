"""An export is complete, streamed and private, and replaces no other file."""

import csv
import json
import sqlite3
import stat
import tracemalloc
from asyncio import to_thread
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from audio_files import speechlike, wav
from enrollment_world import flip_bit_in, make_first_version, people
from hypothesis import given
from hypothesis import strategies as st

from pyannote_voiceprint_async import ConfigurationError, LedgerError
from pyannote_voiceprint_async.enrollment import Row
from pyannote_voiceprint_async.enrollment.ledger import checksums, export_formats, export_rows
from pyannote_voiceprint_async.enrollment.ledger.connection import open_read_only, open_writable
from pyannote_voiceprint_async.enrollment.ledger.export import check_export, export, format_of
from pyannote_voiceprint_async.enrollment.ledger.maintenance import purge
from pyannote_voiceprint_async.sandbox import voiceprint_of

_FIELDS = ["label", "source", "status", "job_id", "model", "voiceprint", "created_at", "warnings", "error"]
_LATER = ["start", "end"]
_LINE = json.dumps(dict.fromkeys(_FIELDS)) + "\n"
_ADA = "https://e.com/ada.wav?X-Amz-Signature=secret"


async def spoken(world, *rows: Row) -> Path:
    await world.enroll(rows)
    return world.path


@pytest.fixture
async def ledger(world, speech) -> Path:
    """Two voiceprints, one of a file, and one that failed."""
    return await spoken(
        world,
        Row("Ada", _ADA, extra={"age": 36, "note": 'says "hi", often'}),
        Row("June", speech / "june-fr.wav", extra={"status": "on leave", "langs": ["fr"]}),
        Row("Eve", "https://e.com/unreachable.wav"),
    )


@pytest.fixture
def large_ledger(tmp_path) -> Path:
    """Six thousand voiceprints of the usual size."""
    path = tmp_path / "large.ledger"
    connection = open_writable(path, create=True)
    connection.execute("BEGIN")
    for number in range(6_000):
        connection.execute(
            "INSERT INTO recordings (id, identity, model, source, is_file, state, job_id, voiceprint, finished_at) "
            "VALUES (?, ?, 'precision-2', ?, 0, 'succeeded', ?, ?, ?)",
            (number, f"url:{number}", f"https://e.com/{number}", f"job {number}", "V" * 1400, float(number)),
        )
        connection.execute(
            "INSERT INTO labels (label, recording_id, listed_in, position, extra) VALUES (?, ?, 1, ?, '{}')",
            (f"person {number}", number, number),
        )
    connection.execute("COMMIT")
    connection.close()
    return path


def test_jsonl_has_every_row_with_all_fields(ledger, tmp_path, speech):
    exported = export(ledger, tmp_path / "out.jsonl", "jsonl")
    ada, eve, june = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert (exported.labels, exported.voiceprints, exported.purged) == (3, 2, 0)
    assert list(ada) == [*_FIELDS, *_LATER, "extra"]
    assert (ada["label"], ada["source"], ada["status"]) == ("Ada", "https://e.com/ada.wav?…", "succeeded")
    assert (ada["voiceprint"], ada["model"]) == (voiceprint_of(_ADA), "precision-2")
    assert ada["extra"] == {"age": 36, "note": 'says "hi", often'}
    assert (ada["warnings"], ada["error"], bool(ada["created_at"]), bool(ada["job_id"])) == ([], None, True, True)
    assert june["source"] == str(speech / "june-fr.wav")
    assert june["voiceprint"] == voiceprint_of((speech / "june-fr.wav").read_bytes())
    assert (eve["status"], eve["voiceprint"]) == ("failed", None)
    assert "The job failed" in eve["error"]


def test_csv_appends_the_extra_columns_of_all_lists(ledger, tmp_path):
    """A column with the name of an export field is kept."""
    export(ledger, tmp_path / "out.csv", "csv")
    with (tmp_path / "out.csv").open(newline="") as file:
        reader = csv.DictReader(file)
        rows = {row["label"]: row for row in reader}
    assert reader.fieldnames == [*_FIELDS, *_LATER, "age", "note", "extra.status", "langs"]
    assert (rows["Ada"]["age"], rows["Ada"]["note"], rows["Ada"]["langs"]) == ("36", 'says "hi", often', "")
    assert (rows["June"]["status"], rows["June"]["extra.status"]) == ("succeeded", "on leave")
    assert rows["June"]["langs"] == '["fr"]'
    assert rows["Ada"]["voiceprint"] == voiceprint_of(_ADA)


async def test_segments_and_warnings_are_exported(world, tmp_path):
    """Each row of a file has its own segments. Findings of the audio check are warnings, in later runs as well."""
    path = tmp_path / "talk.wav"
    await to_thread(path.write_bytes, wav(np.stack([speechlike(9)] * 2, axis=1), channels=2))
    pieces = {"Ada": ((0, 1.5), (4.25, 5)), "Bob": ((6.5, None),), "Cid": ()}
    rows = [Row(label, path, segments=spans) for label, spans in pieces.items()]
    await spoken(world, *rows)
    await spoken(world, *rows)
    await to_thread(export, world.path, tmp_path / "out.jsonl", "jsonl")
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [(row["start"], row["end"]) for row in found] == [("0 4.25", "1.5 5"), ("6.5", None), (None, None)]
    note = "has 2 channels, which are mixed down to one. See that they have the same speaker"
    assert [row["warnings"] for row in found] == [[note]] * 3
    await to_thread(export, world.path, tmp_path / "out.csv", "csv")
    table = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    assert [(row["start"], row["end"], row["warnings"]) for row in table] == [
        ("0 4.25", "1.5 5", note), ("6.5", "", note), ("", "", note),
    ]  # fmt: skip


def test_a_ledger_of_an_earlier_version_is_exported_unchanged(ledger, tmp_path):
    with closing(sqlite3.connect(ledger)) as connection, connection:
        make_first_version(connection)
    export(ledger, tmp_path / "out.jsonl", "jsonl")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [(row["start"], row["end"], row["warnings"]) for row in rows] == [(None, None, [])] * 3


async def test_an_export_of_an_earlier_version_may_be_replaced(world, tmp_path):
    path, out = await spoken(world, *people(1)), tmp_path / "out.csv"
    await to_thread(out.write_text, ",".join(_FIELDS) + ",team\n")
    await to_thread(check_export, out, "csv", path)


def test_json_maps_labels_to_voiceprints(ledger, tmp_path, speech):
    export(ledger, tmp_path / "out.json", "json")
    assert json.loads((tmp_path / "out.json").read_text()) == {
        "Ada": voiceprint_of(_ADA),
        "June": voiceprint_of((speech / "june-fr.wav").read_bytes()),
    }


@pytest.mark.parametrize("form", ["jsonl", "csv", "json"])
async def test_an_empty_export_is_a_valid_file(world, tmp_path, form):
    path, out = await spoken(world), tmp_path / f"out.{form}"
    assert (await to_thread(export, path, out, form)).voiceprints == 0
    await to_thread(check_export, out, form, path)
    assert {"jsonl": str, "csv": lambda text: text == ",".join(_FIELDS + _LATER) + "\n", "json": json.loads}[form](
        out.read_text()
    ) in ("", True, {})


async def test_json_never_mixes_models(world, tmp_path):
    rows = (Row("Ada", "https://e.com/1"), Row("Bob", "https://e.com/2"), Row("Cid", "https://e.com/3", "precision-3"))
    path, out = await spoken(world, *rows), tmp_path / "out.json"
    with pytest.raises(ConfigurationError, match=r"precision-2 \(2\), precision-3 \(1\).*--model"):
        await to_thread(export, path, out, "json")
    assert not out.exists()
    await to_thread(export, path, out, "json", model="precision-3")
    assert json.loads(out.read_text()) == {"Cid": voiceprint_of("https://e.com/3")}
    with pytest.raises(ConfigurationError, match="no voiceprint of the model 'x', only: precision-2, precision-3"):
        await to_thread(export, path, out, "json", model="x")


async def test_purged_voiceprints_are_counted_and_their_export_is_not_overwritten(world, tmp_path):
    path, first = await spoken(world, *people(3)), tmp_path / "first.jsonl"
    await to_thread(export, path, first, "jsonl")
    kept = first.read_text()
    await to_thread(purge, path)
    with pytest.raises(ConfigurationError, match="3 voiceprints were purged"):
        await to_thread(export, path, tmp_path / "x.json", "json")
    for work in (partial(export, path, first, "jsonl"), partial(check_export, first, "jsonl", path)):
        with pytest.raises(ConfigurationError, match="may be the only file"):
            await to_thread(work)
    assert first.read_text() == kept
    exported = await to_thread(export, path, tmp_path / "second.jsonl", "jsonl")
    assert (exported.labels, exported.voiceprints, exported.purged) == (3, 0, 3)


def test_the_export_is_private_even_if_the_old_file_was_not(ledger, tmp_path):
    out = tmp_path / "out.jsonl"
    out.touch(mode=0o644)
    export(ledger, out, "jsonl")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("target", ["real.jsonl", "gone.jsonl"])
def test_a_symbolic_link_is_refused(ledger, tmp_path, target, force):
    """Another user may have created the link."""
    (tmp_path / "real.jsonl").touch()
    (tmp_path / "link.jsonl").symlink_to(tmp_path / target)
    for work in (export, check_export):
        arguments = (ledger, tmp_path / "link.jsonl", "jsonl")
        with pytest.raises(ConfigurationError, match=rf"is a symbolic link\. Name the file itself: .*{target}"):
            work(*(arguments if work is export else (arguments[1], arguments[2], arguments[0])), force=force)
    assert (tmp_path / "link.jsonl").is_symlink()
    assert (tmp_path / "real.jsonl").read_text() == ""
    assert not (tmp_path / "gone.jsonl").exists()


async def test_a_failed_export_leaves_the_old_file(world, tmp_path):
    folder = tmp_path / "exports"
    folder.mkdir()
    path, out = await spoken(world, *people(3)), folder / "out.jsonl"
    await to_thread(export, path, out, "jsonl")
    before = out.read_text()
    world.ask("UPDATE labels SET extra = 'no JSON' WHERE label = 'person 2'")
    with pytest.raises(json.JSONDecodeError):
        await to_thread(export, path, out, "jsonl")
    assert [file.name for file in folder.iterdir()] == ["out.jsonl"]
    assert out.read_text() == before


def test_rows_are_streamed(large_ledger, tmp_path):
    """Exporting 8 MB of voiceprints needs less than three megabytes of memory."""
    tracemalloc.start()
    try:
        for form in ("jsonl", "csv", "json"):
            export(large_ledger, tmp_path / f"out.{form}", form)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(json.loads((tmp_path / "out.json").read_text())) == 6_000
    assert peak < 3 * 2**20


async def test_a_long_export_does_not_block_a_run(world, tmp_path, monkeypatch):
    """A run can write between two pages; rows added then do not count as exported."""
    path = await spoken(world, *people(3))
    monkeypatch.setattr(export_rows, "_PAGE", 1)

    def export_slowly():
        dump = json.dumps

        def write_meanwhile(*args, **options):
            with closing(sqlite3.connect(path, timeout=0)) as connection, connection:
                checksums.register(connection)
                connection.execute("UPDATE recordings SET finished_at = 9e9 WHERE id = 3")
            return dump(*args, **options)

        monkeypatch.setattr(export_formats.json, "dumps", write_meanwhile)
        return export(path, tmp_path / "out.jsonl", "jsonl")

    exported = await to_thread(export_slowly)
    monkeypatch.undo()
    assert (exported.labels, exported.voiceprints) == (3, 3)
    purged = await to_thread(purge, path)
    assert (purged.dropped, purged.kept) == (2, 1)


@pytest.mark.parametrize("form", ["jsonl", "csv", "json"])
@pytest.mark.parametrize("column", ["state", "job_id", "voiceprint", "identity", "model", "created_at"])
async def test_a_flipped_bit_is_not_exported(world, tmp_path, form, column):
    """The old file stays."""
    path, out = await spoken(world, *people(3)), tmp_path / f"out.{form}"
    await to_thread(export, path, out, form)
    before = out.read_bytes()
    await to_thread(flip_bit_in, path, "recordings", column, 2)
    with pytest.raises(LedgerError, match="is damaged"):
        await to_thread(export, path, out, form)
    assert out.read_bytes() == before


async def test_the_ledger_itself_is_not_overwritten(world):
    connection = await to_thread(open_read_only, await spoken(world, *people(1)))
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM labels")
    connection.close()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "There is no ledger"),
        (lambda path: path.write_bytes(b"label,source\n" * 100), "is not a ledger"),
        (lambda path: path.touch(), "is empty"),
        (lambda path: path.mkdir(), "cannot be used"),
    ],
)
def test_a_file_that_is_not_a_ledger_is_not_exported(tmp_path, make: Callable, said):
    make(tmp_path / "x.ledger")
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(LedgerError, match=said):
        export(tmp_path / "x.ledger", tmp_path / "out.jsonl", "jsonl")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


async def test_an_export_into_a_device_is_not_recorded(world):
    """`purge` would drop the only copy of the voiceprints."""
    path = await spoken(world, Row("Ada", "https://e.com/1"))
    await to_thread(export, path, Path("/dev/null"), "jsonl")
    assert world.ask("SELECT value FROM meta WHERE name LIKE 'exported%'") == []


async def test_formula_cells_are_reported_and_not_changed(world, tmp_path):
    labels = ["=1+1", "+49 30", "-x", "@SUM(A1)", "\uff1d1", "Ada", "a=b", "5", "note"]
    rows = [Row(label, f"https://e.com/{number}") for number, label in enumerate(labels)]
    rows[-1] = Row("note", "https://e.com/n", extra={"note": "=cmd", "age": "-3.5"})
    path = await spoken(world, *rows, Row("age", "https://e.com/a", extra={"age": "-3.5", "shift": -2}))
    exported = await to_thread(export, path, tmp_path / "out.csv", "csv")
    assert sorted(exported.formulas) == sorted(["=1+1", "+49 30", "-x", "@SUM(A1)", "\uff1d1", "note"])
    with (tmp_path / "out.csv").open(newline="") as file:
        assert sorted(row["label"] for row in csv.DictReader(file)) == sorted([*labels, "age"])
    for form in ("json", "jsonl"):
        assert (await to_thread(export, path, tmp_path / f"out.{form}", form)).formulas == ()


async def test_only_a_complete_export_is_recorded(world, tmp_path):
    path = await spoken(world, Row("Ada", "https://e.com/1"), Row("Cid", "https://e.com/3", "precision-3"))
    remembered = "SELECT value FROM meta WHERE name LIKE 'exported%' ORDER BY name"
    await to_thread(export, path, tmp_path / "out.jsonl", "jsonl", model="precision-3")
    assert world.ask(remembered) == []
    await to_thread(export, path, tmp_path / "out.jsonl", "jsonl")
    ((newest,),) = world.ask("SELECT max(finished_at) FROM recordings")
    assert world.ask(remembered) == [("2",), (repr(newest),)]


@pytest.mark.parametrize(
    ("name", "form"),
    [("a.jsonl", "jsonl"), ("a.CSV", "csv"), ("a.b.json", "json"), ("a.txt", None), ("json", None), (".json", None)],
)
def test_the_suffix_determines_the_format(name, form):
    assert format_of(Path(name)) == form


@pytest.mark.parametrize(
    ("form", "held", "is_fine"),
    [
        ("csv", None, True),
        ("csv", "", True),
        ("csv", ",".join(_FIELDS) + ",age\nAda,x,succeeded,j,m,V,,,,36\n", True),
        ("csv", ",".join(_FIELDS) + "\nAda,x,succeeded,j,m,V,,,\nmy notes\n", False),
        ("csv", "label,source,language\nAda,ada.wav,en\n", False),
        ("jsonl", _LINE, True),
        ("jsonl", _LINE + "my notes\n", False),
        ("jsonl", _LINE.replace('"created_at": null, ', ""), False),  # the lines of `voiceprint`
        ("jsonl", '{"label": "Ada", "source": "ada.wav"}\n', False),
        ("json", '{\n"Ada": "U0FO"\n}\n', True),
        ("json", '{\n"Ada": "U0FO",\n"Bob": "U0FO"\n}\nmy notes\n', False),
        ("json", '{\n"Ada": {"deep": 1}\n}\n', False),
        ("json", '{"name": "my-package"}', False),
        ("jsonl", "[" * 100_000, False),
        ("csv", "\0", False),
        ("json", "x" * 5_000_000, False),
    ],
)
def test_a_file_with_other_content_is_not_overwritten(tmp_path, form, held, is_fine):
    out = tmp_path / "out"
    if held is not None:
        out.write_text(held)
    if is_fine:
        check_export(out, form, tmp_path / "x.ledger")
    else:
        with pytest.raises(ConfigurationError, match="holds something other"):
            check_export(out, form, tmp_path / "x.ledger")
    assert [path.name for path in tmp_path.iterdir()] == ["out"] * (held is not None)


def test_inputs_and_unwritable_files_are_refused(tmp_path):
    (tmp_path / "list.csv").write_text("label,source\n")
    (tmp_path / "link.csv").symlink_to(tmp_path / "list.csv")
    with pytest.raises(ConfigurationError, match="is read by this command"):
        check_export(tmp_path / "link.csv", "csv", tmp_path / "x.ledger", tmp_path / "list.csv")
    with pytest.raises(ConfigurationError, match="no such file or directory"):
        check_export(tmp_path / "gone" / "out.csv", "csv", tmp_path / "x.ledger")
    with pytest.raises(ConfigurationError, match="it is not a file"):
        check_export(tmp_path, "csv", tmp_path / "x.ledger")


@given(
    st.lists(st.text() | st.sampled_from(_FIELDS) | st.sampled_from(["extra.label", "extra.extra.label"]), unique=True)
)
def test_column_names_are_unique(extras):
    names = [*_FIELDS, *export_formats._column_names(extras)]
    assert len(set(names)) == len(names) == len(_FIELDS) + len(extras)
