"""Subjects from folders: what is read, and everything that is refused."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from core.errors import UserFacingError
from engine.subject_files import keep_subject
from engine.subjects import files_of, load_subject, read_model, subject_names, subject_title, subject_version
from storage.stores import Stores

TOML = """
[subject]
name = "small"
title = "A small subject"
modality = "table"
row_noun = "row"
classes = ["no", "yes"]
verdicts = ["was refused", "was granted"]
cutoff = 0.6
example = "b"
source = "Made up."
licence = "None."

[data]
file = "data.parquet"
id = "id"
label = "answer"
held_out = "held_out"

[reference]
size = 2
seed = 3

[[feature]]
name = "size"
kind = "real"
lower = 0
upper = 10
missing = true
unit = "m"

[[feature]]
name = "colour"
kind = "category"
categories = ["red", "blue"]
mutable = false

[[feature]]
name = "member"
kind = "boolean"

[[model]]
name = "network"
title = "A network"
format = "torch_network"
file = "model.bin"
output = "margin"
digest = "DIGEST"

[model.settings]
architecture = "dense"
hidden = [4]
"""
COLUMNS = {
    "id": ["a", "b", "c"],
    "size": [1.5, None, 10.0],
    "colour": ["blue", "red", "red"],
    "member": [True, False, True],
    "answer": ["yes", None, "no"],
    "held_out": [False, True, None],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a small, sound subject."""
    folder = tmp_path / "small"
    folder.mkdir()
    (folder / "model.bin").write_bytes(b"weights, never opened here")
    digest = hashlib.sha256(b"weights, never opened here").hexdigest()
    (folder / "subject.toml").write_text(TOML.replace("DIGEST", digest))
    write_data(folder)
    return folder


def write_data(folder: Path, **changes: list) -> None:
    parquet.write_table(pyarrow.table(COLUMNS | changes), folder / "data.parquet")


def edit(folder: Path, old: str, new: str) -> None:
    path = folder / "subject.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_the_folder_is_read_in_the_order_of_its_features(folder: Path) -> None:
    subject = load_subject(str(folder))
    np.testing.assert_array_equal(subject.dataset.rows, [[1.5, 1, 1], [np.nan, 0, 0], [10, 0, 1]])
    assert subject.dataset.row_ids == ("a", "b", "c")
    assert subject.dataset.labels.tolist() == [1, -1, 0]
    assert subject.dataset.held_out.tolist() == [False, True, False] and subject.dataset.split_known
    assert (subject.cutoff, subject.example, subject.reference_size, subject.reference_seed) == (0.6, "b", 2, 3)
    assert subject.source == "Made up. None."
    spec = subject.model("network").spec
    assert [feature.title for feature in spec.features] == ["size", "colour", "member"]
    assert (spec.features[1].upper, spec.features[1].mutable, spec.features[2].upper) == (1.0, False, 1.0)
    assert (spec.shape, spec.output, spec.capabilities) == ((3,), "margin", ("gradients",))
    assert subject.verdict(1, spec) == "was granted"


def test_optional_tables_may_be_left_out(folder: Path) -> None:
    edit(folder, 'label = "answer"\nheld_out = "held_out"\n\n[reference]\nsize = 2\nseed = 3\n', "")
    edit(folder, 'verdicts = ["was refused", "was granted"]\ncutoff = 0.6\nexample = "b"\n', "")
    subject = load_subject(str(folder))
    assert subject.dataset.labels.tolist() == [-1, -1, -1]
    assert subject.dataset.held_out.all() and not subject.dataset.split_known
    assert (subject.cutoff, subject.example, subject.reference_size) == (None, "a", 3)


