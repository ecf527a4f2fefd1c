"""Frozen versions and grants: what is frozen never changes, and a grant opens one version to one person for a time."""

import hashlib
import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from access import sharing
from access.people import LOCAL, Person
from core.errors import UserFacingError
from core.nouns import MethodId, Query, Target
from core.results import Prediction
from engine.subjects import files_of, load_subject
from storage.evidence import EvidenceStore, question_key
from storage.stores import stores
from storage.vault import Vault

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TODAY = NOON.date()
ANALYST = replace(LOCAL, id="a" * 16, name="Grace")
ADA = Person(
    "b" * 16, "Ada", ("auditor",), email="Ada@Example.org", issuer="https://id.example.org", subject="auth0|17"
)


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch, tmp_path) -> Vault:
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "home"))
    return stores().vault


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
                raise OSError("the process is killed here")
            put(items, **rest)

        monkeypatch.setattr(vault, "put_all", stops)
        try:
            found = freeze(vault, evidence, "mine")
        except OSError:
            assert sharing.snapshots(vault) == []
            assert vault.names("snapshot") == []
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


def test_a_discarded_version_is_gone_and_one_on_hold_is_not_discarded(vault, evidence, saved) -> None:
    answered(evidence, saved(), 0.5)
    found = freeze(vault, evidence, "mine")
    made = sharing.grant(vault, found.id, ADA.email, TODAY, [], 0, ANALYST, NOON)
    vault.hold("frozen", f"{found.id}/subject.toml", True)
    with pytest.raises(UserFacingError, match="hold"):
        sharing.discard(vault, found.id)
    assert sharing.damage(vault, found) == []
    vault.hold("frozen", f"{found.id}/subject.toml", False)
    sharing.discard(vault, found.id)
    assert vault.names("frozen") == vault.names("snapshot") == []
    assert sharing.granted_to(vault, ADA, NOON) == []
    assert sharing.grants(vault) == [made], "that it was granted is still known"


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
