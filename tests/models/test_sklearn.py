"""skops files against scikit-learn's own predictions, and files that are not what they claim."""

import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import UserFacingError
from core.facts import ModelFacts
from core.models import Differentiable, Linear, TreeEnsemble
from core.nouns import Feature, ModelSpec, Query, Reference, Target
from explainers import EXPLAINERS
from models import inspect_model, load_model, sklearn
from tests import oracles
from tests.models import sklearn_hostile as hostile
from tests.models import sklearn_models

NAMES = tuple(sklearn_models.zoo())
EXPLAINER = {each.name: each for each in EXPLAINERS}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Histogram boosting's threads spin where cores are shared."""
    import sklearn.ensemble  # noqa: F401  what is limited has to be loaded
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


@cache
def zoo(name: str) -> tuple[Any, Any, bytes, ModelFacts]:
    """The fitted model, its table, its file, and what the file says."""
    import skops.io

    model, table = sklearn_models.fitted(name)
    data = skops.io.dumps(model)
    return model, table, data, inspect_model(data)


def as_rows(facts: ModelFacts, table: Any) -> np.ndarray:
    """The table as Assay holds it: a category as its code, missing as NaN."""
    array = np.asarray(table, dtype=object)
    rows = np.empty(array.shape)
    for i, column in enumerate(facts.inputs):
        for r, value in enumerate(array[:, i]):
            if value is None or value != value:
                rows[r, i] = np.nan
            elif column.kind == "category":
                written = str(int(value)) if isinstance(value, float) else str(value)
                rows[r, i] = column.categories.index(written)
            else:
                rows[r, i] = float(value)
    return rows


def spec_of(facts: ModelFacts, rows: np.ndarray, output: str | None = None) -> ModelSpec:
    """What a subject would say of the model."""
    features = tuple(
        Feature(
            column.name or f"column {i}",
            column.kind or "real",
            lower=np.nanmin(rows[:, i]),
            upper=np.nanmax(rows[:, i]),
            categories=column.categories,
            missing=bool(np.isnan(rows[:, i]).any()),
        )
        for i, column in enumerate(facts.inputs)
    )
    output = output or facts.outputs[0]
    capabilities = facts.capabilities if output == facts.outputs[0] else ()
    digest = hashlib.sha256(repr((facts, output)).encode()).hexdigest()
    return ModelSpec("table", facts.shape, features, facts.classes, output, digest, capabilities)


def library(model: Any, table: Any, output: str) -> np.ndarray:
    """scikit-learn's own answer, (n, columns)."""
    model = getattr(model, "best_estimator_", model)
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    if output == "probability":
        return model.predict_proba(table)
    if output == "value":
        return model.predict(table).reshape(len(table), -1)
    if type(last).__name__ == "MLPClassifier":
        chances = model.predict_proba(table)
        logs = np.log(chances)
        return (logs[:, 1] - logs[:, 0])[:, None] if output == "margin" else logs
    return model.decision_function(table).reshape(len(table), -1)


