"""The boosters and PyTorch's weights against their own libraries, and files that are not what they claim."""

import io
import json
import re
import subprocess
import sys

import numpy as np
import pytest

from core.errors import UserFacingError
from core.models import Differentiable, Model, TreeEnsemble
from core.nouns import Feature, ModelSpec
from models import FORMATS, capabilities, inspect_model, load_model
from models.torch_network import build
from tests.models.fates import fates, spec_of

OWN = ("xgboost", "lightgbm", "catboost", "torch_network")
FEATURES = tuple(Feature(name, lower=-3, upper=3) for name in "abcd")
PICTURE = tuple(Feature(f"pixel_{i}", "pixel", upper=16) for i in range(64))
SETTINGS = {
    "dense": {"architecture": "dense", "hidden": [8, 5]},
    "cnn": {"architecture": "cnn", "channels": [4, 6], "hidden": [8]},
}


def make_spec(output: str = "margin", classes: int = 2, features: tuple[Feature, ...] = FEATURES) -> ModelSpec:
    shape = (8, 8, 1) if features is PICTURE else (len(features),)
    modality = "image" if features is PICTURE else "table"
    return ModelSpec(modality, shape, features, tuple(f"class {i}" for i in range(classes)), output, "0" * 64)


def table(classes: int = 2, missing: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Rows (300, 4) with some missing values, the last a code from 0 to 4, and labels."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(300, 4)).clip(-3, 3)
    rows[:, 3] = rng.integers(0, 5, 300)
    labels = ((rows[:, 0] + np.isin(rows[:, 3], (1, 4))) * 3).astype(int) % classes
    if missing:
        rows[rng.random(300) < 0.2, 1] = np.nan
    return rows, labels


def xgboost_booster(objective: str = "binary:logistic", classes: int = 2, **more):
    import xgboost

    rows, labels = table(classes)
    options = {"objective": objective, "max_depth": 3, "nthread": 1, **more}
    if classes > 2:
        options["num_class"] = classes
    return xgboost.train(options, xgboost.DMatrix(rows, labels), num_boost_round=7)


def lightgbm_booster(objective: str = "binary", classes: int = 2, **more):
    import lightgbm

    rows, labels = table(classes)
    options = {
        "objective": objective,
        "min_data_in_leaf": 5,
        "min_data_per_group": 5,
        "cat_smooth": 1.0,
        "verbose": -1,
        "num_threads": 1,
        **more,
    }
    if classes > 2:
        options["num_class"] = classes
    return lightgbm.train(options, lightgbm.Dataset(rows, labels, categorical_feature=[3]), num_boost_round=7)


def catboost_bytes() -> bytes:
    import catboost

    rows, labels = table()
    options = {"iterations": 7, "depth": 3, "thread_count": 1, "verbose": 0, "allow_writing_files": False}
    return bytes(catboost.CatBoostClassifier(**options).fit(rows, labels)._serialize_model())


def network_bytes(spec: ModelSpec, settings: dict) -> bytes:
    import torch
    from safetensors.torch import save

    torch.manual_seed(0)
    network = build(spec.shape, spec.columns, settings)
    network.scale.width.fill_(4.0)
    network.scale.offset.fill_(1.0)
    return save(network.state_dict())


@pytest.fixture(scope="module")
def files() -> dict[str, tuple[bytes, ModelSpec, dict]]:
    """A valid file of each format, with its specification and settings."""
    return {
        "xgboost": (bytes(xgboost_booster().save_raw("json")), make_spec(), {}),
        "lightgbm": (lightgbm_booster().model_to_string().encode(), make_spec(), {}),
        "catboost": (catboost_bytes(), make_spec(), {}),
        "torch_network": (network_bytes(make_spec(), SETTINGS["dense"]), make_spec(), SETTINGS["dense"]),
    }


@pytest.mark.parametrize(("objective", "classes"), [("binary:logistic", 2), ("multi:softprob", 3)])
@pytest.mark.parametrize("raw_format", ["json", "ubj"])
def test_xgboost_gives_the_librarys_margins(objective: str, classes: int, raw_format: str) -> None:
    import xgboost

    booster = xgboost_booster(objective, classes)
    rows, _ = table()
    spec = make_spec("margin" if classes == 2 else "logit", classes)
    model = load_model("xgboost", bytes(booster.save_raw(raw_format)), spec, {})
    expected = booster.predict(xgboost.DMatrix(rows), output_margin=True).reshape(300, -1)
    outputs = model.predict(rows)
    assert outputs.dtype == np.float64
    np.testing.assert_array_equal(outputs, expected)
    assert isinstance(model.trees(), xgboost.Booster)


@pytest.mark.parametrize(("objective", "classes"), [("binary", 2), ("multiclass", 3)])
def test_lightgbm_gives_the_librarys_raw_scores(objective: str, classes: int) -> None:
    import lightgbm

    booster = lightgbm_booster(objective, classes)
    rows, _ = table()
    spec = make_spec("margin" if classes == 2 else "logit", classes)
    model = load_model("lightgbm", booster.model_to_string().encode(), spec, {})
    np.testing.assert_allclose(model.predict(rows), booster.predict(rows, raw_score=True).reshape(300, -1), atol=1e-12)
    assert isinstance(model.trees(), lightgbm.Booster)


def test_a_dense_network_is_its_formula() -> None:
    from safetensors.numpy import load

    spec, settings = make_spec("logit", 3), SETTINGS["dense"]
    data = network_bytes(spec, settings)
    rows, _ = table(missing=False)
    weights = load(data)
    layer = (rows.astype(np.float32) - 1) / 4
    for name in ("dense0", "dense1"):
        layer = np.maximum(layer @ weights[f"{name}.weight"].T + weights[f"{name}.bias"], 0)
    expected = layer @ weights["output.weight"].T + weights["output.bias"]
    np.testing.assert_allclose(load_model("torch_network", data, spec, settings).predict(rows), expected, atol=1e-5)


def test_a_convolutional_network_is_its_formula() -> None:
    from safetensors.numpy import load

    spec, settings = make_spec("logit", 10, PICTURE), SETTINGS["cnn"]
    data = network_bytes(spec, settings)
    row = np.random.default_rng(0).uniform(0, 16, (8, 8, 1))
    weights = load(data)
    layer = (row - 1) / 4
    for number, stride in ((0, 1), (1, 2)):
        kernel, bias = weights[f"convolution{number}.weight"], weights[f"convolution{number}.bias"]
        padded = np.pad(layer, ((1, 1), (1, 1), (0, 0)))
        size = layer.shape[0] // stride
        out = np.empty((size, size, len(bias)))
        for i, j in np.ndindex(size, size):
            window = padded[i * stride : i * stride + 3, j * stride : j * stride + 3]
            out[i, j] = np.einsum("hwc,ochw->o", window, kernel) + bias
        layer = np.maximum(out, 0)
    flat = layer.transpose(2, 0, 1).ravel()
    hidden = np.maximum(flat @ weights["dense0.weight"].T + weights["dense0.bias"], 0)
    expected = hidden @ weights["output.weight"].T + weights["output.bias"]
    outputs = load_model("torch_network", data, spec, settings).predict(row[None])
    np.testing.assert_allclose(outputs[0], expected, atol=1e-5)


def test_a_network_predicts_long_tables_in_batches_and_has_gradients(files: dict) -> None:
    import torch

    data, spec, settings = files["torch_network"]
    model = load_model("torch_network", data, spec, settings)
    rows = np.tile(table(missing=False)[0], (8, 1))
    np.testing.assert_allclose(model.predict(rows)[:300], model.predict(rows[:300]), atol=1e-6)
    x = torch.tensor(rows[:5], dtype=torch.float32, device=model.device, requires_grad=True)
    (gradient,) = torch.autograd.grad(model.module()(x).sum(), x)
    assert gradient.abs().sum() > 0
    assert not model.module().training


@pytest.mark.parametrize("format", OWN)
def test_capabilities_are_the_types(format: str, files: dict) -> None:
    data, spec, settings = files[format]
    model = load_model(format, data, spec, settings)
    assert isinstance(model, Model)
    assert isinstance(model, TreeEnsemble) == ("trees" in capabilities(format))
    assert isinstance(model, Differentiable) == ("gradients" in capabilities(format))


@pytest.mark.parametrize("format", OWN)
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.97])
def test_truncated_files_are_refused(format: str, share: float, files: dict) -> None:
    data, spec, settings = files[format]
    with pytest.raises(UserFacingError, match="cannot be opened"):
        load_model(format, data[: int(share * len(data))], spec, settings)


