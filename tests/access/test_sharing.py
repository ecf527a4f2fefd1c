"""Frozen versions and grants: what is frozen never changes, and a grant opens one version to one person for a time."""

import hashlib
import itertools
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import update

from access import sharing
from access.belonging import belonging
from access.people import LOCAL, Person
from core.errors import UserFacingError
from core.nouns import Dataset, MethodId, Query, Reference, Target, Vocabulary
from core.results import Attacked, Prediction
from engine.subjects import files_of, load_subject
from storage.evidence import EvidenceStore, question_key
from storage.stores import Stores
from storage.tables import VAULT_OBJECTS
from storage.vault import Damaged, Held, Missing, Vault

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TODAY = NOON.date()
ANALYST = replace(LOCAL, id="a" * 16, name="Grace")
ADA = Person(
    "b" * 16, "Ada", ("auditor",), email="Ada@Example.org", issuer="https://id.example.org", subject="auth0|17"
)


@pytest.fixture
def vault(stores: Stores) -> Vault:
    return stores.vault


@pytest.fixture
def evidence(vault: Vault) -> EvidenceStore:
    return EvidenceStore(vault)


@pytest.fixture
def saved(vault: Vault) -> Callable[..., str]:
    """Saves the tumours as a subject of one's own; with another title it is another version of it."""

    def save(title: str = "Mine", name: str = "mine") -> str:
        for file, body in files_of("tumours").items():
            if file == "subject.toml":
                body = body.replace(b'name = "tumours"', f'name = "{name}"'.encode(), 1)
                body = body.replace(b"title = ", f'title = "{title}" # '.encode(), 1)
            vault.put("subject", f"{name}/{file}", body, team=name)
        return name

    return save


def answered(evidence: EvidenceStore, name: str, output: float, row: int = 0) -> str:
    """Keeps an answer about a subject's first model; its key."""
    model, data = load_subject(name).model(), load_subject(name).dataset
    query = Query(model.spec.digest, data.rows[[row]], (data.row_ids[row],), Target(0, "margin"))
    said = Prediction(query, MethodId("predict", "1"), np.array([[output]]))
    key = question_key(query, said.method)
    evidence.keep(key, said)
    return key


def freeze(vault: Vault, evidence: EvidenceStore, name: str, now: datetime = NOON) -> sharing.Snapshot:
    return sharing.freeze(vault, evidence, name, ANALYST, "For the audit", now)


# --- snapshots -------------------------------------------------------------------------------------------------------


def test_a_snapshot_names_every_file_model_row_and_answer(vault, evidence, saved) -> None:
    keys = {answered(evidence, saved(), 0.5, row) for row in (0, 1)}
    found = freeze(vault, evidence, "mine")
    subject = load_subject("mine")
    assert found.files == {file: hashlib.sha256(body).hexdigest() for file, body in files_of("mine").items()}
    first, *others = (model.spec.digest for model in subject.models)
    assert {model: set(keys) for model, keys in found.models.items()} == {first: keys} | {
        each: set() for each in others
    }
    assert (found.dataset, set(found.answers)) == (subject.dataset.digest, keys)
    assert (found.title, found.subject, found.author, found.on) == ("For the audit", "mine", "Grace", "1 March 2026")
    assert sharing.snapshots(vault) == [found] == [sharing.named(vault, found.short)]
    assert sharing.damage(vault, found) == []


def test_the_same_state_frozen_twice_is_one_snapshot_whoever_freezes_it(vault, evidence, saved) -> None:
    answered(evidence, saved(), 0.5)
    first = freeze(vault, evidence, "mine")
    again = sharing.freeze(vault, evidence, "mine", LOCAL, "Another title", NOON + timedelta(days=1))
    assert again == first
    assert len(sharing.snapshots(vault)) == 1


def test_whatever_changes_makes_another_snapshot(vault, evidence, saved) -> None:
    ids = [freeze(vault, evidence, saved()).id]
    answered(evidence, "mine", 0.5)
    ids.append(freeze(vault, evidence, "mine").id)
    answered(evidence, "mine", 0.6)  # the same question, answered otherwise
    ids.append(freeze(vault, evidence, "mine").id)
    saved("Mine, mended")
    ids.append(freeze(vault, evidence, "mine").id)
    assert len(set(ids)) == len(ids)