@pytest.mark.parametrize("name", NAMES)
def test_the_answers_are_scikit_learns(name: str) -> None:
    model, table, data, facts = zoo(name)
    rows = as_rows(facts, table)
    for output in facts.outputs:
        loaded = load_model("sklearn", data, spec_of(facts, rows, output), facts.settings)
        expected, found = library(model, table, output), loaded.predict(rows)
        if name == "perceptron-classes" and output == "logit":  # equal but for a constant in each row
            found, expected = (each - each.mean(axis=1, keepdims=True) for each in (found, expected))
        assert found.shape == expected.shape and found.dtype == np.float64
        np.testing.assert_allclose(found, expected, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_what_it_can_is_what_its_type_says(name: str) -> None:
    _, table, data, facts = zoo(name)
    rows = as_rows(facts, table)
    model = load_model("sklearn", data, spec_of(facts, rows), {})
    types = {"gradients": Differentiable, "trees": TreeEnsemble, "linear": Linear}
    assert {each for each, kind in types.items() if isinstance(model, kind)} == set(facts.capabilities)


METHODS = {"trees": "tree_shap", "linear": "linear_shap", "gradients": "integrated_gradients"}


def query_of(spec: ModelSpec, rows: np.ndarray, count: int = 6) -> Query:
    ids = tuple(str(i) for i in range(len(rows)))
    reference = Reference(rows[500:520], ids[500:520], 0)
    target = Target(0 if spec.output == "value" else 1, spec.output)
    return Query("model", rows[:count], ids[:count], target, reference)


@pytest.mark.parametrize("name", NAMES)
def test_explanations_that_need_what_it_can_add_up(name: str) -> None:
    _, table, data, facts = zoo(name)
    rows = as_rows(facts, table)
    spec = spec_of(facts, rows)
    model = load_model("sklearn", data, spec, {})
    query = query_of(spec, rows)
    for capability in facts.capabilities:
        explainer = EXPLAINER[METHODS[capability]]()
        found = explainer.explain(model, query)
        assert np.abs(found.residual).max() <= explainer.tolerance * found.spread, capability
        if capability != "gradients":
            column = query.target.output if spec.columns > 1 else 0
            exact = oracles.brute_force_shapley(
                lambda part, column=column: model.predict(part)[:, column], query.rows[:2], query.reference.rows
            )
            np.testing.assert_allclose(found.values[:2], exact, atol=1e-6 * found.spread)


def hostile_files(marker: str) -> dict[str, tuple[Callable[[], bytes], str]]:
    kinds = (hostile.code(marker), hostile.crashes(), hostile.floods(), hostile.others())
    return {name: each for kind in kinds for name, each in kind.items()}


JUDGE = """
import json, resource, sys
from pathlib import Path
from core.errors import UserFacingError
from models import inspect_model
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
for path in sys.argv[1:]:
    print(json.dumps([path, None]), flush=True)
    try:
        found = "taken: " + inspect_model(Path(path).read_bytes()).title
    except UserFacingError as error:
        found = "refused: " + error.sentence
    print(json.dumps([path, found]), flush=True)
"""


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], Path, int]:
    """What a process of its own says of each hostile file, the marker that none may leave, and how it ended."""
    folder = tmp_path_factory.mktemp("hostile")
    marker = folder / "marker"
    paths = {}
    for number, (name, (make, _)) in enumerate(hostile_files(str(marker)).items()):
        path = folder / f"{number}.skops"
        path.write_bytes(make())
        paths[str(path)] = name
    done = subprocess.run([sys.executable, "-c", JUDGE, *paths], capture_output=True, text=True, check=False)
    said = dict(json.loads(line) for line in done.stdout.splitlines())
    ended = done.stderr[-2000:] or "It ended the process"
    return {name: said.get(path) or ended for path, name in paths.items()}, marker, done.returncode


@pytest.mark.parametrize(("name", "word"), [(name, word) for name, (_, word) in hostile_files("").items()])
def test_a_hostile_file_is_refused_with_its_sentence(name: str, word: str, verdicts) -> None:
    said, marker, _ = verdicts
    assert said[name].startswith("refused: "), said[name]
    assert word in said[name]
    assert not marker.exists()


def test_no_hostile_file_ends_the_process(verdicts) -> None:
    assert verdicts[2] == 0


def test_networks_and_lines_are_the_same_as_torch_modules() -> None:
    """Also where a scaler takes 2,000 off a column that varies by 30, which single precision would blur."""
    import torch

    for name in ("perceptron", "perceptron-classes", "perceptron-value", "logistic", "ridge-of-components", "union"):
        _, table, data, facts = zoo(name)
        rows = as_rows(facts, table)
        model = load_model("sklearn", data, spec_of(facts, rows), {})
        expected = model.predict(rows)
        found = model.module()(torch.tensor(rows, dtype=torch.float32)).numpy()
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_pictures_are_flattened() -> None:
    import skops.io
    import torch
    from sklearn.neural_network import MLPClassifier

    pictures = np.random.default_rng(0).uniform(0, 16, (200, 8, 8, 1))
    labels = (pictures[:, :4].mean(axis=(1, 2, 3)) > 8).astype(int)
    network = MLPClassifier((5,), max_iter=5, random_state=0).fit(pictures.reshape(200, -1), labels)
    features = tuple(Feature(f"pixel {i}", "pixel", upper=16) for i in range(64))
    spec = ModelSpec("image", (8, 8, 1), features, ("dark", "light"), "margin", "0" * 64, ("gradients",))
    model = load_model("sklearn", skops.io.dumps(network), spec, {})
    chances = network.predict_proba(pictures.reshape(200, -1))
    np.testing.assert_allclose(model.predict(pictures)[:, 0], np.log(chances[:, 1] / chances[:, 0]), atol=1e-9)
    found = model.module()(torch.tensor(pictures, dtype=torch.float32)).numpy()
    np.testing.assert_allclose(found, model.predict(pictures), atol=1e-4)


@pytest.mark.parametrize("name", ["people", "histogram-words"])
def test_categories_may_stand_in_another_order(name: str) -> None:
    _, table, data, facts = zoo(name)
    rows = as_rows(facts, table)
    spec = spec_of(facts, rows)
    job = next(i for i, column in enumerate(facts.inputs) if column.name == "job")
    turned = replace(spec.features[job], categories=spec.features[job].categories[::-1])
    other = replace(spec, features=(*spec.features[:job], turned, *spec.features[job + 1 :]), digest="1" * 64)
    moved = rows.copy()
    moved[:, job] = len(turned.categories) - 1 - rows[:, job]
    found = load_model("sklearn", data, other, {})
    np.testing.assert_allclose(found.predict(moved), load_model("sklearn", data, spec, {}).predict(rows), atol=1e-12)
    if isinstance(found, TreeEnsemble):
        explained = EXPLAINER["tree_shap"]().explain(found, query_of(other, moved))
        assert np.abs(explained.residual).max() <= 1e-6 * explained.spread


