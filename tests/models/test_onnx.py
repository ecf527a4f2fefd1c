"""ONNX files against the libraries that wrote them, their trees against brute force, and files that are hostile."""

import io
import json
import math
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import UserFacingError
from core.facts import ModelFacts
from core.models import Differentiable, Model, TreeEnsemble
from core.nouns import Feature, ModelSpec
from explainers.trees.engine import make_engine
from explainers.trees.read import as_seen
from models import inspect_model, load_model
from models import onnx as onnx_format
from tests import oracles

ROWS = np.random.default_rng(0).normal(size=(400, 4)).astype(np.float32)
TWO = (ROWS[:, 0] + ROWS[:, 1] > 0).astype(int)
THREE = np.digitize(ROWS[:, 0] - ROWS[:, 2], [-0.7, 0.7])
NAMES = np.array(["low", "mid", "top"])
VALUE = ROWS[:, 0] - 2 * ROWS[:, 1]
FEATURES = tuple(Feature(name, lower=-3, upper=3) for name in "abcd")


def sklearn_file(estimator: Any, **options: Any) -> bytes:
    from skl2onnx import to_onnx

    return to_onnx(estimator, ROWS[:1], **({"options": options} if options else {})).SerializeToString()


def booster_file(estimator: Any, **options: Any) -> bytes:
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType

    convert = getattr(onnxmltools, f"convert_{type(estimator).__module__.split('.')[0]}")
    return convert(estimator, initial_types=[("x", FloatTensorType([None, 4]))], **options).SerializeToString()


def torch_file(network: Any, example: Any, dynamo: bool = False, free: bool = True) -> bytes:
    import torch

    file = io.BytesIO()
    if dynamo:
        shapes = ({0: torch.export.Dim("n")},) if free else None
        torch.onnx.export(network.eval(), (example,), dynamo=True, dynamic_shapes=shapes, verbose=False).save(file)
    else:
        axes = {"x": {0: "n"}} if free else None
        torch.onnx.export(network.eval(), (example,), file, dynamo=False, input_names=["x"], dynamic_axes=axes)
    return file.getvalue()


def spec_for(
    facts: ModelFacts, output: str | None = None, features: tuple[Feature, ...] = FEATURES, **more: Any
) -> ModelSpec:
    output = output or facts.outputs[0]
    count = 0 if output == "value" else max(facts.columns, 2)
    given = {"shape": facts.shape, "capabilities": facts.capabilities, **more}
    classes = facts.classes or tuple(f"class {i}" for i in range(count))
    return ModelSpec(facts.modality, features=features, classes=classes, output=output, digest="0" * 64, **given)


def opened(data: bytes, output: str | None = None) -> Model:
    """The model of a file of four numbers a row, on the scale named, or the first that it has."""
    facts = inspect_model(data)
    capabilities = facts.capabilities if output in (None, facts.outputs[0]) else ()
    return load_model("onnx", data, spec_for(facts, output, capabilities=capabilities), facts.settings)


def proba(model: Model) -> np.ndarray:
    return model.predict(ROWS.astype(np.float64))


def log_odds(probability: np.ndarray) -> np.ndarray:
    return np.log(probability[:, 1:] / probability[:, :1])


def centred(logits: np.ndarray) -> np.ndarray:
    return logits - logits.mean(axis=1, keepdims=True)


def fitted(name: str) -> Any:
    """A small estimator of scikit-learn, XGBoost or LightGBM; `2`, `3` or `r` says what it predicts."""
    import lightgbm
    import xgboost
    from sklearn import ensemble, linear_model, neural_network

    estimator = {
        "logistic": lambda: linear_model.LogisticRegression(),
        "mlp": lambda: neural_network.MLPClassifier((6,), max_iter=60, random_state=0),
        "forest": lambda: ensemble.RandomForestClassifier(6, max_depth=4, random_state=0),
        "boosting": lambda: ensemble.GradientBoostingClassifier(n_estimators=8, random_state=0),
        "forest_r": lambda: ensemble.RandomForestRegressor(6, max_depth=4, random_state=0),
        "boosting_r": lambda: ensemble.GradientBoostingRegressor(n_estimators=8, random_state=0),
        "linear_r": lambda: linear_model.LinearRegression(),
        "xgboost": lambda: xgboost.XGBClassifier(n_estimators=8, max_depth=3, n_jobs=1),
        "xgboost_r": lambda: xgboost.XGBRegressor(n_estimators=8, max_depth=3, n_jobs=1),
        "lightgbm": lambda: lightgbm.LGBMClassifier(n_estimators=8, num_leaves=7, n_jobs=1, verbose=-1),
        "lightgbm_r": lambda: lightgbm.LGBMRegressor(n_estimators=8, num_leaves=7, n_jobs=1, verbose=-1),
    }[name.removesuffix("2").removesuffix("3")]()
    target = VALUE if name.endswith("_r") else THREE if name.endswith("3") else TWO
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(ROWS, target)


def exported(estimator: Any, **options: Any) -> bytes:
    library = type(estimator).__module__.split(".")[0]
    return sklearn_file(estimator, **options) if library == "sklearn" else booster_file(estimator, **options)


CLASSIFIERS = ("logistic", "mlp", "forest", "boosting", "xgboost", "lightgbm")
TREES = ("forest", "boosting", "xgboost", "lightgbm")


