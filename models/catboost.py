"""CatBoost's own files (cbm). Features are read by position; a category is given to CatBoost by its name.

A feature that CatBoost takes for a category may be a whole number or yes/no in the subject: it is then
given as "12", "1" or "0", as CatBoost writes such columns itself. A missing category is given as "nan":
CatBoost takes none without a name, and this is what `astype(str)` makes of one.

The schema: catboost/libs/model/flatbuffers in https://github.com/catboost/catboost. The file is "CBM1", the
length of the core, the core, and behind it the tables of target statistics.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.facts import Input, ModelFacts
from core.models import Model, TreeEnsemble
from core.nouns import Feature, ModelSpec, Output
from models._boosters import category_name, output_of, own_names
from models._flatbuffer import Table
from models.base import THREADS, broken, check_objective, check_width, without_sklearn

TITLE = "CatBoost"
CAPABILITIES = ("trees",)
MISSING = "nan"

_MAGIC = b"CBM1"
_OBJECTIVES: dict[Output, tuple[str, ...]] = {
    "margin": ("Logloss", "CrossEntropy", "Focal"),
    "logit": ("MultiClass",),
    "value": ("RMSE", "MAE", "Quantile", "Huber", "LogCosh", "MAPE", "Expectile", "Lq"),
}
_LONGEST_OPTIONS = 1 << 20


@dataclass(frozen=True)
class CatBoostForest:
    """The trees of a model whose splits are plain: `value > border` in single precision, or one category.

    Split s reads `feature[s]` and goes right where the value is over `border[s]`, or where `codes[s]`, if
    it is there, is true at the category's code (any code past its end goes left); missing goes right where
    `missing_right[s]`. `splits[t]` are those of tree t. Where `steps[t]` (nodes, 2) is empty, all nodes of
    one depth share a split, and leaf `leaves[t][i]` is where bit k of i says whether split k went right. Else
    node n has split `splits[t][n]` and goes on to node `n + steps[t][n]` left and right; a step of 0 ends in
    leaf `leaves[t][n]`. `values` (leaves, columns) are on the scale of the prediction.
    """

    feature: np.ndarray
    border: np.ndarray
    missing_right: np.ndarray
    codes: Mapping[int, np.ndarray]
    splits: tuple[np.ndarray, ...]
    steps: tuple[np.ndarray, ...]
    leaves: tuple[np.ndarray, ...]
    values: np.ndarray


class CatBoostModel(Model):
    """A model with splits on target statistics of categories, and its raw scores."""

    def __init__(self, native: Any, file: "_File", spec: ModelSpec) -> None:
        self.spec = spec
        self._native = native
        self._categorical = {flat: spec.features[flat] for flat, _ in file.categorical}

    def predict(self, rows: np.ndarray) -> np.ndarray:
        import catboost
        import pandas as pd

        table: Any = rows.astype(np.float32)
        if self._categorical:
            named = {flat: _named(rows[:, flat], feature) for flat, feature in self._categorical.items()}
            table = pd.DataFrame({i: named.get(i, table[:, i]) for i in range(rows.shape[1])}, copy=False)
            table.columns = self._native.feature_names_
        try:
            raw = self._native.predict(table, prediction_type="RawFormulaVal", thread_count=THREADS)
        except catboost.CatBoostError as error:
            raise broken(TITLE, "It cannot predict, because its file is damaged") from error
        return np.asarray(raw, np.float64).reshape(len(rows), -1)


class CatBoostTrees(CatBoostModel, TreeEnsemble):
    """A model whose splits are all on a number or a category, and its raw scores."""

    def __init__(self, native: Any, file: "_File", spec: ModelSpec) -> None:
        super().__init__(native, file, spec)
        self._forest = _forest(native, file, spec)

    def trees(self) -> CatBoostForest:
        return self._forest


def recognises(data: bytes) -> bool:
    """Whether `data` starts as a cbm file does."""
    return data.startswith(_MAGIC)


def inspect(data: bytes) -> ModelFacts:
    """What the model in `data` says of itself. Raises UserFacingError for a file that is not taken."""
    file = _read(data)
    _opened(data)
    if file.loss:
        output, told_by = output_of(TITLE, file.loss, _OBJECTIVES)
        outputs: tuple[Output, ...] = (output,)
    else:
        outputs = ("logit",) if file.columns > 1 else ("margin", "value")
        told_by = "the file does not say which loss it was trained with"
    notes = []
    if file.categorical:
        notes.append(f'A missing category is given to CatBoost as the text "{MISSING}".')
    if file.statistics:
        notes.append("It splits on target statistics of categories, so that it has no plain trees to read.")
    return ModelFacts(
        format="catboost",
        title=TITLE,
        modality="table",
        shape=(len(file.inputs),),
        columns=file.columns,
        outputs=outputs,
        told_by=told_by,
        inputs=file.inputs,
        classes=file.classes if outputs[0] != "value" else (),
        capabilities=() if file.statistics else CAPABILITIES,
        notes=tuple(notes),
    )


def load(data: bytes, spec: ModelSpec, settings: Mapping[str, Any]) -> CatBoostModel:
    """The model in `data`. `settings` takes no keys. Raises UserFacingError for a file that is not one."""
    file = _read(data)
    check_width(TITLE, len(file.inputs), spec)
    if file.loss:
        check_objective(TITLE, file.loss, _OBJECTIVES, spec)
    native = _opened(data)
    try:
        return (CatBoostModel if file.statistics else CatBoostTrees)(native, file, spec)
    except ValueError as error:
        raise broken(TITLE, "The file is damaged") from error


# --- the file --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _File:
    """The core of a cbm file, its parts checked against each other.

    `numeric` and `categorical` are (place among all features, table of the file); `statistics` says whether
    splits on target statistics occur. `steps` and `leaf_of` are empty where all trees are symmetric. `loss` and
    `classes` are empty where the file does not say.
    """

    trees: Table
    numeric: tuple[tuple[int, Table], ...]
    categorical: tuple[tuple[int, Table], ...]
    statistics: bool
    columns: int
    splits: np.ndarray
    sizes: np.ndarray
    steps: np.ndarray
    leaf_of: np.ndarray
    values: np.ndarray
    inputs: tuple[Input, ...]
    loss: str
    classes: tuple[str, ...]


def _read(data: bytes) -> _File:
    """The core of the file. Raises UserFacingError for one that is damaged or holds what is not covered."""
    if not recognises(data):
        raise broken(TITLE, "The file is not a cbm file", "Export it with model.save_model('model.cbm')")
    size = int.from_bytes(data[4:8], "little")
    if len(data) < 8 or size > len(data) - 8:
        raise broken(TITLE, "The file is cut short")
    try:
        core = Table(data[8 : 8 + size], int.from_bytes(data[8:12], "little"))
        trees = core.table(1)
        # Tables 12, 13 and 18 are texts, what is computed from them, and embeddings.
        if any(True for field in (12, 13, 18) for _ in trees.tables(field)):
            raise broken(TITLE, "It reads texts or embeddings", "Train it on numbers and categories alone")
        _check_statistics(data, 8 + size)
        return _checked(core, trees, size)
    except (ValueError, RecursionError, AttributeError, TypeError) as error:  # the last two: options of another form
        raise broken(TITLE, "The file is damaged") from error


def _check_statistics(data: bytes, at: int) -> None:
    """What follows the core: nothing, or how many tables of statistics there are and each with its size before it."""
    count = int.from_bytes(data[at : at + 4], "little")
    end = at + 4 if len(data) > at else at
    for _ in range(count):
        end += 4 + int.from_bytes(data[end : end + 4], "little")
        if end > len(data):
            break
    if end != len(data):
        raise ValueError("its tables of statistics are cut short")


def _checked(core: Table, trees: Table, size: int) -> _File:
    """The file's parts. Raises ValueError where they do not fit together."""
    steps, options = trees.array(10, "u4"), _options(core)
    numeric = tuple((int(table.number(2, "i", -1)), table) for table in trees.tables(5))
    categorical = tuple((int(table.number(1, "i", -1)), table) for table in trees.tables(4))
    file = _File(
        trees=trees,
        numeric=numeric,
        categorical=categorical,
        statistics=any(True for _ in trees.tables(7)),
        columns=int(trees.number(0, "i")),
        splits=trees.array(1, "i4"),
        sizes=trees.array(2, "i4").astype(np.int64),
        steps=steps.view("<u2").reshape(len(steps), 2).astype(np.int64),
        leaf_of=trees.array(11, "u4").astype(np.int64),
        values=trees.array(8, "f8"),
        inputs=_inputs(numeric, categorical),
        loss=_loss(options),
        classes=tuple(map(category_name, options.get("class_params", {}).get("class_names", ()))),
    )
    borders = sum(len(table.array(field, "f4")) for table, field in _bordered(trees))
    if 4 * borders > size or not np.all((file.splits >= 0) & (file.splits < max(borders, 1))):
        raise ValueError("a split is on nothing")
    if not len(file.sizes) or (file.sizes < 0).any() or file.sizes.sum() != len(file.splits) or file.columns < 1:
        raise ValueError("its trees have no size")
    (_check_branching if len(steps) else _check_symmetric)(file)
    return file


