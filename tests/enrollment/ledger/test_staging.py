"""Staging a list: what is refused, what is applied, and what it costs."""

import tracemalloc

import pytest
from audio_files import speechlike, wav
from enrollment_world import url

from pyannote_voiceprint_async import LedgerError, ManifestError
from pyannote_voiceprint_async.enrollment import Ledger, Problem, Row
from pyannote_voiceprint_async.enrollment.ledger.staged_list import forgotten_hash
from pyannote_voiceprint_async.enrollment.ledger.staging import Staging
from pyannote_voiceprint_async.enrollment.ledger.store import LedgerStore
from pyannote_voiceprint_async.enrollment.manifest.preflight import Preflight

NOW = 1_800_000_000.0


@pytest.fixture
async def ledger(tmp_path):
    async with Ledger(tmp_path / "x.ledger") as opened:
        await opened.store.claim("https://api.example.com", "key")
        yield opened.store


async def load(ledger, rows, *, model="precision-2", retry_failed=None, retry_expired=False, **options):
    ledger.run += 1
    one = Staging(ledger, model, **options)
    await one.stage(rows)
    await one.apply(now=NOW, retry_failed=retry_failed, retry_expired=retry_expired)
    return one


async def ask(ledger, statement, *values):
    return await ledger.database.read(lambda connection: connection.execute(statement, values).fetchall())


async def write(ledger, statement, *values):
    await ledger.database.atomic(lambda connection: connection.execute(statement, values).close())


async def labels(ledger):
    return [label for (label,) in await ask(ledger, "SELECT label FROM labels ORDER BY position")]


def a(number):
    return Row(f"person {number}", url(number), line=number + 2)


WRONG = [
    (
        [a(1), Row("person 1", "nothing", line=9)],
        ["line 9 (person 1): nothing: is not a URL", "line 9 (person 1): the label"],
    ),
    ([a(1), Row("person 1", url(2), line=9)], ["line 9 (person 1): the label is there twice (line 3)"]),
    ([a(1), Row("b", url(1), line=9)], ["line 9 (b): the same audio is under 'person 1' (line 3); two labels"]),
    ([a(1), Row("b", url(1)), Row("c", url(1))], ["(b): the same audio is under 'person 1'", "(c): the same audio"]),
    ([Problem("is no CSV", line=4), a(1), Row("", url(2), line=2)], ["line 2: has no label", "line 4: is no CSV"]),
    (
        [a(1), Row("b", f"{url(1)}?X-Amz-Signature=x&X-Amz-Date=20270115T080000Z&X-Amz-Expires=60")],
        ["(b): the same audio is under 'person 1'"],
    ),
]


@pytest.mark.parametrize(("rows", "sentences"), WRONG)
async def test_all_problems_are_reported_at_once_and_nothing_is_applied(ledger, rows, sentences):
    with pytest.raises(ManifestError) as caught:
        await load(ledger, rows)
    said = [str(problem) for problem in caught.value.problems]
    assert len(said) == len(sentences)
    for problem, sentence in zip(said, sentences, strict=True):
        assert sentence in problem
        assert problem in str(caught.value)
    assert await labels(ledger) == []


async def test_skip_invalid_skips_every_row_of_a_conflict(ledger):
    rows = [a(1), Row("person 1", url(2)), a(3), Row("b", url(3)), a(5), Row("", url(6))]
    one = await load(ledger, rows, skip_invalid=True)
    assert (await labels(ledger), one.invalid) == (["person 5"], 5)


async def test_shared_audio_is_one_recording(ledger):
    await load(ledger, [a(1), Row("b", url(1)), Row("c", url(1), "precision-3")], allow_shared_audio=True)
    assert await ask(ledger, "SELECT model, count(*) FROM recordings JOIN labels ON id = recording_id GROUP BY id") == [
        ("precision-2", 2),
        ("precision-3", 1),
    ]


async def test_a_new_label_for_paid_audio_is_refused(ledger):
    """The speaker may be renamed, or the file may have a wrong label in the second list."""
    await load(ledger, [a(1), a(2)])
    await write(ledger, "UPDATE recordings SET state = 'succeeded'")
    with pytest.raises(ManifestError, match="under 'person 1' in the ledger"):
        await load(ledger, [Row("renamed", url(1)), a(2)])
    await load(ledger, [Row("renamed", url(1)), a(2)], allow_shared_audio=True)
    await load(ledger, [Row("renamed", url(1))])
    assert len(await labels(ledger)) == 3