@pytest.mark.parametrize("format", OWN)
def test_garbage_is_refused(format: str, files: dict) -> None:
    _, spec, settings = files[format]
    with pytest.raises(UserFacingError, match="cannot be opened"):
        load_model(format, np.random.default_rng(0).bytes(5_000), spec, settings)


@pytest.mark.parametrize(
    ("line", "damage"),
    [
        (rb"left_child=.*", lambda text: re.sub(rb"\d", b"9", text)),  # crashes LightGBM
        (rb"(left|right)_child=.*", lambda text: re.sub(rb"-?\d", b"0", text)),  # never ends
        (rb"split_feature=.*", lambda text: re.sub(rb"\d", b"9", text)),  # reads past the row
        (rb"cat_boundaries=.*", lambda text: re.sub(rb"\d", b"9", text)),
        (rb"num_cat=1", lambda text: b"num_cat=0"),
        (rb"left_child=.*", lambda text: text.replace(b" ", b"x", 1)),
        (rb"num_leaves=\d\d", lambda text: b"num_leaves=99"),
    ],
)
def test_trees_that_are_no_trees_are_refused(line: bytes, damage, files: dict) -> None:
    data, spec, settings = files["lightgbm"]
    damaged = re.sub(line, lambda found: damage(found.group()).ljust(len(found.group())), data)
    assert damaged != data
    with pytest.raises(UserFacingError, match="cannot be opened"):
        load_model("lightgbm", damaged, spec, settings)