def test_pictures_keep_their_shape(folder: Path) -> None:
    text = (folder / "subject.toml").read_text()
    start, end = text.index("[[feature]]"), text.index("[[model]]")
    text = text[:start] + "[image]\nshape = [2, 3, 1]\nlower = 0\nupper = 16\n\n" + text[end:]
    (folder / "subject.toml").write_text(text.replace('modality = "table"', 'modality = "image"'))
    write_data(folder, **{f"pixel_{i // 3}_{i % 3}": [i, i + 1, i + 2] for i in range(6)})
    subject = load_subject(str(folder))
    assert subject.dataset.rows.shape == (3, 2, 3, 1)
    assert subject.dataset.rows[0, 1, 2, 0] == 5
    spec = subject.model().spec
    assert (spec.modality, spec.shape, spec.features[5].title) == ("image", (2, 3, 1), "Row 2, column 3")


def test_the_digest_is_that_of_the_file_and_of_how_it_is_read(folder: Path) -> None:
    def digest() -> str:
        return load_subject(str(folder)).model().spec.digest

    before = digest()
    assert digest() == before
    edit(folder, "hidden = [4]", "hidden = [5]")
    settings = digest()
    edit(folder, 'output = "margin"', 'output = "logit"')
    assert len({before, settings, digest()}) == 3


def test_a_model_file_that_changes_after_loading_is_refused(folder: Path) -> None:
    model = load_subject(str(folder)).model()
    assert read_model(model) == b"weights, never opened here"
    (folder / "model.bin").write_bytes(b"other weights")
    with pytest.raises(UserFacingError, match="has changed"):
        read_model(model)


def test_an_unknown_subject_lists_the_known() -> None:
    with pytest.raises(UserFacingError, match=r"no subject 'loan'.*tumours, digits, loans"):
        load_subject("loan")


@pytest.mark.parametrize("file", ["subject.toml", "data.parquet", "model.bin"])
def test_a_missing_file_is_named(folder: Path, file: str) -> None:
    (folder / file).unlink()
    with pytest.raises(UserFacingError, match=f"file {re.escape(file)} is missing"):
        load_subject(str(folder))


@pytest.mark.parametrize("file", ["subject.toml", "data.parquet", "model.bin"])
@pytest.mark.parametrize(
    "damage",
    [lambda data: data[: len(data) // 2], lambda data: np.random.default_rng(0).bytes(500), lambda data: b""],
    ids=["half", "garbage", "empty"],
)
def test_a_broken_file_is_refused(folder: Path, file: str, damage) -> None:
    path = folder / file
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserFacingError, match="cannot be read"):
        load_subject(str(folder))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('title = "A small subject"\n', "", "no 'title'"),
        ('title = "A small subject"', 'titel = "A small subject"', "no 'title'"),
        ('source = "Made up."', 'sauce = "Made up."', "'sauce' that means nothing"),
        ("cutoff = 0.6", 'cutoff = "high"', "'cutoff'"),
        ("cutoff = 0.6", "cutoff = true", "'cutoff'"),
        ("cutoff = 0.6", "cutoff = 1.0", "cutoff does not apply"),
        ('["no", "yes"]', '["no"]', "fewer than two"),
        ('["no", "yes"]', '["no", "no"]', "'no' twice"),
        ('["no", "yes"]', '["no", 1]', "not text"),
        ('["no", "yes"]', '["no", "yes", "perhaps"]', "output"),
        ('["was refused", "was granted"]', '["was refused"]', "verdicts and classes"),
        ('example = "b"', 'example = "z"', "no row"),
        ('modality = "table"', 'modality = "sound"', "'sound'"),
        ('modality = "table"', 'modality = "image"', "'image'"),
        ("size = 2\n", "size = 4\n", "asked for"),
        ("size = 2\n", "size = 0\n", "empty"),
        ("[reference]\n", "[reference]\nrows = 3\n", "'rows' that means nothing"),
        ('name = "member"', 'name = "size"', "'size' twice"),
        ('name = "size"', 'name = "length"', "no column 'length'"),
        ('id = "id"', 'id = "key"', "no column 'key'"),
        ('kind = "real"', 'kind = "number"', "kind 'number'"),
        ('kind = "real"', 'kind = "integer"', "not whole numbers"),
        ("lower = 0\n", "lower = 20\n", "no range"),
        ("lower = 0\n", "", "no range"),
        ("upper = 10\n", "upper = 5\n", "outside 0 to 5"),
        ("missing = true\n", "", "missing values"),
        ('unit = "m"', 'direction = "sideways"', "'sideways'"),
        ('unit = "m"', 'categories = ["a", "b"]', "2 categories"),
        ('categories = ["red", "blue"]', 'categories = ["red"]', "1 categories"),
        ('categories = ["red", "blue"]', 'categories = ["red", "green"]', "'blue'"),
        ('file = "data.parquet"', 'file = "../data.parquet"', "not in the subject's folder"),
        ('file = "model.bin"', 'file = "/etc/hostname"', "not in the subject's folder"),
        ('format = "torch_network"', 'format = "pickle"', "no model format 'pickle'"),
        ('output = "margin"', 'output = "value"', "output 'value'"),
        ('digest = "', 'digest = "0', "names 0"),
        ("hidden = [4]\n", 'hidden = [4]\n[[model]]\nname = "network"\n', "no 'title'"),
    ],
)
def test_what_subject_toml_gets_wrong_is_said(folder: Path, old: str, new: str, words: str) -> None:
    edit(folder, old, new)
    with pytest.raises(UserFacingError, match=re.escape(words)):
        load_subject(str(folder))


