"""The tree tables of ONNX: read, checked, and written again as a model that is nothing but a sum over trees.

Operators `TreeEnsembleClassifier`, `TreeEnsembleRegressor` and, from version 5 on, `TreeEnsemble` of ai.onnx.ml
(https://onnx.ai/onnx/operators/). onnxruntime reads past the tables where they lie, so they are checked here.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from models.base import broken
from models.onnx.words import TITLE

MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "LEAF")
LEAF = MODES.index("LEAF")
DEEPEST = 4096
_POST = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
_AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")


@dataclass(frozen=True)
class Trees:
    """Trees one after the other, each with its root first; arrays (nodes,), and (votes,) for what leaves say.

    `yes` and `no` are the nodes that follow where the comparison `mode` (an index in `MODES`) with `value` holds
    and where not, -1 at leaves; `missing` is true where missing values follow `yes`. A list of categories is a row
    of nodes that ask for one each, all with the same `yes`; else each node is reached one way only. The score of
    target t is `base[t]` plus the weights of the votes for t at the leaves that a row comes to, where `additive`.
    """

    tree: np.ndarray
    feature: np.ndarray
    mode: np.ndarray
    value: np.ndarray
    yes: np.ndarray
    no: np.ndarray
    missing: np.ndarray
    vote_node: np.ndarray
    vote_target: np.ndarray
    vote_weight: np.ndarray
    base: np.ndarray
    post: str
    additive: bool

    @property
    def features(self) -> int:
        """How many columns the rows need at least."""
        return int(self.feature[self.mode != LEAF].max(initial=-1)) + 1

    @property
    def count(self) -> int:
        return int(self.tree[-1]) + 1

    def only(self, target: int) -> "Trees":
        """The trees of one target."""
        chosen = self.vote_target == target
        return self._voting(self.vote_node[chosen], 0 * self.vote_target[chosen], self.vote_weight[chosen]).based(
            self.base[[target]]
        )

    def with_complement(self) -> "Trees":
        """Trees of a probability p as trees of (1 - p, p)."""
        return self._voting(
            np.tile(self.vote_node, 2),
            np.repeat([0, 1], len(self.vote_node)),
            np.concatenate([-self.vote_weight, self.vote_weight]),
        ).based(np.array([1 - self.base[0], self.base[0]]))

    def reading(self, columns: np.ndarray) -> "Trees":
        """The same trees for rows in which feature i stands in column `columns[i]`."""
        return replace(
            self, feature=np.where(self.mode == LEAF, 0, columns[np.where(self.mode == LEAF, 0, self.feature)])
        )

    def based(self, base: np.ndarray) -> "Trees":
        """The same trees, with other numbers added to their scores."""
        return replace(self, base=base)

    def _voting(self, node: np.ndarray, target: np.ndarray, weight: np.ndarray) -> "Trees":
        return replace(self, vote_node=node, vote_target=target, vote_weight=weight)


def read(node: Any) -> Trees:
    """The tables of a tree operator. Raises UserFacingError for tables that are no trees."""
    from onnx import helper

    held = {given.name: helper.get_attribute_value(given) for given in node.attribute}
    return _read_compact(held) if node.op_type == "TreeEnsemble" else _read_classic(node, held)


def labels(node: Any) -> tuple[str, ...]:
    """The class names that a classifier operator holds."""
    from onnx import helper

    for given in node.attribute:
        if given.name in ("classlabels_strings", "classlabels_int64s", "classlabels_ints"):
            values = helper.get_attribute_value(given)
            return tuple(each.decode("utf-8", "replace") if isinstance(each, bytes) else str(each) for each in values)
    return ()


def as_nodes(trees: Trees, source: str, target: str) -> list[Any]:
    """Operators that add up `trees` for the tensor `source` (n, d) and give `target` (n, targets).

    Everything is done in double precision, so that the sum is rounded once; needs ai.onnx.ml 3 or 4.
    """
    from onnx import TensorProto, helper

    at = np.arange(len(trees.tree)) - np.searchsorted(trees.tree, trees.tree)

    def doubles(name: str, values: np.ndarray) -> Any:
        return helper.make_tensor(name, TensorProto.DOUBLE, [len(values)], values.astype(np.float64))

    leaf = trees.mode == LEAF
    regressor = helper.make_node(
        "TreeEnsembleRegressor",
        [f"{source}_double"],
        [target],
        domain="ai.onnx.ml",
        n_targets=len(trees.base),
        post_transform="NONE",
        aggregate_function="SUM",
        nodes_treeids=trees.tree.tolist(),
        nodes_nodeids=at.tolist(),
        nodes_featureids=trees.feature.tolist(),
        nodes_modes=[MODES[mode] for mode in trees.mode],
        nodes_truenodeids=np.where(leaf, 0, at[trees.yes]).tolist(),
        nodes_falsenodeids=np.where(leaf, 0, at[trees.no]).tolist(),
        nodes_missing_value_tracks_true=trees.missing.astype(int).tolist(),
        nodes_values_as_tensor=doubles("values", trees.value),
        target_treeids=trees.tree[trees.vote_node].tolist(),
        target_nodeids=at[trees.vote_node].tolist(),
        target_ids=trees.vote_target.tolist(),
        target_weights_as_tensor=doubles("weights", trees.vote_weight),
        base_values_as_tensor=doubles("base", trees.base),
    )
    return [helper.make_node("Cast", [source], [f"{source}_double"], to=TensorProto.DOUBLE), regressor]


def as_model(trees: Trees, features: int, double: bool) -> Any:
    """An `onnx.ModelProto` from rows (n, features) to the sums of `trees` (n, targets): nothing else is in it.

    `double` says that rows are compared in double precision.
    """
    from onnx import TensorProto, helper

    kind = TensorProto.DOUBLE if double else TensorProto.FLOAT
    graph = helper.make_graph(
        as_nodes(trees, "rows", "score"),
        "trees",
        [helper.make_tensor_value_info("rows", kind, ["n", features])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n", len(trees.base)])],
    )
    return helper.make_model(
        graph, ir_version=8, opset_imports=[helper.make_opsetid("", 15), helper.make_opsetid("ai.onnx.ml", 3)]
    )


def _read_classic(node: Any, held: dict[str, Any]) -> Trees:
    """`TreeEnsembleClassifier` and `TreeEnsembleRegressor`: nodes by the number of their tree and their own."""
    classifier = node.op_type == "TreeEnsembleClassifier"
    kind = "class" if classifier else "target"
    tree, number = _whole(held, "nodes_treeids"), _whole(held, "nodes_nodeids")
    modes = [mode.decode("utf-8", "replace") for mode in held.get("nodes_modes", [])]
    if not modes or not len(tree) == len(number) == len(modes) or not set(modes) <= set(MODES):
        raise _damaged("The tables of its trees do not fit each other")
    mode = np.array([MODES.index(each) for each in modes])
    leaf = mode == LEAF
    find = _finder(tree, number)
    starts = np.concatenate([[True], tree[1:] != tree[:-1]])
    if len(np.unique(tree)) != starts.sum():
        raise _damaged("The nodes of a tree do not stand together")
    inner = np.flatnonzero(~leaf)
    yes, no = np.full(len(tree), -1), np.full(len(tree), -1)
    yes[inner] = find(tree[inner], _whole(held, "nodes_truenodeids", len(tree))[inner])
    no[inner] = find(tree[inner], _whole(held, "nodes_falsenodeids", len(tree))[inner])
    value = _reals(held, "nodes_values", len(tree))
    weights = _reals(held, f"{kind}_weights")
    target = _whole(held, f"{kind}_ids", len(weights))
    vote = find(_whole(held, f"{kind}_treeids", len(weights)), _whole(held, f"{kind}_nodeids", len(weights)))
    targets = len(labels(node)) if classifier else int(held.get("n_targets", 0))
    if classifier and targets == 2 and len(np.unique(target)) == 1:
        # Votes for one of two classes are votes for the second, whatever they say (as onnxruntime reads them).
        target, targets = np.zeros_like(target), 1
    aggregate = held.get("aggregate_function", b"SUM").decode("utf-8", "replace")
    return _checked(
        Trees(
            tree=np.cumsum(starts) - 1,
            feature=np.where(leaf, 0, _whole(held, "nodes_featureids", len(tree))),
            mode=mode,
            value=value,
            yes=yes,
            no=no,
            missing=_whole(held, "nodes_missing_value_tracks_true", len(tree), np.zeros(len(tree), np.int64)) > 0,
            vote_node=vote,
            vote_target=target,
            vote_weight=_shares(weights, aggregate, int(starts.sum())),
            base=_base(held, targets),
            post=held.get("post_transform", b"NONE").decode("utf-8", "replace"),
            additive=aggregate in ("SUM", "AVERAGE"),
        ),
        np.flatnonzero(starts),
    )


def _read_compact(held: dict[str, Any]) -> Trees:
    """`TreeEnsemble`: inner nodes and leaves in tables of their own, leaves copied so that each is reached once."""
    modes = _reals(held, "nodes_modes")
    count = len(modes)
    value = _reals(held, "nodes_splits", count)
    weight = _reals(held, "leaf_weights")
    target = _whole(held, "leaf_targetids", len(weight))
    roots = _whole(held, "tree_roots")
    sides = []
    leaves: list[int] = []
    for side in ("true", "false"):
        child, is_leaf = _whole(held, f"nodes_{side}nodeids", count), _whole(held, f"nodes_{side}leafs", count) > 0
        bound = np.where(is_leaf, len(weight), count)
        if ((child < 0) | (child >= bound)).any():
            raise _damaged("A branch of a tree leads nowhere")
        numbered = np.where(is_leaf, count + len(leaves) + np.cumsum(is_leaf) - 1, child)
        leaves += child[is_leaf].tolist()
        sides.append(numbered)
    if (
        not count
        or not len(roots)
        or not np.isin(modes, range(LEAF)).all()
        or (roots < 0).any()
        or (roots >= count).any()
    ):
        raise _damaged("The tables of its trees do not fit each other, or test for members of a list")
    aggregate, post = int(held.get("aggregate_function", 1)), int(held.get("post_transform", 0))
    targets = int(held.get("n_targets", 0))
    if not 0 <= aggregate < 4 or not 0 <= post < 5:
        raise _damaged("Its trees are put together in a way that there is not")
    none = np.full(len(leaves), -1)
    filler = np.zeros(len(leaves), np.int64)
    trees = Trees(
        tree=filler,
        feature=np.append(_whole(held, "nodes_featureids", count), filler),
        mode=np.append(modes.astype(np.int64), filler + LEAF),
        value=np.append(value, filler),
        yes=np.append(sides[0], none),
        no=np.append(sides[1], none),
        missing=np.append(_whole(held, "nodes_missing_value_tracks_true", count, np.zeros(count, np.int64)), filler)
        > 0,
        vote_node=count + np.arange(len(leaves)),
        vote_target=target[leaves],
        vote_weight=_shares(weight[leaves], _AGGREGATES[aggregate], len(roots)),
        base=_base({}, targets),
        post=_POST[post],
        additive=_AGGREGATES[aggregate] in ("SUM", "AVERAGE"),
    )
    return _checked(trees, roots)


def _finder(tree: np.ndarray, number: np.ndarray) -> Any:
    """A function from numbers of trees and nodes to the nodes' positions, which refuses pairs that there are not."""
    trees, numbers = np.unique(tree), np.unique(number)

    def keys(of_tree: np.ndarray, of_number: np.ndarray) -> np.ndarray:
        places = []
        for wanted, there in ((of_tree, trees), (of_number, numbers)):
            place = np.minimum(np.searchsorted(there, wanted), len(there) - 1)
            if (there[place] != wanted).any():
                raise _damaged("A branch of a tree leads nowhere")
            places.append(place)
        return places[0] * len(numbers) + places[1]

    known, position = np.unique(keys(tree, number), return_index=True)
    if len(known) < len(tree):
        raise _damaged("Two nodes of a tree have one number")

    def find(of_tree: np.ndarray, of_number: np.ndarray) -> np.ndarray:
        wanted = keys(of_tree, of_number)
        place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
        if (known[place] != wanted).any():
            raise _damaged("A branch of a tree leads nowhere")
        return position[place]

    return find