@pytest.mark.parametrize(
    "damage",
    [
        lambda tree: tree.update(left_children=[child if child < 0 else 99_999 for child in tree["left_children"]]),
        lambda tree: tree.update(left_children=[min(child, 0) for child in tree["left_children"]]),
        lambda tree: tree.update(right_children=tree["left_children"]),
        lambda tree: tree.update(right_children=[-1] * len(tree["right_children"])),
        lambda tree: tree.update(left_children=tree["left_children"][:3]),
        lambda tree: tree.update(split_indices=[77_777] * len(tree["split_indices"])),
        lambda tree: tree.update(split_type=[1] * len(tree["split_type"])),
        lambda tree: tree.update(split_conditions=[1e400] * len(tree["split_conditions"])),
    ],
)
def test_xgboost_trees_that_are_no_trees_are_refused(damage, files: dict) -> None:
    data, spec, settings = files["xgboost"]
    content = json.loads(data)
    damage(content["learner"]["gradient_booster"]["model"]["trees"][0])
    with pytest.raises(UserFacingError, match="cannot be opened"):
        load_model("xgboost", json.dumps(content).encode(), spec, settings)


def test_xgboost_trees_for_a_class_that_there_is_not_are_refused(files: dict) -> None:
    data, spec, settings = files["xgboost"]
    content = json.loads(data)
    model = content["learner"]["gradient_booster"]["model"]
    model["tree_info"] = [55 for _ in model["tree_info"]]
    with pytest.raises(UserFacingError, match="One of its trees is damaged"):
        load_model("xgboost", json.dumps(content).encode(), spec, settings)


def test_xgboost_categories_are_read_as_codes() -> None:
    import xgboost

    rows, labels = table()
    options = {"feature_types": ["q", "q", "q", "c"], "enable_categorical": True}
    parameters = {"objective": "binary:logistic", "max_depth": 4, "max_cat_to_onehot": 1, "tree_method": "hist"}
    booster = xgboost.train(parameters, xgboost.DMatrix(rows, labels, **options), num_boost_round=5)
    data = bytes(booster.save_raw("json"))
    assert any(tree["categories"] for tree in json.loads(data)["learner"]["gradient_booster"]["model"]["trees"])
    expected = booster.predict(xgboost.DMatrix(rows, **options), output_margin=True)
    np.testing.assert_array_equal(load_model("xgboost", data, make_spec(), {}).predict(rows)[:, 0], expected)


def test_linear_leaves_are_refused() -> None:
    data = lightgbm_booster(linear_tree=True).model_to_string().encode()
    with pytest.raises(UserFacingError, match="linear models"):
        load_model("lightgbm", data, make_spec(), {})


def test_a_random_forest_whose_raw_score_is_a_sum_is_refused() -> None:
    booster = lightgbm_booster(boosting="rf", bagging_freq=1, bagging_fraction=0.5)
    with pytest.raises(UserFacingError, match="random forest"):
        load_model("lightgbm", booster.model_to_string().encode(), make_spec(), {})