def test_the_frozen_copy_stays_when_the_subject_and_its_answers_go(vault, evidence, saved) -> None:
    key = answered(evidence, saved(), 0.5)
    found = freeze(vault, evidence, "mine")
    before = load_subject("mine")
    vault.remove("subject", *vault.names("subject"))
    vault.remove("question", *vault.names("question"))
    vault.remove("result", *vault.names("result"))
    copy = load_subject(found.short)
    assert copy.title == before.title
    assert copy.dataset.digest == before.dataset.digest
    assert copy.model().spec == before.model().spec
    assert sharing.snapshot_of(copy.model()) == found.id
    assert sharing.snapshot_of(before.model()) is None
    assert sharing.answer(vault, found, key).outputs.tolist() == [[0.5]]
    assert evidence.answer(key) is None
    model = before.model().spec.digest
    assert sharing.recall(vault, evidence, model, key)
    assert evidence.answer(key).digest == found.answers[key]
    assert not sharing.recall(vault, evidence, model, "0" * 64)
    assert not sharing.recall(vault, evidence, "0" * 64, key)


def test_the_copies_never_expire(vault, evidence, saved) -> None:
    answered(evidence, saved(), 0.5)
    found = freeze(vault, evidence, "mine")
    vault.sweep(NOON.timestamp() + 1e10)
    assert sharing.damage(vault, found) == []


def test_more_answers_than_are_copied_at_once(vault, evidence, saved, monkeypatch) -> None:
    monkeypatch.setattr(sharing, "_AT_ONCE", 2)
    for row in range(5):
        answered(evidence, saved(), 0.5, row)
    shares: list[float] = []
    found = sharing.freeze(vault, evidence, "mine", ANALYST, "", NOON, shares.append)
    assert len(found.answers) == 5
    assert shares == [0.4, 0.8, 1.0]
    assert sharing.damage(vault, found) == []


def test_a_freeze_that_is_cut_short_leaves_no_snapshot_and_the_next_one_is_whole(
    vault, evidence, saved, monkeypatch
) -> None:
    answered(evidence, saved(), 0.5)
    put, calls = vault.put_all, itertools.count()
    for cut in itertools.count():
        calls = itertools.count()

        def stops(items, at=cut, calls=calls, **rest):
            if next(calls) == at:
                raise OSError("the disk is full")
            put(items, **rest)

        monkeypatch.setattr(vault, "put_all", stops)
        try:
            found = freeze(vault, evidence, "mine")
        except OSError:
            assert sharing.snapshots(vault) == []
            assert vault.names("snapshot") == vault.names("frozen") == []
            continue
        break
    assert cut == 3, "files, answers, the snapshot itself"
    assert sharing.damage(vault, found) == []


def test_damage_is_named(vault, evidence, saved) -> None:
    key = answered(evidence, saved(), 0.5)
    found = freeze(vault, evidence, "mine")
    vault.put("frozen", f"{found.id}/subject.toml", b"name = 'other'", team=found.id)
    vault.remove("frozen", f"{found.id}/answer:{key}")
    assert sharing.damage(vault, found) == ["subject.toml", f"answer {key[:8]}"]


def test_a_snapshot_that_does_not_say_what_its_digest_says_is_refused(vault, evidence, saved) -> None:
    found = freeze(vault, evidence, saved())
    body = vault.get("snapshot", found.id).replace(found.dataset.encode(), b"0" * 64)
    vault.put("snapshot", found.id, body)
    sharing._snapshot.cache_clear()
    with pytest.raises(UserFacingError, match="is not what was frozen"):
        sharing.snapshot(vault, found.id)


def test_a_frozen_version_is_not_frozen_again_and_what_there_is_not_is_said(vault, evidence, saved) -> None:
    found = freeze(vault, evidence, saved())
    with pytest.raises(UserFacingError, match="frozen already"):
        freeze(vault, evidence, found.short)
    with pytest.raises(UserFacingError, match="There is no subject 'nothing'"):
        freeze(vault, evidence, "nothing")
    for ask in (lambda: sharing.snapshot(vault, "0" * 64), lambda: sharing.named(vault, "frozen-000000000000")):
        with pytest.raises(UserFacingError, match="There is no frozen version 000000000000"):
            ask()


