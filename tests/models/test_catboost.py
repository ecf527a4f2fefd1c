"""CatBoost's files: what they say, predictions like the library's own, trees that are explained exactly, damage."""

import dataclasses

import numpy as np
import pytest

from core.errors import UserFacingError
from core.models import TreeEnsemble
from core.nouns import Query, Reference, Target
from explainers.tree_shap import TreeShap, TreeShapLibrary
from models import inspect_model, load_model
from tests import oracles
from tests.models.fates import fates, spec_of
from tests.models.test_formats import damaged

CITIES = ("Bern", "Łódź", "Ålborg", "never")
FLOORS = ("10", "20", "30")
CATEGORIES = {"city": CITIES, "floor": FLOORS}
LOSSES = {"margin": "Logloss", "logit": "MultiClass", "value": "RMSE"}
ONE_HOT, STATISTICS = {"one_hot_max_size": 20}, {"one_hot_max_size": 1}
ANSWERS = {
    "margin": lambda score: np.where(score > np.median(score), "yes", "no"),
    "logit": lambda score: np.digitize(score, np.quantile(score, [0.3, 0.7])),
    "value": lambda score: score,
}


def frame(count: int = 1000):
    """A table with categories between its numbers, as it is, and as Assay has it; and a number that depends on it."""
    import pandas as pd

    rng = np.random.default_rng(3)
    rows = np.column_stack(
        [rng.integers(18, 70, count), rng.integers(0, 3, count), rng.normal(size=count), rng.integers(0, 3, count)]
    ).astype(float)
    rows[rng.random(count) < 0.1, 2] = np.nan
    rows[rng.random(count) < 0.1, 1] = np.nan
    made = pd.DataFrame(rows, columns=["age", "city", "flow", "floor"])
    made["city"] = ["nan" if np.isnan(code) else CITIES[int(code)] for code in rows[:, 1]]
    made["floor"] = [10 * int(code + 1) for code in rows[:, 3]]
    score = made["age"] / 25 + (made["city"] == "Bern") * 2.0 + (made["floor"] == 20) + np.nan_to_num(made["flow"])
    return made, rows, score.to_numpy()


def train(made, label, categories=("city", "floor"), **options):
    import catboost

    chosen = {"iterations": 12, "depth": 4, "thread_count": 1, "verbose": 0, "allow_writing_files": False, **options}
    return catboost.CatBoost(chosen).fit(catboost.Pool(made, label, cat_features=list(categories)))


def data_of(booster) -> bytes:
    return bytes(booster._serialize_model())


def raw(booster, made) -> np.ndarray:
    return np.asarray(booster.predict(made, prediction_type="RawFormulaVal")).reshape(len(made), -1)


def brought(booster):
    """The model as an intake has it: nothing is known of it but its file, and the names of its categories."""
    data = data_of(booster)
    facts = inspect_model(data)
    return load_model(facts.format, data, spec_of(facts, CATEGORIES), facts.settings), facts


def query(model, rows: np.ndarray, reference: np.ndarray, output: int) -> Query:
    ids = tuple(map(str, range(len(rows))))
    kept = Reference(reference, tuple(map(str, range(len(reference)))))
    return Query("catboost", rows, ids, Target(output, model.spec.output), kept)


@pytest.mark.parametrize("growth", ["SymmetricTree", "Depthwise", "Lossguide"])
@pytest.mark.parametrize("output", LOSSES)
@pytest.mark.parametrize("missing", ["Min", "Max"])
def test_what_the_file_says_is_enough_to_predict_and_explain(growth: str, output: str, missing: str) -> None:
    made, rows, score = frame()
    options = {"loss_function": LOSSES[output], "grow_policy": growth, "nan_mode": missing, **ONE_HOT}
    booster = train(made, ANSWERS[output](score), **options)
    booster.set_scale_and_bias(1.5, [0.25, 0.5, 0.75] if output == "logit" else 0.25)
    model, facts = brought(booster)
    assert (facts.outputs, facts.columns) == ((output,), 3 if output == "logit" else 1)
    assert facts.classes == {"margin": ("no", "yes"), "logit": ("0", "1", "2"), "value": ()}[output]
    assert [(each.name, each.kind) for each in facts.inputs] == [
        ("age", None), ("city", "category"), ("flow", None), ("floor", "category"),
    ]  # fmt: skip
    expected = raw(booster, made)
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(model.predict(rows), expected, atol=1e-9)

    assert isinstance(model, TreeEnsemble) and facts.capabilities == ("trees",)
    model.spec = dataclasses.replace(model.spec, digest=f"{growth} {output} {missing}")
    for column in range(model.spec.columns):
        found = TreeShap().explain(model, query(model, rows, rows[:150], column))
        assert np.abs(found.residual).max() <= 1e-6 * np.ptp(found.output)
        few = query(model, rows[:3], rows[100:109], column)
        sign = -1.0 if output == "margin" else 1.0  # of a margin this asks about class 0
        shapley = oracles.brute_force_shapley(lambda x, c=column: model.predict(x)[:, c], few.rows, few.reference.rows)
        np.testing.assert_allclose(TreeShap().explain(model, few).values, sign * shapley, atol=1e-9)