@pytest.mark.parametrize("classes", "23")
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers_give_their_own_librarys_numbers(name: str, classes: str) -> None:
    estimator = fitted(name + classes)
    data = exported(estimator)
    facts = inspect_model(data)
    wanted = estimator.predict_proba(ROWS).astype(np.float64)
    assert facts.classes == tuple(str(each) for each in estimator.classes_)
    assert (facts.modality, facts.shape, facts.columns) == ("table", (4,), int(classes))
    kind = "probability" if name == "forest" else {"2": "margin", "3": "logit"}[classes]
    assert facts.outputs[0] == kind
    np.testing.assert_allclose(proba(opened(data, "probability")), wanted, atol=1e-5)
    if kind == "margin":
        inside = np.abs(wanted[:, 0] - 0.5) < 0.49  # nearer to 0 or 1 the quotient loses its digits
        np.testing.assert_allclose(proba(opened(data))[inside], log_odds(wanted[inside]), atol=2e-5, rtol=1e-5)
    if kind == "logit":
        inside = wanted.min(axis=1) > 0.01
        found = centred(proba(opened(data)))[inside]
        np.testing.assert_allclose(found, centred(np.log(wanted[inside])), atol=2e-5, rtol=1e-5)
    assert facts.capabilities == (("trees",) if name in TREES else ("gradients",))


@pytest.mark.parametrize("name", ["forest_r", "boosting_r", "linear_r", "xgboost_r", "lightgbm_r"])
def test_regressions_give_their_own_librarys_numbers(name: str) -> None:
    estimator = fitted(name)
    data = exported(estimator)
    assert inspect_model(data).outputs == ("value",)
    wanted = estimator.predict(ROWS).reshape(-1, 1)
    np.testing.assert_allclose(proba(opened(data)), wanted, atol=1e-5 * np.ptp(wanted))


@pytest.mark.parametrize("name", ["forest2", "mlp3", "lightgbm2"])
def test_a_zipmap_makes_no_difference(name: str) -> None:
    estimator = fitted(name)
    with_map, without = exported(estimator), exported(estimator, zipmap=False)
    assert with_map != without
    np.testing.assert_array_equal(proba(opened(with_map)), proba(opened(without)))
    assert inspect_model(with_map).classes == inspect_model(without).classes


def test_names_of_classes_are_read() -> None:
    from sklearn.ensemble import RandomForestClassifier

    estimator = RandomForestClassifier(3, max_depth=3, random_state=0).fit(ROWS, NAMES[THREE])
    assert inspect_model(exported(estimator)).classes == ("low", "mid", "top")


def test_several_outputs_are_not_guessed_between() -> None:
    with pytest.raises(UserFacingError, match="several outputs"):
        inspect_model(exported(fitted("mlp3"), zipmap="columns"))


def test_a_pipeline_is_read_in_raw_columns() -> None:
    import pandas as pd
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    random = np.random.default_rng(1)
    cities, jobs = np.array(["Bern", "Genf", "Ulm"]), np.array(["cook", "pilot"])
    codes = np.stack([random.integers(0, 3, 400), random.integers(0, 2, 400)], axis=1)
    table = pd.DataFrame(
        {"age": ROWS[:, 0], "cars": random.integers(0, 9, 400), "city": cities[codes[:, 0]], "job": jobs[codes[:, 1]]}
    )
    encode = OneHotEncoder(handle_unknown="ignore")
    prepare = ColumnTransformer([("n", StandardScaler(), ["age", "cars"]), ("c", encode, ["city", "job"])])
    pipeline = make_pipeline(prepare, LogisticRegression()).fit(table, TWO)
    types = [("age", FloatTensorType([None, 1])), ("cars", Int64TensorType([None, 1]))]
    types += [("city", StringTensorType([None, 1])), ("job", StringTensorType([None, 1]))]
    data = convert_sklearn(pipeline, initial_types=types).SerializeToString()
    facts = inspect_model(data)
    assert [(each.name, each.kind, each.categories) for each in facts.inputs] == [
        ("age", None, ()),
        ("cars", "integer", ()),
        ("city", "category", ("Bern", "Genf", "Ulm")),
        ("job", "category", ("cook", "pilot")),
    ]
    features = (
        Feature("age", lower=-3, upper=3),
        Feature("cars", "integer", upper=9),
        Feature("city", "category", categories=("Ulm", "Bern", "Genf")),  # the subject's own order
        Feature("job", "category", categories=("cook", "pilot")),
    )
    model = load_model("onnx", data, spec_for(facts, features=features), {})
    rows = np.column_stack([ROWS[:, 0], table["cars"], np.array([1, 2, 0])[codes[:, 0]], codes[:, 1]])
    np.testing.assert_allclose(model.predict(rows), log_odds(pipeline.predict_proba(table)), atol=2e-5, rtol=1e-5)
    incomplete = (*features[:3], Feature("job", "category", categories=("cook", "pilot"), missing=True))
    with pytest.raises(UserFacingError, match="job cannot be missing"):
        load_model("onnx", data, spec_for(facts, features=incomplete), {})


def pipeline(*names: str) -> Any:
    from sklearn import impute, linear_model, pipeline, preprocessing, svm

    steps = {
        "impute": impute.SimpleImputer,
        "scale": preprocessing.StandardScaler,
        "logistic": linear_model.LogisticRegression,
        "forest": lambda: fitted("forest2"),
        "svm": svm.SVC,
    }
    return pipeline.make_pipeline(*(steps[name]() for name in names))


@pytest.mark.parametrize(
    ("names", "capabilities"),
    [
        (("scale", "logistic"), ("gradients",)),
        (("impute", "scale", "logistic"), ()),
        (("scale", "forest"), ()),
    ],
)
def test_preprocessing_in_the_file_is_part_of_the_model(names: tuple[str, ...], capabilities: tuple) -> None:
    rows = ROWS.copy()
    if "impute" in names:
        rows[::5, 1] = np.nan
    estimator = pipeline(*names).fit(rows, TWO)
    data = exported(estimator)
    facts = inspect_model(data)
    assert facts.capabilities == capabilities
    assert bool(capabilities) != any("black box" in note for note in facts.notes)
    features = tuple(Feature(f.name, lower=-3, upper=3, missing="impute" in names) for f in FEATURES)
    model = load_model("onnx", data, spec_for(facts, "probability", features, capabilities=()), {})
    np.testing.assert_allclose(model.predict(rows.astype(float)), estimator.predict_proba(rows), atol=1e-5)


