"""Subjects in the vault: as good as a folder for whoever reads them, and nowhere on disk in the clear."""

import os
import shutil
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy
from sqlalchemy import event

from core.errors import UserFacingError
from core.facts import DataFacts, Extracted, ModelFacts, Wanted
from core.nouns import Feature
from engine import intake, shelf
from engine.intake import Brought
from engine.places import SAMPLES, Folder, Memory, VaultPlace, opened, origin, place
from engine.proposal import Proposal, Reading
from engine.subject_files import About, Agreed, NameTaken, keep_subject, subject_files
from engine.subjects import (
    files_of,
    load_subject,
    read_model,
    read_subject,
    subject_names,
    subject_title,
    subject_version,
)
from storage.stores import Stores
from storage.vault import Item

MARK = "Zwetschgendatschi"
NUMBER = 86753.0912345
SAMPLE_NAMES = ("tumours", "digits", "loans")
MINE = "mine"


def marked() -> tuple[Brought, Agreed, About]:
    """Two files as if brought and agreed on; whatever a person calls by name or knows has the mark."""
    features = (
        Feature(f"{MARK}_size", lower=0.0, upper=1e6),
        Feature("kind", "category", categories=(f"{MARK} red", "blue")),
    )
    classes = (f"{MARK}-no", "yes")
    wanted = Wanted(features=features, label=f"{MARK}_answer", classes=classes)
    reading = Reading("margin", {})
    proposal = Proposal("table", (2,), features, classes, (reading,), ("trees",), wanted)
    rows = np.array([[NUMBER, 0.0], [2.0, 1.0], [3.0, 0.0]])
    ids = (f"{MARK}-1", f"{MARK}-2", "three")
    extracted = Extracted(rows, ids, np.array([0, 1, -1]), np.ones(3, bool))
    model = ModelFacts("xgboost", "Trees", "table", (2,), 1, ("margin",), "told")
    weights = f"weights {MARK}".encode() + struct.pack("<d", NUMBER)
    brought = Brought(model, weights, DataFacts("csv", "CSV", 3, (), "digest"), b"never kept")
    about = About(MINE, f"{MARK} of ours", summary=MARK, limits=MARK, card=f"# {MARK}")
    return brought, Agreed(proposal, reading, extracted), about


def tumours_files() -> dict[str, bytes]:
    """A sample's files, to be saved as somebody's own."""
    return files_of("tumours")