@pytest.mark.parametrize("format", OWN)
def test_another_number_of_features_is_refused(format: str, files: dict) -> None:
    data, _, settings = files[format]
    with pytest.raises(UserFacingError):
        load_model(format, data, make_spec(features=FEATURES[:3]), settings)


@pytest.mark.parametrize("format", OWN)
def test_another_number_of_classes_is_refused(format: str, files: dict) -> None:
    data, _, settings = files[format]
    with pytest.raises(UserFacingError):
        load_model(format, data, make_spec("logit", 3), settings)


@pytest.mark.parametrize(
    ("format", "data"),
    [
        ("xgboost", lambda: bytes(xgboost_booster("binary:hinge").save_raw("json"))),
        ("xgboost", lambda: bytes(xgboost_booster("count:poisson").save_raw("json"))),
        ("lightgbm", lambda: lightgbm_booster("binary", sigmoid=2.0).model_to_string().encode()),
        ("lightgbm", lambda: lightgbm_booster("poisson").model_to_string().encode()),
    ],
)
def test_raw_scores_that_are_not_log_odds_are_refused(format: str, data) -> None:
    with pytest.raises(UserFacingError, match="objective"):
        load_model(format, data(), make_spec(), {})


def test_a_booster_without_trees_is_refused() -> None:
    import xgboost

    rows, labels = table(missing=False)
    booster = xgboost.train({"booster": "gblinear", "objective": "binary:logistic"}, xgboost.DMatrix(rows, labels))
    with pytest.raises(UserFacingError, match="gblinear"):
        load_model("xgboost", bytes(booster.save_raw("json")), make_spec(), {})


def test_classes_the_booster_does_not_have_are_refused() -> None:
    data = bytes(xgboost_booster("multi:softprob", 3).save_raw("json"))
    with pytest.raises(UserFacingError, match="3 outputs a row and the subject needs 4"):
        load_model("xgboost", data, make_spec("logit", 4), {})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tensors: tensors.pop("output.bias"), "output.bias is missing"),
        (lambda tensors: tensors.update(extra=tensors["output.bias"].clone()), "extra is not part"),
        (lambda tensors: tensors.update({"output.bias": tensors["output.bias"][:0].clone()}), "not float32"),
        (lambda tensors: tensors.update({"output.bias": tensors["output.bias"].double()}), "float64"),
        (lambda tensors: tensors["output.bias"].fill_(float("nan")), "not finite"),
    ],
)
def test_weights_of_another_network_are_refused(change, words: str, files: dict) -> None:
    from safetensors.torch import load, save

    data, spec, settings = files["torch_network"]
    tensors = load(data)
    change(tensors)
    with pytest.raises(UserFacingError, match=words):
        load_model("torch_network", save(tensors), spec, settings)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"architecture": "transformer"},
        {"architecture": "dense"},
        {"architecture": "dense", "hidden": [0]},
        {"architecture": "dense", "hidden": [8, 5], "dropout": 0.1},
        {"architecture": "cnn", "channels": [4], "hidden": [8]},
        {"architecture": "dense", "hidden": [10**13]},
    ],
)
def test_settings_that_mean_no_network_are_refused(settings: dict, files: dict) -> None:
    data, spec, _ = files["torch_network"]
    with pytest.raises(UserFacingError):
        load_model("torch_network", data, spec, settings)


def test_networks_refuse_subjects_with_missing_values(files: dict) -> None:
    data, _, settings = files["torch_network"]
    spec = make_spec(features=(*FEATURES[:3], Feature("d", missing=True)))
    with pytest.raises(UserFacingError, match="missing"):
        load_model("torch_network", data, spec, settings)


def test_an_unknown_format_lists_the_known() -> None:
    with pytest.raises(UserFacingError, match=", ".join(FORMATS)):
        load_model("pickle", b"", make_spec(), {})


def test_importing_the_formats_imports_no_library() -> None:
    libraries = ("torch", "xgboost", "lightgbm", "catboost", "safetensors", "pandas")
    code = f"import sys, models; print([m for m in {libraries} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- what a file says of itself --------------------------------------------------------------------------------------

CITIES = ("Zug", "Bern", "Aarau", "never")