def test_a_score_beside_its_negative_is_one_score() -> None:
    from sklearn.linear_model import Perceptron

    estimator = Perceptron().fit(ROWS, TWO)
    data = exported(estimator)
    facts = inspect_model(data)
    assert (facts.outputs[0], facts.columns) == ("margin", 2)
    np.testing.assert_allclose(proba(opened(data))[:, 0], estimator.decision_function(ROWS), atol=1e-4)


def test_labels_that_are_not_those_of_the_largest_score_are_refused() -> None:
    """onnxruntime gives the scores of a two-class support vector machine the other way round."""
    with pytest.raises(UserFacingError, match="labels that it gives are not those of its largest"):
        inspect_model(exported(pipeline("svm").fit(ROWS, TWO)))


def test_categories_and_missing_values_of_a_booster_survive() -> None:
    import lightgbm

    rows = ROWS.astype(np.float64)
    rows[:, 3] = np.random.default_rng(0).integers(0, 5, len(rows))
    labels = (ROWS[:, 0] + np.isin(rows[:, 3], (1, 4)) > 0.3).astype(int)
    rows[::5, 1] = np.nan
    loose = {"min_child_samples": 5, "min_data_per_group": 5, "cat_smooth": 1.0}
    estimator = lightgbm.LGBMClassifier(n_estimators=8, num_leaves=7, n_jobs=1, verbose=-1, **loose)
    data = exported(estimator.fit(rows, labels, categorical_feature=[3]))
    assert b"BRANCH_EQ" in data
    wanted = estimator.predict_proba(rows)
    np.testing.assert_allclose(opened(data, "probability").predict(rows), wanted, atol=1e-5)
    check_shap(opened(data), rows[:60], rows[60:80])


def test_trees_behind_named_columns_keep_their_trees() -> None:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline

    columns = ColumnTransformer([("some", "passthrough", [3, 1]), ("more", "passthrough", [0])])
    import pandas as pd

    table = pd.DataFrame(ROWS, columns=list("abcd"))
    estimator = make_pipeline(columns, fitted("forest2")).fit(table, TWO)
    data = convert_sklearn(estimator, initial_types=[(c, FloatTensorType([None, 1])) for c in "abcd"])
    model = opened(data.SerializeToString())
    assert isinstance(model, TreeEnsemble)
    np.testing.assert_allclose(proba(model), estimator.predict_proba(table), atol=1e-5)
    check_shap(model)


# Trees


def check_shap(model: Model, rows: np.ndarray = ROWS[:60], reference: np.ndarray = ROWS[60:80]) -> None:
    """Base and attributions add up to a millionth of the range, and are those of all coalitions."""
    rows, reference = rows.astype(np.float64), reference.astype(np.float64)
    for column in range(model.spec.columns):
        engine = make_engine(model.trees(), column, reference)
        values = engine.values(as_seen(model.trees(), rows), lambda _: None).T
        output, base = model.predict(rows)[:, column], model.predict(reference)[:, column].mean()
        assert np.abs(base + values.sum(axis=1) - output).max() <= 1e-6 * np.ptp(output)

        def score(mixed: np.ndarray, column: int = column) -> np.ndarray:
            return model.predict(mixed)[:, column]

        expected = oracles.brute_force_shapley(score, rows[:4], reference)
        np.testing.assert_allclose(values[:4], expected, atol=1e-6 * np.ptp(output))


@pytest.mark.parametrize(
    "name", [*(f"{each}{classes}" for each in TREES for classes in "23"), "forest_r", "lightgbm_r"]
)
def test_tree_shap_of_converted_ensembles_is_exact(name: str) -> None:
    model = opened(exported(fitted(name)))
    assert isinstance(model, TreeEnsemble)
    rows = ROWS[:60].copy()
    rows[::7, 1] = np.nan
    check_shap(model, rows)


def tree_node(operator: str = "TreeEnsembleRegressor", **changes: Any) -> Any:
    """Two trees: a split by column 0 with a split by column 1 below, and a split by column 3."""
    from onnx import helper

    kind = "class" if operator.endswith("Classifier") else "target"
    held = {
        "nodes_treeids": [0, 0, 0, 0, 0, 1, 1, 1],
        "nodes_nodeids": [0, 1, 2, 3, 4, 0, 1, 2],
        "nodes_featureids": [0, 0, 1, 0, 0, 3, 0, 0],
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "BRANCH_LT", "LEAF", "LEAF", "BRANCH_LEQ", "LEAF", "LEAF"],
        "nodes_values": [0.25, 0.0, -0.5, 0.0, 0.0, 1.0, 0.0, 0.0],
        "nodes_truenodeids": [1, 0, 3, 0, 0, 1, 0, 0],
        "nodes_falsenodeids": [2, 0, 4, 0, 0, 2, 0, 0],
        f"{kind}_treeids": [0, 0, 0, 1, 1],
        f"{kind}_nodeids": [1, 3, 4, 1, 2],
        f"{kind}_ids": [0, 0, 0, 0, 0],
        f"{kind}_weights": [1.0, -2.0, 3.0, -0.5, 0.25],
    }
    if kind == "target":
        held["n_targets"] = 1
    held |= changes
    outputs = ["label", "score"] if kind == "class" else ["score"]
    held = {name: value for name, value in held.items() if value is not None}
    return helper.make_node(operator, ["x"], outputs, domain="ai.onnx.ml", **held)


