"""A zoo of fitted scikit-learn models, each with the table that it was fitted on."""

from collections.abc import Callable
from typing import Any

import numpy as np

SIZE = 1000
JOBS = ("baker", "clerk", "driver", "nurse")


def numbers(missing: bool = False) -> np.ndarray:
    """Rows (1000, 4) of positive numbers on very different scales; the second column's missing where asked."""
    rng = np.random.default_rng(0)
    rows = rng.gamma(2.0, size=(SIZE, 4)) * [1.0, 0.01, 30.0, 2.0]
    rows[:, 2] += 2000.0
    if missing:
        rows[rng.random(SIZE) < 0.2, 1] = np.nan
    return rows


def people() -> Any:
    """A table of 1,000 with numbers, whole numbers, words, true and false, and missing values."""
    import pandas

    rng = np.random.default_rng(1)
    return pandas.DataFrame(
        {
            "age": rng.integers(18, 90, SIZE).astype(float),
            "income": np.where(rng.random(SIZE) < 0.1, np.nan, rng.gamma(3.0, 9000.0, SIZE)),
            "job": pandas.Series(np.where(rng.random(SIZE) < 0.1, None, rng.choice(JOBS, SIZE)), dtype=object),
            "rooms": rng.choice([1, 2, 3, 5], SIZE),
            "owner": rng.random(SIZE) < 0.4,
        }
    )


def labels(rows: Any, classes: int) -> np.ndarray:
    """Labels that the first columns explain in part; two classes are "no" and "yes", none are numbers."""
    rng = np.random.default_rng(2)
    first = np.asarray(rows, dtype=object)[:, 0].astype(float)
    last = np.asarray(rows, dtype=object)[:, 3].astype(float)
    score = (first - first.mean()) / first.std() - (last - last.mean()) / last.std() + rng.normal(0, 0.7, SIZE)
    if classes == 0:
        return 3.0 * score + 10.0
    found = np.digitize(score, np.quantile(score, np.arange(1, classes) / classes))
    return np.array(["no", "yes"])[found] if classes == 2 else found