async def test_the_label_of_unpaid_audio_can_be_corrected(ledger):
    await load(ledger, [a(1)])
    await load(ledger, [Row("corrected", url(1))])
    assert await labels(ledger) == ["corrected"]


async def test_fresh_signatures_reach_unfinished_rows_only(ledger):
    def signed(number, signature):
        return Row(
            f"p{number}", f"{url(number)}?X-Amz-Date=20270115T080000Z&X-Amz-Expires=60&X-Amz-Signature={signature}"
        )

    await load(ledger, [signed(1, "old"), signed(2, "old")])
    await write(ledger, "UPDATE recordings SET state = 'succeeded' WHERE id = 1")
    await load(ledger, [signed(1, "new"), signed(2, "new")])
    assert [source[-3:] for (source,) in await ask(ledger, "SELECT source FROM recordings ORDER BY id")] == [
        "old",
        "new",
    ]


async def test_a_file_is_checked_once(ledger, tmp_path, monkeypatch):
    """Once for each set of segments and settings."""
    read, listen = [], Preflight.check_file

    def listening(preflight, path, found, pieces):
        read.append(path.name)
        return listen(preflight, path, found, pieces)

    monkeypatch.setattr(Preflight, "check_file", listening)
    files = [tmp_path / f"{number}.wav" for number in range(3)]
    for number, file in enumerate(files):
        file.write_bytes(wav(speechlike(2 + number)))
    rows = [Row(file.stem, file) for file in files]
    for _ in range(2):
        await load(ledger, rows)
    assert read == ["0.wav", "1.wav", "2.wav"]
    files[1].write_bytes(wav(speechlike(1.5)))
    await load(ledger, rows)
    assert read == ["0.wav", "1.wav", "2.wav", "1.wav"]
    cut = [Row("a", files[2], segments=((0, 2),)), Row("b", files[2], segments=((1, None),))]
    for _ in range(2):
        await load(ledger, cut)
    assert read[4:] == ["2.wav", "2.wav"]
    await load(ledger, cut, preflight=False)
    assert read[6:] == ["2.wav", "2.wav"]


async def test_forgotten_people_are_skipped(ledger):
    salt = (await ask(ledger, "SELECT value FROM meta WHERE name = 'salt'"))[0][0]
    for text in ("person 1", f"url:{url(2)}"):
        await write(ledger, "INSERT INTO forgotten (hash) VALUES (?)", forgotten_hash(salt, text))
    one = await load(ledger, [a(1), a(2), a(3), Row("person 1", url(9))], skip_invalid=True)
    assert (await labels(ledger), one.forgotten) == (["person 3"], 3)


TICKET = "https://example.com/voices/a.wav?ticket={}"


@pytest.mark.parametrize(
    ("paid", "listed"),
    [
        (TICKET.format(1), TICKET.format(2)),
        (TICKET.format(1), TICKET.format(1) + "&more=1"),
        (TICKET.partition("?")[0], TICKET.format(1)),
        (TICKET.format(1), TICKET.partition("?")[0]),
    ],
)
@pytest.mark.parametrize("state", ["succeeded", "submitted", "submitting", "uncertain", "expired"])
async def test_a_paid_label_with_another_query_is_refused(ledger, paid, listed, state):
    """The URL was probably signed anew by an unknown signer."""
    await load(ledger, [Row("Ada", paid), a(1)])
    await write(ledger, "UPDATE recordings SET state = ?", state)
    with pytest.raises(ManifestError) as caught:
        await load(ledger, [Row("Ada", listed, line=2), a(1)])
    (problem,) = caught.value.problems
    assert str(problem).startswith(
        "line 2 (Ada): the label is already billed, and its URL differs from the billed one only"
    )
    assert "--replace" in str(problem)
    one = await load(ledger, [Row("Ada", listed), a(1)], skip_invalid=True)
    assert (one.invalid, await ask(ledger, "SELECT count(*) FROM recordings")) == (1, [(2,)])


