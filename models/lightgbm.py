"""LightGBM's text files. Features are read by position; a category is its code, missing is NaN."""

import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from core.facts import Input, ModelFacts
from core.models import TreeEnsemble
from core.nouns import ModelSpec, Output
from models._boosters import category_name, check_order, output_of, own_names
from models.base import THREADS, broken, check_objective, check_width, without_sklearn

TITLE = "LightGBM"
CAPABILITIES = ("trees",)

_OBJECTIVES: dict[Output, tuple[str, ...]] = {
    "margin": ("binary sigmoid:1", "cross_entropy"),
    "logit": ("multiclass",),
    "value": ("regression", "regression_l1", "huber", "fair", "quantile", "mape"),
}
_MOST_CODES = 256


class LightGBMModel(TreeEnsemble):
    """A booster and its raw scores."""

    def __init__(self, booster: Any, spec: ModelSpec) -> None:
        self.spec = spec
        self._booster = booster

    def trees(self) -> Any:
        return self._booster

    def predict(self, rows: np.ndarray) -> np.ndarray:
        raw = self._booster.predict(rows, raw_score=True, num_threads=THREADS)
        return np.asarray(raw, dtype=np.float64).reshape(len(rows), -1)


def recognises(data: bytes) -> bool:
    """Whether `data` starts as LightGBM's text does."""
    return data.startswith(b"tree\n")


def inspect(data: bytes) -> ModelFacts:
    """What the booster in `data` says of itself. Raises UserFacingError for a file that is not taken."""
    booster, head = _open(data)
    output, told_by = output_of(TITLE, _objective(head), _OBJECTIVES)
    inputs, notes = _inputs(data, head, booster.num_feature())
    return ModelFacts(
        format="lightgbm",
        title=TITLE,
        modality="table",
        shape=(booster.num_feature(),),
        columns=booster.num_model_per_iteration(),
        outputs=(output,),
        told_by=told_by,
        inputs=inputs,
        capabilities=CAPABILITIES,
        notes=notes,
    )


def load(data: bytes, spec: ModelSpec, settings: Mapping[str, Any]) -> LightGBMModel:
    """The booster in `data`. `settings` takes no keys. Raises UserFacingError for a file that is not one."""
    booster, head = _open(data)
    check_width(TITLE, booster.num_feature(), spec)
    check_objective(TITLE, _objective(head), _OBJECTIVES, spec)
    named = _categories(data, head, booster.num_feature())
    check_order(TITLE, [named.get(i, ()) for i in range(booster.num_feature())], spec)
    return LightGBMModel(booster, spec)


def _open(data: bytes) -> tuple[Any, dict[str, str]]:
    """The booster, and the `key=value` lines at the head of its file.

    LightGBM itself answers a malformed file with a crash or with nonsense, so what can be told from
    the text is checked first: its head and end, the sizes that it names, and that its trees are trees.
    """
    with without_sklearn():
        import lightgbm

    head, trees = _split(data)
    _lists(data)
    if b"\naverage_output\n" in data[: data.find(b"\nTree=0\n") + 1]:
        raise broken(TITLE, "It is a random forest, whose raw score is a sum and not its answer", "Train it with gbdt")
    width = len(head.get("feature_infos", "").split())
    for tree in trees:
        _check_tree(tree, width)
    try:
        booster = lightgbm.Booster(model_str=data.decode())
    except (lightgbm.basic.LightGBMError, UnicodeDecodeError) as error:
        raise broken(TITLE, "The file is damaged") from error
    if booster.num_feature() != width:
        raise broken(TITLE, f"It reads {booster.num_feature()} features and describes {width}")
    return booster, head


def _objective(head: Mapping[str, str]) -> str:
    return re.sub(r"^multiclass num_class:\d+$", "multiclass", head.get("objective", "none"))


def _inputs(data: bytes, head: Mapping[str, str], width: int) -> tuple[tuple[Input, ...], tuple[str, ...]]:
    """The features as the file describes them, and what has to be said about them."""
    names = own_names(head.get("feature_names", "").split(), width)
    named = _categories(data, head, width)
    codes = [_codes(info) for info in head["feature_infos"].split()]
    inputs = tuple(_input(names[i], named.get(i, ()), codes[i]) for i in range(width))
    by_code = [names[i] or f"number {i + 1}" for i in range(width) if codes[i] and i not in named]
    if not by_code:
        return inputs, ()
    return inputs, (f"The file does not name the categories of {', '.join(by_code)}: they are read as their codes.",)


def _input(name: str, categories: tuple[str, ...], codes: list[int]) -> Input:
    """A feature of which the file tells the categories, or the codes only, or that it is a number (neither)."""
    if categories:
        return Input(name, "category", categories)
    if not codes:
        return Input(name)
    if codes[-1] >= _MOST_CODES:
        return Input(name, "integer")
    return Input(name, "category", tuple(map(str, range(codes[-1] + 1))))  # codes are their own names


def _codes(info: str) -> list[int]:
    """The codes that training met, in ascending order, from "0:2:-1"; none of a feature that is a number."""
    if info.startswith("[") or info == "none":
        return []
    return sorted(int(part) for part in info.split(":") if part.isdecimal() and len(part) < 10)


