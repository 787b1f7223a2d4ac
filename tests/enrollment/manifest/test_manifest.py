"""Manifests in the forms that people and programs write."""

import csv
import json
import re
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pyannote_voiceprint_async.enrollment.manifest.manifest import Manifest
from pyannote_voiceprint_async.enrollment.manifest.rows import Problem, Row
from pyannote_voiceprint_async.enrollment.manifest.segments import format_segments
from pyannote_voiceprint_async.errors import ManifestError

ANNA, BO = "https://e.com/anna.wav", "media://bo"
PLAIN = f"label,source\nAnna,{ANNA}\nBo,{BO}\n"
MIB = 2**20


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a manifest."""

    def make(content, name="speakers.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


@pytest.fixture
def read(write):
    """Return a function that writes a manifest and reads it."""
    return lambda content, name="speakers.csv", **columns: list(Manifest(write(content, name), **columns))


@pytest.fixture
def refusal(read):
    """Return a function that writes a manifest that cannot be used, and returns the error."""

    def refused(content, name="speakers.csv", **columns):
        with pytest.raises(ManifestError) as raised:
            read(content, name, **columns)
        return raised.value

    return refused


def shape(found):
    """Return rows as `(line, label, source)` and problems as `(line, message)`."""
    return [
        (one.line, one.label, str(one.source))
        if isinstance(one, Row)
        else (one.line, re.split("; |[.] ", one.message)[0])
        for one in found
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("speakers.csv", PLAIN),
        ("speakers.CSV", PLAIN.replace("\n", "\r\n")),
        ("speakers.csv", PLAIN.replace("\n", "\r")),
        ("speakers.csv", PLAIN.rstrip("\n")),
        ("speakers.csv", "\ufeff" + PLAIN),
        ("speakers.csv", PLAIN.replace(",", ";")),
        ("speakers.csv", PLAIN.replace(",", "\t")),
        ("speakers.tsv", PLAIN.replace(",", "\t")),
        ("speakers.txt", PLAIN.replace(",", "\t").encode("utf-16")),
        ("speakers.csv", (f"\ufeff{PLAIN}").encode("utf-16-be")),
        ("speakers.csv", PLAIN.encode("utf-16-be")),
        ("speakers.csv", PLAIN.encode("utf-16-le")),
        ("speakers", PLAIN),
        ("speakers.csv", PLAIN.replace("label,source", ' LABEL ,"Source"')),
        ("speakers.csv", f'label,source\n" Anna ","{ANNA} "\nBo, {BO}\n'),
        ("speakers.jsonl", f'{{"label": "Anna", "source": "{ANNA}"}}\n{{"Source": "{BO}", "Label": "Bo"}}\n'),
        ("speakers.ndjson", f'\ufeff{{"label":"Anna","source":"{ANNA}"}}\r\n{{"label":" Bo","source":"{BO}"}}'),
        ("speakers.txt", f'\ufeff {{"label":"Anna","source":"{ANNA}"}}\n{{"label":"Bo","source":"{BO}","model":null}}'),
    ],
)
def test_one_list_in_all_formats(read, name, content):
    assert read(content, name) == [Row("Anna", ANNA), Row("Bo", BO)]


def test_a_manifest_can_be_iterated_repeatedly(write):
    manifest = Manifest(write(PLAIN))
    assert list(manifest) == list(manifest) != []


def test_the_file_is_opened_when_the_iteration_starts(write, tmp_path):
    manifest = Manifest(tmp_path / "speakers.csv")
    write(PLAIN)
    assert next(iter(manifest)).label == "Anna"


def test_paths_are_relative_to_the_manifest_and_urls_are_unchanged(write, tmp_path, monkeypatch):
    path = write("label,source\nA,a/ü b.wav\nB,../b.wav\nC,/c.wav\nD,s3://b/k\nE,~/e.wav\nF,data:x\n")
    monkeypatch.chdir(tmp_path.parent)
    assert [row.source for row in Manifest(path.relative_to(tmp_path.parent))] == [
        tmp_path / "a/ü b.wav",
        tmp_path / "../b.wav",
        Path("/c.wav"),
        "s3://b/k",
        tmp_path / "~/e.wav",
        "data:x",
    ]


def test_further_columns_are_kept_in_their_order(read):
    found = read('note,label,Team,source,model\n" x, y",A,,media://a,precision-3\n,B,t,media://b,\n')
    assert found == [
        Row("A", "media://a", "precision-3", extra={"note": " x, y", "Team": ""}),
        Row("B", "media://b", extra={"note": "", "Team": "t"}),
    ]
    assert list(found[0].extra) == ["note", "Team"]


def test_further_columns_without_a_name_or_with_a_repeated_name(read):
    """pandas writes its index without a name; spreadsheets leave empty columns at the end."""
    assert read(",label,source,note,note,,\n0,A,media://a,x,y,,\n") == [
        Row("A", "media://a", extra={"column 1": "0", "note": "x", "note (2)": "y"})
    ]


def test_further_fields_of_json_lines_keep_their_types(read):
    extra = {"n": 1.5, "tags": ["a", None], "deep": {"label": True}, "ü": "ß"}
    line = json.dumps({"label": "A", **extra, "source": "media://a", "model": "precision-3"})
    assert read(line, "s.jsonl") == [Row("A", "media://a", "precision-3", extra=extra)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("s.csv", "Name,label,URL\nAnna,x,media://a\n"),
        ("s.csv", "name;label;url\nAnna;x;media://a\n"),
        ("s.jsonl", '{"Name": "Anna", "label": "x", "url": "media://a"}'),
    ],
)
def test_required_columns_may_have_other_names(read, name, content):
    assert read(content, name, label_column="name", source_column="url") == [
        Row("Anna", "media://a", extra={"label": "x"})
    ]


def test_the_label_column_may_be_named_model(read):
    assert read("model,source\nT,media://t\n", label_column="model") == [Row("T", "media://t")]
    assert read('{"model":"T","source":"media://t"}', "s.jsonl", label_column="model") == [Row("T", "media://t")]


def test_a_row_has_the_number_of_its_first_line(read):
    content = f'\n label,source,note\n\nA,{ANNA},"two\nlines"\n,,\n ; ,,\nB,{BO},"a ""b"""\n'
    assert shape(read(content)) == [(4, "A", ANNA), (7, ";", ""), (8, "B", BO)]