def _inputs(numeric: Sequence[tuple[int, Table]], categorical: Sequence[tuple[int, Table]]) -> tuple[Input, ...]:
    """The features in their order."""
    width = len(numeric) + len(categorical)
    names = {flat: table.text(4) for flat, table in numeric} | {flat: table.text(2) for flat, table in categorical}
    if not width or sorted(names) != list(range(width)):
        raise broken(
            TITLE, "It does not describe each of its features", "Save it before drop_unused_features is called"
        )
    chosen = {flat for flat, _ in categorical}
    own = own_names([names[i] for i in range(width)], width)
    return tuple(Input(own[i], "category" if i in chosen else None) for i in range(width))


def _loss(options: Mapping[str, Any]) -> str:
    """The loss that it was trained with."""
    loss = options.get("params", {}).get("loss_function", options.get("loss_function", {}))
    return str(loss.get("type", ""))


def _bordered(trees: Table) -> Iterator[tuple[Table, int]]:
    """The tables whose borders or values number the splits, in this order, with the field that holds them."""
    for field, borders in ((5, 3), (6, 1), (7, 1)):
        yield from ((table, borders) for table in trees.tables(field))


def _options(core: Table) -> dict[str, Any]:
    """The entries of the file's notebook that say what the model is, each JSON."""
    wanted = {"params", "class_params", "loss_function"}
    found = ((each.text(0), each) for each in core.tables(2))
    return {name: json.loads(each.text(1, _LONGEST_OPTIONS)) for name, each in found if name in wanted}