def graph_file(
    nodes: list[Any], inputs: list[Any] | None = None, stored: list[Any] = (), ml: int = 3, **more: Any
) -> bytes:
    """A file of `nodes` from a table x of four columns to `score`."""
    from onnx import TensorProto, helper

    inputs = inputs or [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])]
    output = more.pop("output", helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n", "k"]))
    graph = helper.make_graph(nodes, "g", inputs, [output], list(stored))
    domains = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", ml)]
    return helper.make_model(graph, ir_version=9, opset_imports=domains, **more).SerializeToString()


@pytest.mark.parametrize("mode", ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT"])
@pytest.mark.parametrize("missing", [0, 1])
def test_every_comparison_goes_where_onnxruntime_goes(mode: str, missing: int) -> None:
    modes = [mode, "LEAF", mode, "LEAF", "LEAF", mode, "LEAF", "LEAF"]
    node = tree_node(nodes_modes=modes, nodes_missing_value_tracks_true=[missing] * 8)
    rows = ROWS[:60].copy()
    rows[:20, 0], rows[20:30, 1], rows[30:40, 3] = 0.25, -0.5, 1.0  # on the thresholds themselves
    rows[5:50:5, 0] = np.nan
    check_shap(opened(graph_file([node])), rows, rows[:20])


@pytest.mark.parametrize("mode", ["BRANCH_EQ", "BRANCH_NEQ"])
@pytest.mark.parametrize("missing", [0, 1])
def test_categories_are_asked_for_equality(mode: str, missing: int) -> None:
    modes = [mode, "LEAF", mode, "LEAF", "LEAF", "BRANCH_LEQ", "LEAF", "LEAF"]
    values = [2.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0]
    node = tree_node(nodes_modes=modes, nodes_values=values, nodes_missing_value_tracks_true=[missing] * 8)
    rows = np.random.default_rng(2).integers(-1, 4, (60, 4)).astype(np.float64)
    rows[::6, 0] = 2.5
    rows[1::6, 0] = np.nan
    check_shap(opened(graph_file([node])), rows, rows[:20])


@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE"])
def test_trees_are_summed_or_averaged(aggregate: str) -> None:
    model = opened(graph_file([tree_node(aggregate_function=aggregate, base_values=[10.0])]))
    first = np.where(ROWS[:, 0] <= 0.25, 1.0, np.where(ROWS[:, 1] < -0.5, -2.0, 3.0))
    total = first + np.where(ROWS[:, 3] <= 1, -0.5, 0.25)
    np.testing.assert_allclose(proba(model)[:, 0], total / (1 if aggregate == "SUM" else 2) + 10, atol=1e-6)
    check_shap(model)


def test_the_largest_tree_does_not_add_up() -> None:
    model = opened(graph_file([tree_node(aggregate_function="MAX")]))
    assert not isinstance(model, TreeEnsemble)


def compact_node(**changes: Any) -> Any:
    """`TreeEnsemble` of ai.onnx.ml 5: the first tree of `tree_node`, and a tree that is one leaf."""
    from onnx import TensorProto, helper

    held = {
        "n_targets": 1,
        "tree_roots": [0, 2],
        "nodes_featureids": [0, 1, 0],
        "nodes_splits": helper.make_tensor("s", TensorProto.FLOAT, [3], [0.25, -0.5, 0.0]),
        "nodes_modes": helper.make_tensor("m", TensorProto.UINT8, [3], [0, 1, 0]),
        "nodes_truenodeids": [0, 1, 3],
        "nodes_trueleafs": [1, 1, 1],
        "nodes_falsenodeids": [1, 2, 3],
        "nodes_falseleafs": [0, 1, 1],
        "leaf_targetids": [0, 0, 0, 0],
        "leaf_weights": helper.make_tensor("w", TensorProto.FLOAT, [4], [1.0, -2.0, 3.0, 0.5]),
    } | changes
    return helper.make_node("TreeEnsemble", ["x"], ["score"], domain="ai.onnx.ml", **held)


def test_the_newer_tree_operator_is_read() -> None:
    data = graph_file([compact_node()], ml=5)
    facts = inspect_model(data)
    model = load_model("onnx", data, spec_for(facts, "value"), {})
    first = np.where(ROWS[:, 0] <= 0.25, 1.0, np.where(ROWS[:, 1] < -0.5, -2.0, 3.0))
    np.testing.assert_allclose(proba(model)[:, 0], first + 0.5, atol=1e-6)
    check_shap(model)


# Networks


def dense(*sizes: int) -> Any:
    import torch
    from torch import nn

    torch.manual_seed(0)
    layers = [nn.Sequential(nn.Linear(a, b), nn.Tanh()) for a, b in zip(sizes[:-2], sizes[1:-1], strict=True)]
    return nn.Sequential(*layers, nn.Linear(*sizes[-2:]))


def convolutional(channels: int = 1, last: bool = False, shift: float = 0.0, width: float = 1.0) -> Any:
    import torch
    from torch import nn

    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(channels, 4, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 36, 3))

    class Network(nn.Module):
        def forward(self, x: Any) -> Any:
            x = (x - shift) / width if (shift, width) != (0.0, 1.0) else x
            return body(x.permute(0, 3, 1, 2) if last else x)

    network = Network()
    network.body = body
    return network


@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.parametrize("end", ["", "Softmax", "LogSoftmax", "Sigmoid"])
def test_torch_tables_have_the_networks_numbers_and_gradients(dynamo: bool, end: str) -> None:
    import torch

    bare = dense(4, 8, 1 if end == "Sigmoid" else 3)
    ends = {"Softmax": torch.nn.Softmax(1), "LogSoftmax": torch.nn.LogSoftmax(1), "Sigmoid": torch.nn.Sigmoid()}
    network = torch.nn.Sequential(bare, ends[end]) if end else bare
    data = torch_file(network, torch.zeros(2, 4), dynamo)
    facts = inspect_model(data)
    assert facts.outputs == (("margin" if end == "Sigmoid" else "logit"), "probability")
    assert facts.capabilities == ("gradients",)
    model = opened(data)
    assert isinstance(model, Differentiable)
    x = torch.tensor(ROWS, requires_grad=True)
    wanted = bare(x)
    np.testing.assert_allclose(proba(model), wanted.detach().numpy(), atol=1e-5)
    (right,) = torch.autograd.grad(wanted.sum(), x)
    moved = x.to(model.device)
    (found,) = torch.autograd.grad(model.module()(moved).sum(), moved)
    np.testing.assert_allclose(found.cpu(), right, atol=1e-5)
    probability = proba(opened(data, "probability"))
    plain = wanted.detach().softmax(1) if end != "Sigmoid" else torch.cat([-wanted, wanted], 1).detach().sigmoid()
    np.testing.assert_allclose(probability, plain.numpy(), atol=1e-5)


@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("free", [False, True])
def test_images_in_either_layout_and_any_batch(dynamo: bool, last: bool, free: bool) -> None:
    import torch

    network = convolutional(3, last)
    example = torch.rand(1 if not free else 2, *((6, 6, 3) if last else (3, 6, 6)))
    data = torch_file(network, example, dynamo, free)
    facts = inspect_model(data)
    assert (facts.modality, facts.shape) == ("image", (6, 6, 3))
    assert facts.settings == {"layout": "channels_last" if last else "channels_first"}
    assert facts.ask == {"divide": (255, 1)}
    features = tuple(Feature(f"p{i}", "pixel", upper=255) for i in range(108))
    model = load_model("onnx", data, spec_for(facts, features=features), {**facts.settings, "divide": 255})
    images = np.random.default_rng(0).uniform(0, 255, (37, 6, 6, 3))
    pixels = torch.tensor(images / 255, dtype=torch.float32)
    wanted = network(pixels if last else pixels.permute(0, 3, 1, 2)).detach().numpy()
    np.testing.assert_allclose(model.predict(images), wanted, atol=1e-5)
    x = torch.tensor(images[:3], dtype=torch.float32, device=model.device, requires_grad=True)
    (gradient,) = torch.autograd.grad(model.module()(x).sum(), x)
    assert gradient.shape == x.shape
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize(
    ("shift", "width", "settings", "ask"),
    [(0.0, 255.0, {"divide": 1}, {}), (0.5, 0.25, {}, {"divide": (255, 1)}), (120.0, 1.0, {"divide": 1}, {})],
)
def test_the_range_of_pixels_is_told_from_the_graph(shift: float, width: float, settings: dict, ask: dict) -> None:
    import torch

    facts = inspect_model(torch_file(convolutional(1, shift=shift, width=width), torch.rand(2, 1, 6, 6)))
    assert facts.settings == {"layout": "channels_first", **settings}
    assert facts.ask == ask
    assert any("pixels from 0 to" in note for note in facts.notes)


def test_a_layout_that_the_file_leaves_open_is_asked() -> None:
    import torch

    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(54, 3))
    data = torch_file(network, torch.rand(2, 3, 6, 3))
    facts = inspect_model(data)
    assert facts.ask["layout"] == ("channels_first", "channels_last")
    features = tuple(Feature(f"p{i}", "pixel") for i in range(54))
    images = np.random.default_rng(0).random((5, 3, 6, 3))
    spec = spec_for(facts, features=features, shape=(3, 6, 3))
    with pytest.raises(UserFacingError, match="A row of it is 6 by 3 by 3"):
        load_model("onnx", data, spec, {"layout": "channels_first"})
    model = load_model("onnx", data, spec, {"layout": "channels_last"})
    wanted = network(torch.tensor(images, dtype=torch.float32)).detach().numpy()
    np.testing.assert_allclose(model.predict(images), wanted, atol=1e-5)