def test_a_separator_line_of_excel_is_skipped(read):
    assert shape(read(f"sep=;\r\nlabel;source\r\nA, B;{ANNA}\r\n")) == [(3, "A, B", ANNA)]


@pytest.mark.parametrize(
    ("names", "label_hint", "source_hint"),
    [
        ("lable,sorce", "lable", "sorce"),
        ("labels,sources", "labels", "sources"),
        ("Name,URL", "Name", "URL"),
        ("id,path,name,url", "name", "url"),
        ("speaker name,audio-path", "'speaker name'", "audio-path"),
        ("Speaker;File", "Speaker", "File"),
        ("speaker_id\taudio", "speaker_id", "audio"),
    ],
)
def test_similar_column_names_are_suggested(refusal, names, label_hint, source_hint):
    error = refusal(f"{names}\nx,y\n")
    assert [problem.line for problem in error.problems] == [1, 1]
    for problem, option in zip(error.problems, ("--label-column", "--source-column"), strict=True):
        hint = label_hint if option == "--label-column" else source_hint
        assert problem.message.endswith(f"Rename it, or pass {option} {hint}")
        assert str(problem) in str(error)


def test_a_requested_column_name_that_is_missing_gets_a_suggestion(refusal):
    (problem,) = refusal("speaker,source\n", label_column="speakr").problems
    assert problem.message == (
        "has no column 'speakr' (only: speaker, source); did you mean 'speaker'? "
        "Rename it, or pass --label-column speaker"
    )


def test_a_missing_column_without_a_similar_name(refusal):
    (problem,) = refusal("label,x\n").problems
    assert problem.message == ("has no column 'source' (only: label, x); add it, or pass its name with --source-column")


@pytest.mark.parametrize("line", ["Anna,https://e.com/a.wav?X-Amz-Signature=secret", "Anna,voices/a.WAV"])
def test_a_table_without_column_names_is_refused_without_showing_a_signature(refusal, line):
    error = refusal(f"{line}\n")
    assert "add a first line such as label,source" in str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("\n \r\n\n", "is empty"),
        ("sep=;\n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        ("label,label,source\n", "the column 'label' more than once"),
        ('label,"source\nA,b\n', "look for a quotation mark"),
        (b"l\xe4bel,source\n", "is not UTF-8"),
        (PLAIN.encode("utf-32"), "NUL characters; save the file as UTF-8"),
        (PLAIN.encode("utf-16") + b"\x00", "damaged UTF-16"),
        (PLAIN.encode("utf-16")[:-8] + b"\x00\xd8\x00\xd8", "damaged UTF-16"),
        ("label,source," + "x" * MIB, "characters long"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "speakers.csv is a recording"),
    ],
)
def test_tables_that_cannot_be_used_at_all(refusal, content, said):
    assert said in str(refusal(content))


