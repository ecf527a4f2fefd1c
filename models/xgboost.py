"""XGBoost's own files, JSON or UBJSON. Features are read by position; a category is its code.

A file that scikit-learn's wrapper saved after early stopping is read up to its best round, as the wrapper
predicts; any other file whole, as `Booster.predict` does.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from core.facts import Input, ModelFacts
from core.models import TreeEnsemble
from core.nouns import Kind, ModelSpec, Output
from models._boosters import category_name, check_order, output_of, own_names
from models._ubjson import check
from models.base import THREADS, broken, check_objective, check_width, without_sklearn

TITLE = "XGBoost"
CAPABILITIES = ("trees",)

_HEAD = re.compile(rb"\{.{0,100}?learner", re.DOTALL)
_JSON = re.compile(rb'\{\s*"')
_OBJECTIVES: dict[Output, tuple[str, ...]] = {
    "margin": ("binary:logistic", "binary:logitraw", "reg:logistic"),
    "logit": ("multi:softprob", "multi:softmax"),
    "value": ("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror", "reg:quantileerror"),
}
_KINDS: dict[str, Kind] = {"float": "real", "int": "integer", "i": "boolean", "c": "category"}


class XGBoostModel(TreeEnsemble):
    """A booster and its raw scores."""

    def __init__(self, booster: Any, spec: ModelSpec) -> None:
        self.spec = spec
        self._booster = booster

    def trees(self) -> Any:
        return self._booster

    def predict(self, rows: np.ndarray) -> np.ndarray:
        raw = self._booster.inplace_predict(rows, predict_type="margin", validate_features=False)
        return raw.reshape(len(rows), -1).astype(np.float64)


def recognises(data: bytes) -> bool:
    """Whether `data` starts as XGBoost's JSON or UBJSON does."""
    return _HEAD.match(data) is not None


def inspect(data: bytes) -> ModelFacts:
    """What the booster in `data` says of itself. Raises UserFacingError for a file that is not taken."""
    booster, learner = _open(data)
    width, columns = booster.num_features(), _columns(learner)
    _check_trees(learner, width, columns)
    output, told_by = output_of(TITLE, learner["objective"]["name"], _OBJECTIVES)
    inputs, notes = _inputs(learner, width)
    _as_predicted(booster, learner, notes)
    return ModelFacts(
        format="xgboost",
        title=TITLE,
        modality="table",
        shape=(width,),
        columns=columns,
        outputs=(output,),
        told_by=told_by,
        inputs=inputs,
        capabilities=CAPABILITIES,
        notes=tuple(notes),
    )


def load(data: bytes, spec: ModelSpec, settings: Mapping[str, Any]) -> XGBoostModel:
    """The booster in `data`. `settings` takes no keys. Raises UserFacingError for a file that is not one."""
    booster, learner = _open(data)
    width = booster.num_features()
    check_width(TITLE, width, spec)
    check_objective(TITLE, learner["objective"]["name"], _OBJECTIVES, spec)
    _check_trees(learner, width, spec.columns)
    check_order(TITLE, _categories(learner, width), spec)
    booster = _as_predicted(booster, learner, [])
    booster.set_param({"nthread": THREADS})
    return XGBoostModel(booster, spec)


def _open(data: bytes) -> tuple[Any, Mapping[str, Any]]:
    """The booster, and its file's `learner`, which has trees and one target."""
    with without_sklearn():
        import xgboost

    if not recognises(data):
        raise broken(TITLE, "The file is neither JSON nor UBJSON", "Export it with booster.save_model('model.json')")
    booster = xgboost.Booster()
    try:
        if not _JSON.match(data):
            check(data)
        booster.load_model(bytearray(data))
        learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    except (xgboost.core.XGBoostError, ValueError) as error:
        raise broken(TITLE, "The file is damaged or cut short") from error
    kind = learner["gradient_booster"].get("name", "gbtree")
    if kind not in ("gbtree", "dart"):
        raise broken(TITLE, f"It is a {kind}", "Train with the booster gbtree")
    if int(learner["learner_model_param"].get("num_target", 1)) > 1:
        raise broken(TITLE, "It predicts several targets at once", "Train one model for each target")
    return booster, learner


def _columns(learner: Mapping[str, Any]) -> int:
    return max(1, int(learner["learner_model_param"]["num_class"]))