def test_a_sequence_is_a_table_of_its_numbers() -> None:
    import torch

    network = torch.nn.Sequential(torch.nn.Flatten(), dense(6, 5, 2))
    data = torch_file(network, torch.rand(2, 3, 2))
    facts = inspect_model(data)
    assert (facts.shape, len(facts.inputs)) == ((6,), 6)
    features = tuple(Feature(f"f{i}") for i in range(6))
    model = load_model("onnx", data, spec_for(facts, features=features), {})
    rows = np.random.default_rng(0).random((9, 6))
    wanted = network(torch.tensor(rows.reshape(9, 3, 2), dtype=torch.float32)).detach().numpy()
    np.testing.assert_allclose(model.predict(rows), wanted, atol=1e-5)


def test_tokens_are_whole_numbers_without_gradients() -> None:
    import torch

    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Embedding(20, 3), torch.nn.Flatten(), torch.nn.Linear(15, 2))
    data = torch_file(network, torch.zeros(2, 5, dtype=torch.int64))
    facts = inspect_model(data)
    assert {each.kind for each in facts.inputs} == {"integer"}
    assert facts.capabilities == ()
    model = load_model("onnx", data, spec_for(facts, features=(Feature("t", "integer", upper=19),) * 5), {})
    rows = np.random.default_rng(0).integers(0, 20, (9, 5))
    np.testing.assert_allclose(model.predict(rows.astype(float)), network(torch.tensor(rows)).detach(), atol=1e-5)