def test_a_file_that_cannot_be_opened(tmp_path):
    for path in (tmp_path, tmp_path / "gone.csv"):
        with pytest.raises(ManifestError, match=f"{path.name} cannot be read"):
            list(Manifest(path))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("A\nB,media://b\n", [(2, "has 1 cells, but the first line has 2 names"), (3, "B", "media://b")]),
        ("A,b, c.wav\nB,media://b", [(2, "has 3 cells, but the first line has 2 names"), (3, "B", "media://b")]),
        ('A,"b"c\nB,media://b', [(2, "is not valid CSV (',' expected after '\"')"), (3, "B", "media://b")]),
        ('B,media://b\nA,"b\nC,c\n', [(2, "B", "media://b"), (3, "is not valid CSV (unexpected end of data)")]),
        (b"A\xff,b\nB,media://b", [(2, "is not UTF-8"), (3, "B", "media://b")]),
        ("A\0,b\nB,media://b", [(2, "has NUL characters"), (3, "B", "media://b")]),
        ("A,FILE:///b.wav\nB,media://b", [(2, "a file:// URL is not accepted"), (3, "B", "media://b")]),
        (f"A,{'x' * MIB}\nB,media://b", [(2, f"is over {MIB} characters long"), (3, "B", "media://b")]),
        # Empty cells are reported by `check_row`, together with all other problems of the row.
        (",media://a\nB,\n", [(2, "", "media://a"), (3, "B", "")]),
    ],
)
def test_a_bad_row_of_a_table_does_not_affect_other_rows(read, content, expected):
    head = b"label,source\n"
    assert shape(read(head + (content if isinstance(content, bytes) else content.encode()))) == expected


def test_a_cell_that_is_too_large_is_a_problem(read):
    found = read(f"label,source\nA,{'x' * (csv.field_size_limit() + 1)}\nB,media://b\n")
    assert [(type(one), one.line) for one in found] == [(Problem, 2), (Row, 3)]
    assert "field larger than field limit" in found[0].message


def test_a_quotation_mark_that_is_never_closed_does_not_swallow_a_long_file(read):
    lines = [f"Speaker {number},media://{number}" for number in range(20_000)]
    found = read("\n".join(["label,source", 'A,"media://a', *lines]))
    assert isinstance(found[0], Problem)
    assert (found[0].line, found[-1]) == (2, Row("Speaker 19999", "media://19999"))


def test_a_record_of_many_lines_has_a_maximum_length(read):
    """Each line closes a cell and opens another one, so that no single cell is too large."""
    found = read('label,source\nA,"' + '\n","' * (MIB // 2) + "\n")
    assert f"is over {MIB} characters long" in found[0].message


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"label": 17, "source": "media://a"}', (2, "17", "media://a")),
        ('{"label": true, "source": "media://a"}', (2, "'label' must be text, not bool")),
        ('{"label": 1.5, "source": "media://a"}', (2, "'label' must be text, not float")),
        ('{"label": "A", "Source": ["media://a"], "model": 2}', (2, "'Source' must be text, not list")),
        ('{"label": null, "source": null}', (2, "", "")),
        ('{"note": 1}', (2, "", "")),
        ('{"label": "A", "source": "file:///a.wav"}', (2, "a file:// URL is not accepted")),
        ('["A", "media://a"]', (2, "is not a JSON object")),
        ("null", (2, "is not a JSON object")),
        ('{"label": "A",', (2, "is not valid JSON (expecting property name enclosed in double quotes, column 15)")),
        ("{", (2, "is not valid JSON (expecting property name enclosed in double quotes, column 2)")),
        ('{"label": "A"} {"label": "B"}', (2, "is not valid JSON (extra data, column 16)")),
        ('{"n": ' + "9" * 5000 + "}", (2, "is not valid JSON")),
        ("[" * 200_000, (2, "is not valid JSON")),
        (b'{"label": "\xff"}', (2, "is not UTF-8")),
        (f'{{"label": "{"x" * MIB}"}}', (2, f"is over {MIB} characters long")),
    ],
)  # fmt: skip
def test_a_bad_object_does_not_affect_other_rows(read, line, expected):
    line = line if isinstance(line, bytes) else line.encode()
    good = b'{"label": "B", "source": "media://b"}\n'
    found = read(good + line + b"\n\n" + good, "s.jsonl")
    assert shape(found) == [(1, "B", "media://b"), expected, (4, "B", "media://b")]


