"""ONNX's tree tables: a comparison at each node, weights for targets at the leaves, rows in the type of the input."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from explainers.trees.forest import Tree, damaged, unsupported

LEQ, LT, GTE, GT, EQ, NEQ = (f"BRANCH_{name}" for name in ("LEQ", "LT", "GTE", "GT", "EQ", "NEQ"))
LARGEST_CODE = 2**20


def read(model: Any, column: int) -> list[Tree]:
    """The trees that add up to output `column` of an `onnx.ModelProto` that holds one TreeEnsembleRegressor.

    Its nodes stand tree by tree, numbered from 0 at the root, and what is added to every score stays out.
    """
    held = _tables(model)
    tree = _whole(held, "nodes_treeids")
    starts = np.flatnonzero(np.append(True, tree[1:] != tree[:-1]))
    first = dict(zip(tree[starts].tolist(), starts.tolist(), strict=True))
    value = np.zeros(len(tree))
    mine = _whole(held, "target_ids") == column
    at = [first.get(each, 0) for each in _whole(held, "target_treeids")[mine].tolist()]
    np.add.at(
        value, np.array(at, np.int64) + _whole(held, "target_nodeids")[mine], _reals(held, "target_weights")[mine]
    )
    ends = np.append(starts[1:], len(tree))
    parts = [slice(start, end) for start, end in zip(starts, ends, strict=True)]
    # A tree grown for another output has nothing but zeros for this one.
    voting = [part for part in parts if value[part].any()] or parts[:1]
    return [_tree(held, part, value[part]) for part in voting]


def as_seen(model: Any, columns: np.ndarray) -> np.ndarray:
    """Columns as the model compares them: in its input's precision, and -1 for what no equality can name."""
    from onnx import TensorProto

    if model.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT:
        columns = columns.astype(np.float32).astype(np.float64)
    by_equality = _by_equality(_tables(model))
    columns = columns.copy() if by_equality else columns
    for feature in by_equality:
        column = columns[feature]
        named = (column >= 0) & (column == np.floor(column)) | np.isnan(column)
        columns[feature] = np.where(named, column, -1.0)
    return columns


def _tables(model: Any) -> dict[str, Any]:
    """The attributes of the one tree operator."""
    from onnx import helper

    nodes = [node for node in model.graph.node if node.op_type == "TreeEnsembleRegressor"]
    if len(nodes) != 1:
        raise unsupported("It has not exactly one operator of trees")
    return {given.name: helper.get_attribute_value(given) for given in nodes[0].attribute}


def _tree(held: Mapping[str, Any], part: slice, value: np.ndarray) -> Tree:
    modes = np.array([mode.decode() for mode in held["nodes_modes"][part]])
    feature = np.where(modes == "LEAF", -1, _whole(held, "nodes_featureids")[part])
    threshold = _reals(held, "nodes_values")[part]
    yes, no = _whole(held, "nodes_truenodeids")[part], _whole(held, "nodes_falsenodeids")[part]
    # NaN differs from every number, so that this one comparison holds for it.
    missing_yes = (_whole(held, "nodes_missing_value_tracks_true")[part] > 0) | (modes == NEQ)
    categories = {int(node): _only(threshold[node]) for node in np.flatnonzero(np.isin(modes, (EQ, NEQ)))}
    # A list of categories is a row of nodes that ask for one each and lead to the same place: they become one.
    for node in sorted(categories, reverse=True):
        after = int(no[node])
        same = modes[node] == modes[after] == EQ and feature[node] == feature[after]
        if same and yes[node] == yes[after] and missing_yes[node] == missing_yes[after]:
            categories[node] = _either(categories[node], categories.pop(after))
            no[node], feature[after] = no[after], -1
    # x >= t goes right where x < t goes left, and so on; x < t is x <= the next smaller number.
    swapped = np.isin(modes, (GTE, GT, NEQ))
    return Tree(
        feature=feature,
        threshold=np.where(np.isin(modes, (LT, GTE)), np.nextafter(threshold, -np.inf), threshold),
        left=np.where(swapped, no, yes),
        right=np.where(swapped, yes, no),
        value=value,
        missing_left=missing_yes ^ swapped,
        categories=categories,
    )


def _either(some: np.ndarray, more: np.ndarray) -> np.ndarray:
    """The categories of both lists."""
    both = np.zeros(max(len(some), len(more)), bool)
    both[: len(some)] |= some
    both[: len(more)] |= more
    return both


def _only(code: float) -> np.ndarray:
    """The category `code` and no other; for a number that is no category, none."""
    if code > LARGEST_CODE:
        raise unsupported("It compares with a category whose code is too large")
    chosen = np.zeros(int(max(code, 0)) + 2, bool)
    chosen[int(max(code, 0))] = code >= 0 and code == np.floor(code)
    return chosen


def _by_equality(held: Mapping[str, Any]) -> list[int]:
    """The features that are asked for equality; refused where one is asked for its size too, or for a fraction."""
    modes = np.array([mode.decode() for mode in held["nodes_modes"]])
    feature, value = _whole(held, "nodes_featureids"), _reals(held, "nodes_values")
    equal = np.isin(modes, (EQ, NEQ))
    both = set(feature[equal].tolist()) & set(feature[~equal & (modes != "LEAF")].tolist())
    codes = value[equal]
    if both or (codes < 0).any() or (codes != np.floor(codes)).any():
        raise unsupported("It asks one number both for its size and for equality, or for equality with a fraction")
    return sorted(set(feature[equal].tolist()))


def _whole(held: Mapping[str, Any], name: str) -> np.ndarray:
    return np.array(held[name], np.int64)


def _reals(held: Mapping[str, Any], name: str) -> np.ndarray:
    from onnx import numpy_helper

    found = numpy_helper.to_array(held[f"{name}_as_tensor"]).astype(np.float64)
    if not np.isfinite(found[~np.isinf(found)]).all():
        raise damaged("A split or leaf has no number")
    return found