def _categories(data: bytes, head: Mapping[str, str], width: int) -> dict[int, tuple[str, ...]]:
    """The categories by feature, in the order of their codes, where the model was trained on a pandas table.

    The file lists the categories of the table's categorical columns, and apart from that which features
    are categorical; only where the two lists agree do they tell which belong together.
    """
    lists = _lists(data)
    if not lists:
        return {}
    found = re.search(rb"^\[categorical_feature: ([\d,]*)\]", data[data.find(b"\nparameters:") :], re.MULTILINE)
    features = [int(each) for each in found[1].split(b",") if each] if found else []
    infos = head["feature_infos"].split()
    if len(features) != len(lists) or not all(
        feature < width and max(_codes(infos[feature]), default=0) < len(names)
        for feature, names in zip(features, lists, strict=True)
    ):
        raise broken(
            TITLE,
            "The file does not tell which columns its categories belong to",
            "Train it with unordered pandas categories only, or with whole numbers",
        )
    return {feature: tuple(map(category_name, names)) for feature, names in zip(features, lists, strict=True)}


def _lists(data: bytes) -> list[list[Any]]:
    """The categories of the pandas table, a list for each of its categorical columns."""
    found = re.search(rb"^pandas_categorical:(.*)$", data[data.rfind(b"end of parameters") :], re.MULTILINE)
    try:
        lists = json.loads(found[1]) if found else None
    except (ValueError, RecursionError) as error:
        raise broken(TITLE, "Its categories are damaged") from error
    if lists is not None and not (isinstance(lists, list) and all(isinstance(each, list) for each in lists)):
        raise broken(TITLE, "Its categories are damaged")
    return lists or []


def _split(data: bytes) -> tuple[dict[str, str], list[dict[str, str]]]:
    """The `key=value` lines before the first tree, and those of each tree."""
    if not data.startswith(b"tree\n"):
        raise broken(TITLE, "The file is not a LightGBM text file", "Export it with booster.save_model('model.txt')")
    start, end = data.find(b"\nTree=0\n") + 1, data.find(b"end of trees")
    if not 0 < start < end < data.find(b"end of parameters"):
        raise broken(TITLE, "The file is cut short")
    head = _pairs(data[:start])
    sizes = head.get("tree_sizes", "").split()
    if not all(size.isdecimal() for size in sizes) or sum(map(int, sizes)) != end - start:
        raise broken(TITLE, "Its trees do not have the sizes that the file names")
    return head, [_pairs(tree) for tree in data[start:end].split(b"Tree=")[1:]]


def _pairs(text: bytes) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.decode(errors="replace").splitlines() if "=" in line)


def _check_tree(tree: dict[str, str], features: int) -> None:
    """Refuses what is no tree: it reads a feature that there is not, or a node has not exactly one parent.

    A child at or above 0 is a node, one below 0 the leaf `~child`.
    """
    if tree.get("is_linear", "0") != "0":
        raise broken(TITLE, "Its leaves hold linear models", "Train with linear_tree=false")
    try:
        leaves = int(tree["num_leaves"])
        split, left, right = (_whole(tree, key) for key in ("split_feature", "left_child", "right_child"))
        sound = (
            len(split) == len(left) == len(right) == leaves - 1 and _numbers_fit(tree, leaves) and _categories_fit(tree)
        )
    except (KeyError, ValueError, IndexError) as error:
        raise broken(TITLE, "One of its trees is damaged") from error
    children = np.concatenate([left, right])
    expected = np.concatenate([np.arange(-leaves, 0), np.arange(1, leaves - 1)]) if leaves > 1 else children
    if not sound or not np.array_equal(np.sort(children), expected) or not np.all((split >= 0) & (split < features)):
        raise broken(TITLE, "One of its trees is damaged")


def _numbers_fit(tree: dict[str, str], leaves: int) -> bool:
    """Whether each list has a number for every node or leaf: LightGBM aborts at anything else."""
    counts = {key: len(np.array(text.split(), dtype=np.float64)) for key, text in tree.items()}
    wanted = dict.fromkeys((key for key in counts if key.startswith("leaf_")), leaves)
    wanted |= dict.fromkeys((key for key in counts if key.startswith("internal_")), leaves - 1)
    wanted |= {"split_gain": leaves - 1, "threshold": leaves - 1, "decision_type": leaves - 1, "leaf_value": leaves}
    return leaves == 1 or all(counts.get(key) == count for key, count in wanted.items())


def _categories_fit(tree: dict[str, str]) -> bool:
    """Whether each categorical node names a set of categories that the tree holds."""
    by_category = _whole(tree, "decision_type") & 1 == 1
    sets = np.array(tree.get("threshold", "").split(), dtype=np.float64)[by_category]
    if not len(sets):
        return True
    bounds, count = _whole(tree, "cat_boundaries"), int(tree["num_cat"])
    return (
        len(bounds) == count + 1
        and bounds[0] == 0
        and bounds[-1] == len(_whole(tree, "cat_threshold"))
        and bool(np.all(np.diff(bounds) >= 0) and np.all((sets >= 0) & (sets < count)))
    )


def _whole(tree: dict[str, str], key: str) -> np.ndarray:
    return np.array(tree.get(key, "").split(), dtype=np.int64)