def test_the_first_object_must_have_the_required_fields(refusal):
    error = refusal('\n{"name": "A", "source": "media://a"}\n', "s.jsonl")
    assert [(problem.line, problem.message.endswith("--label-column name")) for problem in error.problems] == [
        (2, True)
    ]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("label,source\n", "s.csv"),
        ("label,source", "s.csv"),
        ("label\tsource\n\t\n\n", "s.tsv"),
        ("", "s.jsonl"),
        ("\n \n", "s.jsonl"),
    ],
)
def test_a_list_without_rows_is_refused(refusal, content, name):
    """An export that found nothing must not look like a run that has nothing left to do."""
    assert str(refusal(content, name)) == f"{name} has no rows, and nothing was sent. Check how the list was made."


def test_a_json_array_is_refused_with_the_command_that_converts_it(read):
    (problem,) = read('[{"label": "A", "source": "media://a"}]', "speakers.json")
    assert (
        problem.message
        == "is not a JSON object. Each line must be one object, not a list of them (jq -c '.[]' writes lines)"
    )


def test_the_example_is_a_manifest(speech):
    found = list(Manifest(speech.parent / "speakers.csv"))
    assert {row.source for row in found} == set(speech.glob("*.wav"))
    assert len({row.label for row in found}) == 5
    assert {row.extra["language"] for row in found} == {"en", "es", "fr", "it", "ru"}


