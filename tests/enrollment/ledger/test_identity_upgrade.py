"""A ledger of an earlier version still protects what is paid."""

import pytest

from pyannote_voiceprint_async import LedgerError, ManifestError
from pyannote_voiceprint_async.enrollment import Ledger, Row
from pyannote_voiceprint_async.enrollment.ledger.identifications import IdentificationKey, IdentificationStore
from pyannote_voiceprint_async.enrollment.ledger.staged_list import forgotten_hash
from pyannote_voiceprint_async.enrollment.ledger.staging import Staging
from pyannote_voiceprint_async.enrollment.manifest.legacy_identity import legacy_identity
from pyannote_voiceprint_async.urls.url_identity import url_identity

NFC, NFD = "Jos\u00e9", "Jose\u0301"
NOW = 1_800_000_000.0


def supabase(name, token):
    return f"https://p.supabase.co/storage/v1/object/sign/voices/{name}.wav?token=a.{token}.c"


@pytest.fixture
async def ledger(tmp_path):
    async with Ledger(tmp_path / "x.ledger") as opened:
        await claim(opened.store)
        yield opened.store


@pytest.fixture
async def identifications(tmp_path):
    store = IdentificationStore(tmp_path / "x.ledger")
    await store.open()
    await claim(store)
    yield store
    await store.aclose()


async def claim(store):
    await store.claim("https://api.example.com", "key")


async def write(ledger, statement, *values):
    await ledger.database.atomic(lambda connection: connection.execute(statement, values).close())


async def ask(ledger, statement):
    return await ledger.database.read(lambda connection: connection.execute(statement).fetchall())


async def former(ledger, *rows):
    """Fill a ledger as version 0.1 did: label, source, state."""
    await write(ledger, "DELETE FROM meta WHERE name = 'rules'")
    for number, (label, source, state) in enumerate(rows, 1):
        await write(
            ledger,
            "INSERT INTO recordings (id, identity, source, state, model, is_file) VALUES (?, ?, ?, ?, ?, 0)",
            number, f"url:{legacy_identity(source)}", source, state, "precision-2",
        )  # fmt: skip
        if label is not None:
            await write(
                ledger,
                "INSERT OR REPLACE INTO labels (label, recording_id, listed_in, position, extra) "
                "VALUES (?, ?, 0, ?, '{}')",
                label,
                number,
                number,
            )


async def former_identifications(ledger, *rows):
    """Fill a ledger as a version did that does not know the signer: id, identity, state."""
    await write(ledger, "INSERT OR REPLACE INTO meta (name, value) VALUES ('rules', '1')")
    for row in rows:
        statement = "INSERT INTO identifications (id, identity, state, request, model) VALUES (?, ?, ?, 'r', 'm')"
        await write(ledger, statement, *row)


async def identified(store, source):
    """Return the id and the state of the row that a run finds for a URL."""
    await claim(store)
    (row,) = await store.rows([IdentificationKey(f"url:{url_identity(source)}", "r", "m", None)])
    return row.id, row.state


async def load(ledger, *rows, **options):
    await claim(ledger)
    one = Staging(ledger, "precision-2", **options)
    await one.stage(rows)
    await one.apply(now=NOW)
    return one


async def recording_of(ledger, label):
    return dict(await ask(ledger, "SELECT label, recording_id FROM labels"))[label]


@pytest.mark.parametrize(
    ("paid", "listed"),
    [
        (supabase("ada", "b"), supabase("ada", "x")),
        ("https://e.com/%7Eada.wav", "https://e.com/~ada.wav"),
        ("https://e.com/~ada.wav", "https://e.com/%7eada.wav"),
        ("https://e.com/a.wav?X-Amz-Signature=1", "https://e.com/a.wav?X-Amz-Signature=2"),
    ],
)
async def test_a_paid_row_is_recognized_under_the_new_rules(ledger, paid, listed):
    await former(ledger, ("Ada", paid, "succeeded"))
    await load(ledger, Row("Ada", listed))
    assert await ask(ledger, "SELECT id, state FROM recordings") == [(1, "succeeded")]


async def test_audio_paid_twice_stays_under_its_label(ledger):
    await former(ledger, (None, supabase("ada", "b"), "succeeded"), ("Ada", supabase("ada", "c"), "succeeded"))
    await load(ledger, Row("Ada", supabase("ada", "d")))
    assert await recording_of(ledger, "Ada") == 2
    assert await ask(ledger, "SELECT count(*), count(DISTINCT identity) FROM recordings") == [(2, 2)]


@pytest.mark.parametrize("states", [("succeeded", "pending"), ("pending", "succeeded"), ("failed", "submitted")])
async def test_the_paid_one_of_two_merged_recordings_is_found(ledger, states):
    """Also if the unpaid recording has the new identity already."""
    await former(ledger, ("A", "https://e.com/~a.wav", states[0]), ("B", "https://e.com/%7Ea.wav", states[1]))
    await load(ledger, Row("A", "https://e.com/~a.wav"), allow_shared_audio=True)
    states = dict(await ask(ledger, "SELECT label, state FROM labels JOIN recordings ON id = recording_id"))
    assert states["A"] in ("succeeded", "submitted")


async def test_the_upgrade_runs_once(ledger):
    await former(ledger, ("Ada", supabase("ada", "b"), "succeeded"))
    await load(ledger, Row("Ada", supabase("ada", "c")))
    await write(ledger, "UPDATE recordings SET identity = 'url:left'")
    await claim(ledger)
    assert await ask(ledger, "SELECT identity FROM recordings") == [("url:left",)]