def frame(rows: int = 1000, cities: tuple[str, ...] = CITIES):
    """A pandas table of every kind of column, some values missing, and a number that depends on all of them."""
    import pandas as pd

    rng = np.random.default_rng(3)
    made = pd.DataFrame({"age": rng.integers(18, 70, rows), "flow": rng.normal(size=rows)})
    made.loc[rng.random(rows) < 0.1, "flow"] = np.nan
    made.insert(1, "city", pd.Categorical(rng.choice(cities[:3], rows), categories=cities))
    made.loc[rng.random(rows) < 0.1, "city"] = None
    made["floor"] = pd.Categorical(rng.choice([30, 10, 20], rows))
    made["owner"] = rng.random(rows) < 0.5
    score = made["age"] / 25 + (made["city"] == cities[1]) * 2.0 + (made["floor"] == 20) + np.nan_to_num(made["flow"])
    return made, score.to_numpy()


def coded(made, facts) -> np.ndarray:
    """The rows as Assay has them, coded by the categories that the file names and by nothing else."""
    import pandas as pd

    columns = []
    for (_, column), given in zip(made.items(), facts.inputs, strict=True):
        if given.kind == "category":
            codes = pd.Categorical(
                column.astype(object).map(str, na_action="ignore"), categories=given.categories
            ).codes
            columns.append(np.where(codes < 0, np.nan, codes))
        else:
            columns.append(column.to_numpy(float))
    return np.column_stack(columns)


ANSWERS = {
    "margin": lambda score: (score > np.median(score)).astype(int),
    "logit": lambda score: np.digitize(score, np.quantile(score, [0.3, 0.7])),
    "value": lambda score: score,
}


@pytest.mark.parametrize("kind", ["json", "ubj"])
@pytest.mark.parametrize(
    ("output", "options"),
    [
        ("margin", {"objective": "binary:logistic"}),
        ("margin", {"objective": "reg:logistic", "num_parallel_tree": 3, "subsample": 0.7}),
        ("logit", {"objective": "multi:softprob", "num_class": 3, "max_cat_to_onehot": 1}),
        ("value", {"objective": "reg:squarederror", "base_score": 7.5}),
        ("value", {"objective": "reg:absoluteerror"}),
        ("value", {"objective": "reg:pseudohubererror"}),
        ("value", {"objective": "reg:quantileerror", "quantile_alpha": 0.3}),
        ("margin", {"objective": "binary:logistic", "booster": "dart", "rate_drop": 0.4}),
    ],
)
def test_what_xgboosts_file_says_is_enough_to_predict_as_it_does(kind: str, output: str, options: dict) -> None:
    import xgboost

    made, score = frame()
    matrix = xgboost.DMatrix(made, ANSWERS[output](score), enable_categorical=True)
    booster = xgboost.train({"max_depth": 4, "nthread": 1, "seed": 0, **options}, matrix, num_boost_round=9)
    data = bytes(booster.save_raw(kind))
    facts = inspect_model(data)
    assert (facts.format, facts.outputs, facts.columns) == ("xgboost", (output,), 3 if output == "logit" else 1)
    assert [each.name for each in facts.inputs] == list(made)
    assert [each.kind for each in facts.inputs] == ["integer", "category", "real", "category", "boolean"]
    assert [each.categories for each in facts.inputs if each.categories] == [CITIES, ("10", "20", "30")]
    model = load_model(facts.format, data, spec_of(facts), facts.settings)
    expected = booster.predict(matrix, output_margin=True).reshape(len(made), -1)
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(model.predict(coded(made, facts)), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("output", "options"),
    [
        ("margin", {"objective": "binary"}),
        ("margin", {"objective": "cross_entropy", "boosting": "dart"}),
        ("logit", {"objective": "multiclass", "num_class": 3}),
        *[("value", {"objective": name}) for name in ("regression", "l1", "huber", "fair", "quantile", "mape")],
    ],
)
def test_what_lightgbms_file_says_is_enough_to_predict_as_it_does(output: str, options: dict) -> None:
    import lightgbm

    cities = ("Łódź", "Bern", "Ålborg", "never")
    made, score = frame(cities=cities)
    options = {"verbose": -1, "num_threads": 1, "cat_smooth": 1.0, "min_data_per_group": 5, **options}
    booster = lightgbm.train(options, lightgbm.Dataset(made, ANSWERS[output](score)), num_boost_round=9)
    data = booster.model_to_string().encode()
    facts = inspect_model(data)
    assert (facts.format, facts.outputs, facts.columns) == ("lightgbm", (output,), 3 if output == "logit" else 1)
    assert [each.name for each in facts.inputs] == list(made)
    assert [each.kind for each in facts.inputs] == [None, "category", None, "category", None]
    assert [each.categories for each in facts.inputs if each.categories] == [cities, ("10", "20", "30")]
    model = load_model(facts.format, data, spec_of(facts), facts.settings)
    expected = booster.predict(made, raw_score=True).reshape(len(made), -1)
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(model.predict(coded(made, facts)), expected, atol=1e-9)


