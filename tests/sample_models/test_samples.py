"""The sample subjects: their facts, their figures, their training, and the truth behind the loans."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.models import Model
from core.nouns import Subject
from core.scores import decide
from engine.subjects import SAMPLES, load_subject, read_model, subject_names
from models import load_model
from sample_models.loans.generator import FIELDS, INTERCEPT, applications, true_effects
from sample_models.training import performance


@pytest.fixture(scope="module")
def subjects() -> dict[str, Subject]:
    return {name: load_subject(name) for name in subject_names()}


def opened(subject: Subject, name: str | None = None) -> Model:
    model = subject.model(name)
    return load_model(model.format, read_model(model), model.spec, model.settings)


@pytest.mark.parametrize(
    ("name", "shape", "per_class", "held_out", "models"),
    [
        ("tumours", (569, 30), [357, 212], 143, ["xgboost", "mlp"]),
        ("digits", (1797, 8, 8, 1), [178, 182, 177, 183, 181, 182, 181, 179, 174, 180], 450,
         ["dense", "cnn", "cnn_robust"]),
        ("loans", (20_000, 14), [13_974, 6_026], 5_000, ["lightgbm"]),
    ],
)  # fmt: skip
def test_facts(
    name: str, shape: tuple, per_class: list[int], held_out: int, models: list[str], subjects: dict[str, Subject]
) -> None:
    subject = subjects[name]
    assert subject.dataset.rows.shape == shape
    assert np.bincount(subject.dataset.labels).tolist() == per_class
    assert subject.dataset.held_out.sum() == held_out
    assert [model.name for model in subject.models] == models


def test_the_rows_are_scikit_learns(subjects: dict[str, Subject]) -> None:
    from sklearn.datasets import load_breast_cancer, load_digits

    cancer, digits = load_breast_cancer(), load_digits()
    np.testing.assert_array_equal(subjects["tumours"].dataset.rows, cancer.data)
    np.testing.assert_array_equal(subjects["tumours"].dataset.labels, 1 - cancer.target)
    np.testing.assert_array_equal(subjects["digits"].dataset.rows[..., 0], digits.images)
    names = [feature.name.replace("_", " ") for feature in subjects["tumours"].models[0].spec.features]
    assert names == list(cancer.feature_names)


def test_loans_have_every_kind_of_field(subjects: dict[str, Subject]) -> None:
    features = {feature.name: feature for feature in subjects["loans"].models[0].spec.features}
    assert tuple(features) == FIELDS
    assert {feature.kind for feature in features.values()} == {"real", "integer", "category", "boolean"}
    assert [name for name, feature in features.items() if feature.missing] == ["credit_limit", "savings"]
    assert [name for name, feature in features.items() if feature.protected] == ["age"]
    assert [name for name, feature in features.items() if not feature.mutable] == ["age", "dependants", "late_payments"]
    assert features["years_employed"].direction == "up"


@pytest.mark.parametrize(("name", "floor"), [("tumours", 0.93), ("digits", 0.96), ("loans", 0.77)])
def test_the_card_states_what_is_measured(name: str, floor: float, subjects: dict[str, Subject]) -> None:
    subject = subjects[name]
    lines = performance(subject)
    assert len(lines) == len(subject.models)
    for line in lines:
        assert f"- {line}" in subject.models[0].card
        assert float(re.search(r"([\d.]+)%", line).group(1)) / 100 > floor


@pytest.mark.parametrize(("name", "verdict"), [
    ("tumours", "was read as malignant"), ("digits", "was read as 8"), ("loans", "was declined"),
])  # fmt: skip
def test_the_example_is_held_out_and_every_model_is_right_about_it(
    name: str, verdict: str, subjects: dict[str, Subject]
) -> None:
    subject = subjects[name]
    index = subject.dataset.index(subject.example)
    assert subject.dataset.held_out[index]
    for model in subject.models:
        decided = decide(opened(subject, model.name).predict(subject.dataset.rows[[index]]), model.spec, subject.cutoff)
        assert decided[0] == subject.dataset.labels[index]
        assert subject.verdict(int(decided[0]), model.spec) == verdict


def test_the_generator_gives_the_stored_rows(subjects: dict[str, Subject]) -> None:
    rows, declined = applications()
    np.testing.assert_array_equal(subjects["loans"].dataset.rows, rows)
    np.testing.assert_array_equal(subjects["loans"].dataset.labels, declined)


def test_the_true_effects_predict_how_often_loans_are_declined() -> None:
    rows, declined = applications()
    chance = 1 / (1 + np.exp(-(INTERCEPT + true_effects(rows).sum(axis=1))))
    for low in np.arange(0, 1, 0.2):
        chosen = (chance >= low) & (chance < low + 0.2)
        assert abs(chance[chosen].mean() - declined[chosen].mean()) < 0.02


def test_the_model_finds_the_true_drivers_of_loans(subjects: dict[str, Subject]) -> None:
    """Interventional SHAP by sampled orders, each with one reference row, against the equations."""
    subject = subjects["loans"]
    reference = subject.reference().rows
    rows = subject.dataset.rows[subject.dataset.sample(200, seed=0, judged_only=True)]
    rng = np.random.default_rng(0)
    orders, width = 50, len(FIELDS)
    found = np.zeros(rows.shape)
    model = opened(subject)
    for turn in range(orders):
        order = rng.permutation(width)
        steps = np.repeat(reference[[turn % len(reference)]], len(rows) * (width + 1), axis=0)
        steps = steps.reshape(len(rows), width + 1, width)
        for place, feature in enumerate(order):
            steps[:, place + 1 :, feature] = rows[:, [feature]]
        outputs = model.predict(steps.reshape(-1, width)).reshape(len(rows), width + 1)
        found[:, order] += np.diff(outputs, axis=1) / orders
    true = true_effects(rows) - true_effects(reference).mean(axis=0)
    ranked = [[FIELDS[i] for i in np.argsort(-np.abs(values).mean(axis=0))] for values in (found, true)]
    assert ranked[0][:4] == ranked[1][:4] == ["late_payments", "income", "amount", "existing_debt"]
    strength = dict(zip(FIELDS, np.abs(found).mean(axis=0), strict=True))
    for without_effect in ("age", "dependants", "credit_limit"):
        assert strength[without_effect] < strength["existing_debt"] / 4


def test_adversarial_training_made_the_network_robust(subjects: dict[str, Subject]) -> None:
    import torch

    subject = subjects["digits"]
    chosen = subject.dataset.sample(150, seed=0, judged_only=True)
    clean = torch.tensor(subject.dataset.rows[chosen], dtype=torch.float32)
    labels = torch.tensor(subject.dataset.labels[chosen])
    size, still_right = 0.15 * 16, {}
    for name in ("cnn", "cnn_robust"):
        network = opened(subject, name).module().cpu()
        moved = clean.clone()
        for _ in range(15):
            moved.requires_grad_()
            loss = torch.nn.functional.cross_entropy(network(moved), labels)
            (gradient,) = torch.autograd.grad(loss, moved)
            moved = (clean + (moved.detach() + size / 5 * gradient.sign() - clean).clamp(-size, size)).clamp(0, 16)
        still_right[name] = (network(moved).argmax(dim=1) == labels).float().mean().item()
    assert still_right["cnn"] < 0.3
    assert still_right["cnn_robust"] > 0.7


@pytest.mark.parametrize("name", ["tumours", "loans"])
def test_training_again_reproduces_the_files_or_says_what_differs(name: str) -> None:
    folder = SAMPLES / name
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    done = subprocess.run(
        [sys.executable, "-m", f"sample_models.{name}.train", "--check"],
        cwd=Path(__file__).parents[2], capture_output=True, text=True,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert lines[0] == "data.parquet: reproduced", done.stderr
    for line in lines[1:]:
        assert re.search(r": reproduced, digest [0-9a-f]{64}$|: differs, .* of [\d,]+ decisions$", line)
    assert done.returncode == int("differs" in done.stdout)
    assert before == {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_the_samples_are_small() -> None:
    assert sum(path.stat().st_size for path in SAMPLES.rglob("*") if "__pycache__" not in path.parts) < 3e6