def prepare() -> Any:
    """The preprocessing of `people`: imputed, scaled, one-hot, ordinal and passed through."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

    words = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    return make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), ["age", "income"]),
        (words, ["job"]),
        (OrdinalEncoder(), ["rooms"]),
        remainder="passthrough",
    )


def zoo() -> dict[str, tuple[Callable[[], Any], Callable[[], Any], int]]:
    """For each name: how the model is made, the table that it learns, and how many classes (0: a number)."""
    from sklearn import (
        calibration,
        compose,
        decomposition,
        discriminant_analysis,
        ensemble,
        feature_selection,
        kernel_approximation,
        linear_model,
        model_selection,
        multiclass,
        naive_bayes,
        neighbors,
        neural_network,
        pipeline,
        svm,
        tree,
    )
    from sklearn import preprocessing as pre
    from sklearn.impute import KNNImputer, SimpleImputer

    chain, scale = pipeline.make_pipeline, pre.StandardScaler
    logistic = linear_model.LogisticRegression

    def histogram(**more: Any) -> Any:
        return ensemble.HistGradientBoostingClassifier(max_iter=8, random_state=0, **more)

    def perceptron(**more: Any) -> Any:
        return neural_network.MLPClassifier((8, 6), max_iter=15, random_state=0, **more)

    def stepwise(**more: Any) -> Any:
        return linear_model.SGDClassifier(random_state=0, **more)

    words = compose.make_column_selector(dtype_include=object)

    def gaps() -> np.ndarray:
        return numbers(missing=True)

    def codes() -> np.ndarray:
        rows = numbers()
        rows[:, 3] = np.random.default_rng(5).choice([1, 2, 3, 5], SIZE)
        return rows

    def some(table: Any) -> Any:
        return table[["age", "income", "job", "rooms"]].assign(job=table["job"].fillna("none"))

    return {
        "logistic": (lambda: chain(scale(), logistic()), numbers, 2),
        "logistic-classes": (lambda: chain(scale(), logistic()), numbers, 3),
        "logistic-cv": (lambda: chain(pre.RobustScaler(), linear_model.LogisticRegressionCV(cv=3)), numbers, 2),
        "one-against-rest": (
            lambda: chain(scale(), multiclass.OneVsRestClassifier(logistic(solver="liblinear"))),
            numbers,
            3,
        ),
        "sgd": (lambda: chain(scale(), stepwise(loss="log_loss")), numbers, 2),
        "sgd-classes": (lambda: chain(scale(), stepwise(loss="log_loss")), numbers, 3),
        "hinge": (lambda: chain(pre.MinMaxScaler(), stepwise()), numbers, 3),
        "ridge-classifier": (lambda: chain(scale(), linear_model.RidgeClassifier()), numbers, 2),
        "linear": (linear_model.LinearRegression, numbers, 0),
        "ridge-of-components": (lambda: chain(scale(), decomposition.PCA(3), linear_model.Ridge()), numbers, 0),
        "lasso-of-chosen": (
            lambda: chain(
                feature_selection.SelectKBest(feature_selection.f_regression, k=2),
                pre.MaxAbsScaler(),
                linear_model.LassoCV(cv=3),
            ),
            numbers,
            0,
        ),
        "quantile": (lambda: chain(scale(), linear_model.QuantileRegressor()), numbers, 0),
        "discriminant": (lambda: chain(scale(), discriminant_analysis.LinearDiscriminantAnalysis()), numbers, 3),
        "quadratic": (lambda: chain(scale(), discriminant_analysis.QuadraticDiscriminantAnalysis()), numbers, 2),
        "linear-svc": (lambda: chain(scale(), svm.LinearSVC()), numbers, 3),
        "svc": (lambda: chain(scale(), svm.SVC()), numbers, 2),
        "svc-classes": (lambda: chain(scale(), svm.SVC(kernel="poly")), numbers, 3),
        "svc-linear": (lambda: chain(scale(), svm.SVC(kernel="linear")), numbers, 2),
        "svc-sparse": (lambda: chain(pre.KBinsDiscretizer(12), svm.SVC()), numbers, 3),
        "svr": (lambda: chain(scale(), svm.SVR()), numbers, 0),
        "tree": (lambda: tree.DecisionTreeClassifier(max_depth=6), gaps, 3),
        "tree-value": (lambda: tree.DecisionTreeRegressor(max_depth=6), numbers, 0),
        "forest": (lambda: ensemble.RandomForestClassifier(12, max_depth=6, random_state=0), gaps, 2),
        "forest-value": (lambda: ensemble.RandomForestRegressor(8, max_depth=6, random_state=0), numbers, 0),
        "extra-trees": (lambda: ensemble.ExtraTreesClassifier(12, max_depth=6, random_state=0), numbers, 3),
        "boosting": (lambda: ensemble.GradientBoostingClassifier(n_estimators=12, random_state=0), numbers, 2),
        "boosting-classes": (lambda: ensemble.GradientBoostingClassifier(n_estimators=6, random_state=0), numbers, 3),
        "boosting-exponential": (
            lambda: ensemble.GradientBoostingClassifier(loss="exponential", n_estimators=6, random_state=0),
            numbers,
            2,
        ),
        "boosting-value": (lambda: ensemble.GradientBoostingRegressor(n_estimators=12, random_state=0), numbers, 0),
        "histogram": (histogram, gaps, 2),
        "histogram-codes": (lambda: histogram(categorical_features=[3]), codes, 3),
        "histogram-words": (
            lambda: histogram(categorical_features=["job", "owner"]),
            people,
            2,
        ),
        "histogram-value": (lambda: ensemble.HistGradientBoostingRegressor(max_iter=8, random_state=0), gaps, 0),
        "ada": (lambda: ensemble.AdaBoostClassifier(n_estimators=5, random_state=0), numbers, 3),
        "bagging": (lambda: ensemble.BaggingClassifier(n_estimators=4, random_state=0, max_features=3), numbers, 2),
        "perceptron": (lambda: chain(scale(), perceptron()), numbers, 2),
        "perceptron-classes": (lambda: chain(pre.MinMaxScaler(), perceptron(activation="tanh")), numbers, 3),
        "perceptron-value": (
            lambda: chain(
                scale(), neural_network.MLPRegressor(hidden_layer_sizes=(8,), activation="logistic", max_iter=15)
            ),
            numbers,
            0,
        ),
        "neighbours": (lambda: chain(scale(), neighbors.KNeighborsClassifier(7, weights="distance")), numbers, 3),
        "neighbours-brute": (
            lambda: chain(scale(), neighbors.KNeighborsRegressor(algorithm="brute", metric="manhattan")),
            numbers,
            0,
        ),
        "bayes": (naive_bayes.GaussianNB, numbers, 3),
        "bayes-counts": (naive_bayes.MultinomialNB, numbers, 2),
        "calibrated": (lambda: calibration.CalibratedClassifierCV(chain(scale(), svm.LinearSVC()), cv=2), numbers, 2),
        "isotonic": (
            lambda: calibration.CalibratedClassifierCV(naive_bayes.GaussianNB(), method="isotonic", cv=2),
            numbers,
            3,
        ),
        "voting": (
            lambda: ensemble.VotingClassifier([("a", naive_bayes.GaussianNB()), ("b", logistic())], voting="soft"),
            numbers,
            2,
        ),
        "stacking": (
            lambda: ensemble.StackingClassifier(
                [("a", tree.DecisionTreeClassifier(max_depth=3)), ("b", chain(scale(), logistic()))], cv=2
            ),
            numbers,
            2,
        ),
        "search": (
            lambda: model_selection.GridSearchCV(chain(scale(), logistic()), {"logisticregression__C": [0.1, 1]}, cv=2),
            numbers,
            2,
        ),
        "people": (lambda: chain(prepare(), logistic()), people, 2),
        "people-forest": (
            lambda: chain(prepare(), ensemble.RandomForestClassifier(10, max_depth=5, random_state=0)),
            people,
            3,
        ),
        "people-svc": (lambda: chain(prepare(), pre.StandardScaler(with_mean=False), svm.SVC()), people, 2),
        "people-missing": (
            lambda: chain(
                compose.make_column_transformer(
                    (pre.OneHotEncoder(drop="first", min_frequency=50), words),
                    (pre.OneHotEncoder(drop="if_binary"), ["rooms", "owner"]),
                    (KNNImputer(n_neighbors=2), ["age", "income"]),
                ),
                linear_model.Ridge(),
            ),
            people,
            0,
        ),
        "people-target": (
            lambda: chain(
                compose.make_column_transformer(
                    (pre.TargetEncoder(random_state=0), ["job", "rooms"]),
                    (chain(SimpleImputer(add_indicator=True), pre.QuantileTransformer(n_quantiles=50)), ["income"]),
                    remainder="drop",
                ),
                pre.PolynomialFeatures(2),
                logistic(max_iter=300),
            ),
            lambda: some(people()),
            2,
        ),
        "union": (
            lambda: chain(
                scale(),
                pipeline.make_union(decomposition.PCA(2), feature_selection.SelectKBest(k=2)),
                logistic(),
            ),
            numbers,
            2,
        ),
        "splines": (lambda: chain(pre.SplineTransformer(n_knots=4), linear_model.Ridge()), numbers, 0),
        "bins": (lambda: chain(pre.KBinsDiscretizer(4), logistic()), numbers, 2),
        "kernel": (
            lambda: chain(scale(), kernel_approximation.Nystroem(n_components=20, random_state=0), logistic()),
            numbers,
            2,
        ),
        "logarithm": (
            lambda: compose.TransformedTargetRegressor(
                chain(pre.FunctionTransformer(np.log1p), linear_model.LinearRegression()), transformer=scale()
            ),
            numbers,
            0,
        ),
    }


def fitted(name: str) -> tuple[Any, Any]:
    """The model called `name`, and the table of 1,000 rows that it was fitted on."""
    import warnings

    make, table, classes = zoo()[name]
    rows = table()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make().fit(rows, labels(rows, classes)), rows