def test_a_frozen_name_that_there_is_not_tells_nobody_which_subjects_there_are(vault, saved) -> None:
    saved()
    with pytest.raises(UserFacingError) as refused:
        load_subject("frozen-000000000000")
    assert "mine" not in refused.value.sentence and "tumours" not in refused.value.sentence


def test_a_discarded_version_is_gone_and_one_on_hold_is_not_discarded(vault, evidence, saved) -> None:
    answered(evidence, saved(), 0.5)
    found = freeze(vault, evidence, "mine")
    made = sharing.grant(vault, found.id, ADA.email, TODAY, [], 0, ANALYST, NOON)
    vault.hold("frozen", f"{found.id}/subject.toml", True)
    with pytest.raises(Held, match="hold"):
        sharing.discard(vault, found.id, NOON)
    assert sharing.damage(vault, found) == []
    assert sharing.granted_to(vault, ADA, NOON) == [made]
    vault.hold("frozen", f"{found.id}/subject.toml", False)
    sharing.discard(vault, found.id, NOON)
    assert vault.names("frozen") == vault.names("snapshot") == []
    assert sharing.granted_to(vault, ADA, NOON) == []
    assert [(each.id, each.state(NOON)) for each in sharing.grants(vault)] == [(made.id, "taken back")]


def test_what_was_discarded_and_is_frozen_again_opens_to_nobody_and_says_who_froze_it_now(
    vault, evidence, saved
) -> None:
    first = freeze(vault, evidence, saved())
    sharing.grant(vault, first.id, ADA.email, TODAY, [], 0, ANALYST, NOON)
    sharing.discard(vault, first.id, NOON)
    again = sharing.freeze(vault, evidence, "mine", LOCAL, "Another title", NOON + timedelta(hours=1))
    assert again.id == first.id
    assert sharing.granted_to(vault, ADA, NOON) == []
    assert sharing.snapshots(vault) == [again], "not as it was before it was discarded"
    assert (again.title, again.by) == ("Another title", LOCAL.id)


def test_a_grant_given_while_the_version_is_discarded_opens_nothing(vault, evidence, saved, monkeypatch) -> None:
    found = freeze(vault, evidence, saved())
    remove, put = vault.remove, vault.put

    def grants_first(kind, *names) -> None:
        remove(kind, *names)
        monkeypatch.setattr(vault, "remove", remove)
        with pytest.raises(Missing):
            sharing.grant(vault, found.id, ADA.email, TODAY, [], 0, ANALYST, NOON)

    monkeypatch.setattr(vault, "remove", grants_first)
    sharing.discard(vault, found.id, NOON)
    found = freeze(vault, evidence, "mine")

    def discards_first(kind, *rest, **more) -> None:
        monkeypatch.setattr(vault, "put", put)
        sharing.discard(vault, found.id, NOON)
        put(kind, *rest, **more)

    monkeypatch.setattr(vault, "put", discards_first)
    with pytest.raises(Missing, match="no frozen version"):
        sharing.grant(vault, found.id, ADA.email, TODAY, [], 0, ANALYST, NOON)
    freeze(vault, evidence, "mine")
    assert sharing.granted_to(vault, ADA, NOON) == []


def test_a_discard_that_is_cut_short_leaves_nothing_listed_and_the_rest_is_swept(
    vault, evidence, saved, monkeypatch
) -> None:
    found = freeze(vault, evidence, saved())
    sharing.grant(vault, found.id, ADA.email, TODAY, [], 0, ANALYST, NOON)
    remove = vault.remove

    def killed(kind, *names) -> None:
        if kind == "frozen":
            raise OSError("the process is killed here")
        remove(kind, *names)

    monkeypatch.setattr(vault, "remove", killed)
    with pytest.raises(OSError, match="killed"):
        sharing.discard(vault, found.id, NOON)
    monkeypatch.setattr(vault, "remove", remove)
    assert sharing.snapshots(vault) == sharing.granted_to(vault, ADA, NOON) == []
    copies = len(vault.names("frozen"))
    assert copies == len(found.files)
    assert sharing.drop_remnants(vault, time.time()) == 0, "somebody may be freezing it at this moment"
    assert sharing.drop_remnants(vault, time.time() + 90_000) == copies
    assert vault.names("frozen") == []


