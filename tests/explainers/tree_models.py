"""Small tree models of every library and kind that the exact tree engine reads, with awkward rows.

Feature 1 is a category from 0 to 7 where the library takes categories, feature 5 is never read.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from core.digest import digest
from core.models import TreeEnsemble
from core.nouns import Feature, ModelSpec, Output, Query, Reference, Target

SIZE = 6
Predict = Callable[[np.ndarray], np.ndarray]


class Trees(TreeEnsemble):
    """A native model and its own predictions."""

    def __init__(self, name: str, native: Any, predict: Predict, output: Output, classes: int, width: int = SIZE):
        features = tuple(Feature(f"x{i}") for i in range(width))
        names = tuple(f"class {i}" for i in range(classes))
        self.spec = ModelSpec("table", (width,), features, names, output, digest(name), ("trees",))
        self.native, self._predict = native, predict

    def trees(self) -> Any:
        return self.native

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(self._predict(rows), np.float64).reshape(len(rows), -1)


def query(model: Trees, rows: np.ndarray, reference: np.ndarray, output: int = 0) -> Query:
    ids = tuple(map(str, range(len(rows))))
    kept = Reference(reference, tuple(map(str, range(len(reference)))))
    return Query(model.spec.digest, rows, ids, Target(output, model.spec.natural_scale), kept)


def rows_of(count: int, seed: int, missing: bool) -> np.ndarray:
    """Rows (count, 6): numbers, a category, zeros, repeated values, and missing ones if asked for."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, SIZE))
    rows[:, 1] = rng.integers(0, 8, count)
    rows[:, 2] = np.where(rng.random(count) < 0.3, 0.0, rows[:, 2])
    rows[:, 3] = np.round(rows[:, 3], 1)
    rows[:, 5] = 1.0
    if missing:
        rows[:, :5][rng.random((count, 5)) < 0.15] = np.nan
    return rows


def labels_of(rows: np.ndarray, classes: int) -> np.ndarray:
    a, b, c, d, e = np.nan_to_num(rows[:, :5], nan=0.7).T
    score = a * c + np.isin(b, [1, 4, 6]) * d + np.abs(e)
    if not classes:
        return score
    return np.searchsorted(np.quantile(score, np.arange(1, classes) / classes), score)


def xgboost(missing: bool = True, classes: int = 2, category: bool = True, **settings: Any) -> Trees:
    import xgboost as library

    kinds = ["q", "c" if category else "q", "q", "q", "q", "q"]

    def data(rows: np.ndarray, label: np.ndarray | None = None) -> Any:
        return library.DMatrix(rows, label, feature_types=kinds, enable_categorical=True)

    rows = rows_of(600, 1, missing)
    objective = (
        {"objective": "multi:softprob", "num_class": classes}
        if classes > 2
        else {"objective": "binary:logistic" if classes else "reg:squarederror"}
    )
    chosen = {"max_depth": 4, "max_cat_to_onehot": 2, "nthread": 1, **objective, **settings}
    booster = library.train(chosen, data(rows, labels_of(rows, classes)), 15)
    output: Output = "logit" if classes > 2 else "margin" if classes else "value"
    return Trees(f"xgboost {chosen}", booster, lambda x: booster.predict(data(x), output_margin=True), output, classes)


def lightgbm(missing: bool = True, classes: int = 2, category: bool = True, **settings: Any) -> Trees:
    import lightgbm as library

    rows = rows_of(600, 1, missing)
    objective = (
        {"objective": "multiclass", "num_class": classes}
        if classes > 2
        else {"objective": "binary" if classes else "regression"}
    )
    chosen = {"num_leaves": 15, "min_data_in_leaf": 5, "min_data_per_group": 5, "cat_smooth": 1, "max_cat_to_onehot": 1,
              "num_threads": 1, "verbose": -1, **objective, **settings}  # fmt: skip
    data = library.Dataset(rows, labels_of(rows, classes), categorical_feature=[1] if category else [])
    booster = library.train(chosen, data, 15)
    output: Output = "logit" if classes > 2 else "margin" if classes else "value"
    return Trees(f"lightgbm {chosen}", booster, lambda x: booster.predict(x, raw_score=True), output, classes)