async def test_replace_pays_for_another_query(ledger):
    await load(ledger, [Row("Ada", TICKET.format(1))])
    await write(ledger, "UPDATE recordings SET state = 'succeeded'")
    one = await load(ledger, [Row("Ada", TICKET.format(2))], replace=True)
    assert (one.replaced, await ask(ledger, "SELECT id, state FROM recordings ORDER BY id")) == (
        1,
        [(1, "succeeded"), (2, "pending")],
    )
    await write(ledger, "UPDATE recordings SET state = 'succeeded'")
    # Both are paid now: nothing would be billed.
    assert (await load(ledger, [Row("Ada", TICKET.format(2))])).replaced == 0
    assert (await load(ledger, [Row("Ada", TICKET.format(1))])).replaced == 1


@pytest.mark.parametrize("state", ["pending", "failed"])
async def test_an_unpaid_label_may_have_another_query(ledger, state):
    await load(ledger, [Row("Ada", TICKET.format(1))])
    await write(ledger, "UPDATE recordings SET state = ?", state)
    await load(ledger, [Row("Ada", TICKET.format(2))])
    assert await labels(ledger) == ["Ada"]


@pytest.mark.parametrize(
    "row",
    [
        Row("Bea", TICKET.format(2)),
        Row("Ada", "https://example.com/voices/b.wav?ticket=1"),
        Row("Ada", TICKET.format(2), "precision-3"),
    ],
)
async def test_another_label_another_path_and_another_model_are_no_new_signature(ledger, row):
    await load(ledger, [Row("Ada", TICKET.format(1))])
    await write(ledger, "UPDATE recordings SET state = 'succeeded'")
    await load(ledger, [row])
    assert await ask(ledger, "SELECT count(*) FROM recordings") == [(2,)]


NFC, NFD = "Jos\u00e9", "Jose\u0301"


@pytest.mark.parametrize("other", [Row(NFD, url(2), line=9), Problem("is no CSV", NFD, 9)])
async def test_one_label_in_two_unicode_forms_is_a_duplicate(ledger, other):
    with pytest.raises(ManifestError) as caught:
        await load(ledger, [Row(NFC, url(1), line=2), other])
    assert any("the label is there twice (line 2)" in str(problem) for problem in caught.value.problems)


async def test_a_label_in_another_unicode_form_is_the_same_row(ledger):
    for label in (NFD, NFC):
        await load(ledger, [Row(label, url(1))])
        await write(ledger, "UPDATE recordings SET state = 'succeeded'")
    assert (await labels(ledger), await ask(ledger, "SELECT count(*) FROM recordings")) == ([NFC], [(1,)])


async def test_failed_rows_are_retried_by_a_text_in_either_unicode_form(ledger):
    await load(ledger, [a(1)])
    await write(ledger, "UPDATE recordings SET state = 'failed', error = ?", f"{NFD}.wav is damaged")
    await load(ledger, [a(1)], retry_failed=f"{NFC}.WAV")
    assert await ask(ledger, "SELECT state FROM recordings") == [("pending",)]


async def test_a_list_that_cannot_be_read_leaves_the_ledger_unchanged(ledger):
    def rows():
        yield a(1)
        raise OSError("the network drive has gone")

    with pytest.raises(OSError, match="network drive"):
        await load(ledger, rows())
    assert await labels(ledger) == []
    await load(ledger, [a(1)])
    assert await labels(ledger) == ["person 1"]


async def test_rows_may_come_from_an_async_iterable(ledger):
    async def rows():
        for number in range(1200):
            yield a(number)

    one = await load(ledger, rows())
    assert (len(await labels(ledger)), one.rows_read) == (1200, 1200)


async def test_extra_columns_are_kept(ledger):
    await load(ledger, [Row("Ása", url(1), extra={"team": "röd", "since": 7, "tags": ["a"]})])
    assert (await ledger.pending(0, 9))[0].extra == {"team": "röd", "since": 7, "tags": ["a"]}


async def test_memory_does_not_grow_with_the_list(ledger):
    tracemalloc.start()
    try:
        await load(ledger, (a(number) for number in range(12_000)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(await labels(ledger)) == 12_000
    assert peak < 1_600_000


async def test_a_closed_ledger_reports_how_to_open_it(tmp_path):
    with pytest.raises(LedgerError, match="async with Ledger"):
        _ = LedgerStore(tmp_path / "x.ledger").database