def test_copies_of_a_version_that_there_is_and_copies_on_hold_are_no_remnants(vault, evidence, saved) -> None:
    found = freeze(vault, evidence, saved())
    assert sharing.drop_remnants(vault, time.time() + 1e9) == 0
    assert sharing.damage(vault, found) == []
    vault.hold("frozen", f"{found.id}/subject.toml", True)
    vault.remove("snapshot", found.id)
    assert sharing.drop_remnants(vault, time.time() + 1e9) == 0
    assert len(vault.names("frozen")) == len(found.files)


def test_two_who_freeze_the_same_state_at_once_and_one_who_fails_leave_a_whole_version_or_none(
    vault, evidence, saved, monkeypatch
) -> None:
    saved()
    put = vault.put

    def other_fails(kind, name, *rest, **more) -> None:
        monkeypatch.setattr(vault, "put", put)
        sharing._clear(vault, name, vault.names("frozen", team=name))  # what a freeze that fails does
        put(kind, name, *rest, **more)

    monkeypatch.setattr(vault, "put", other_fails)
    with pytest.raises(UserFacingError, match="Freeze it again"):
        freeze(vault, evidence, "mine")
    assert vault.names("snapshot") == vault.names("frozen") == []
    assert sharing.damage(vault, freeze(vault, evidence, "mine")) == []


def test_it_hears_how_much_room_the_copies_take_before_anything_is_copied(vault, evidence, saved) -> None:
    answered(evidence, saved(), 0.5)

    def full(size: int) -> None:
        asked.append(size)
        raise UserFacingError("There is no room", "It is full", "Remove something")

    asked: list[int] = []
    with pytest.raises(UserFacingError, match="no room"):
        sharing.freeze(vault, evidence, "mine", ANALYST, "", NOON, room=full)
    assert vault.names("frozen") == vault.names("snapshot") == []
    found = freeze(vault, evidence, "mine")
    taken = sum(vault.about("frozen", name).size for name in vault.names("frozen"))
    assert abs(taken - asked[0]) < 0.01 * taken
    sharing.freeze(vault, evidence, "mine", ANALYST, "", NOON, room=full)
    assert len(asked) == 1, f"{found.id} takes no more room"


# --- what belongs to a subject ---------------------------------------------------------------------------------------


def said(evidence: EvidenceStore, model: str, rows: np.ndarray, ids: tuple[str, ...], reference=None) -> str:
    """Keeps a prediction about any rows; its key."""
    query = Query(model, rows, ids, Target(0, "margin"), reference)
    found = Prediction(query, MethodId("predict", "1"), np.zeros((len(rows), 1)))
    evidence.keep(question_key(query, found.method), found)
    return question_key(query, found.method)


def attacked(evidence: EvidenceStore, model: str, row: np.ndarray, row_id: str, step: float) -> tuple[str, Attacked]:
    """Keeps what an attack made of one row; its key and itself."""
    query = Query(model, row[None], (row_id,), Target(0, "margin"))
    one, figures = np.zeros(1), np.zeros((1, 1))
    moved = (row[None] + step, row[None] - step)
    found = Attacked(
        query, MethodId("pgd", "1"), "linf", 0.1, *moved, one, one, figures, figures, figures, one, one, one, 3
    )
    evidence.keep(question_key(query, found.method), found)
    return question_key(query, found.method), found


def test_an_answer_about_any_row_that_is_not_in_the_subject_is_not_frozen(vault, evidence, saved) -> None:
    subject = load_subject(saved())
    data, model = subject.dataset, subject.model().spec.digest
    ids, edited = data.row_ids, data.rows[:2].copy()
    edited[1, 3] += 1e-12
    within = subject.reference(5, 3)
    ours = {
        said(evidence, model, data.rows[[2, 0]], (ids[2], ids[0])),
        said(evidence, model, data.rows[[1]], (ids[1],), within),
    }
    said(evidence, model, data.rows[:2], ("own a", "own b"))  # a reader's own rows
    said(evidence, model, data.rows[[0]], (ids[1],))  # another row's values
    said(evidence, model, edited, ids[:2])  # one edited value of one row
    said(evidence, model, data.rows[[0]], (ids[0],), Reference(data.rows[:2], ("own a", ids[1])))
    said(evidence, model, data.rows[[0]], (ids[0],), Reference(edited, ids[:2]))
    assert len(evidence.questions(model)) == 7
    assert set(freeze(vault, evidence, "mine").answers) == ours
    assert set(belonging(evidence, subject, model)) == ours