async def test_a_label_in_another_form_is_the_same_person(ledger):
    await former(ledger, (NFD, "https://e.com/a.wav", "succeeded"))
    one = await load(ledger, Row(NFC, "https://e.com/a.wav"))
    assert await ask(ledger, "SELECT label FROM labels") == [(NFC,)]
    assert one.replaced == 0


async def test_two_recordings_of_one_normalized_name_both_stay(ledger):
    """Earlier versions treated two Unicode forms as two people: neither voiceprint may be lost."""
    await former(ledger, (NFD, "https://e.com/a.wav", "succeeded"), (NFC, "https://e.com/b.wav", "succeeded"))
    await load(ledger, Row(NFC, "https://e.com/b.wav"))
    assert dict(await ask(ledger, "SELECT label, recording_id FROM labels")) == {NFD: 1, NFC: 2}


async def test_two_forms_of_one_recording_become_one_label(ledger):
    await former(ledger, (NFD, "https://e.com/a.wav", "succeeded"))
    await write(
        ledger, "INSERT INTO labels (label, recording_id, listed_in, position, extra) VALUES (?, 1, 0, 2, '{}')", NFC
    )
    await load(ledger, Row(NFD, "https://e.com/a.wav"))
    assert await ask(ledger, "SELECT label FROM labels") == [(NFC,)]


@pytest.mark.parametrize("text", [NFD, NFC, "url:https://e.com/%7ea.wav", "url:https://e.com/~a.wav"])
async def test_people_forgotten_by_an_earlier_version_are_not_enrolled_again(ledger, text):
    salt = (await ask(ledger, "SELECT value FROM meta WHERE name = 'salt'"))[0][0]
    await write(ledger, "INSERT INTO forgotten (hash) VALUES (?)", forgotten_hash(salt, text))
    one = await load(ledger, Row(NFD, "https://e.com/%7ea.wav"))
    assert (one.forgotten, await ask(ledger, "SELECT * FROM labels")) == (1, [])


async def test_an_unknown_signer_is_refused_with_an_earlier_ledger_too(ledger):
    await former(ledger, ("Ada", "https://e.com/a.wav?ticket=1", "succeeded"))
    with pytest.raises(ManifestError, match="only in its query"):
        await load(ledger, Row("Ada", "https://e.com/a.wav?ticket=2"))


async def test_a_paid_identification_is_recognized_under_the_new_rules(identifications):
    await former_identifications(identifications, (1, f"url:{supabase('ada', 'b')}", "submitted"))
    assert await identified(identifications, supabase("ada", "c")) == (1, "submitted")
    assert await ask(identifications, "SELECT count(*) FROM identifications") == [(1,)]


@pytest.mark.parametrize(
    ("states", "found"),
    [
        (("succeeded", "pending"), 1),
        (("pending", "succeeded"), 2),
        (("succeeded", "uncertain"), 1),
        (("succeeded", "succeeded"), 2),
        (("failed", "submitted", "pending"), 2),
    ],
)
async def test_the_paid_one_of_several_merged_identifications_is_found(identifications, states, found):
    rows = [(id_, f"url:{supabase('ada', id_)}", state) for id_, state in enumerate(states, 1)]
    await former_identifications(identifications, *rows)
    assert await identified(identifications, supabase("ada", "x")) == (found, states[found - 1])
    await write(identifications, "UPDATE meta SET value = '1' WHERE name = 'rules'")
    assert await identified(identifications, supabase("ada", "y")) == (found, states[found - 1])
    assert len(await ask(identifications, "SELECT DISTINCT identity FROM identifications")) == len(states)


async def test_a_run_that_identifies_also_upgrades_the_enrolled_recordings(identifications):
    """Otherwise the new rules would be recorded, and `enroll` would submit the recordings again."""
    await former(identifications, ("Ada", supabase("ada", "b"), "succeeded"))
    await claim(identifications)
    await load(identifications, Row("Ada", supabase("ada", "c")))
    assert await ask(identifications, "SELECT id, state FROM recordings") == [(1, "succeeded")]


async def test_a_file_keeps_its_identity(identifications):
    await former_identifications(identifications, (1, "sha256:00", "succeeded"))
    await claim(identifications)
    assert await ask(identifications, "SELECT identity FROM identifications") == [("sha256:00",)]


@pytest.mark.parametrize("damaged", ["", "x", "-2", "2.5", "\u00b2"])
async def test_a_damaged_number_of_the_rules_stops_no_run(ledger, damaged):
    await former(ledger, ("Ada", supabase("ada", "b"), "succeeded"))
    await write(ledger, "INSERT INTO meta (name, value) VALUES ('rules', ?)", damaged)
    await load(ledger, Row("Ada", supabase("ada", "c")))
    assert await ask(ledger, "SELECT id, state FROM recordings") == [(1, "succeeded")]


async def test_a_ledger_with_later_rules_is_refused(ledger):
    """By earlier rules, URLs of the new signers would look new, and be billed again."""
    await former(ledger, ("Ada", "https://e.com/a.wav", "succeeded"))
    await write(ledger, "INSERT INTO meta (name, value) VALUES ('rules', '10')")
    with pytest.raises(LedgerError, match="later version of this package"):
        await claim(ledger)