def _checked(trees: Trees, roots: np.ndarray) -> Trees:
    """`trees` with their nodes tree by tree from the root down: each is reached once, each vote is a leaf's."""
    inner = trees.mode != LEAF
    # Of a list of categories only the first leads to what follows, so that it is reached once.
    leads = inner & ~_listed(trees)
    children = np.concatenate([trees.yes[leads], trees.no[inner], roots])
    if len(np.unique(children)) < len(children):
        raise _damaged("A branch of a tree leads back, or two lead to one node")
    tree, depth = np.full(len(trees.mode), -1), np.zeros(len(trees.mode), np.int64)
    tree[roots] = np.arange(len(roots))
    front = roots
    while len(front):
        steps = [(front[leads[front]], trees.yes), (front[inner[front]], trees.no)]
        for split, side in steps:
            tree[side[split]], depth[side[split]] = tree[split], depth[split] + 1
        front = np.concatenate([side[split] for split, side in steps])
        if len(front) and depth[front[0]] > DEEPEST:
            raise _damaged(f"One of its trees is deeper than {DEEPEST:,}")
    if (tree < 0).any():
        raise _damaged("A node of a tree is never reached")
    if (trees.feature < 0).any() or (trees.feature > 2**24).any() or np.isnan(trees.value[inner]).any():
        raise _damaged("A split of a tree asks for what there is not")
    votes = (trees.vote_target < 0) | (trees.vote_target >= len(trees.base)) | inner[trees.vote_node]
    if votes.any() or not np.isfinite(trees.vote_weight).all() or not np.isfinite(trees.base).all():
        raise _damaged("A leaf of a tree votes for a class that there is not, or without a finite weight")
    order = np.lexsort((depth, tree))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return replace(
        trees,
        tree=tree[order],
        **{name: getattr(trees, name)[order] for name in ("feature", "mode", "value", "missing")},
        **{name: np.where(inner, place[getattr(trees, name)], -1)[order] for name in ("yes", "no")},
        vote_node=place[trees.vote_node],
    )