def test_what_an_attack_made_belongs_where_the_attack_does(vault, evidence, saved) -> None:
    subject = load_subject(saved())
    data, model = subject.dataset, subject.model().spec.digest
    key, made = attacked(evidence, model, data.rows[0], data.row_ids[0], 0.25)
    foreign, theirs = attacked(evidence, model, data.rows[0] + 7.0, data.row_ids[0], 0.25)
    again, _ = attacked(evidence, model, made.perturbed[0], data.row_ids[0], 0.5)
    ours = {key, again, *(said(evidence, model, rows, made.query.row_ids) for rows in (made.perturbed, made.noise))}
    said(evidence, model, made.perturbed, (data.row_ids[1],))
    said(evidence, model, theirs.perturbed, theirs.query.row_ids)
    said(evidence, model, made.perturbed - 0.75, made.query.row_ids)  # of an attack on what an attack made: no further
    assert set(freeze(vault, evidence, "mine").answers) == ours
    vault.remove("question", *[name for name in vault.names("question") if name.endswith(key)])
    assert set(belonging(evidence, subject, model)) == set()
    assert foreign not in ours


def test_a_text_is_compared_with_itself_hidden_and_with_no_other(vault, evidence, saved) -> None:
    subject = load_subject(saved())
    words = Vocabulary(((1, " a"), (2, " b"), (3, "[MASK]")), mask=3, pad=0, special=(0,))
    data = Dataset(np.array([[1.0, 2, 0], [2.0, 2, 1]]), ("x", "y"), np.array([0, 1]), np.array([True, True]))
    spec = replace(subject.model().spec, vocabulary=words, modality="text", digest="7" * 64)
    texts = replace(subject, dataset=data, models=(replace(subject.model(), spec=spec),))
    ours = said(evidence, spec.digest, data.rows[[0]], ("x",), texts.masked(0, words))
    said(evidence, spec.digest, data.rows[[0]], ("x",), replace(texts.masked(1, words), row_ids=("x hidden",)))
    said(evidence, spec.digest, data.rows[[0]], ("x",), Reference(np.array([[1.0, 3, 0]]), ("x hidden",)))
    assert set(belonging(evidence, texts, spec.digest)) == {ours}


def test_a_result_is_read_once_for_a_data_set(vault, evidence, saved, monkeypatch) -> None:
    key = answered(evidence, saved(), 0.5)
    subject = load_subject("mine")
    model = subject.model().spec.digest
    assert set(belonging(evidence, subject, model)) == {key}
    monkeypatch.setattr(evidence, "answer", lambda _key: pytest.fail("it is read again"))
    assert set(belonging(evidence, subject, model)) == {key}
    vault.remove("result", *vault.names("result"))
    monkeypatch.setattr(evidence, "answer", lambda _key: None)
    assert belonging(evidence, subject, model) == {}


def test_a_damaged_answer_is_left_out_of_lists_and_stops_a_freeze(vault, evidence, saved) -> None:
    key = answered(evidence, saved(), 0.5)
    other = answered(evidence, "mine", 0.25, 1)
    vault.put("result", evidence.named(other), b"x")
    subject = load_subject("mine")
    assert set(belonging(evidence, subject, subject.model().spec.digest)) == {key}
    with pytest.raises(Damaged, match="keys check"):
        freeze(vault, evidence, "mine")


# --- damage ----------------------------------------------------------------------------------------------------------


def damaged(vault: Vault, kind: str, name: str) -> None:
    """Cuts the file of an object short."""
    blob = vault._row(kind, name).blob
    with vault._blobs.open(blob) as file:
        body = file.read(1 << 30)
    vault._blobs.remove(blob)
    vault._blobs.write(blob, [body[:-1]])


