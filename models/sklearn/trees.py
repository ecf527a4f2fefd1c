"""Whether decision trees from a file are trees, before scikit-learn's C code walks them without looking.

A child that is not there, or a feature beyond the row's, is a read out of bounds: at best a crash.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from core.errors import UserFacingError
from models.base import broken
from models.sklearn.allowed import TITLE

_MOST_BITSETS = 8  # words of 32 bits: 256 categories


def check_tree(arguments: tuple[Any, ...], state: Mapping[str, Any]) -> None:
    """Refuses what is not the state of one sound `sklearn.tree._tree.Tree` with one output.

    `arguments` are (features, classes of each output, outputs); a leaf has -1 for both children.
    """
    from sklearn.tree._tree import NODE_DTYPE

    features, classes, outputs = arguments
    if outputs != 1:
        raise broken(TITLE, "It predicts several outputs at once", "Bring one model for each output")
    nodes, values = state["nodes"], state["values"]
    if nodes.dtype != NODE_DTYPE:
        raise broken(TITLE, "Its trees were written by another version of scikit-learn, which numbers nodes otherwise")
    sound = (
        type(features) is int
        and type(state["node_count"]) is int
        and type(state["max_depth"]) is int
        and classes.shape == (1,)
        and classes.dtype.kind == "i"
        and nodes.ndim == 1
        and state["node_count"] == len(nodes)
        and values.shape == (len(nodes), 1, classes[0])
        and values.dtype == np.float64
        and np.isfinite(values).all()
    )
    if not sound:
        raise _damaged("its arrays and its counts differ")
    inner = nodes["left_child"] != -1
    if (nodes["right_child"][~inner] != -1).any() or np.isnan(nodes["threshold"][inner]).any():
        raise _damaged("a leaf has a branch, or a split has no threshold")
    _check_branches(inner, nodes["left_child"], nodes["right_child"], nodes["feature"], features)


def check_nodes(state: Mapping[str, Any]) -> None:
    """Refuses what is not the state of one sound tree of histogram boosting; features are checked with its owner."""
    from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE

    nodes, sets = state["nodes"], state["raw_left_cat_bitsets"]
    if nodes.dtype != PREDICTOR_RECORD_DTYPE or nodes.ndim != 1:
        raise broken(TITLE, "Its trees were written by another version of scikit-learn, which numbers nodes otherwise")
    if sets.dtype != np.uint32 or sets.ndim != 2 or sets.shape[1] != _MOST_BITSETS or not sets.flags.c_contiguous:
        raise _damaged("its sets of categories are none")
    inner = nodes["is_leaf"] == 0
    by_category = inner & (nodes["is_categorical"] != 0)
    if (nodes["bitset_idx"][by_category] >= len(sets)).any() or not np.isfinite(nodes["value"]).all():
        raise _damaged("a split names a set of categories that there is not, or a leaf has no value")
    if (nodes["left"] > len(nodes)).any() or (nodes["right"] > len(nodes)).any():
        raise _damaged("a branch leads nowhere")
    left, right = nodes["left"].astype(np.int64), nodes["right"].astype(np.int64)
    _check_branches(inner, left, right, nodes["feature_idx"], int(nodes["feature_idx"].max(initial=0)) + 1)


def check_single(estimator: Any) -> None:
    """Refuses a tree that reads other features than its rows have."""
    if estimator.tree_.n_features != estimator.n_features_in_:
        raise _damaged("it reads other features than its rows have")


def check_forest(estimator: Any) -> None:
    """Refuses a forest of what are no trees, or that read other features than its rows have."""
    for member in estimator.estimators_:
        if not _is_tree(member) or member.n_features_in_ != estimator.n_features_in_:
            raise _damaged("a member of its forest reads other features")


def check_boosting(estimator: Any) -> None:
    """Refuses stages that are not one tree of single values for each column of the raw score."""
    stages = estimator.estimators_
    wanted = (estimator.n_trees_per_iteration_,)
    if stages.ndim != 2 or stages.shape[1:] != wanted or not stages.size:
        raise _damaged("its stages are not one tree for each class")
    for member in stages.ravel():
        if not _is_tree(member) or member.tree_.n_features != estimator.n_features_in_:
            raise _damaged("a stage reads other features than its rows have")
        if member.tree_.value.shape[1:] != (1, 1):
            raise _damaged("a stage has no single value")
    first = estimator._raw_predict_init(np.zeros((1, estimator.n_features_in_), np.float32))
    if first.shape != (1, *wanted):
        raise _damaged("its first guess is not one number for each class")


def check_histogram(estimator: Any) -> None:
    """Refuses trees of histogram boosting that ask for features or categories that its rows do not have."""
    bins, per_stage = estimator._bin_mapper, estimator.n_trees_per_iteration_
    features = estimator.n_features_in_
    categorical = np.zeros(features, bool) if estimator.is_categorical_ is None else estimator.is_categorical_
    if bins.is_categorical_.shape != (features,) or bins.is_categorical_.dtype.kind not in "bu":
        raise _damaged("its bins are of other features than its rows have")
    if categorical.shape != (features,) or categorical.dtype != bool or len(bins.bin_thresholds_) != features:
        raise _damaged("its categories are of other features than its rows have")
    known = bins.is_categorical_ != 0
    codes = np.concatenate([np.zeros(0), *(bins.bin_thresholds_[i] for i in np.flatnonzero(known))])
    if not ((codes >= 0) & (codes < 32 * _MOST_BITSETS)).all():
        raise _damaged("a category has a code that there is not")
    _check_preprocessor(estimator._preprocessor, categorical)
    if np.shape(estimator._baseline_prediction) not in ((), (1, per_stage)):
        raise _damaged("its first guess is not one number for each class")
    for stage in estimator._predictors:
        if len(stage) != per_stage:
            raise _damaged("its stages are not one tree for each class")
        for tree in stage:
            _check_features(tree.nodes, known)


def _check_features(nodes: np.ndarray, known: np.ndarray) -> None:
    """Refuses a split by a feature that is not there, or by category where `known` (features,) has none."""
    inner, seen = nodes["is_leaf"] == 0, nodes["feature_idx"]
    if (seen[inner] >= len(known)).any():
        raise _damaged("a split asks for a feature that the rows do not have")
    if not known[seen[inner & (nodes["is_categorical"] != 0)]].all():
        raise _damaged("a split by category asks for a number")


def _check_preprocessor(preprocessor: Any, categorical: np.ndarray) -> None:
    """Histogram boosting numbers its categories itself; it must hand on as many columns as it takes."""
    if preprocessor is None:
        return
    (_, encoder, first), (_, numbers, second), *rest = preprocessor.transformers_
    kinds = (type(preprocessor).__name__, type(encoder).__name__, type(numbers).__name__)
    own = kinds == ("ColumnTransformer", "OrdinalEncoder", "FunctionTransformer")
    if not own or any(inner != "drop" for _, inner, _ in rest):
        raise _damaged("its preparation is not histogram boosting's own")
    named = preprocessor._transformer_to_input_indices
    for name, column, wanted in (("encoder", first, categorical), ("numerical", second, ~categorical)):
        if not np.array_equal(column, wanted) or not np.array_equal(named[name], np.flatnonzero(wanted)):
            raise _damaged("its preparation is of other features than its rows have")


def _check_branches(inner: np.ndarray, left: np.ndarray, right: np.ndarray, feature: np.ndarray, features: int) -> None:
    """Refuses nodes that are no tree: each but the root is the child of exactly one node, which comes before it."""
    parents = np.flatnonzero(inner)
    children = np.concatenate([left[parents], right[parents]])
    after = (children > np.tile(parents, 2)).all()
    if not len(inner) or not after or not np.array_equal(np.sort(children), np.arange(1, len(inner))):
        raise _damaged("a branch leads nowhere or back")
    if ((feature[parents] < 0) | (feature[parents] >= features)).any():
        raise _damaged("a split asks for a feature that the rows do not have")


def _is_tree(estimator: Any) -> bool:
    return type(estimator).__module__ == "sklearn.tree._classes"


def _damaged(why: str) -> UserFacingError:
    return broken(TITLE, f"One of its trees is damaged: {why}")
