"""`assay.py check`: one JSON object for a model and data that are brought, or one line and nothing else."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import assay
from attacks import ATTACKS
from engine.subjects import SAMPLES, load_subject
from explainers import EXPLAINERS
from storage.home import home

TUMOURS = SAMPLES / "tumours"
LOANS = SAMPLES / "loans"
KEYS = {
    "subject", "model", "data", "features", "read", "warnings", "score", "scored", "explainers", "attacks",
}  # fmt: skip
MODEL_KEYS = {"format", "title", "task", "modality", "classes", "output", "gradients", "digest"}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with a home of its own."""
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]):
    def run(*arguments: object) -> tuple[int, str, str]:
        status = assay.main(["check", *map(str, arguments)])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def tumours(*more: object, model: Path = TUMOURS / "xgboost.json") -> tuple:
    return ("--model", model, "--data", TUMOURS / "data.parquet", "--target", "diagnosis", *more)


def refused(answer: tuple[int, str, str], sentence: str) -> None:
    status, out, err = answer
    assert (status, out) == (2, "")
    assert err.startswith("error: ") and err.count("\n") == 1
    assert sentence in err


def test_it_says_what_was_brought(check) -> None:
    status, out, err = check(*tumours())
    assert (status, err) == (0, "")
    said = json.loads(out)
    assert set(said) == KEYS
    assert set(said["model"]) == MODEL_KEYS
    assert said["model"]["format"] == "xgboost"
    assert (said["model"]["task"], said["model"]["modality"]) == ("classification", "table")
    assert (said["model"]["classes"], said["model"]["output"]) == (["benign", "malignant"], "margin")
    assert said["model"]["gradients"] is False
    assert said["model"]["digest"] == hashlib.sha256((TUMOURS / "xgboost.json").read_bytes()).hexdigest()
    assert said["data"]["digest"] == hashlib.sha256((TUMOURS / "data.parquet").read_bytes()).hexdigest()
    assert (said["data"]["rows"], said["data"]["columns"]) == (569, 33)
    assert said["score"] > 0.95 and said["scored"] == 569
    assert set(said["explainers"]) == {kind.name for kind in EXPLAINERS}
    assert set(said["attacks"]) == {kind.name for kind in ATTACKS}
    assert said["explainers"]["tree_shap"] is None
    assert "gradients" in said["attacks"]["pgd"]
    assert list(home().rglob("*")) == [], "what is only looked at is kept nowhere"


def test_the_same_files_give_the_same_words(check) -> None:
    assert check(*tumours()) == check(*tumours())


def test_what_it_saves_is_a_subject_for_every_command(check, place: Path) -> None:
    assert check(*tumours("--save", place / "mine"))[0] == 0
    sample, mine = load_subject("tumours"), load_subject(str(place / "mine"))
    np.testing.assert_array_equal(mine.dataset.rows, sample.dataset.rows)
    np.testing.assert_array_equal(mine.dataset.labels, sample.dataset.labels)
    explained = "explain {} --method tree_shap --rows 3:5 --reference 20 --out {}"
    assert assay.main(explained.format("tumours", "a.json").split()) == 0
    assert assay.main(explained.format("mine", "b.json").split()) == 0
    first, second = (json.loads((place / name).read_text()) for name in ("a.json", "b.json"))
    assert first["values"] == second["values"]
    refused(check(*tumours("--save", place / "mine")), "There is a subject called mine already")


def test_a_subject_made_here_is_taken_as_corrections_there(check, place: Path) -> None:
    arguments = ("--model", LOANS / "lightgbm.txt", "--data", LOANS / "data.parquet", "--target", "decision")
    status, out, _ = check(*arguments, "--subject", LOANS / "subject.toml", "--save", place / "mine")
    assert status == 0
    sample, mine = load_subject("loans"), load_subject(str(place / "mine"))
    assert json.loads(out)["subject"] == "loans"
    assert (mine.cutoff, mine.verdicts, mine.row_noun) == (sample.cutoff, sample.verdicts, sample.row_noun)
    np.testing.assert_array_equal(mine.dataset.rows, sample.dataset.rows)
    same = (
        "name",
        "kind",
        "label",
        "unit",
        "lower",
        "upper",
        "categories",
        "mutable",
        "direction",
        "group",
        "protected",
    )
    for found, wanted in zip(mine.model().spec.features, sample.model().spec.features, strict=True):
        assert [getattr(found, name) for name in same] == [getattr(wanted, name) for name in same]


def test_without_true_answers_nothing_is_scored(check) -> None:
    status, out, _ = check("--model", TUMOURS / "xgboost.json", "--data", without("diagnosis"))
    said = json.loads(out)
    assert (status, said["score"], said["scored"]) == (0, None, 0)
    assert any("No column holds the true answer" in each for each in said["warnings"])


def without(*columns: str) -> Path:
    """The tumours as CSV, some columns left out."""
    frame = pd.read_parquet(TUMOURS / "data.parquet").drop(columns=list(columns))
    frame.to_csv("part.csv", index=False)
    return Path("part.csv")


def test_what_looks_wrong_is_said(check, place: Path) -> None:
    frame = pd.read_parquet(TUMOURS / "data.parquet").head(120)
    frame["mean_radius"] = 14.0
    frame["mean_area"] = frame["mean_perimeter"]
    frame["diagnosis"] = "benign"
    frame.drop(columns="held_out").to_csv("odd.csv", index=False)
    arguments = ("--model", TUMOURS / "xgboost.json", "--data", "odd.csv", "--target", "diagnosis")
    (place / "said.toml").write_text('[subject]\nclasses = ["benign", "malignant"]\n')
    status, out, _ = check(*arguments, "--subject", place / "said.toml")
    warnings = " ".join(json.loads(out)["warnings"])
    assert status == 0
    assert "hold the same value in every row: mean_radius" in warnings
    assert "mean_area holds the same values as mean_perimeter" in warnings
    assert "one class only" in warnings
    assert "Whether the model was trained on these rows is not known" in warnings