def test_one_damaged_version_or_grant_hides_no_other(vault, evidence, saved) -> None:
    broken = freeze(vault, evidence, saved())
    key = answered(evidence, "mine", 0.5)
    sound = freeze(vault, evidence, "mine", NOON + timedelta(hours=1))
    lost = sharing.grant(vault, broken.id, ADA.email, TODAY, [], 0, ANALYST, NOON)
    kept = sharing.grant(vault, sound.id, ADA.email, TODAY, [], 0, ANALYST, NOON)
    other = sharing.grant(vault, sound.id, ADA.email, TODAY, [], 0, ANALYST, NOON)
    assert sharing.unreadable(vault) == 0
    damaged(vault, "snapshot", broken.id)
    damaged(vault, "grant", other.id)
    sharing._snapshot.cache_clear()
    assert sharing.snapshots(vault) == [sound]
    assert sharing.granted_to(vault, ADA, NOON) == [kept]
    assert {each.id for each in sharing.grants(vault)} == {lost.id, kept.id}
    assert sharing.unreadable(vault) == 2
    vault.remove("result", *vault.names("result"))
    assert sharing.recall(vault, evidence, load_subject("mine").model().spec.digest, key)
    with pytest.raises(Damaged):
        sharing.snapshot(vault, broken.id)
    vault.put("snapshot", broken.id, b"{}")
    assert sharing.snapshots(vault) == [sound]


def test_a_version_or_grant_whose_name_is_damaged_hides_no_other_and_loses_no_copy(vault, evidence, saved) -> None:
    lost = freeze(vault, evidence, saved())
    answered(evidence, "mine", 0.5)
    sound = freeze(vault, evidence, "mine", NOON + timedelta(hours=1))
    other, kept = (sharing.grant(vault, sound.id, ADA.email, TODAY, [], 0, ANALYST, NOON) for _ in range(2))
    copies = vault.names("frozen")
    with vault._database.writing() as connection:
        spoilt = [vault._slot("snapshot", lost.id), vault._slot("grant", other.id)]
        connection.execute(update(VAULT_OBJECTS).where(VAULT_OBJECTS.c.slot.in_(spoilt)).values(label=b"no name"))
    assert sharing.snapshots(vault) == [sound]
    assert sharing.granted_to(vault, ADA, NOON) == sharing.grants(vault) == [kept]
    assert sharing.unreadable(vault) == 2
    assert sharing.drop_remnants(vault, time.time() + 1e9) == 0
    assert vault.names("frozen") == copies


def test_a_version_that_is_removed_while_it_is_listed_is_left_out(vault, evidence, saved, monkeypatch) -> None:
    found = freeze(vault, evidence, saved())
    names = vault.names
    monkeypatch.setattr(vault, "names", lambda kind, team=None: [*names(kind, team), "0" * 64])
    assert sharing.snapshots(vault) == [found]
    assert sharing.grants(vault) == []
    assert sharing.unreadable(vault) == 0


# --- grants ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def frozen(vault, evidence, saved) -> sharing.Snapshot:
    return freeze(vault, evidence, saved())


@pytest.fixture
def give(vault, frozen) -> Callable[..., sharing.Grant]:
    def grant(to: str = "ada@example.org", until: date = TODAY, **rest) -> sharing.Grant:
        values = {"masks": [], "budget": sharing.BUDGET, "now": NOON} | rest
        return sharing.grant(vault, frozen.id, to, until, values["masks"], values["budget"], ANALYST, values["now"])

    return grant


def test_a_grant_comes_back_as_it_was_given(vault, frozen, give) -> None:
    made = give(masks=["b", "a", "b"], budget=7)
    assert (made.to, made.masks, made.budget, made.short) == ("ada@example.org", ("a", "b"), 7, frozen.short)
    assert sharing.grants(vault) == sharing.grants(vault, frozen.id) == sharing.granted_to(vault, ADA, NOON) == [made]
    assert sharing.grants(vault, "0" * 64) == []


def test_it_opens_to_the_end_of_the_day_in_utc_and_not_a_moment_longer(vault, give) -> None:
    made = give(until=TODAY + timedelta(days=2))
    midnight = datetime(2026, 3, 4, tzinfo=UTC)
    assert (made.until, made.last_day) == (midnight, "3 March 2026")
    assert sharing.granted_to(vault, ADA, midnight - timedelta(microseconds=1)) == [made]
    assert sharing.granted_to(vault, ADA, midnight) == []
    assert (made.state(NOON), made.state(midnight)) == ("live", "expired")