def _check_symmetric(file: _File) -> None:
    if file.sizes.max() > 16 or (2**file.sizes).sum() * file.columns != len(file.values):
        raise ValueError("a tree has not its leaves")


def _check_branching(file: _File) -> None:
    """Every node of a tree but its first is led to once, and where a path ends there is a leaf."""
    if not len(file.steps) == len(file.splits) == len(file.leaf_of) or len(file.values) % file.columns:
        raise ValueError("a tree has not its nodes")
    ends = (file.steps == 0).any(1)
    leaves = file.leaf_of[ends]
    if (leaves % file.columns).any() or (leaves >= len(file.values)).any():
        raise ValueError("a path ends nowhere")
    for steps in np.split(file.steps, np.cumsum(file.sizes)[:-1]):
        children = (np.arange(len(steps))[:, None] + steps)[steps > 0]
        if not len(steps) or not np.array_equal(np.sort(children), np.arange(1, len(steps))):
            raise ValueError("a branch leads nowhere or back")


def _opened(data: bytes) -> Any:
    with without_sklearn():
        import catboost

    native = catboost.CatBoost()
    try:
        native.load_model(blob=data)
    except (catboost.CatBoostError, ValueError, LookupError, TypeError) as error:  # it reads the file's options at once
        raise broken(TITLE, "The file is damaged") from error
    return native


