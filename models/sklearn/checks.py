"""Whether the estimators of a file are what training leaves: no functions, no files, and sizes that agree.

Most of scikit-learn is numpy, which answers sizes that differ with an error. Checked here is what runs in C without
looking: support vectors, neighbours, one-hot columns, trees.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from core.errors import UserFacingError
from models.base import broken
from models.sklearn.allowed import FAILURES, TITLE, words
from models.sklearn.trees import check_boosting, check_forest, check_histogram, check_single

_MOST_DEGREE = 10
_FUNCTIONS = {
    "FunctionTransformer": {"func", "inverse_func"},
    "TransformedTargetRegressor": {"func", "inverse_func"},
    "OneHotEncoder": {"dtype"},
    "OrdinalEncoder": {"dtype"},
    "KBinsDiscretizer": {"dtype"},
    "make_column_selector": {"dtype_include", "dtype_exclude"},
    **dict.fromkeys(
        ("GenericUnivariateSelect", "SelectFdr", "SelectFpr", "SelectFwe", "SelectKBest", "SelectPercentile"),
        {"score_func"},
    ),
}
_METRICS = words(
    "euclidean l2 manhattan l1 cityblock chebyshev minkowski cosine hamming canberra braycurtis nan_euclidean"
)
_KERNELS = words("linear poly rbf sigmoid")
_DRAWS = words("stratified uniform")
_METHODS = words("predict_proba decision_function predict")


def check_estimators(made: tuple[Any, ...]) -> None:
    """Refuses the first estimator that holds what it must not, and quiets the rest: one thread, no messages."""
    for estimator in made:
        name = type(estimator).__name__
        _check_parameters(estimator, name)
        fitted, check = _CHECKS.get(name, ("", None))
        if check is None or fitted not in vars(estimator):
            continue  # without that attribute it cannot predict: it is what an ensemble was made from
        try:
            check(estimator)
        except FAILURES as error:
            raise broken(TITLE, f"Its {name} is damaged, not fitted or of another version") from error


def _check_parameters(estimator: Any, name: str) -> None:
    values = vars(estimator)
    for key, value in values.items():
        if (callable(value) or isinstance(value, type)) and key not in _FUNCTIONS.get(name, ()):
            if type(value).__module__.startswith(("sklearn.", "scipy.")):
                continue  # an object with __call__, of a class on our list
            raise broken(
                TITLE, f"{key} of its {name} is a function", "Train it with one of the names that scikit-learn knows"
            )
    if values.get("memory") is not None:
        raise broken(TITLE, f"Its {name} keeps its steps on disk (memory)", "Set memory=None and export it again")
    if values.get("sample_posterior"):
        raise broken(TITLE, f"Its {name} draws at random (sample_posterior)", "Train it with sample_posterior=False")
    if name.startswith("Dummy") and values.get("strategy") in _DRAWS:
        raise broken(TITLE, f"Its {name} draws its answers at random", "Train it with strategy='prior'")
    for key, quiet in (("n_jobs", 1), ("verbose", 0)):
        if key in values:
            values[key] = quiet


def _check_neighbors(estimator: Any) -> None:
    """The rows and labels agree, and the search tree is built anew from them."""
    rows, metric, more = estimator._fit_X, estimator.effective_metric_, estimator.effective_metric_params_
    if metric not in _METRICS or set(more) - {"p"} or estimator.metric not in _METRICS:
        raise _odd(estimator, "measures distances in a way that is not taken")
    if estimator.weights not in ("uniform", "distance"):
        raise _odd(estimator, "weighs neighbours in a way that is not taken")
    if type(estimator.n_neighbors) is not int or not 0 < estimator.n_neighbors <= rows.shape[0]:
        raise _odd(estimator, "asks for more neighbours than it has rows")
    if rows.shape != (estimator.n_samples_fit_, estimator.n_features_in_) or rows.dtype.kind != "f":
        raise _odd(estimator, "has rows of another size than it says")
    if len(estimator._y) != len(rows):
        raise _odd(estimator, "has more rows than labels, or fewer")
    classes = vars(estimator).get("classes_")
    if classes is not None and not ((estimator._y >= 0) & (estimator._y < len(classes))).all():
        raise _odd(estimator, "has a label that is none of its classes")
    trees = {"kd_tree": "KDTree", "ball_tree": "BallTree"}
    if estimator._fit_method not in (*trees, "brute"):
        raise _odd(estimator, "searches in a way that is not taken")
    estimator._tree = None
    if estimator._fit_method != "brute":
        import sklearn.neighbors

        build = getattr(sklearn.neighbors, trees[estimator._fit_method])
        estimator._tree = build(rows, max(1, int(estimator.leaf_size)), metric=metric, **more)


def _check_support_vectors(estimator: Any) -> None:
    """libsvm believes every size that it is told."""
    import scipy.sparse

    classifies = "classes_" in vars(estimator)
    classes = len(estimator.classes_) if classifies else 2
    pairs = classes * (classes - 1) // 2
    vectors, dual, counts = estimator.support_vectors_, estimator._dual_coef_, estimator._n_support
    if estimator.kernel not in _KERNELS:
        raise _odd(estimator, f"has the kernel {estimator.kernel!r}, which is not taken")
    if estimator._sparse != scipy.sparse.issparse(vectors) or estimator._sparse != scipy.sparse.issparse(dual):
        raise _odd(estimator, "has support vectors of another form than it says")
    count = vectors.shape[0]
    agree = (
        vectors.shape == (count, estimator.n_features_in_)
        and dual.shape == (classes - 1, count)
        and (not estimator._sparse or (len(dual.data) == (classes - 1) * count and vectors.format == "csr"))
        and estimator.support_.shape == (count,)
        and estimator._intercept_.shape == (pairs,)
        and counts.shape == (classes,)
        and (counts >= 0).all()
        and (not classifies or counts.sum() == count)
        and {np.shape(estimator._probA), np.shape(estimator._probB)} in ({(0,)}, {(pairs,)})
        and count > 0
    )
    if not agree:
        raise _odd(estimator, "has support vectors, weights and counts that differ in size")
    if type(estimator.degree) not in (int, float) or not 0 <= estimator.degree <= _MOST_DEGREE:
        raise _odd(estimator, f"has a degree above {_MOST_DEGREE}")
    if classifies and classes > 2:
        estimator.decision_function_shape = "ovr"


def _check_one_hot(encoder: Any) -> None:
    """Each category has one column: a code beyond them would be written outside the row."""
    _check_categories(encoder)
    columns = len(encoder.categories_)
    joined, mappings, dropped = [None] * columns, [None] * columns, encoder._drop_idx_after_grouping
    if encoder._infrequent_enabled:
        joined, mappings = encoder._infrequent_indices, encoder._default_to_infrequent_mappings
    if dropped is None:
        dropped = [None] * columns
    each = zip(encoder.categories_, joined, mappings, dropped, encoder._n_features_outs, strict=True)
    for known, rare, mapping, drop, width in each:
        left = len(known)
        if (rare is None) != (mapping is None):
            raise _odd(encoder, "joins rare categories into one that there is not")
        if mapping is not None:
            if mapping.shape != known.shape or mapping.dtype.kind != "i" or mapping.min() < 0:
                raise _odd(encoder, "joins rare categories into one that there is not")
            left = int(mapping.max()) + 1
        if drop is not None and not 0 <= int(drop) < left:
            raise _odd(encoder, "drops a category that there is not")
        if type(width) is not int or width != left - (drop is not None):
            raise _odd(encoder, "has another number of columns than of categories")


def _check_categories(encoder: Any) -> None:
    if len(encoder.categories_) != encoder.n_features_in_:
        raise _odd(encoder, "has categories of other columns than it says")
    for known in encoder.categories_:
        if known.ndim != 1 or not len(known):
            raise _odd(encoder, "has a column without categories")
        numbers = [value for value in known.tolist() if isinstance(value, int | float) and value == value]
        if any(later <= earlier for earlier, later in pairwise(numbers)):
            raise _odd(encoder, "has categories that are not in order")


def _check_function(estimator: Any) -> None:
    if estimator.kw_args:
        raise _odd(estimator, "gives its function more than the rows (kw_args)")


def _check_polynomial(estimator: Any) -> None:
    from math import comb

    degree = estimator.degree if isinstance(estimator.degree, int) else max(estimator.degree)
    if not 0 <= degree <= _MOST_DEGREE or comb(estimator.n_features_in_ + degree, degree) > 1_000_000:
        raise _odd(estimator, "makes more than 1,000,000 columns")


def _check_stacking(estimator: Any) -> None:
    if set(estimator.stack_method_) - _METHODS:
        raise _odd(estimator, "asks its members for what is no prediction")


def _check_columns(estimator: Any) -> None:
    if not isinstance(estimator.verbose_feature_names_out, bool):
        raise _odd(estimator, "names its columns by a pattern, which is not taken")


# For each class the attribute without which it answers nothing, and the check.
_CHECKS: dict[str, tuple[str, Callable[[Any], None]]] = {
    "ColumnTransformer": ("transformers", _check_columns),
    "FunctionTransformer": ("func", _check_function),
    "OneHotEncoder": ("categories_", _check_one_hot),
    "PolynomialFeatures": ("n_features_in_", _check_polynomial),
    **dict.fromkeys(("OrdinalEncoder", "TargetEncoder"), ("categories_", _check_categories)),
    **dict.fromkeys(("KNeighborsClassifier", "KNeighborsRegressor"), ("_fit_X", _check_neighbors)),
    **dict.fromkeys(("StackingClassifier", "StackingRegressor"), ("estimators_", _check_stacking)),
    **dict.fromkeys(("NuSVC", "NuSVR", "SVC", "SVR"), ("support_vectors_", _check_support_vectors)),
    **dict.fromkeys(
        (f"{kind}{task}" for kind in ("DecisionTree", "ExtraTree") for task in ("Classifier", "Regressor")),
        ("tree_", check_single),
    ),
    **dict.fromkeys(
        (f"{kind}{task}" for kind in ("RandomForest", "ExtraTrees") for task in ("Classifier", "Regressor")),
        ("estimators_", check_forest),
    ),
    **dict.fromkeys(("GradientBoostingClassifier", "GradientBoostingRegressor"), ("estimators_", check_boosting)),
    **dict.fromkeys(
        ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor"), ("_predictors", check_histogram)
    ),
}


def _odd(estimator: Any, what: str) -> UserFacingError:
    return broken(TITLE, f"Its {type(estimator).__name__} {what}")