@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        ("id", ["a", "a", "c"], "'a' twice"),
        ("size", ["1", "2", "x"], "does not hold numbers"),
        ("size", [1.0, -0.5, 2.0], "holds -0.5"),
        ("colour", [0, 1, 0], "does not hold names"),
        ("member", [True, None, False], "missing values"),
        ("member", [0.0, 0.5, 1.0], "not whole numbers"),
        ("answer", ["yes", "no", "perhaps"], "'perhaps'"),
    ],
)
def test_what_the_data_gets_wrong_is_said(folder: Path, column: str, values: list, words: str) -> None:
    write_data(folder, **{column: values})
    with pytest.raises(UserFacingError, match=re.escape(words)):
        load_subject(str(folder))


def test_data_without_rows_are_refused(folder: Path) -> None:
    parquet.write_table(parquet.read_table(folder / "data.parquet").slice(0, 0), folder / "data.parquet")
    with pytest.raises(UserFacingError, match="0 rows"):
        load_subject(str(folder))


def test_a_small_file_that_unpacks_to_more_than_is_bearable_is_refused(folder: Path) -> None:
    rows = 20_000_000
    table = pyarrow.table({name: pyarrow.nulls(rows, pyarrow.int8()) for name in COLUMNS})
    parquet.write_table(table, folder / "data.parquet")
    with pytest.raises(UserFacingError, match="20,000,000 rows"):
        load_subject(str(folder))


def test_the_samples_are_in_order_and_a_copy_elsewhere_is_the_same(tmp_path: Path) -> None:
    assert subject_names() == ("tumours", "digits", "loans")
    source = Path(__file__).parents[2] / "sample_models" / "tumours"
    shutil.copytree(source, tmp_path / "copy")
    first, second = load_subject("tumours"), load_subject(str(tmp_path / "copy"))
    assert first.dataset.digest == second.dataset.digest
    assert [model.spec.digest for model in first.models] == [model.spec.digest for model in second.models]