def in_the_clear(folder: Path) -> list[str]:
    """The files below a folder that hold the mark or the number, or are called so."""
    needles = (MARK.encode(), struct.pack("<d", NUMBER))
    return [
        str(path)
        for path in folder.rglob("*")
        if MARK in path.name or (path.is_file() and any(needle in path.read_bytes() for needle in needles))
    ]


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home with the usual database and folder."""
    for name in ("ASSAY_DATABASE", "ASSAY_STORE", "ASSAY_KEYS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_saved_subject_is_read_as_its_folder_would_be(stores: Stores, tmp_path: Path) -> None:
    brought, agreed, about = marked()
    assert intake.save(brought, agreed, about, owner="a person") == MINE
    folder = intake.save(brought, agreed, about, tmp_path / "plain" / MINE)
    saved, plain = load_subject(MINE), load_subject(folder)
    assert subject_names() == (*SAMPLE_NAMES, MINE)
    assert saved.title == subject_title(MINE) == plain.title == f"{MARK} of ours"
    assert saved.dataset.digest == plain.dataset.digest
    assert saved.model().spec == plain.model().spec
    assert saved.model().card == plain.model().card == f"# {MARK}"
    assert saved.model().path == f"vault:subject/{MINE}/model.bin"
    assert read_model(saved.model()) == opened(saved.model().path) == brought.model_file
    assert files_of(MINE) == files_of(folder) == subject_files(about, brought.model, brought.model_file, agreed)
    shelved = next(each for each in shelf.shelf() if each.name == MINE)
    assert (shelved.own, shelved.owner, shelved.problem) == (True, "a person", "")
    assert shelf.free_name(MINE) == f"{MINE}-2"


def test_nothing_of_it_is_on_disk_in_the_clear(house: Path, tmp_path: Path) -> None:
    brought, agreed, about = marked()
    intake.save(brought, agreed, about)
    intake.draft(brought, agreed, about)
    load_subject(MINE)
    read_model(load_subject(MINE).model())
    shelf.shelf()
    assert in_the_clear(tmp_path) == []
    assert MINE not in {path.name for path in house.rglob("*")}
    shelf.remove(MINE)
    assert in_the_clear(tmp_path) == []
    intake.save(brought, agreed, about, tmp_path / "plain")
    assert len(in_the_clear(tmp_path)) == 4, "the search would have found it"


def test_of_several_who_save_one_name_at_once_one_wins(stores: Stores) -> None:
    brought, agreed, about = marked()
    refused: list[UserFacingError] = []

    def save(number: int) -> None:
        try:
            intake.save(brought, agreed, replace(about, title=f"Person {number}"), owner=str(number))
        except UserFacingError as error:
            refused.append(error)

    threads = [threading.Thread(target=save, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [str(each) for each in refused] == [str(NameTaken(MINE))] * 5
    won = next(each for each in shelf.shelf() if each.name == MINE)
    assert load_subject(MINE).title == won.title == f"Person {won.owner}"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("tumours", "a sample called tumours already"),
        ("frozen-0123456789ab", "Frozen copies go by such names"),
        ("a/b", "cannot be called"),
    ],
)
def test_names_that_mean_something_else_are_refused(house: Path, name: str, sentence: str) -> None:
    brought, agreed, about = marked()
    with pytest.raises(UserFacingError, match=sentence):
        intake.save(brought, agreed, replace(about, name=name))
    assert not house.exists()


def test_what_cannot_be_read_again_is_not_saved(stores: Stores) -> None:
    brought, agreed, about = marked()
    with pytest.raises(UserFacingError, match="cutoff does not apply"):
        intake.save(brought, agreed, replace(about, cutoff=7.0))
    assert subject_names() == SAMPLE_NAMES
    assert stores.vault.names("subject") == []


@contextmanager
def statements() -> Iterator[list[str]]:
    """What is asked of any database meanwhile."""
    said: list[str] = []

    def heard(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if not statement.startswith("BEGIN"):
            said.append(statement)

    event.listen(sqlalchemy.Engine, "before_cursor_execute", heard)
    try:
        yield said
    finally:
        event.remove(sqlalchemy.Engine, "before_cursor_execute", heard)


def test_the_names_are_one_query(stores: Stores) -> None:
    for number in range(5):
        keep_subject(f"mine-{number}", {"subject.toml": b"", "model.bin": b"x"})
    with statements() as said:
        assert len(subject_names()) == 8
    assert len(said) == 1


def test_a_model_is_read_without_its_data(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_subject(MINE, tumours_files())
    model = load_subject(MINE).model()
    asked: list[str] = []
    find = stores.vault.find

    def spied(kind: str, name: str) -> bytes | None:
        asked.append(name)
        return find(kind, name)

    monkeypatch.setattr(type(stores.vault), "find", lambda _vault, kind, name: spied(kind, name))
    read_model(model)
    assert asked == [f"{MINE}/{Path(load_subject('tumours').model().path).name}"]


def test_a_removed_subject_is_gone_and_its_name_is_free(stores: Stores) -> None:
    keep_subject(MINE, tumours_files(), "a person")
    before, model = subject_version(MINE), load_subject(MINE).model()
    assert before > 0
    shelf.remove(MINE)
    assert stores.vault.names("subject") == [] and subject_version(MINE) == 0
    for gone in (lambda: load_subject(MINE), lambda: shelf.remove(MINE), lambda: shelf.remove("tumours")):
        with pytest.raises(UserFacingError, match="There is no subject"):
            gone()
    with pytest.raises(UserFacingError, match="is missing or may not be read. Somebody may have removed"):
        read_model(model)
    there = origin(model)
    keep_subject(MINE, files_of("loans"))
    assert subject_version(MINE) not in (0, before)
    assert origin(model) != there, "a worker that held the one never gets the other"
    assert load_subject(MINE).dataset.digest == load_subject("loans").dataset.digest


def test_a_held_subject_is_not_removed(stores: Stores) -> None:
    keep_subject(MINE, tumours_files())
    stores.vault.hold("subject", f"{MINE}/data.parquet", True)
    with pytest.raises(UserFacingError):
        shelf.remove(MINE)
    assert load_subject(MINE).dataset.digest == load_subject("tumours").dataset.digest
    stores.vault.hold("subject", f"{MINE}/data.parquet", False)
    shelf.remove(MINE)
    assert subject_names() == SAMPLE_NAMES


def test_a_file_that_is_gone_is_named(stores: Stores) -> None:
    keep_subject(MINE, tumours_files())
    stores.vault.remove("subject", f"{MINE}/data.parquet")
    with pytest.raises(UserFacingError, match=r"data\.parquet is missing or may not be read"):
        load_subject(MINE)
    stores.vault.remove("subject", f"{MINE}/subject.toml")
    with pytest.raises(UserFacingError, match="There is no subject 'mine'"):
        load_subject(MINE)


def test_a_saved_subject_that_cannot_be_read_says_so_in_the_list(stores: Stores) -> None:
    keep_subject(MINE, {"subject.toml": b"[subject"})
    shelved = shelf.shelf()[-1]
    assert (shelved.name, shelved.own) == (MINE, True)
    assert "subject.toml is not valid TOML" in shelved.problem


# --- frozen copies ----------------------------------------------------------------------------------------------------


def freeze(stores: Stores, digest: str, files: dict[str, bytes]) -> None:
    stores.vault.put_all([Item("frozen", f"{digest}/{name}", body, team=digest) for name, body in files.items()])
    stores.vault.put("snapshot", digest, b"")


def test_a_frozen_copy_is_read_by_the_start_of_its_id(stores: Stores) -> None:
    digest = "ab" * 32
    assert place("frozen-abababababab") is None
    freeze(stores, digest, tumours_files())
    found, sample = load_subject("frozen-abababababab"), load_subject("tumours")
    assert place("frozen-abababababab") == VaultPlace("frozen", digest)
    assert found.dataset.digest == sample.dataset.digest
    assert found.model().path.startswith(f"vault:frozen/{digest}/")
    assert read_model(found.model()) == read_model(sample.model())
    assert subject_names() == SAMPLE_NAMES, "it is no subject of its own"
    with pytest.raises(UserFacingError, match="no subject 'frozen-cdcdcdcdcdcd'"):
        load_subject("frozen-cdcdcdcdcdcd")


def test_an_id_that_is_not_clear_or_half_frozen_names_nothing(stores: Stores) -> None:
    first, second = "12" * 32, "12" * 6 + "34" * 26
    for digest in (first, second):
        freeze(stores, digest, {"subject.toml": b""})
    assert place("frozen-121212121212") is None
    stores.vault.remove("snapshot", first)
    assert place("frozen-121212121212") == VaultPlace("frozen", second)
    stores.vault.remove("snapshot", second)
    assert place("frozen-121212121212") is None


# --- other places -----------------------------------------------------------------------------------------------------


def test_a_sample_is_a_folder_and_asks_nothing_of_the_vault(house: Path) -> None:
    assert place("tumours") == Folder(SAMPLES / "tumours")
    assert place(str(SAMPLES / "loans")) == Folder((SAMPLES / "loans").resolve())
    assert place(str(house / "nothing")) is place("a\0b") is None
    load_subject("tumours")
    assert not house.exists()


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_the_files_of_a_sample_are_all_that_it_needs(name: str) -> None:
    files, sample = files_of(name), load_subject(name)
    assert {"subject.toml", "data.parquet", "README.md"} < set(files)
    assert not {path for path in files if path.endswith(".py")}
    found = read_subject(Memory(name, files))
    assert found.dataset.digest == sample.dataset.digest
    assert [each.spec.digest for each in found.models] == [each.spec.digest for each in sample.models]


def test_the_samples_are_from_one_place_and_others_each_from_their_own(stores: Stores, tmp_path: Path) -> None:
    shutil.copytree(SAMPLES / "tumours", tmp_path / "copy")
    keep_subject(MINE, tumours_files())
    keep_subject("other", tumours_files())
    samples = {origin(model) for name in SAMPLE_NAMES for model in load_subject(name).models}
    own = [load_subject(name).models for name in (str(tmp_path / "copy"), MINE, "other")]
    assert samples == {str(SAMPLES)}
    assert [len({origin(model) for model in models}) for models in own] == [1, 1, 1]
    assert len({origin(models[0]) for models in own} | samples) == 4


# --- what version 0.2 kept --------------------------------------------------------------------------------------------


@pytest.fixture
def old(house: Path) -> Path:
    """The folder in which version 0.2 kept two subjects, and what it leaves behind when it is ended."""
    kept = house / "subjects"
    brought, agreed, about = marked()
    for name in ("mine", "other"):
        intake.save(brought, agreed, replace(about, name=name, title=f"{MARK} {name}"), kept / name)
    for left in (kept / ".new-1", kept / ".gone-2", house / "drafts" / "tmp3"):
        shutil.copytree(kept / "mine", left)
    return kept


def moved(house: Path, names: tuple[str, ...] = ("mine", "other")) -> None:
    assert subject_names() == (*SAMPLE_NAMES, *names)
    assert [subject_title(name) for name in ("mine", "other")] == [f"{MARK} mine", f"{MARK} other"]
    assert in_the_clear(house) == []
    assert not (house / "subjects").exists() and not (house / "drafts").exists()


def test_subjects_of_version_0_2_are_moved_into_the_vault(old: Path, house: Path) -> None:
    before = {name: files_of(str(old / name)) for name in ("mine", "other")}
    assert len(in_the_clear(house)) > 8
    assert shelf.adopt() == ["mine", "other"]
    moved(house)
    assert {name: files_of(name) for name in before} == before
    assert shelf.adopt() == []


def test_what_is_no_subject_stays(old: Path, house: Path) -> None:
    (old / "unfinished").mkdir()
    (old / "notes").mkdir()
    (old / "notes" / "a.txt").write_text("mine")
    assert shelf.adopt() == ["mine", "other"]
    assert (old / "notes" / "a.txt").read_text() == "mine"


class Ended(BaseException):
    """The process is killed here."""


@pytest.mark.parametrize("where", ["engine.shelf._holds", "pathlib.Path.replace", "shutil.rmtree"])
@pytest.mark.parametrize("times", [0, 1])
def test_it_may_be_ended_anywhere(old: Path, house: Path, where: str, times: int) -> None:
    """At the `times`-th arrival there; then it is called again."""
    arrived: list[object] = []
    module, _, name = where.rpartition(".")
    real = __import__("importlib").import_module(module.removesuffix(".Path"))
    owner = real.Path if module.endswith(".Path") else real
    function = getattr(owner, name)

    def ended(*args: object, **kwargs: object) -> object:
        arrived.append(args)
        if len(arrived) > times:
            raise Ended
        return function(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, ended)
        with pytest.raises(Ended):
            shelf.adopt()
    shelf.adopt()
    moved(house)


def test_a_name_that_is_taken_by_another_gets_a_number(old: Path, house: Path) -> None:
    keep_subject("mine", tumours_files())
    shutil.copytree(old / "other", old / "tumours")
    shutil.copytree(old / "other", old / "My_Own")
    assert sorted(shelf.adopt()) == ["mine-2", "my-own", "other", "tumours-2"]
    assert load_subject("mine").dataset.digest == load_subject("tumours").dataset.digest
    assert subject_title("mine-2") == f"{MARK} mine"
    assert in_the_clear(house) == []


def test_a_folder_that_cannot_be_read_is_named_and_stays(old: Path, house: Path) -> None:
    secret = old / "mine" / "model.bin"
    real = Path.read_bytes

    def forbidden(path: Path) -> bytes:
        if path == secret:
            raise PermissionError(13, "Permission denied")
        return real(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "read_bytes", forbidden)
        with pytest.raises(UserFacingError, match="mine could not be moved into the vault"):
            shelf.adopt()
    assert secret.exists() and subject_names() == (*SAMPLE_NAMES, "other")
    assert shelf.adopt() == ["mine"]


def test_a_file_whose_name_is_no_text_is_told(old: Path, house: Path) -> None:
    Path(os.fsdecode(bytes(old / "mine") + b"/\xff")).touch()
    with pytest.raises(UserFacingError, match="its name is not UTF-8"):
        shelf.adopt()
    assert subject_names() == (*SAMPLE_NAMES, "other") and (old / "mine" / "model.bin").exists()


def test_two_processes_may_start_at_once(old: Path, house: Path) -> None:
    for number in range(6):
        shutil.copytree(old / "other", old / f"one-{number}")
    starts = [
        subprocess.Popen([sys.executable, "-c", "from engine.shelf import adopt; adopt()"], cwd=SAMPLES.parent)
        for _ in range(2)
    ]
    assert [start.wait(60) for start in starts] == [0, 0]
    moved(house, ("mine", *(f"one-{number}" for number in range(6)), "other"))
