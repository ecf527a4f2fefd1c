"""A subject's folder: what is written is what is read, whole or not at all."""

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.errors import UserFacingError
from core.facts import Extracted, ModelFacts, Wanted
from core.nouns import Subject
from engine.proposal import Proposal, Reading
from engine.subject_files import About, Agreed, Tokens, check_name, subject_files, write_subject
from engine.subjects import load_subject, read_model

ABOUT = About("mine", "Mine", row_noun="case", limits="Only a test.")


def taken_apart(subject: Subject) -> tuple[ModelFacts, bytes, Agreed]:
    """A sample as if somebody had just brought it."""
    model, data = subject.model(), subject.dataset
    spec = model.spec
    facts = ModelFacts(model.format, model.title, spec.modality, spec.shape, spec.columns, (spec.output,), "told")
    features = spec.features if spec.modality == "table" else ()
    wanted = Wanted(features=tuple(features), label="answer", classes=spec.classes, held_out="held_out")
    reading = Reading(spec.output, model.settings)
    proposal = Proposal(spec.modality, spec.shape, tuple(features), spec.classes, (reading,), spec.capabilities, wanted)
    extracted = Extracted(data.rows, data.row_ids, data.labels, data.held_out)
    return facts, read_model(model), Agreed(proposal, reading, extracted, pixels=(0.0, 16.0))


@pytest.mark.parametrize("name", ["tumours", "loans", "digits"])
def test_what_is_written_is_what_is_read(name: str, tmp_path: Path) -> None:
    sample = load_subject(name)
    facts, file, agreed = taken_apart(sample)
    write_subject(tmp_path / "mine", subject_files(ABOUT, facts, file, agreed))
    found = load_subject(str(tmp_path / "mine"))
    assert (found.name, found.title, found.row_noun, found.limits) == ("mine", "Mine", "case", "Only a test.")
    np.testing.assert_array_equal(found.dataset.rows, sample.dataset.rows)
    np.testing.assert_array_equal(found.dataset.labels, sample.dataset.labels)
    np.testing.assert_array_equal(found.dataset.held_out, sample.dataset.held_out)
    assert found.dataset.row_ids == sample.dataset.row_ids
    spec, before = found.model().spec, sample.model().spec
    assert (spec.classes, spec.output, spec.capabilities) == (before.classes, before.output, before.capabilities)
    if name != "digits":
        assert spec.features == tuple(replace(each, help=each.help) for each in before.features)
    assert read_model(found.model()) == file


def test_texts_keep_their_tokens(tmp_path: Path) -> None:
    facts = ModelFacts("hugging_face", "BERT", "text", (0,), 2, ("logit",), "told")
    proposal = Proposal("text", (), (), ("bad", "good"), (Reading("logit"),), (), Wanted(text="t", label="answer"))
    tokens = Tokens(
        ((1, 7, 2), (1, 8, 9, 2)), {1: "[CLS]", 2: "[SEP]", 7: "fine", 8: "not", 9: "fine"}, 3, 0, (0, 1, 2, 3)
    )
    rows = np.array([[1.0, 7, 2, 0], [1, 8, 9, 2]])
    extracted = Extracted(rows, ("1", "2"), np.array([1, 0]), np.ones(2, bool), ("fine", "not fine"))
    agreed = Agreed(proposal, Reading("logit"), extracted, tokens=tokens)
    write_subject(tmp_path / "mine", subject_files(ABOUT, facts, b"weights", agreed))
    found = load_subject(str(tmp_path / "mine"))
    np.testing.assert_array_equal(found.dataset.rows, rows)
    assert found.model().spec.modality == "text"


def test_a_regression_keeps_its_numbers(tmp_path: Path) -> None:
    facts, file, agreed = taken_apart(load_subject("tumours"))
    prices = np.linspace(1.5, 9.5, len(agreed.extracted.rows))
    prices[3] = np.nan
    proposal = replace(agreed.proposal, classes=())
    agreed = replace(
        agreed, proposal=proposal, reading=Reading("value"), extracted=replace(agreed.extracted, labels=prices)
    )
    write_subject(tmp_path / "mine", subject_files(replace(ABOUT, outcome="price", unit="EUR"), facts, file, agreed))
    found = load_subject(str(tmp_path / "mine"))
    np.testing.assert_array_equal(found.dataset.labels, prices)
    assert found.model().spec.task == "regression"


def test_what_nobody_knows_of_training_is_not_made_up(tmp_path: Path) -> None:
    facts, file, agreed = taken_apart(load_subject("tumours"))
    wanted = replace(agreed.proposal.wanted, held_out="")
    agreed = replace(agreed, proposal=replace(agreed.proposal, wanted=wanted))
    write_subject(tmp_path / "mine", subject_files(ABOUT, facts, file, agreed))
    found = load_subject(str(tmp_path / "mine")).dataset
    assert not found.split_known
    assert len(found.judged) == len(found)


def test_columns_that_would_clash_get_other_names(tmp_path: Path) -> None:
    facts, file, agreed = taken_apart(load_subject("tumours"))
    names = ("row_id", "held_out", "true_answer")
    features = tuple(
        replace(each, name=names[i] if i < 3 else each.name) for i, each in enumerate(agreed.proposal.features)
    )
    proposal = replace(agreed.proposal, features=features, wanted=replace(agreed.proposal.wanted, label="held_out"))
    write_subject(tmp_path / "mine", subject_files(ABOUT, facts, file, replace(agreed, proposal=proposal)))
    found = load_subject(str(tmp_path / "mine"))
    np.testing.assert_array_equal(found.dataset.rows, agreed.extracted.rows)
    np.testing.assert_array_equal(found.dataset.labels, agreed.extracted.labels)


@pytest.mark.parametrize("name", ["", "Mine", "../up", "a b", "-a", "a" * 49, ".new-1", "ü"])
def test_a_name_is_a_folders_and_an_addresses(name: str) -> None:
    with pytest.raises(UserFacingError, match="cannot be called"):
        check_name(name)


def test_a_subject_is_never_overwritten_and_of_many_at_once_one_wins(tmp_path: Path) -> None:
    facts, file, agreed = taken_apart(load_subject("tumours"))
    refused: list[UserFacingError] = []

    def write(number: int) -> None:
        try:
            write_subject(
                tmp_path / "mine", subject_files(replace(ABOUT, title=f"Person {number}"), facts, file, agreed)
            )
        except UserFacingError as error:
            refused.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 5
    assert all("already" in str(each) for each in refused)
    assert load_subject(str(tmp_path / "mine")).title.startswith("Person ")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = subject_files(ABOUT, *taken_apart(load_subject("tumours")))
    written: list[Path] = []

    def full(path: Path, _body: bytes) -> None:
        written.append(path)
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        path.touch()

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserFacingError, match="No space left on device"):
        write_subject(tmp_path / "mine", files)
    assert len(written) == 2 and not list(tmp_path.iterdir())