# --- trees and categories --------------------------------------------------------------------------------------------


def _forest(native: Any, file: _File, spec: ModelSpec) -> CatBoostForest:
    splits = list(_plain_splits(native, file, spec))
    ends = np.cumsum(file.sizes)[:-1]
    if len(file.steps):
        leaves = np.split(file.leaf_of // file.columns, ends)
    else:
        leaves = np.split(np.arange(len(file.values) // file.columns), np.cumsum(2**file.sizes)[:-1])
    return CatBoostForest(
        feature=np.array([flat for flat, _, _, _ in splits], np.int64),
        border=np.array([border for _, border, _, _ in splits], np.float32),
        missing_right=np.array([missing for _, _, missing, _ in splits], bool),
        codes={s: codes for s, (_, _, _, codes) in enumerate(splits) if codes is not None},
        splits=tuple(np.split(file.splits, ends)),
        steps=tuple(np.split(file.steps, ends)) if len(file.steps) else (file.steps,) * len(file.sizes),
        leaves=tuple(leaves),
        values=file.values.reshape(-1, file.columns) * file.trees.number(14, "d", 1.0),
    )


def _plain_splits(native: Any, file: _File, spec: ModelSpec) -> Iterator[tuple[int, float, bool, np.ndarray | None]]:
    """Feature, border, whether missing goes right, and which codes do, of each split by its number."""
    for flat, table in file.numeric:
        missing_right = table.number(5, "b") == 2
        for border in table.array(3, "f4"):
            yield flat, float(border), missing_right, None
    places = {int(table.number(0, "i", -1)): flat for flat, table in file.categorical}
    for table in file.trees.tables(6):
        index, count = int(table.number(0, "i", -1)), len(table.array(1, "i4"))
        if index not in places:
            raise broken(TITLE, "One of its splits is on a category that there is not")
        feature = spec.features[places[index]]
        words = (*_words(feature), MISSING)
        # CatBoost keeps categories by a hash: which one a name has is asked of CatBoost, by its place among them.
        found = np.array([native._object._calc_cat_feature_perfect_hash(word, index) for word in words])
        if (found[:-1] >= count).all():
            raise broken(
                TITLE,
                f"It knows none of the categories of {feature.name}: {', '.join(words[:12])}",
                "Write them in the data as they were in training",
            )
        for k in range(count):
            yield places[index], 0.0, bool(found[-1] == k), found[:-1] == k


def _words(feature: Feature) -> tuple[str, ...]:
    """What CatBoost is given for each code of a feature that it splits on by category."""
    if feature.kind == "boolean":
        return ("0", "1")
    if feature.kind != "category":
        raise broken(
            TITLE,
            f"It takes {feature.name} for a category and the subject for a number",
            "Set its kind to category, and name its categories",
        )
    return feature.categories


def _named(column: np.ndarray, feature: Feature) -> Any:
    """A column of codes (n,) as a pandas categorical of the names that CatBoost is given."""
    import pandas as pd

    missing = np.isnan(column)
    if feature.kind == "category":
        words, codes = list(feature.categories), np.where(missing, 0, column).astype(np.int64)
    else:
        numbers, codes = np.unique(np.where(missing, 0, column), return_inverse=True)
        words = [str(int(number)) for number in numbers]
    if MISSING not in words:
        words.append(MISSING)
    codes[missing] = words.index(MISSING)
    return pd.Categorical.from_codes(codes, words)
