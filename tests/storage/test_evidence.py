"""The evidence store: an answer is there whole or not at all, and damage is told, never passed on."""

from pathlib import Path

import numpy as np
import pytest

from core import codec
from core.errors import UserFacingError
from core.nouns import MethodId, Query, Target
from core.results import Prediction
from storage.evidence import EvidenceStore, move_old, question_key
from storage.files import write_whole
from storage.stores import Stores, close_stores
from storage.stores import stores as open_stores
from storage.vault import Damaged, Missing

METHOD = MethodId("predict", "1")
MODEL = "0" * 64


def prediction(value: float = 1.0, model: str = MODEL) -> Prediction:
    query = Query(model, np.array([[value, np.nan]]), ("a",), Target(0, "margin"))
    return Prediction(query, METHOD, np.array([[value]]))


def key_of(result: Prediction) -> str:
    return question_key(result.query, result.method)


def kept(store: EvidenceStore, result: Prediction) -> str:
    """Keeps a result; its question's key."""
    store.keep(key_of(result), result)
    return key_of(result)


@pytest.fixture
def store(stores: Stores) -> EvidenceStore:
    return EvidenceStore(stores.vault)


def test_what_is_kept_is_found_by_question_and_by_digest(store: EvidenceStore, stores: Stores) -> None:
    result = prediction()
    assert store.answer(key_of(result)) is None
    key = kept(store, result)
    assert store.answer(key).digest == result.digest
    found = store.result(result.digest)
    np.testing.assert_array_equal(found.query.rows, result.query.rows)
    assert stores.vault.get("result", result.digest) == codec.dump(result)
    close_stores()
    assert EvidenceStore(open_stores().vault).answer(key).digest == result.digest


def test_keeping_twice_keeps_one(store: EvidenceStore, stores: Stores) -> None:
    for _ in range(2):
        kept(store, prediction())
    assert len(stores.vault.names("result")) == len(stores.vault.names("question")) == 1


def test_a_small_answer_is_unpacked_once_and_forgotten_with_its_question(store: EvidenceStore, stores: Stores) -> None:
    key = kept(store, prediction())
    found = store.answer(key)
    assert store.answer(key) is found
    assert store.has(key)
    stores.vault.remove("question", *stores.vault.names("question"))
    assert not store.has(key)
    assert store.answer(key) is None


def test_questions_are_told_by_model(store: EvidenceStore) -> None:
    ours = {kept(store, prediction(value)) for value in (1.0, 2.0)}
    other = kept(store, prediction(1.0, "1" * 64))
    assert set(store.questions(MODEL)) == ours
    assert store.questions("1" * 64) == [other]
    assert store.questions("2" * 64) == []


def test_a_result_that_was_removed_is_computed_again(store: EvidenceStore, stores: Stores) -> None:
    result = prediction()
    key = kept(store, result)
    stores.vault.remove("result", result.digest)
    assert store.answer(key) is None
    with pytest.raises(Missing):
        store.result(result.digest)
    kept(store, result)
    assert store.answer(key).digest == result.digest


def test_answers_in_another_format_are_computed_again(store: EvidenceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    key = kept(store, prediction())
    monkeypatch.setattr(codec, "FORMAT", "another")
    assert store.answer(key) is None
    assert store.questions(MODEL) == []


def test_damage_is_told_and_removing_it_helps(store: EvidenceStore, stores: Stores) -> None:
    result = prediction()
    key = kept(store, result)
    blob = stores.vault._row("result", result.digest).blob
    stores.vault._blobs.remove(blob)
    stores.vault._blobs.write(blob, [b"not what was written"])
    for ask in (lambda: store.answer(key), lambda: store.result(result.digest)):
        with pytest.raises(Damaged, match=f"The result {result.digest} cannot be read. Its file is cut short"):
            ask()
    stores.vault.check(remove=True)
    assert store.answer(key) is None


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a zip"])
def test_a_result_that_is_none_is_told(store: EvidenceStore, stores: Stores, content: bytes) -> None:
    result = prediction()
    key = kept(store, result)
    stores.vault.put("result", result.digest, content)
    with pytest.raises(UserFacingError, match="A stored answer cannot be read. .* cannot be decoded"):
        store.answer(key)


def test_another_results_bytes_under_a_digest_are_told(store: EvidenceStore, stores: Stores) -> None:
    result, other = prediction(1.0), prediction(2.0)
    key = kept(store, result)
    stores.vault.put("result", result.digest, codec.dump(other))
    for ask in (lambda: store.answer(key), lambda: store.result(result.digest)):
        with pytest.raises(UserFacingError, match="not what its name says"):
            ask()


def test_a_question_that_names_another_questions_answer_is_told(store: EvidenceStore, stores: Stores) -> None:
    result, other = prediction(1.0), prediction(2.0)
    key = kept(store, result)
    kept(store, other)
    stores.vault.put("question", f"{codec.FORMAT}/{key}", other.digest.encode())
    with pytest.raises(UserFacingError, match="leads to another result"):
        store.answer(key)


def test_what_is_under_legal_hold_stays_and_the_rest_is_kept(store: EvidenceStore, stores: Stores) -> None:
    result = prediction()
    key = kept(store, result)
    stores.vault.hold("result", result.digest, True)
    before = stores.vault.about("result", result.digest)
    stores.vault.remove("question", f"{codec.FORMAT}/{key}")
    kept(store, result)
    assert stores.vault.about("result", result.digest) == before
    assert store.answer(key).digest == result.digest


# --- what version 0.2 left -------------------------------------------------------------------------------------------


def old_answer(folder: Path, result: Prediction) -> Path:
    """An answer as version 0.2 kept it; the file of its result."""
    shelves = folder / codec.FORMAT
    places = {
        shelves / "questions" / key_of(result)[:2] / key_of(result): result.digest.encode(),
        shelves / "results" / result.digest[:2] / result.digest: codec.dump(result),
    }
    for place, body in places.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place, body)
    return place


def test_old_answers_are_moved_and_nothing_stays_in_the_clear(store: EvidenceStore, tmp_path: Path) -> None:
    folder = tmp_path / "evidence"
    results = [prediction(value) for value in (1.0, 2.0, 3.0)]
    places = [old_answer(folder, result) for result in results]
    places[2].write_bytes(b"damaged")
    assert move_old(folder, store) == 2
    assert not folder.exists()
    assert [store.answer(key_of(result)) is not None for result in results] == [True, True, False]


def test_opening_moves_them(tmp_path: Path, stores: Stores) -> None:
    close_stores()
    result = prediction()
    old_answer(tmp_path / "home" / "evidence", result)
    assert EvidenceStore(open_stores().vault).answer(key_of(result)).digest == result.digest
    assert not (tmp_path / "home" / "evidence").exists()