def test_a_perfect_score_is_suspicious_and_classes_turned_round_are_noticed(check, place: Path) -> None:
    import skops.io
    from sklearn.tree import DecisionTreeClassifier

    rows = np.random.default_rng(0).normal(size=(300, 3)).round(3)
    frame = pd.DataFrame(rows, columns=["a", "b", "c"])
    answer = (frame["a"] + frame["b"] > 0).astype(int)
    skops.io.dump(DecisionTreeClassifier(random_state=0).fit(frame, answer), place / "tree.skops")
    frame.assign(y=answer).to_csv("right.csv", index=False)
    frame.assign(y=1 - answer).to_csv("turned.csv", index=False)
    arguments = ("--model", place / "tree.skops", "--target", "y", "--data")
    assert any("The score is 1.000" in each for each in json.loads(check(*arguments, "right.csv")[1])["warnings"])
    assert any("turned round" in each for each in json.loads(check(*arguments, "turned.csv")[1])["warnings"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--model", "none.json", "--data", TUMOURS / "data.parquet"), "none.json cannot be read"),
        (("--model", TUMOURS / "xgboost.json", "--data", "none.csv"), "none.csv cannot be read"),
        (("--model", TUMOURS / "xgboost.json"), "--data"),
        (tumours("--subject", TUMOURS / "xgboost.json"), "is not valid TOML"),
        (tumours("--out", "said.csv"), "said.csv cannot be written"),
        (
            ("--model", TUMOURS / "xgboost.json", "--data", TUMOURS / "data.parquet", "--target", "verdict"),
            "The data has no column 'verdict'",
        ),
        (tumours(model=TUMOURS / "data.parquet"), "data"),
        (tumours(model=TUMOURS / "README.md"), "not taken"),
        (("--model", LOANS / "lightgbm.txt", "--data", TUMOURS / "data.parquet"), "no column"),
    ],
)
def test_what_cannot_be_taken_is_one_line(check, arguments: tuple, sentence: str) -> None:
    refused(check(*arguments), sentence)


def test_a_model_that_names_its_inputs_asks_for_the_missing_one(check) -> None:
    frame = pd.read_parquet(LOANS / "data.parquet").drop(columns="income")
    frame.to_csv("part.csv", index=False)
    refused(
        check("--model", LOANS / "lightgbm.txt", "--data", "part.csv", "--target", "decision"),
        "The data has no column 'income'",
    )


def test_files_are_bounded_before_they_are_read(check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_MAX_MODEL", "1000")
    refused(check(*tumours()), "The model file is too large. It has")
    monkeypatch.setenv("ASSAY_MAX_MODEL", "a lot")
    refused(check(*tumours()), "The setting ASSAY_MAX_MODEL cannot be used")


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("[model.settings]\ndivide = 255\n", ""),
        ("[[feature]]\nmutable = false\n", "has no 'name'"),
        ('[[feature]]\nname = "mean_radius"\nmutabel = false\n', "'mutabel' that means nothing"),
        ('subject = "x"\n', "wrong type of value for 'subject'"),
        ("[subject]\nclasses = 5\n", "wrong type of value for 'classes'"),
        ('[features]\nname = "mean_radius"\n', "'features' that means nothing"),
    ],
)
def test_corrections_are_checked_and_nothing_in_them_is_lost(check, place: Path, said: str, sentence: str) -> None:
    (place / "said.toml").write_text(said)
    answer = check(*tumours("--subject", place / "said.toml"))
    if sentence:
        refused(answer, sentence)
    else:
        assert answer[0] == 0


def test_the_score_is_at_the_cut_off(check, place: Path) -> None:
    scores = {}
    for cutoff in (0.01, 0.5):
        (place / "said.toml").write_text(f"[subject]\ncutoff = {cutoff}\n")
        scores[cutoff] = json.loads(check(*tumours("--subject", place / "said.toml"))[1])["score"]
    assert scores[0.01] < scores[0.5]


def test_a_subject_that_could_not_be_opened_is_not_left_behind(check, place: Path) -> None:
    (place / "said.toml").write_text("[subject]\ncutoff = 7\n")
    refused(check(*tumours("--subject", place / "said.toml", "--save", place / "mine")), "cutoff does not apply")
    assert not (place / "mine").exists()


def test_three_classes_in_another_order_are_noticed(check, place: Path) -> None:
    import xgboost

    rows = np.random.default_rng(0).normal(size=(300, 3)).round(3)
    frame = pd.DataFrame(rows, columns=["a", "b", "c"])
    codes = np.digitize(frame["a"], [-0.4, 0.4])
    xgboost.XGBClassifier(n_estimators=10, max_depth=3).fit(frame, codes).save_model(place / "m.json")
    frame.assign(y=np.array(["low", "medium", "high"])[codes]).to_csv("data.csv", index=False)
    said = json.loads(check("--model", place / "m.json", "--data", "data.csv", "--target", "y")[1])
    assert any("with its classes in the order low, medium, high" in each for each in said["warnings"])
    (place / "said.toml").write_text('[subject]\nclasses = ["low", "medium", "high"]\n')
    again = check("--model", place / "m.json", "--data", "data.csv", "--target", "y", "--subject", place / "said.toml")
    assert json.loads(again[1])["score"] > 0.9
