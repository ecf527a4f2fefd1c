"""CatBoost's trees as `models.catboost` reads them: `value > border` in single precision and one category go right."""

from typing import Any

import numpy as np

from explainers.trees.forest import Tree


def read(forest: Any, column: int) -> list[Tree]:
    """The trees that add up to output `column` of a `models.catboost.CatBoostForest`."""
    values = forest.values[:, column]
    return [
        _branching(forest, splits, steps, values[leaves * (steps == 0).any(1)])
        if len(steps)
        else _symmetric(forest, splits, values[leaves])
        for splits, steps, leaves in zip(forest.splits, forest.steps, forest.leaves, strict=True)
    ]


def as_seen(forest: Any, columns: np.ndarray) -> np.ndarray:
    """Columns in single precision, in which CatBoost keeps its data."""
    return columns.astype(np.float32).astype(np.float64)


def _symmetric(forest: Any, splits: np.ndarray, values: np.ndarray) -> Tree:
    """A tree in which all nodes of a depth share a split: depth by depth, leaf i at place i of the last."""
    depth = len(splits)
    level = np.repeat(np.arange(depth), 2 ** np.arange(depth))
    left = 2 ** (level + 1) - 1 + np.arange(len(level)) - (2**level - 1)
    children = np.stack([left, left + 2**level], 1)
    return _tree(forest, splits[level], children, np.append(np.zeros(len(level)), values))


def _branching(forest: Any, splits: np.ndarray, steps: np.ndarray, values: np.ndarray) -> Tree:
    """A tree of nodes with the steps to their children; `values` (nodes,) are those of the leaf where a node ends.

    A node without steps is a leaf itself; one with a single step has its leaf on the other side, which comes
    behind all nodes here.
    """
    half = np.flatnonzero((steps == 0).sum(1) == 1)
    children = np.arange(len(steps))[:, None] + steps
    children[half, np.argmin(steps[half], 1)] = len(steps) + np.arange(len(half))
    children[(steps == 0).all(1)] = -1
    return _tree(forest, splits, children, np.append(values, values[half]))


def _tree(forest: Any, splits: np.ndarray, children: np.ndarray, values: np.ndarray) -> Tree:
    """Nodes with their `splits` and `children` (nodes, 2), -1 where they are leaves, and more leaves behind them.

    `values` (all nodes,) are read at the leaves alone.
    """
    inner = np.flatnonzero(children[:, 0] >= 0)
    asked = splits[inner]
    nodes = len(values)
    tree = Tree(
        feature=np.full(nodes, -1),
        threshold=np.zeros(nodes),
        left=np.full(nodes, -1),
        right=np.full(nodes, -1),
        value=values,
        missing_left=np.zeros(nodes, bool),
        categories={
            int(node): np.append(~forest.codes[split], True)
            for node, split in zip(inner, asked.tolist(), strict=True)
            if split in forest.codes
        },
    )
    tree.feature[inner] = forest.feature[asked]
    tree.threshold[inner] = forest.border[asked]
    tree.left[inner], tree.right[inner] = children[inner].T
    tree.missing_left[inner] = ~forest.missing_right[asked]
    return tree