@pytest.mark.parametrize("wrapped", [True, False])
def test_xgboost_stopped_early_predicts_as_whatever_saved_it(wrapped: bool, tmp_path) -> None:
    import xgboost

    rows, labels = table()
    shown = (rows[:60], labels[:60])
    path = tmp_path / "model.ubj"
    if wrapped:
        fitted = xgboost.XGBClassifier(n_estimators=40, max_depth=3, early_stopping_rounds=4, n_jobs=1, subsample=0.5)
        fitted.fit(rows[60:], 1 - labels[60:], eval_set=[shown], verbose=False)
        expected, best = fitted.predict(rows, output_margin=True), fitted.best_iteration
        fitted.save_model(path)
    else:
        matrices = xgboost.DMatrix(rows[60:], 1 - labels[60:]), xgboost.DMatrix(*shown)
        options = {"objective": "binary:logistic", "nthread": 1, "max_depth": 3}
        booster = xgboost.train(
            options, matrices[0], 40, evals=[(matrices[1], "shown")], early_stopping_rounds=4, verbose_eval=0
        )
        expected, best = booster.predict(xgboost.DMatrix(rows), output_margin=True), booster.best_iteration
        booster.save_model(path)
    data = path.read_bytes()
    facts = inspect_model(data)
    assert f"{best + 1} " in facts.notes[0]
    model = load_model("xgboost", data, spec_of(facts), {})
    np.testing.assert_allclose(model.predict(rows)[:, 0], expected, atol=1e-6)
    assert model.trees().num_boosted_rounds() == best + (1 if wrapped else 5)


def test_features_that_a_library_only_numbered_have_no_names(files: dict) -> None:
    for format in ("xgboost", "lightgbm", "catboost"):
        assert [each.name for each in inspect_model(files[format][0]).inputs] == [""] * 4


def test_categories_that_a_file_does_not_name_are_their_codes(files: dict) -> None:
    import xgboost

    facts = inspect_model(files["lightgbm"][0])
    assert facts.inputs[3].categories == ("0", "1", "2", "3", "4")
    assert "read as their codes" in facts.notes[0]
    rows, labels = table()
    matrix = xgboost.DMatrix(rows, labels, feature_types=["q", "q", "q", "c"], enable_categorical=True)
    facts = inspect_model(bytes(xgboost.train({"objective": "binary:logistic"}, matrix, 3).save_raw("json")))
    assert facts.inputs[3].kind == "integer"
    assert "number 4" in facts.notes[0]
    made, score = frame(300, ("Łódź", "Bern", "Ålborg", "never"))
    matrix = xgboost.DMatrix(made, score, enable_categorical=True)
    facts = inspect_model(bytes(xgboost.train({}, matrix, 3).save_raw("json")))
    assert [(each.kind, len(each.categories)) for each in facts.inputs if each.name in ("city", "floor")] == [
        ("integer", 0),
        ("category", 3),
    ]
    assert "categories of city," in facts.notes[0]


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_categories_in_another_order_than_the_files_are_refused(library: str) -> None:
    import dataclasses

    import lightgbm
    import xgboost

    made, score = frame(300)
    labels = ANSWERS["margin"](score)
    if library == "xgboost":
        booster = xgboost.train(
            {"objective": "binary:logistic"}, xgboost.DMatrix(made, labels, enable_categorical=True), 3
        )
        data = bytes(booster.save_raw("json"))
    else:
        data = lightgbm.train({"objective": "binary", "verbose": -1}, lightgbm.Dataset(made, labels), 3)
        data = data.model_to_string().encode()
    spec = spec_of(inspect_model(data))
    turned = [dataclasses.replace(each, categories=each.categories[::-1]) for each in spec.features]
    with pytest.raises(UserFacingError, match="categories of city stand in another order"):
        load_model(library, data, dataclasses.replace(spec, features=tuple(turned)), {})