@pytest.mark.parametrize("output", LOSSES)
def test_statistics_of_categories_predict_and_are_no_trees(output: str) -> None:
    made, rows, score = frame()
    booster = train(made, ANSWERS[output](score), loss_function=LOSSES[output], **STATISTICS)
    model, facts = brought(booster)
    assert not isinstance(model, TreeEnsemble) and facts.capabilities == ()
    assert "target statistics" in facts.notes[1]
    np.testing.assert_allclose(model.predict(rows), raw(booster, made), atol=1e-9)


@pytest.mark.parametrize(
    ("loss", "output"),
    [
        *[(loss, "value") for loss in ("MAE", "Quantile:alpha=0.3", "Huber:delta=1", "LogCosh", "MAPE", "Lq:q=2")],
        ("CrossEntropy", "margin"),
        ("Focal:focal_alpha=0.5;focal_gamma=2", "margin"),
    ],
)
def test_raw_scores_of_other_losses(loss: str, output: str) -> None:
    made, rows, score = frame()
    label = (score > 3).astype(float) * (0.9 if loss == "CrossEntropy" else 1) if output == "margin" else score
    booster = train(made, label, loss_function=loss, **ONE_HOT)
    model, facts = brought(booster)
    assert facts.outputs == (output,)
    np.testing.assert_allclose(model.predict(rows), raw(booster, made), atol=1e-9)


def test_numbers_alone_without_names_and_a_row_that_is_all_missing() -> None:
    _, rows, score = frame()
    booster = train(rows, score, (), loss_function="RMSE")
    model, facts = brought(booster)
    assert [(each.name, each.kind) for each in facts.inputs] == [("", None)] * 4
    rows = np.vstack([rows, np.full((1, 4), np.nan)])
    np.testing.assert_allclose(model.predict(rows), raw(booster, rows), atol=1e-9)
    with pytest.raises(UserFacingError, match="Use tree_shap"):
        TreeShapLibrary().explain(model, query(model, rows[:3], rows[:9], 0))


def test_whole_numbers_and_booleans_that_are_categories_are_written_as_catboost_writes_them() -> None:
    made, rows, score = frame()
    made["sold"] = score > np.median(score)
    made["floor"] = made["floor"].to_numpy() * np.arange(1, 1001)
    rows = np.column_stack([rows, made["sold"]]).astype(float)
    rows[:, 3] = made["floor"]
    for options in (STATISTICS, {"one_hot_max_size": 9}):
        booster = train(made, score, ("city", "floor", "sold"), loss_function="RMSE", **options)
        data = data_of(booster)
        spec = spec_of(dataclasses.replace(inspect_model(data), capabilities=()), CATEGORIES)
        kinds = {"floor": "integer", "sold": "boolean"}
        features = [dataclasses.replace(each, kind=kinds.get(each.name, each.kind)) for each in spec.features]
        model = load_model("catboost", data, dataclasses.replace(spec, features=tuple(features)), {})
        np.testing.assert_allclose(model.predict(rows), raw(booster, made), atol=1e-9)


def test_a_sum_of_models_says_its_loss_or_leaves_it_open() -> None:
    import catboost

    made, rows, score = frame()
    parts = [train(made, score > 3, loss_function="Logloss", random_seed=seed, **ONE_HOT) for seed in (1, 2)]
    booster = catboost.sum_models(parts, weights=[0.3, 0.7])
    model, facts = brought(booster)
    assert facts.outputs == ("margin",)
    np.testing.assert_allclose(model.predict(rows), raw(booster, made), atol=1e-9)
    silent = data_of(parts[0]).replace(b'"loss_function"', b'"lost_function"')
    facts = inspect_model(silent)
    assert facts.outputs == ("margin", "value")
    for output in facts.outputs:
        model = load_model("catboost", silent, spec_of(facts, CATEGORIES, output), {})
        np.testing.assert_allclose(model.predict(rows), raw(parts[0], made), atol=1e-9)