def test_a_network_refuses_missing_values() -> None:
    import torch

    data = torch_file(dense(4, 5, 2), torch.zeros(2, 4))
    facts = inspect_model(data)
    with pytest.raises(UserFacingError, match="no answer where a value is missing"):
        load_model("onnx", data, spec_for(facts, features=(*FEATURES[:3], Feature("d", missing=True))), {})


def test_a_network_that_torch_reads_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from models.onnx import network

    data = torch_file(dense(4, 5, 2), torch.zeros(2, 4))
    right = network.to_module

    def wrong(model: Any) -> Any:
        inner = right(model)

        class Shifted(torch.nn.Module):
            def forward(self, *inputs: Any) -> tuple:
                return tuple(each * 1.01 for each in inner(*inputs))

        return Shifted()

    monkeypatch.setattr(network, "to_module", wrong)
    with pytest.raises(UserFacingError, match="differs from onnxruntime"):
        opened(data)


def test_rows_that_look_at_each_other_are_refused() -> None:
    from onnx import helper

    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=1),
        helper.make_node("Sub", ["x", "mean"], ["score"]),
    ]
    with pytest.raises(UserFacingError, match="depends on the rows beside it"):
        inspect_model(graph_file(nodes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"output": "value"}, "cannot be read as a value"),
        ({"classes": ("a", "b", "c")}, "tells 2 classes apart"),
        ({"shape": (3,), "features": FEATURES[:3]}, "A row of it is 4"),
    ],
)
def test_a_subject_that_does_not_fit_is_refused(changes: dict, words: str) -> None:
    data = exported(fitted("logistic2"))
    spec = spec_for(inspect_model(data))
    given = {each: getattr(spec, each) for each in spec.__dataclass_fields__} | changes
    with pytest.raises(UserFacingError, match=words):
        load_model("onnx", data, ModelSpec(**given), {})


def test_unknown_settings_are_refused() -> None:
    data = exported(fitted("logistic2"))
    with pytest.raises(UserFacingError, match="speed is not a setting"):
        load_model("onnx", data, spec_for(inspect_model(data)), {"speed": 1})


# Hostile files


def simple(kind: str, inputs: tuple[str, ...] = ("x",), stored: list[Any] = (), **given: Any) -> Callable[[], bytes]:
    def make() -> bytes:
        from onnx import helper

        return graph_file([helper.make_node(kind, list(inputs), ["score"], **given)], stored=stored)

    return make


def damaged_tree(operator: str = "TreeEnsembleRegressor", **changes: Any) -> Callable[[], bytes]:
    return lambda: graph_file([tree_node(operator, **changes)])


def patched(change: Callable[[Any], Any]) -> Callable[[], bytes]:
    """An ordinary network, changed."""

    def make() -> bytes:
        import onnx
        from onnx import helper, numpy_helper

        weight = numpy_helper.from_array(np.ones((4, 2), np.float32), "w")
        model = onnx.load_from_string(graph_file([helper.make_node("MatMul", ["x", "w"], ["score"])], stored=[weight]))
        change(model)
        return model.SerializeToString()

    return make


def endless_loop() -> bytes:
    from onnx import TensorProto, helper

    def state(name: str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4])

    flag = [helper.make_tensor_value_info(name, TensorProto.BOOL, []) for name in ("c", "d")]
    count = helper.make_tensor_value_info("i", TensorProto.INT64, [])
    steps = [helper.make_node("Identity", ["c"], ["d"]), helper.make_node("Identity", ["s"], ["t"])]
    body = helper.make_graph(steps, "b", [count, flag[0], state("s")], [flag[1], state("t")])
    true = helper.make_tensor("yes", TensorProto.BOOL, [], [True])
    return graph_file([helper.make_node("Loop", ["", "yes", "x"], ["score"], body=body)], stored=[true])


def stored_shape(*sizes: int, name: str = "size") -> list[Any]:
    from onnx import numpy_helper

    return [numpy_helper.from_array(np.array(sizes, np.int64), name)]


def external(model: Any) -> None:
    from onnx import TensorProto

    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../../../etc/passwd"


def own_operators(model: Any) -> None:
    from onnx import helper

    model.opset_import.append(helper.make_opsetid("mine", 1))
    inner = [helper.make_node("Twice", ["a"], ["b"], domain="mine")]
    domains = [helper.make_opsetid("", 18), helper.make_opsetid("mine", 1)]
    model.functions.append(helper.make_function("mine", "Twice", ["a"], ["b"], inner, domains))


def cycle(model: Any) -> None:
    from onnx import helper

    del model.graph.node[:]
    model.graph.node.append(helper.make_node("Add", ["x", "b"], ["a"]))
    model.graph.node.append(helper.make_node("Identity", ["a"], ["b"]))
    model.graph.node.append(helper.make_node("Identity", ["b"], ["score"]))


def set_dims(*sizes: int) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        del model.graph.initializer[0].dims[:]
        model.graph.initializer[0].dims.extend(sizes)

    return change


def of_double_size(model: Any) -> None:
    """Thirty concatenations, each of a tensor with itself: 4 GiB from sixteen bytes."""
    from onnx import helper

    del model.graph.node[:]
    names = ["x", *(f"t{i}" for i in range(30)), "score"]
    for before, after in zip(names, names[1:], strict=False):
        model.graph.node.append(helper.make_node("Concat", [before, before], [after], axis=1))


def ml(kind: str, **given: Any) -> Callable[[], bytes]:
    def make() -> bytes:
        from onnx import helper

        outputs = ["label", "score"] if kind.endswith("Classifier") else ["score"]
        return graph_file([helper.make_node(kind, ["x"], outputs, domain="ai.onnx.ml", **given)])

    return make