def catboost(missing: bool = True, classes: int = 2, category: bool = True, **settings: Any) -> Trees:
    import catboost as library
    import pandas as pd

    from models.catboost import load

    def table(rows: np.ndarray) -> pd.DataFrame:
        frame = pd.DataFrame(rows, columns=list("abcdef"))
        if category:
            frame["b"] = ["nan" if np.isnan(code) else str(int(code)) for code in rows[:, 1]]
        return frame

    rows = rows_of(600, 1, missing)
    loss = "MultiClass" if classes > 2 else "Logloss" if classes else "RMSE"
    chosen = {"iterations": 15, "depth": 4, "one_hot_max_size": 20, "loss_function": loss, "thread_count": 1,
              "verbose": 0, "allow_writing_files": False, **settings}  # fmt: skip
    booster = library.CatBoost(chosen)
    booster.fit(library.Pool(table(rows), labels_of(rows, classes), cat_features=["b"] if category else []))
    output: Output = "logit" if classes > 2 else "margin" if classes else "value"
    made = Trees(
        f"catboost {chosen}",
        None,
        lambda x: booster.predict(table(x), prediction_type="RawFormulaVal"),
        output,
        classes,
    )
    names = tuple(map(str, range(8)))
    features = [
        Feature(name, "category", categories=names) if category and name == "b" else Feature(name) for name in "abcdef"
    ]
    made.native = load(bytes(booster._serialize_model()), replace(made.spec, features=tuple(features)), {}).trees()
    return made


def sklearn(name: str, missing: bool, classes: int, **settings: Any) -> Trees:
    import sklearn.ensemble
    import sklearn.tree
    from threadpoolctl import threadpool_limits

    kind = getattr(sklearn.ensemble, name, None) or getattr(sklearn.tree, name)
    rows = rows_of(600, 1, missing)
    estimator = kind(random_state=0, **settings).fit(rows, labels_of(rows, classes))
    predict, output = estimator.predict, "value"
    if classes and "Boosting" in name:
        predict, output = estimator.decision_function, "logit" if classes > 2 else "margin"
    elif classes:
        predict, output = estimator.predict_proba, "probability"

    def alone(x: np.ndarray) -> np.ndarray:
        with threadpool_limits(1):  # many threads on few rows wait for each other
            return predict(x)

    return Trees(f"{name} {settings} {classes}", estimator, alone, output, classes)


MODELS: dict[str, Callable[[], Trees]] = {
    "xgboost": xgboost,
    "xgboost-onehot": lambda: xgboost(max_cat_to_onehot=20),
    "xgboost-classes": lambda: xgboost(classes=3),
    "xgboost-value": lambda: xgboost(classes=0, missing=False, category=False, num_parallel_tree=2, base_score=3.0),
    "xgboost-dart": lambda: xgboost(booster="dart", rate_drop=0.3, seed=1),
    "lightgbm": lightgbm,
    "lightgbm-classes": lambda: lightgbm(classes=3),
    "lightgbm-all-classes": lambda: lightgbm(missing=False, category=False, classes=4),
    "lightgbm-zero": lambda: lightgbm(zero_as_missing=True),
    "lightgbm-not-missing": lambda: lightgbm(use_missing=False, classes=0),
    "lightgbm-complete": lambda: lightgbm(missing=False, category=False),
    "catboost": catboost,
    "catboost-classes": lambda: catboost(classes=3, nan_mode="Max"),
    "catboost-value": lambda: catboost(classes=0, missing=False, category=False),
    "catboost-depthwise": lambda: catboost(classes=0, grow_policy="Depthwise", nan_mode="Max"),
    "catboost-lossguide": lambda: catboost(classes=3, grow_policy="Lossguide", max_leaves=9),
    "tree": lambda: sklearn("DecisionTreeClassifier", True, 3),
    "tree-value": lambda: sklearn("DecisionTreeRegressor", False, 0, max_depth=6),
    "forest": lambda: sklearn("RandomForestClassifier", True, 3, n_estimators=4),
    "forest-value": lambda: sklearn("RandomForestRegressor", False, 0, n_estimators=4, max_depth=8),
    "extra-trees": lambda: sklearn("ExtraTreesClassifier", True, 2, n_estimators=4, max_depth=7),
    "boosting": lambda: sklearn("GradientBoostingClassifier", False, 2, n_estimators=15),
    "boosting-classes": lambda: sklearn("GradientBoostingClassifier", False, 3, n_estimators=8),
    "boosting-value": lambda: sklearn("GradientBoostingRegressor", False, 0, n_estimators=15, max_depth=4),
    "histogram": lambda: sklearn("HistGradientBoostingClassifier", True, 2, max_iter=15, categorical_features=[1]),
    "histogram-classes": lambda: sklearn("HistGradientBoostingClassifier", True, 3, max_iter=6),
    "histogram-value": lambda: sklearn("HistGradientBoostingRegressor", True, 0, max_iter=9, categorical_features=[1]),
}
COMPLETE = {"xgboost-value", "lightgbm-complete", "lightgbm-all-classes", "catboost-value", "tree-value",
            "forest-value", "boosting", "boosting-classes", "boosting-value"}  # fmt: skip


@cache
def model(name: str) -> Trees:
    return MODELS[name]()


def rows_for(name: str, count: int, seed: int = 2) -> np.ndarray:
    """Rows that the model called `name` can take."""
    return rows_of(count, seed, name not in COMPLETE)