def _listed(trees: Trees) -> np.ndarray:
    """Nodes that ask for one more category of a list: the node before leads to the same place where its own holds."""
    before = np.flatnonzero(trees.mode == MODES.index("BRANCH_EQ"))
    node = trees.no[before]
    same = [
        getattr(trees, name)[node] == getattr(trees, name)[before] for name in ("mode", "feature", "yes", "missing")
    ]
    listed = np.zeros(len(trees.mode), bool)
    listed[node[np.all(same, axis=0)]] = True
    return listed


def _shares(weights: np.ndarray, aggregate: str, trees: int) -> np.ndarray:
    return weights / trees if aggregate == "AVERAGE" else weights


def _base(held: dict[str, Any], targets: int) -> np.ndarray:
    """What is added to every score; of two numbers for one score the second counts (as onnxruntime reads them)."""
    if not 0 < targets <= 100_000:
        raise _damaged("It votes for no classes")
    base = _reals(held, "base_values")
    if targets == 1 and len(base) == 2:
        return base[1:]
    if len(base) not in (0, targets):
        raise _damaged("The tables of its trees do not fit each other")
    return base if len(base) else np.zeros(targets)


def _whole(held: dict[str, Any], name: str, count: int | None = None, default: np.ndarray | None = None) -> np.ndarray:
    found = np.array(held.get(name, []), np.int64)
    if default is not None and not len(found):
        return default
    if count is not None and len(found) != count:
        raise _damaged(f"Its trees have {len(found):,} entries of {name} where {count:,} belong")
    return found


def _reals(held: dict[str, Any], name: str, count: int | None = None) -> np.ndarray:
    """Numbers from a list or a tensor."""
    from onnx import numpy_helper

    given = held.get(f"{name}_as_tensor", held.get(name, []))
    found = np.array(given if isinstance(given, list) else numpy_helper.to_array(given), np.float64).reshape(-1)
    if count is not None and len(found) != count:
        raise _damaged(f"Its trees have {len(found):,} entries of {name} where {count:,} belong")
    return found


def _damaged(why: str) -> Exception:
    return broken(TITLE, why)