LABELS = {"classlabels_int64s": [0, 1], "nodes_missing_value_tracks_true": [0] * 8}
HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "cut_short": (lambda: exported(fitted("forest2"))[:900], "damaged, cut short"),
    "no_operators": (patched(lambda model: model.graph.ClearField("node")), "no operators"),
    "external": (patched(external), "lie in another file"),
    "endless_loop": (endless_loop, "repeats or chooses"),
    "own_operators": (patched(own_operators), "operators of its own"),
    "unknown_domain": (simple("Gelu", domain="com.microsoft"), "com.microsoft"),
    "cycle": (patched(cycle), "before it is made"),
    "made_twice": (
        patched(lambda model: model.graph.node.append(model.graph.node[0])),
        "made twice",
    ),
    "one_name": (
        patched(lambda model: model.graph.initializer.append(model.graph.initializer[0])),
        "have one name",
    ),
    "lying_dims": (patched(set_dims(1000, 1000)), "should hold 1,000,000 numbers and holds 8"),
    "negative_dims": (patched(set_dims(-4, -2)), "make no sense"),
    "wide_dims": (patched(set_dims(2**40, 2**40)), "is the most"),
    "training": (patched(lambda model: model.training_info.add()), "training procedure"),
    "sparse": (patched(lambda model: model.graph.sparse_initializer.add()), "sparse"),
    "future": (patched(lambda model: setattr(model.opset_import[0], "version", 9_999)), "is the newest that is known"),
    "random": (simple("RandomNormalLike"), "random numbers"),
    "unknown_operator": (simple("Frobnicate"), "breaks a rule of ONNX"),
    "four_tebibytes": (
        lambda: graph_file(
            [
                helper_node("ConstantOfShape", ["size"], "big"),
                helper_node("Add", ["x", "big"], "score"),
            ],
            stored=stored_shape(2**20, 2**20),
        ),
        "is the most",
    ),
    "expand": (
        lambda: graph_file([helper_node("Expand", ["x", "size"], "score")], stored=stored_shape(2**40, 4)),
        "is the most",
    ),
    "tile": (
        lambda: graph_file([helper_node("Tile", ["x", "size"], "score")], stored=stored_shape(2**31, 2**31)),
        "is the most",
    ),
    "pad": (
        lambda: graph_file([helper_node("Pad", ["x", "size"], "score")], stored=stored_shape(0, 0, 0, 2**50)),
        "is the most",
    ),
    "range": (
        lambda: graph_file(
            [helper_node("Range", ["a", "b", "c"], "far"), helper_node("Cast", ["far"], "score", to=1)],
            stored=[*stored_scalar(0, "a"), *stored_scalar(2**60, "b"), *stored_scalar(1, "c")],
        ),
        "is the most",
    ),
    "doubling": (patched(of_double_size), "is the most"),
    "no_stride": (simple("MaxPool", kernel_shape=[1], strides=[0]), "strides below 1"),
    "huge_input": (
        lambda: graph_file([helper_node("Identity", ["x"], "score")], inputs=[table_input(2**50)]),
        "is the most",
    ),
    "open_input": (
        lambda: graph_file([helper_node("Identity", ["x"], "score")], inputs=[table_input("d")]),
        "does not say how many numbers",
    ),
    "labels_only": (
        lambda: graph_file([helper_node("ArgMax", ["x"], "score", axis=1)], output=label_output()),
        "only labels",
    ),
    "cyclic_tree": (damaged_tree(nodes_truenodeids=[1, 0, 0, 0, 0, 1, 0, 0]), "leads back"),
    "shared_node": (damaged_tree(nodes_falsenodeids=[2, 0, 3, 0, 0, 2, 0, 0]), "two lead to one node"),
    "lost_child": (damaged_tree(nodes_truenodeids=[77_777, 0, 3, 0, 0, 1, 0, 0]), "leads nowhere"),
    "detached_ring": (
        damaged_tree(
            nodes_modes=["LEAF", "BRANCH_LEQ", "BRANCH_LEQ", "LEAF", "LEAF", "BRANCH_LEQ", "LEAF", "LEAF"],
            nodes_truenodeids=[0, 2, 1, 0, 0, 1, 0, 0],
            nodes_falsenodeids=[0, 3, 4, 0, 0, 2, 0, 0],
            target_nodeids=[0, 3, 4, 1, 2],
        ),
        "never reached",
    ),
    "twin_nodes": (damaged_tree(nodes_nodeids=[0, 1, 2, 2, 4, 0, 1, 2]), "one number"),
    "scattered_tree": (damaged_tree(nodes_treeids=[0, 0, 0, 0, 1, 0, 1, 1]), "a tree"),
    "short_table": (damaged_tree(nodes_featureids=[0, 0]), "2 entries of nodes_featureids where 8 belong"),
    "far_feature": (damaged_tree(nodes_featureids=[9_999, 0, 1, 0, 0, 3, 0, 0]), "column"),
    "negative_feature": (damaged_tree(nodes_featureids=[-1, 0, 1, 0, 0, 3, 0, 0]), "what there is not"),
    "no_threshold": (damaged_tree(nodes_values=[math.nan, 0, 0, 0, 0, 0, 0, 0]), "what there is not"),
    "endless_weight": (damaged_tree(target_weights=[math.inf, 0, 0, 0, 0]), "finite weight"),
    "far_target": (damaged_tree(target_ids=[0, 0, 5, 0, 0]), "a class that there is not"),
    "vote_at_a_split": (damaged_tree(target_nodeids=[0, 3, 4, 1, 2]), "A leaf of a tree"),
    "far_class": (
        damaged_tree("TreeEnsembleClassifier", class_ids=[0, 1, 9, 1, 0], **LABELS),
        "a class that there is not",
    ),
    "many_bases": (damaged_tree(base_values=[1.0] * 5), "do not fit"),
    "compact_nowhere": (lambda: graph_file([compact_node(nodes_truenodeids=[99, 1, 3])], ml=5), "leads nowhere"),
    "compact_back": (lambda: graph_file([compact_node(nodes_falsenodeids=[0, 2, 3])], ml=5), "leads back"),
    "linear_past_its_end": (
        ml("LinearClassifier", coefficients=[1.0] * 5, intercepts=[0.0, 0.0], classlabels_ints=[0, 1]),
        "do not fit",
    ),
    "linear_too_narrow": (
        ml("LinearClassifier", coefficients=[1.0] * 4, intercepts=[0.0, 0.0], classlabels_ints=[0, 1]),
        "column",
    ),
    "encoder_of_the_unknown": (  # crashes onnx 1.23 where it foresees types
        lambda: graph_file(
            [
                tree_node("TreeEnsembleClassifier", class_ids=[0] * 5, **LABELS),
                helper_node("LabelEncoder", ["score"], "coded", domain="ai.onnx.ml"),
                helper_node("Identity", ["coded"], "end"),
            ],
            ml=1,
            output=table_input(4, "end"),
        ),
        "cannot be opened by onnxruntime",
    ),
    "vectors_past_their_end": (
        ml(
            "SVMClassifier",
            classlabels_ints=[0, 1],
            vectors_per_class=[500, 500],
            support_vectors=[1.0] * 8,
            coefficients=[1.0] * 2,
            rho=[0.0],
        ),
        "do not fit",
    ),
}