def refusal(booster, **more) -> str:
    with pytest.raises(UserFacingError) as caught:
        data = data_of(booster)
        facts = inspect_model(data)
        load_model("catboost", data, spec_of(facts, **{"categories": CATEGORIES, **more}), {})
    return str(caught.value)


@pytest.mark.parametrize("loss", ["Poisson", "Tweedie:variance_power=1.5", "MultiClassOneVsAll", "RMSEWithUncertainty"])
def test_losses_whose_raw_score_is_no_answer_are_refused(loss: str) -> None:
    made, _, score = frame(200)
    label = score if "MultiClass" not in loss else ANSWERS["logit"](score)
    assert f"objective {loss.split(':')[0]!r}" in refusal(train(made, np.abs(label), loss_function=loss, **ONE_HOT))


def test_texts_and_embeddings_are_refused() -> None:
    import catboost

    made, _, score = frame(200)
    made["words"] = np.random.default_rng(0).choice(["good morning", "good night all", "so long"], 200)
    for extra in ({"text_features": ["words"]}, {"embedding_features": ["vector"]}):
        if "vector" in str(extra):
            made = made.drop(columns="words").assign(vector=list(np.random.default_rng(0).normal(size=(200, 3))))
        pool = catboost.Pool(made, score > 3, cat_features=["city", "floor"], **extra)
        options = {"iterations": 3, "depth": 3, "thread_count": 1, "verbose": 0, "allow_writing_files": False}
        booster = catboost.CatBoost({**options, "loss_function": "Logloss"}).fit(pool)
        assert "texts or embeddings" in refusal(booster)


def test_categories_that_the_model_never_met_are_refused() -> None:
    made, _, score = frame(200)
    booster = train(made, score, loss_function="RMSE", **ONE_HOT)
    assert "knows none of the categories of floor: 10.0, 20.0" in refusal(
        booster, categories=CATEGORIES | {"floor": ("10.0", "20.0", "30.0")}
    )


def test_a_category_that_its_subject_takes_for_a_number_is_refused_where_it_is_split_on() -> None:
    made, _, score = frame(200)
    data = data_of(train(made, score, loss_function="RMSE", **ONE_HOT))
    spec = spec_of(inspect_model(data), CATEGORIES)
    features = (*spec.features[:3], dataclasses.replace(spec.features[3], kind="integer"))
    with pytest.raises(UserFacingError, match="takes floor for a category"):
        load_model("catboost", data, dataclasses.replace(spec, features=features), {})


def test_a_model_without_some_of_its_features_is_refused() -> None:
    made, _, score = frame(200)
    made.insert(0, "same", 1.0)
    booster = train(made, score, loss_function="RMSE", **ONE_HOT)
    assert inspect_model(data_of(booster)).shape == (5,)
    booster.drop_unused_features()
    assert "drop_unused_features" in refusal(booster)


def test_damaged_files_are_refused_with_a_sentence(tmp_path) -> None:
    """A bit that is turned may go unseen, or end the process that is there for it; a file cut short is always seen."""
    made, _, score = frame(200)
    made["city"], made["floor"] = made["city"].map(dict(zip(CITIES, "abcd", strict=True))).fillna("nan"), "b"
    kinds = {
        "symmetric": ONE_HOT,
        "branching": {"grow_policy": "Depthwise", **ONE_HOT},
        "statistics": STATISTICS,
    }
    made_of = {name: data_of(train(made, score, loss_function="RMSE", **options)) for name, options in kinds.items()}
    files = {f"whole {name}": data for name, data in made_of.items()}
    for seed, (name, data) in enumerate(made_of.items()):
        files |= damaged(name, data, 12, seed)
        core = 8 + int.from_bytes(data[4:8], "little")
        files |= {f"cut {name} {end} behind its core": data[:end] for end in range(core, len(data), 29)}
    found = fates(tmp_path, files)
    assert len(found) == len(files)
    for name, fate in found.items():
        assert not fate.startswith("FAULT"), f"{name}: {fate}"
        if name.startswith("whole"):
            assert fate == "taken", f"{name}: {fate}"
        if name.startswith("cut"):
            assert fate != "taken" and not fate.startswith("CRASH"), f"{name}: {fate}"