def test_loading_a_subject_imports_no_model_library() -> None:
    code = (
        "import sys; from engine.subjects import load_subject; load_subject('loans')\n"
        "print([m for m in ('torch', 'xgboost', 'lightgbm', 'sklearn', 'shap', 'captum') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- a predicted number, pictures in one column, texts, subjects that were brought ------------------------------------


@pytest.fixture
def houses(folder: Path) -> Path:
    """The small subject with a number to predict."""
    edit(folder, 'classes = ["no", "yes"]\nverdicts = ["was refused", "was granted"]\ncutoff = 0.6\n', OUTCOME)
    edit(folder, 'output = "margin"', 'output = "value"')
    write_data(folder, answer=[1250.0, None, -3.5])
    return folder


OUTCOME = 'outcome = "price"\nunit = "EUR"\nverdicts = ["is valued at"]\n'


def test_a_predicted_number_has_a_name_a_unit_and_true_values(houses: Path) -> None:
    subject = load_subject(str(houses))
    np.testing.assert_array_equal(subject.dataset.labels, [1250.0, np.nan, -3.5])
    spec = subject.model().spec
    assert (spec.task, spec.classes, spec.columns) == ("regression", (), 1)
    assert spec.outcome.show(1249.6) == "1,250 EUR", "as many decimals as the range of the answers is worth"
    assert subject.verdicts == ("is valued at",)
    edit(houses, 'unit = "EUR"', "decimals = 1")
    assert load_subject(str(houses)).model().spec.outcome.show(1249.66) == "1,249.7"
    edit(houses, 'label = "answer"\n', "")
    assert np.isnan(load_subject(str(houses)).dataset.labels).all()


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('output = "value"', 'output = "logit"', "Choose value"),
        (OUTCOME, OUTCOME + "cutoff = 0.5\n", "cutoff does not apply"),
        (OUTCOME, 'verdicts = ["is high", "is low"]\n', "one verdict for the number"),
        (OUTCOME, 'classes = ["a", "b"]\nunit = "EUR"\n', "has classes and 'unit'"),
    ],
)
def test_what_does_not_go_with_a_predicted_number_is_refused(houses: Path, old: str, new: str, sentence: str) -> None:
    edit(houses, old, new)
    with pytest.raises(UserFacingError, match=sentence):
        load_subject(str(houses))


def test_answers_that_are_no_numbers_are_refused(houses: Path) -> None:
    write_data(houses, answer=["a", None, "b"])
    with pytest.raises(UserFacingError, match="column answer does not hold numbers"):
        load_subject(str(houses))


@pytest.fixture
def pictures(folder: Path) -> Path:
    """Three pictures of 2 x 3 pixels in 3 colours, each in one column as a list."""
    text = (folder / "subject.toml").read_text()
    start, end = text.index("[[feature]]"), text.index("[[model]]")
    image = '[image]\nshape = [2, 3, 3]\nlower = 0\nupper = 255\ncolumn = "pixels"\ndark = "lower"\n\n'
    text = text[:start] + image + text[end:]
    (folder / "subject.toml").write_text(text.replace('modality = "table"', 'modality = "image"'))
    write_data(folder, pixels=pyarrow.array((np.arange(54) % 256).reshape(3, 18).astype(np.uint8).tolist()))
    return folder


def test_pictures_may_stand_in_one_column(pictures: Path) -> None:
    subject = load_subject(str(pictures))
    np.testing.assert_array_equal(subject.dataset.rows, np.arange(54.0).reshape(3, 2, 3, 3))
    spec = subject.model().spec
    assert (spec.shape, spec.inked, spec.features[0].upper, len(spec.features)) == ((2, 3, 3), False, 255.0, 18)
    fixed = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(np.arange(54, dtype=np.float32)), 18)
    write_data(pictures, pixels=fixed)
    np.testing.assert_array_equal(load_subject(str(pictures)).dataset.rows, subject.dataset.rows)


@pytest.mark.parametrize(
    ("pixels", "sentence"),
    [
        ([[0.0] * 18, [0.0] * 17, [0.0] * 18], "a picture of 17 numbers"),
        ([[0.0] * 18, [300.0] * 18, [0.0] * 18], "holds 300, outside 0 to 255"),
        ([[0.0] * 18, None, [0.0] * 18], "does not hold lists"),
        ([[None] * 18] * 3, "outside"),
        ([["a"] * 18] * 3, "does not hold numbers"),
        ([1.0, 2.0, 3.0], "does not hold lists"),
    ],
)
def test_pictures_of_another_size_or_kind_are_refused(pictures: Path, pixels: list, sentence: str) -> None:
    write_data(pictures, pixels=pixels)
    with pytest.raises(UserFacingError, match=sentence):
        load_subject(str(pictures))