def helper_node(kind: str, inputs: list[str], output: str, **given: Any) -> Any:
    from onnx import helper

    return helper.make_node(kind, inputs, [output], **given)


def stored_scalar(value: int, name: str) -> list[Any]:
    from onnx import numpy_helper

    return [numpy_helper.from_array(np.array(value, np.int64), name)]


def table_input(width: int | str, name: str = "x") -> Any:
    from onnx import TensorProto, helper

    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width])


def label_output() -> Any:
    from onnx import TensorProto, helper

    return helper.make_tensor_value_info("score", TensorProto.INT64, ["n", "k"])


HARNESS = """
import json, resource, sys
from pathlib import Path
from core.errors import UserFacingError
from core.nouns import Feature, ModelSpec
from models import inspect_model, load_model
spec = ModelSpec("table", (4,), tuple(Feature(c) for c in "abcd"), (), "value", "0" * 64)
for file in sorted(Path(sys.argv[1]).iterdir()):
    data, said = file.read_bytes(), []
    for work in (inspect_model, lambda data: load_model("onnx", data, spec, {})):
        try:
            work(data)
            said.append("taken")
        except UserFacingError as error:
            said.append(error.sentence)
    print(json.dumps([file.name, *said, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]), flush=True)
"""


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """What is said to each hostile file, in a process of its own that a crash would end."""
    folder = tmp_path_factory.mktemp("hostile")
    for name, (make, _) in HOSTILE.items():
        (folder / name).write_bytes(make())
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", HARNESS, str(folder)], cwd=root, capture_output=True, text=True, timeout=120, check=False
    )
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"ended at the file after {said[-1:]}: {done.stderr[-2000:]}"
    return {name: rest for name, *rest in said}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_in_words(name: str, verdicts: dict[str, list[Any]]) -> None:
    for sentence in verdicts[name][:2]:
        assert sentence.startswith(("The ONNX model cannot be opened. ", "This ONNX model is not taken. ")), sentence
        assert HOSTILE[name][1] in sentence


def test_hostile_files_take_no_memory(verdicts: dict[str, list[Any]]) -> None:
    used = [rest[-1] for rest in verdicts.values()]
    assert max(used) - used[0] < 300 * 1024  # kilobytes


def test_files_are_told_by_content() -> None:
    data = exported(fitted("logistic2"))
    assert onnx_format.recognises(data)
    assert onnx_format.recognises(data[: len(data) // 2])
    others = [b"", b"\x08", b"tree\nversion=v4", b'{"learner": {}}', b"CBM1" * 9, b"\x80\x04\x95abc", b"PK\x03\x04" * 9]
    others += [(8).to_bytes(8, "little") + b"{}      ", np.random.default_rng(0).bytes(5_000)]
    assert not [each for each in others if onnx_format.recognises(each)]


@pytest.mark.parametrize("seed", range(30))
def test_flipped_bytes_never_get_past_the_words(seed: int) -> None:
    """Whatever becomes of a file with flipped bytes, it is a sentence or a model, nothing else."""
    random = np.random.default_rng(seed)
    data = bytearray(exported(fitted("lightgbm2")) if seed % 2 else compact_file())
    for at in random.integers(0, len(data), 3):
        data[at] ^= 1 << int(random.integers(0, 8))
    try:
        opened(bytes(data))
    except UserFacingError as error:
        assert error.sentence


def compact_file() -> bytes:
    return graph_file([compact_node()], ml=5)


def test_both_engines_of_tree_shap_answer_or_say_why_not() -> None:
    from core.nouns import Query, Reference, Target
    from explainers.tree_shap import TreeShap, TreeShapLibrary

    model = opened(exported(fitted("xgboost2")))
    reference = Reference(ROWS[60:80].astype(np.float64), tuple(str(i) for i in range(20)), 7)
    query = Query("0" * 64, ROWS[:5].astype(np.float64), tuple("abcde"), Target(1, "margin"), reference)
    found = TreeShap().explain(model, query, lambda _: None)
    assert np.abs(found.residual).max() < 1e-6
    with pytest.raises(UserFacingError, match="shap library cannot explain this model"):
        TreeShapLibrary().explain(model, query, lambda _: None)