def test_taken_back_it_opens_nothing_and_stays_in_the_list(vault, give) -> None:
    made, other = give(), give()
    taken = sharing.revoke(vault, made.id, NOON)
    assert sharing.granted_to(vault, ADA, NOON) == [other]
    assert (taken.revoked, taken.state(NOON)) == (NOON, "taken back")
    assert sharing.revoke(vault, made.id, NOON + timedelta(1)) == taken, "it was taken back when it first was"
    assert {each.id for each in sharing.grants(vault)} == {made.id, other.id}
    with pytest.raises(UserFacingError, match="no such grant"):
        sharing.revoke(vault, "0" * 32, NOON)


OTHERS = (
    replace(ADA, email="ada@example.com"),
    replace(ADA, email="ada@example.org.uk"),
    replace(ADA, email="xada@example.org"),
    replace(ADA, email=""),  # the provider does not vouch for it
    replace(ADA, email=" ada@example.org"),
    replace(ADA, email="ad\u0430@example.org"),  # a Cyrillic letter
    LOCAL,
)


@pytest.mark.parametrize("person", OTHERS, ids=lambda person: repr(person.email))
def test_an_address_that_is_nearly_the_same_opens_nothing(vault, give, person: Person) -> None:
    give()
    assert sharing.granted_to(vault, person, NOON) == []


def test_letters_that_become_ascii_in_small_are_not_the_same_person(vault, give) -> None:
    give("kim@example.org")
    kelvin = replace(ADA, email="\u212aim@example.org")
    assert kelvin.email.lower() == "kim@example.org", "why lower() alone is no comparison"
    assert sharing.granted_to(vault, kelvin, NOON) == []
    assert sharing.granted_to(vault, replace(ADA, email="KIM@example.org"), NOON)


def test_a_subject_at_an_issuer_is_compared_whole_and_exactly(vault, give) -> None:
    made = give("https://id.example.org|auth0|17")
    nobody = replace(ADA, email="")
    assert sharing.granted_to(vault, nobody, NOON) == [made]
    for other in (
        replace(nobody, subject="auth0|1"),
        replace(nobody, subject="AUTH0|17"),
        replace(nobody, issuer="https://id.example.com"),
        replace(nobody, issuer="https://id.example.org|auth0", subject="17"),
        replace(nobody, subject=""),
    ):
        assert sharing.granted_to(vault, other, NOON) == []


@pytest.mark.parametrize(
    "text",
    ["", "ada", "ada@example", "ada@example.org, eve@example.org", "ada @example.org", "|17", "id.example.org|17",
     "ad\u0430@example.org", "@example.org", "https://id.example.org|"],
)  # fmt: skip
def test_who_cannot_be_told_from_others_gets_no_grant(vault, give, text: str) -> None:
    with pytest.raises(UserFacingError, match=r"Nobody (can be told|is named)"):
        give(text)
    assert vault.names("grant") == []


def test_an_address_in_a_subject_is_no_address_and_a_star_stands_for_nobody_else(vault, give) -> None:
    give("*@example.org")
    assert sharing.granted_to(vault, ADA, NOON) == []
    assert give("https://id.example.org|Ada@Example.org").to == "https://id.example.org|Ada@Example.org"
    assert give("  Ada@Example.org ").to == "ada@example.org"


def test_a_day_that_is_past_and_a_budget_out_of_bounds_are_refused(give) -> None:
    with pytest.raises(UserFacingError, match="2026-02-28 is past"):
        give(until=TODAY - timedelta(days=1))
    for budget in (-1, sharing.MOST_ROWS + 1):
        with pytest.raises(UserFacingError, match="cannot be granted"):
            give(budget=budget)


def test_a_grant_needs_a_version_that_there_is(vault) -> None:
    with pytest.raises(UserFacingError, match="no frozen version"):
        sharing.grant(vault, "0" * 64, ADA.email, TODAY, [], 0, ANALYST, NOON)


def test_neither_the_address_nor_the_masks_are_on_disk_in_a_readable_form(give, tmp_path) -> None:
    give("a.very.particular.person@example.org", masks=["a_column_of_theirs"])
    for path in tmp_path.rglob("*"):
        if path.is_file():
            body = path.read_bytes()
            assert b"particular.person" not in body and b"a_column_of_theirs" not in body, path.name