@pytest.mark.parametrize(
    ("count", "head", "line", "largest"),
    [
        (40_000, "label,source,note\n", "Speaker {0},https://e.com/{0}.wav,x\n", MIB // 5),
        (20_000, "", '{{"label":"{0}","source":"https://e.com/{0}.wav"}}\n', MIB),
        # pathlib interns names, and Python's table of interned strings grows in steps.
        (20_000, "label,source,note\n", "Speaker {0},voices/{0}.wav,x\n", 4 * MIB),
    ],
)
def test_memory_does_not_grow_with_the_list(tmp_path, count, head, line, largest):
    path = tmp_path / "speakers.txt"
    with path.open("w") as file:
        file.write(head)
        file.writelines(line.format(number) for number in range(count))
    tracemalloc.start()
    try:
        rows = sum(isinstance(row, Row) for row in Manifest(path))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert rows == count
    assert most < largest


FRAGMENTS = st.sampled_from(
    [b"label", b"source", b"model", b"name", b"url", b"a.wav", b"media://a", b"file://", b",", b";", b"\t",
     b'"', b'""', b"\n", b"\r\n", b"\r", b" ", b"\0", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\xff", b"\xc3\xa9",
     b"\xed\xa0\x80", b"{", b"}", b"[", b"]", b":", b'{"label":"A","source":"s"}', b'"label":', b"NaN", b"1e999",
     b"\\ud800", b"sep=;\n"]
)  # fmt: skip
HEADS = st.sampled_from([b"", b"label,source\n", b"label;source;x\r\n", b'{"label":"A","source":"s"}\n', b"\xff\xfe"])
SUFFIXES = st.sampled_from([".csv", ".tsv", ".jsonl", ".txt", ""])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@given(HEADS, st.binary() | st.lists(FRAGMENTS).map(b"".join), SUFFIXES)
@example(b"", "label,source\n\ud800".encode("utf-16", "surrogatepass"), ".csv")
def test_any_bytes_are_rows_problems_or_a_manifest_error(folder, head, body, suffix):
    path = folder / f"fuzz{suffix}"
    path.write_bytes(head + body)
    found = []
    try:
        found.extend(Manifest(path))
    except ManifestError as error:
        str(error).encode()
    lines = (head + body).count(b"\n") + (head + body).count(b"\r") + 1
    assert len(found) <= lines
    assert all(isinstance(one, Row | Problem) and 1 <= one.line <= lines for one in found)
    assert [one.line for one in found] == sorted({one.line for one in found})


KEYS = st.sampled_from(["label", "source", "model", "start", "end", "Label", "url"]) | st.text(max_size=5)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([10**400, "a.wav", "1 2"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=5,
)


@given(st.lists(st.dictionaries(KEYS, ANY_JSON, max_size=5), max_size=3))
@example([{"label": "A", "source": "a.wav", "start": 10**400}])
@example([{"label": 10**400, "source": "a.wav", "end": [10**400]}])
@example([{"label": "A", "source": "a.wav", "start": "9" * 400}])
def test_any_objects_are_rows_or_problems(folder, objects):
    path = folder / "fuzz.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in [{"label": "A", "source": "media://a"}, *objects]))
    found = list(Manifest(path))
    assert [one.line for one in found] == list(range(1, len(objects) + 2))
    assert all(isinstance(one, Row | Problem) for one in found)


@given(HEADS, st.binary() | st.lists(FRAGMENTS).map(b"".join), SUFFIXES)
@example(b"", b"label,source,start,end\nA,a.wav,1.5 2,3 4\n", ".csv")
def test_rows_survive_writing_and_reading(folder, head, body, suffix):
    """Rows of any format, written as JSON Lines, are read as equal rows."""
    path, again = folder / f"first{suffix}", folder / "again.jsonl"
    path.write_bytes(head + body)
    try:
        rows = [one for one in Manifest(path) if isinstance(one, Row)]
    except ManifestError:
        return
    assume(rows)
    # Paths are normalized, and a further column may have the name of a column that is read.
    assume(not any(str(row.source) != str(row.source).strip() or KNOWN & _plain(row.extra) for row in rows))
    again.write_text("".join(json.dumps(written(row)) + "\n" for row in rows))
    assert list(Manifest(again)) == rows


KNOWN = {"label", "source", "model", "start", "end"}


def _plain(names):
    return {name.strip().lower() for name in names}


def written(row):
    starts, ends = format_segments(row.segments)
    return {"label": row.label, "source": str(row.source), "model": row.model, "start": starts, "end": ends} | row.extra


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@given(
    st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1), st.sampled_from([",", ";", "\t"]),
    st.sampled_from(["\n", "\r\n"]), st.sampled_from([".csv", ".tsv", ".txt"]),
)  # fmt: skip
def test_the_output_of_a_csv_writer_is_read(folder, rows, delimiter, end, suffix):
    """White space around labels and sources is removed; further columns keep theirs."""
    path = folder / f"written{suffix}"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
        writer.writerow(["label", "source", "note"])
        writer.writerows([label, f"media://{source}", note] for label, source, note in rows)
    assert list(Manifest(path)) == [
        Row(label.strip(), f"media://{source}".strip(), extra={"note": note}) for label, source, note in rows
    ]


@pytest.mark.parametrize(
    ("names", "warnings"),
    [
        ("label,source,start,end,seconds", []),
        ("label,source,model,age,team,length_of_stay", []),
        ("label,source,start,duration", ["not read ('duration')", "has 'start' but no 'end'"]),
        ("label,source,start_time,end_time", ["not read ('start_time', 'end_time')"]),
        ("label,source,Clip Start (s),ClipEnd", ["not read ('Clip Start (s)', 'ClipEnd')"]),
        ("label,source,offset,duration", ["not read ('offset', 'duration')"]),
        ("label,source,start", ["has 'start' but no 'end'"]),
        ("label,source,start,end,duration", []),
    ],
)
@pytest.mark.parametrize("is_table", [True, False])
def test_columns_that_look_like_segments_are_a_warning_of_the_first_file(tmp_path, names, warnings, is_table):
    path = tmp_path / ("speakers.csv" if is_table else "speakers.jsonl")
    named = names.split(",")
    sources = ("https://e.com/u.wav", "a.wav", "b.wav")
    cells = [[f"person {source}", source, *[""] * (len(named) - 2)] for source in sources]
    if is_table:
        path.write_text("\n".join([names, *map(",".join, cells)]))
    else:
        path.write_text("\n".join(json.dumps(dict(zip(named, row, strict=True))) for row in cells))
    url, first, second = Manifest(path)
    assert (url.warnings, second.warnings) == ((), ())
    assert [found for found, part in zip(first.warnings, warnings, strict=True) if part in found] == list(
        first.warnings
    )