@pytest.fixture
def texts(folder: Path) -> Path:
    """Three texts as tokens."""
    text = (folder / "subject.toml").read_text()
    start, end = text.index("[[feature]]"), text.index("[[model]]")
    text = text[:start] + "[text]\nmask = 3\npad = 0\nspecial = [0, 1, 2]\n\n" + text[end:]
    (folder / "subject.toml").write_text(text.replace('modality = "table"', 'modality = "text"'))
    write_data(folder, **TEXTS)
    return folder


TEXTS = {
    "text": ["a film", "films", "a"],
    "tokens": [[1, 5, 6, 2], [1, 6, 7, 2], [1, 5, 2]],
    "pieces": [[" [CLS]", " a", " film", " [SEP]"], [" [CLS]", " film", "s", " [SEP]"], [" [CLS]", " a", " [SEP]"]],
}


def test_texts_are_tokens_filled_up_to_the_longest(texts: Path) -> None:
    subject = load_subject(str(texts))
    assert subject.dataset.rows.tolist() == [[1, 5, 6, 2], [1, 6, 7, 2], [1, 5, 2, 0]]
    spec = subject.model().spec
    assert (spec.modality, spec.shape, spec.features[3].kind) == ("text", (4,), "token")
    assert [spec.vocabulary.text(row) for row in subject.dataset.rows] == ["a film", "films", "a"]
    assert (spec.vocabulary.mask, spec.vocabulary.pad, spec.vocabulary.special) == (3, 0, (0, 1, 2))
    before = spec.digest
    edit(texts, "mask = 3", "mask = 4")
    assert load_subject(str(texts)).model().spec.digest != before


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"tokens": [[1], [2], []]}, "holds an empty text"),
        ({"tokens": [[1, -5], [1, 6], [1, 5]]}, "no token id"),
        ({"tokens": [[1.5], [1.0], [1.0]]}, "no token id"),
        ({"pieces": [["a"], ["b"], ["c"]]}, "without a printed piece"),
        ({"pieces": [None, ["b"], ["c"]]}, "lists of text"),
        ({"pieces": [[1, 2, 3, 4]] * 3}, "lists of text"),
    ],
)
def test_texts_that_are_no_tokens_are_refused(texts: Path, changes: dict, sentence: str) -> None:
    write_data(texts, **TEXTS | changes)
    with pytest.raises(UserFacingError, match=sentence):
        load_subject(str(texts))


def test_a_list_longer_than_can_be_held_is_refused_before_it_is_read(pictures: Path, monkeypatch) -> None:
    monkeypatch.setattr("engine.subjects.MAX_CELLS", 50)
    with pytest.raises(UserFacingError, match="Keep it at one row or more, and under 50 numbers"):
        load_subject(str(pictures))


def test_subjects_that_were_saved_follow_the_samples(folder: Path, stores: Stores, monkeypatch) -> None:
    files = files_of(str(folder))
    for name in ("mine", "also-mine", "tumours"):
        keep_subject(name, files)
    keep_subject("unfinished", {"data.parquet": b""})
    assert subject_names() == ("tumours", "digits", "loans", "also-mine", "mine")
    assert load_subject("mine").title == subject_title("mine") == "A small subject"
    assert load_subject("tumours").title != "A small subject", "a sample keeps its name"
    assert subject_version("mine") and subject_version("nothing") == 0
    with pytest.raises(UserFacingError, match="no subject"):
        load_subject("../mine")
    shutil.copytree(folder, folder.parent / "here" / "mine")
    monkeypatch.chdir(folder.parent / "here")
    edit(Path("mine"), "A small subject", "A folder")
    assert load_subject("mine").title == "A small subject", "a name is a name before it is a folder's"
    assert load_subject("./mine").title == "A folder"
    before = subject_version("./mine")
    os.utime("mine/subject.toml", ns=(0, before + 1_000_000))
    assert subject_version("./mine") != before