def _as_predicted(booster: Any, learner: Mapping[str, Any], notes: list[str]) -> Any:
    """The rounds with which the library predicts; what there is to say about them is added to `notes`."""
    told = learner["attributes"]
    if "best_iteration" not in told:
        return booster
    rounds, best = booster.num_boosted_rounds(), told["best_iteration"]
    if not best.isdecimal() or int(best) >= rounds:
        raise broken(TITLE, f"Its best round is said to be {best!r} and it has {rounds}")
    if "scikit_learn" not in told:
        notes.append(
            f"All {rounds} rounds are used, as Booster.predict does. Training found round {int(best) + 1} the best: to "
            "use no more, save booster[:booster.best_iteration + 1]."
        )
        return booster
    notes.append(f"The first {int(best) + 1} of {rounds} rounds are used, as early stopping chose.")
    return booster[: int(best) + 1]


def _inputs(learner: Mapping[str, Any], width: int) -> tuple[tuple[Input, ...], list[str]]:
    """The features as the file describes them, and what has to be said about them."""
    names = own_names(learner["feature_names"], width)
    kinds = [_KINDS.get(each) for each in learner["feature_types"] or [""] * width]
    categories = _categories(learner, width)
    # Without its names a category is the number that the data hold, which `integer` hands on as it is.
    unnamed = [i for i in range(width) if kinds[i] == "category" and not categories[i]]
    for i in unnamed:
        kinds[i] = "integer"
    inputs = tuple(Input(*each) for each in zip(names, kinds, categories, strict=True))
    if not unnamed:
        return inputs, []
    which = ", ".join(names[i] or f"number {i + 1}" for i in unnamed)
    return inputs, [
        f"The file does not name the categories of {which}, or has names with letters beyond ASCII, which XGBoost "
        "spoils: they are read as their codes."
    ]


def _categories(learner: Mapping[str, Any], width: int) -> Sequence[tuple[str, ...]]:
    """Each feature's categories in the order of their codes, where the file holds them (XGBoost 3.1 and later)."""
    encoded = _trees(learner).get("cats", {}).get("enc", [])
    if len(encoded) not in (0, width):
        raise broken(TITLE, f"It names the categories of {len(encoded)} features and reads {width}")
    return [_decoded(each) for each in encoded] or [()] * width


def _decoded(encoded: Mapping[str, Any]) -> tuple[str, ...]:
    """The categories of one feature: numbers, or text as bytes one after the other with where each begins.

    None of a text beyond ASCII: of a pandas table XGBoost 3.2 counts where each begins in letters, not in bytes.
    """
    values = encoded["values"]
    if "offsets" not in encoded:
        return tuple(category_name(value) for value in values)
    if not all(0 <= value < 128 for value in values):
        return ()
    text, bounds = bytes(values).decode(), encoded["offsets"]
    return tuple(text[start:end] for start, end in zip(bounds, bounds[1:], strict=False))


def _trees(learner: Mapping[str, Any]) -> Mapping[str, Any]:
    parts = learner["gradient_booster"]
    return parts["gbtree"]["model"] if "gbtree" in parts else parts["model"]


def _check_trees(learner: Mapping[str, Any], features: int, columns: int) -> None:
    """Refuses trees that read a feature that there is not, or in which a node is reached twice.

    XGBoost opens some malformed trees without a word and crashes when they predict.
    """
    model = _trees(learner)
    if any(int(tree["tree_param"]["size_leaf_vector"]) > 1 for tree in model["trees"]):
        raise broken(TITLE, "Its leaves hold a value for each output", "Train with multi_strategy one_output_per_tree")
    if len(learner["gradient_booster"].get("weight_drop", model["trees"])) != len(model["trees"]):
        raise broken(TITLE, "It does not weigh each of its trees")
    columns_known = all(0 <= column < columns for column in model["tree_info"])
    if not columns_known or not all(_sound(tree, features) for tree in model["trees"]):
        raise broken(TITLE, "One of its trees is damaged")


def _sound(tree: Mapping[str, Any], features: int) -> bool:
    keys = ("left_children", "right_children", "split_indices", "split_type")
    left, right, split, kinds = (np.array(tree[key], dtype=np.int64) for key in keys)
    inner = left != -1
    children = np.concatenate([left[inner], right[inner]])
    ends = np.add(tree["categories_segments"], tree["categories_sizes"])
    return bool(
        np.array_equal(inner, right != -1)
        and np.all((children > 0) & (children < len(left)))
        and len(np.unique(children)) == len(children)
        and np.all((split >= 0) & (split < features))
        and np.array_equal(np.flatnonzero(inner & (kinds == 1)), np.sort(tree["categories_nodes"]))
        and np.all(ends <= len(tree["categories"]))
    )