def test_lightgbm_categories_of_an_unknown_column_are_refused() -> None:
    import lightgbm
    import pandas as pd

    made, score = frame(300)
    made["rank"] = pd.Categorical(np.arange(300) % 3, ordered=True)  # listed with its categories, used as a number
    booster = lightgbm.train({"objective": "regression", "verbose": -1}, lightgbm.Dataset(made, score), 3)
    with pytest.raises(UserFacingError, match="which columns its categories belong to"):
        inspect_model(booster.model_to_string().encode())


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (lambda: bytes(xgboost_booster("binary:hinge").save_raw("json")), "'binary:hinge', whose raw score is neither"),
        (lambda: bytes(xgboost_booster("count:poisson").save_raw("ubj")), "'count:poisson'"),
        (lambda: bytes(xgboost_booster("reg:quantileerror", quantile_alpha=[0.2, 0.8]).save_raw("json")), "several"),
        (lambda: bytes(xgboost_booster(booster="gblinear", max_depth=None).save_raw("json")), "gblinear"),
        (
            lambda: bytes(xgboost_booster("multi:softprob", 3, multi_strategy="multi_output_tree").save_raw("json")),
            "a value for each output",
        ),
        (lambda: lightgbm_booster("tweedie").model_to_string().encode(), "'tweedie'"),
        (lambda: lightgbm_booster("regression", reg_sqrt=True).model_to_string().encode(), "'regression sqrt'"),
        (lambda: lightgbm_booster("multiclassova", 3).model_to_string().encode(), "'multiclassova"),
    ],
)
def test_boosters_that_are_not_covered_are_refused_when_they_are_brought(data, words: str) -> None:
    with pytest.raises(UserFacingError, match=words):
        inspect_model(data())


# --- weights ---------------------------------------------------------------------------------------------------------


def saved(content) -> bytes:
    """What `torch.save` makes of `content`."""
    import torch

    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


@pytest.mark.parametrize("as_zip", [True, False])
@pytest.mark.parametrize(
    ("shape", "columns", "settings"),
    [
        ((4,), 1, {"architecture": "dense", "hidden": [8, 5]}),
        ((4,), 3, {"architecture": "dense", "hidden": []}),
        ((8, 8, 1), 10, {"architecture": "dense", "hidden": [6]}),
        ((9, 7, 3), 4, {"architecture": "cnn", "channels": [4, 6], "hidden": [8]}),
    ],
)
def test_weights_tell_their_architecture(as_zip: bool, shape: tuple, columns: int, settings: dict) -> None:
    import torch
    from safetensors.torch import save

    torch.manual_seed(0)
    network = build(shape, columns, settings)
    data = saved(network.state_dict()) if as_zip else save(network.state_dict())
    facts = inspect_model(data)
    assert (facts.format, facts.shape, facts.columns, facts.settings) == ("torch_network", shape, columns, settings)
    assert facts.outputs == (("margin", "value") if columns == 1 else ("logit",))
    assert (facts.modality, len(facts.inputs)) == (("table", 4) if len(shape) == 1 else ("image", 0))
    rows = np.random.default_rng(0).normal(size=(1000, *shape))
    with torch.no_grad():
        expected = network(torch.tensor(rows, dtype=torch.float32)).numpy()
    model = load_model(facts.format, data, spec_of(facts), facts.settings)
    np.testing.assert_allclose(model.predict(rows), expected, atol=1e-6)


def test_tensors_that_lie_in_a_file_of_torch_save_in_any_way_are_read() -> None:
    import torch

    from models._torch_file import read_weights

    many = torch.arange(24.0).reshape(4, 6)
    kinds = (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.uint8)
    content = {
        "turned": many.T,
        "part": many[1:3, 2:5],
        "every second": many[:, ::2],
        "number": torch.tensor(3.0),
        "none": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(torch.ones(3)),
        **{str(kind): torch.arange(5).to(kind) for kind in kinds},
        "bool": torch.tensor([True, False]),
    }
    found = read_weights(saved(content))
    assert list(found) == list(content)
    for name, tensor in content.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


class Runs:
    """Runs code where it is unpickled."""

    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_file_of_torch_save_that_names_more_than_tensors_is_not_opened(tmp_path) -> None:
    import torch

    linear = torch.nn.Linear(2, 2)
    marker = tmp_path / "marker"
    stream = io.BytesIO()
    torch.jit.save(torch.jit.script(linear), stream)
    for data in (saved(linear), saved({"weight": Runs(marker)}), stream.getvalue(), saved({"a": np.zeros(3)})):
        assert not FORMATS["torch_network"].recognises(data)
        with pytest.raises(UserFacingError):
            load_model("torch_network", data, make_spec(), SETTINGS["dense"])
    assert not marker.exists()