@pytest.mark.parametrize("name", ["people", "histogram-words", "people-missing"])
def test_a_subject_may_know_fewer_categories_or_others(name: str) -> None:
    _, table, data, facts = zoo(name)
    rows = as_rows(facts, table)
    spec = spec_of(facts, rows)
    few = change_feature("job", categories=(*sklearn_models.JOBS[:2], "pilot"))(spec)
    found, usual = load_model("sklearn", data, few, {}), load_model("sklearn", data, spec, {})
    kept = rows[rows[:, 2] < 2]
    np.testing.assert_array_equal(found.predict(kept), usual.predict(kept))


def test_a_code_without_a_category_is_refused() -> None:
    _, table, data, facts = zoo("people")
    rows = as_rows(facts, table)
    model = load_model("sklearn", data, spec_of(facts, rows), {})
    rows[0, 2] = 9.0
    with pytest.raises(UserFacingError, match="'job' has a code without a category"):
        model.predict(rows)


def change_feature(name: str, **more: Any) -> Callable[[ModelSpec], ModelSpec]:
    def change(spec: ModelSpec) -> ModelSpec:
        features = tuple(replace(each, **more) if each.name == name else each for each in spec.features)
        return replace(spec, features=features)

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda spec: replace(spec, features=spec.features[:-1], shape=(4,)),
            "reads 5 features and the subject names 4",
        ),
        (lambda spec: replace(spec, features=spec.features[::-1]), "where the model reads 'age'"),
        (lambda spec: replace(spec, output="logit"), "It has no logit"),
        (lambda spec: replace(spec, classes=("a", "b", "c")), "tells 2 classes apart"),
        (lambda spec: replace(spec, capabilities=("linear",)), "says that it has linear"),
        (change_feature("job", kind="real", categories=()), "knows column 'job' by words"),
        (change_feature("rooms", categories=("1", "2", "many")), "knows column 'rooms' by numbers"),
    ],
)
def test_a_subject_that_says_otherwise_is_refused(change: Callable[[ModelSpec], ModelSpec], words: str) -> None:
    _, table, data, facts = zoo("people")
    spec = change(spec_of(facts, as_rows(facts, table)))
    with pytest.raises(UserFacingError, match=words):
        load_model("sklearn", data, spec, {})


def test_a_model_that_reads_no_missing_values_says_so() -> None:
    _, table, data, facts = zoo("logistic")
    rows = as_rows(facts, table)
    model = load_model("sklearn", data, spec_of(facts, rows), {})
    rows[0, 0] = np.nan
    with pytest.raises(UserFacingError, match="cannot read a row.*NaN"):
        model.predict(rows)


def test_what_only_training_reads_is_never_built() -> None:
    """The name of a random generator is called by skops; here it stays a name."""

    def change(schema: dict, files: dict) -> None:
        for node in hostile.nodes(schema):
            if node["__loader__"] == "RandomGeneratorNode":
                node["content"]["bit_generator"]["content"]["bit_generator"] = hostile.plain_node("seed")

    data = hostile.patched(hostile.zoo("histogram"), change)
    assert inspect_model(data) == zoo("histogram")[3]


def test_another_version_is_noted() -> None:
    change = hostile.set_attribute("LinearRegression", "_sklearn_version", hostile.plain_node("1.2.0"))
    assert (
        inspect_model(hostile.patched(hostile.zoo("linear"), change))
        .notes[0]
        .startswith("It was written by scikit-learn 1.2.0")
    )


def test_other_zips_are_not_recognised() -> None:
    buffer = io.BytesIO()
    np.savez(buffer, rows=np.zeros(3))
    for data in (b"", b"PK", buffer.getvalue(), hostile.pack({"schema": b"{}"})):
        assert not sklearn.recognises(data)


def test_the_words_of_a_pipeline() -> None:
    facts = zoo("people")[3]
    assert facts.title == "scikit-learn pipeline: ColumnTransformer, LogisticRegression"
    assert [(each.name, each.kind, each.categories) for each in facts.inputs] == [
        ("age", None, ()),
        ("income", None, ()),
        ("job", "category", sklearn_models.JOBS),
        ("rooms", "category", ("1", "2", "3", "5")),
        ("owner", None, ()),
    ]
    assert (facts.classes, facts.outputs, facts.columns) == (("no", "yes"), ("margin", "probability"), 1)
    assert "not calibrated" in zoo("linear-svc")[3].notes[0]