def lying(change) -> bytes:
    """A file of `torch.save` whose parts `change` has altered, a function of names and contents."""
    import zipfile

    whole = zipfile.ZipFile(io.BytesIO(saved(build((4,), 1, SETTINGS["dense"]).state_dict())))
    parts = {name: whole.read(name) for name in whole.namelist()}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        for name, content in change(parts).items():
            made.writestr(name, content)
    return stream.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        lambda: lying(lambda parts: parts | {"archive/data/2": b""}),
        lambda: lying(lambda parts: {name: text for name, text in parts.items() if name != "archive/data/3"}),
        lambda: lying(lambda parts: parts | {"archive/data.pkl": parts["archive/data.pkl"][:-40]}),
        lambda: lying(lambda parts: parts | {"archive/data.pkl": b"\x80\x02}q\x00."}),
        lambda: lying(lambda parts: parts | {"archive/data.pkl": b"\x80\x02}r\xff\xff\xff\xffh\x00."}),
        lambda: saved({"a": __import__("torch").zeros(1).expand(10**6, 10**6)}),
        lambda: saved({"epoch": 3, "weights": build((4,), 1, SETTINGS["dense"]).state_dict()}),
        lambda: saved([1, 2]),
    ],
)
def test_files_of_torch_save_that_lie_are_refused(data) -> None:
    with pytest.raises(UserFacingError):
        FORMATS["torch_network"].inspect(data())


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: {f"0.{name}": tensor for name, tensor in tensors.items()},
        lambda tensors: {"weight": tensors["output.weight"], "bias": tensors["output.bias"]},
        lambda tensors: tensors | {"extra": tensors["output.bias"].clone()},
        lambda tensors: tensors | {"dense0.weight": tensors["dense0.weight"][:0].clone()},
        lambda tensors: tensors | {"scale.offset": tensors["scale.offset"].reshape(2, 2).clone()},
        lambda tensors: tensors | {"convolution0.weight": tensors["output.bias"].clone()},
        lambda tensors: {},
    ],
)
def test_weights_of_an_unknown_network_name_the_known_and_the_way_out(change) -> None:
    from safetensors.torch import save

    with pytest.raises(UserFacingError) as caught:
        inspect_model(save(change(build((4,), 1, SETTINGS["dense"]).state_dict())))
    assert "dense (" in caught.value.why and "cnn (" in caught.value.why
    assert len(caught.value.code.splitlines()) == 3


def test_weights_in_another_precision_are_refused() -> None:
    with pytest.raises(UserFacingError, match="float64"):
        inspect_model(saved(build((4,), 1, SETTINGS["dense"]).double().state_dict()))


# --- damage ----------------------------------------------------------------------------------------------------------


def damaged(name: str, data: bytes, count: int, seed: int) -> dict[str, bytes]:
    """`data` cut short, and with bits turned, `count` times each."""
    rng = np.random.default_rng(seed)
    made = {}
    for number in range(count):
        made[f"cut {name} {number}"] = data[: rng.integers(0, len(data))]
        flipped = bytearray(data)
        for place in rng.integers(0, len(data), rng.integers(1, 4)):
            flipped[place] ^= 1 << rng.integers(0, 8)
        made[f"turned {name} {number}"] = bytes(flipped)
    return made


def test_damaged_files_are_refused_with_a_sentence(files: dict, tmp_path) -> None:
    """A bit that is turned may go unseen, or end the process that is there for it; a file cut short is always seen."""
    import torch  # noqa: F401

    whole = {format: files[format][0] for format in OWN}
    whole["xgboost ubj"] = bytes(xgboost_booster().save_raw("ubj"))
    whole["torch.save"] = saved(build((4,), 1, SETTINGS["dense"]).state_dict())
    made = {f"whole {name}": data for name, data in whole.items()}
    for seed, (name, data) in enumerate(whole.items()):
        made |= damaged(name, data, 12, seed)
    found = fates(tmp_path, made)
    assert len(found) == len(made)
    for name, fate in found.items():
        assert not fate.startswith("FAULT"), f"{name}: {fate}"
        if name.startswith("whole"):
            assert fate == "taken", f"{name}: {fate}"
        if name.startswith("cut"):
            assert fate != "taken" and not fate.startswith("CRASH"), f"{name}: {fate}"
