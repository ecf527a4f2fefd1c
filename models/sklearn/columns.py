"""The raw columns of a scikit-learn pipeline: their names, the categories its encoders know, and rows made of them.

Rows come as numbers, a category as its code; a pipeline wants what it was fitted on, its encoders' own values, under
their names.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.errors import UserFacingError
from core.facts import Input
from core.nouns import Feature
from models.base import broken
from models.sklearn.allowed import TITLE, words

_MOST_COLUMNS = 100_000
# These hand on each column in its place, so that an encoder behind them still reads the raw one.
_IN_PLACE = words(
    "Binarizer MaxAbsScaler MinMaxScaler PowerTransformer QuantileTransformer RobustScaler SimpleImputer "
    "StandardScaler str NoneType"  # the last two are how a pipeline writes a step that passes everything through
)
_ENCODERS = words("OneHotEncoder OrdinalEncoder TargetEncoder")


@dataclass(frozen=True)
class Raw:
    """One raw column: the values that its encoder knows (None without one) and how a missing one is written."""

    name: str
    values: np.ndarray | None = None
    missing: Any = np.nan

    @property
    def words(self) -> bool:
        """Whether its values are text and no numbers."""
        return (
            self.values is not None
            and self.values.dtype.kind in "OU"
            and any(isinstance(value, str) for value in self.values)
        )

    @property
    def truth(self) -> bool:
        """Whether its values are true and false."""
        return self.values is not None and all(isinstance(value, bool | np.bool_) for value in self.values)


def text(value: Any) -> str:
    """A category or class as a person and a table write it: 3.0 is 3."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def raw_columns(model: Any) -> tuple[Raw, ...]:
    """The columns that `model` reads, in its order."""
    count = int(model.n_features_in_)
    if not 0 < count <= _MOST_COLUMNS:
        raise broken(TITLE, f"It says that it reads {count:,} columns", f"Bring a model of at most {_MOST_COLUMNS:,}")
    names = getattr(model, "feature_names_in_", None)
    found: dict[int, tuple[np.ndarray, Any]] = {}
    for column, values, missing in _encoded(model, list(range(count))):
        found.setdefault(column, (values, missing[0] if missing else np.nan))
    named = [str(name) for name in names] if names is not None else [""] * count
    if len(named) != count:
        raise broken(TITLE, f"It names {len(named)} columns and reads {count}")
    return tuple(Raw(name, *found.get(column, (None, np.nan))) for column, name in enumerate(named))


def inputs(columns: Sequence[Raw]) -> tuple[Input, ...]:
    """What the file says of each column."""
    return tuple(_input(column) for column in columns)


def plain_features(columns: Sequence[Raw]) -> tuple[Feature, ...]:
    """Features with nothing but the names, kinds and categories that the file says."""
    each = zip(columns, inputs(columns), strict=True)
    return tuple(Feature(c.name, found.kind or "real", categories=found.categories) for c, found in each)


def _input(column: Raw) -> Input:
    if column.values is None:
        return Input(column.name)
    if column.truth:
        return Input(column.name, "boolean")
    return Input(column.name, "category", tuple(text(value) for value in column.values))


def _encoded(step: Any, columns: list[int]) -> Iterator[tuple[int, np.ndarray, list[Any]]]:
    """Wherever `step`, which is given the raw `columns`, encodes one: its number, the encoder's values, and what stands
    for a missing one, the encoder's own before the imputer's.
    """
    name = type(step).__name__
    if name == "Pipeline":
        yield from _encoded_in_steps([inner for _, inner in step.steps], columns)
    elif name == "ColumnTransformer":
        for part, inner, _ in step.transformers_:
            yield from _encoded(inner, [columns[i] for i in step._transformer_to_input_indices[part]])
    elif name in _ENCODERS:
        for column, known in zip(columns, step.categories_, strict=True):
            there = np.array([value is not None and value == value for value in known.tolist()], dtype=bool)
            yield column, known[there], known[~there].tolist()
    for inner in _members(step, name):
        yield from _encoded(inner, columns)


def _members(step: Any, name: str) -> list[Any]:
    """The estimators that `step` hands all its columns to."""
    if name == "FeatureUnion":
        return [inner for _, inner in step.transformer_list]
    if name.startswith("HistGradientBoosting"):
        return [step._preprocessor]
    if name.startswith(("Stacking", "Voting", "OneVsRest")):
        return list(step.estimators_)
    if name == "CalibratedClassifierCV":
        return [each.estimator for each in step.calibrated_classifiers_]
    return [step.regressor_] if name == "TransformedTargetRegressor" else []


def _encoded_in_steps(steps: list[Any], columns: list[int]) -> Iterator[tuple[int, np.ndarray, list[Any]]]:
    """As `_encoded`, of steps one after the other; after the first that mixes columns nothing is known."""
    imputer = None
    for step in steps:
        for column, values, missing in _encoded(step, columns):
            yield column, values, missing + ([] if imputer is None else [imputer.missing_values])
        name = type(step).__name__
        if name == "SimpleImputer":
            imputer = imputer or step
            kept = [value is None or value == value for value in step.statistics_.tolist()]
            columns = [column for column, keep in zip(columns, kept, strict=True) if keep or step.keep_empty_features]
        whole = name == "FunctionTransformer" and step.func is None
        if name not in _IN_PLACE and not whole or (name == "SimpleImputer" and step.add_indicator):
            return


class Table:
    """Turns rows (n, d) into what the pipeline was fitted on: a DataFrame where it knows names, else an array."""

    def __init__(self, columns: Sequence[Raw], features: Sequence[Feature]) -> None:
        self._columns = columns
        self._values = [_decoded(column, feature) for column, feature in zip(columns, features, strict=True)]

    def make(self, rows: np.ndarray) -> Any:
        """`rows` in the pipeline's own values. Raises UserFacingError for a code without a category."""
        named = any(column.name for column in self._columns)
        if not named and all(values is None for values in self._values):
            return np.array(rows, dtype=np.float64)
        made = [
            rows[:, i] if values is None else _take(values, column.missing, rows[:, i], column.name)
            for i, (column, values) in enumerate(zip(self._columns, self._values, strict=True))
        ]
        if not named:
            return np.stack([column.astype(object) for column in made], axis=1) if _mixed(made) else np.stack(made, 1)
        import pandas

        frame = pandas.DataFrame({i: pandas.Series(column, dtype=column.dtype) for i, column in enumerate(made)})
        frame.columns = [column.name for column in self._columns]
        return frame

    def invent(self, count: int) -> np.ndarray:
        """Rows (count, d) to try a model on: known categories where a column has any, else numbers from 0 to 2."""
        rng = np.random.default_rng(0)
        rows = rng.uniform(0.0, 2.0, (count, len(self._columns)))
        for i, (column, values) in enumerate(zip(self._columns, self._values, strict=True)):
            if values is not None:
                rows[:, i] = rng.integers(0, len(values), count)
            elif column.values is not None:
                rows[:, i] = rng.choice(column.values.astype(np.float64), count)
        return rows


def _mixed(columns: list[np.ndarray]) -> bool:
    return any(column.dtype.kind not in "biuf" for column in columns)


def _decoded(column: Raw, feature: Feature) -> np.ndarray | None:
    """The pipeline's value for each code of `feature`; None where the number itself is what it reads."""
    where = f"column {feature.name!r}"
    if column.name and column.name != feature.name:
        raise broken(
            TITLE,
            f"The subject has the {where} where the model reads {column.name!r}",
            "Name every feature as the model does, in the same order",
        )
    if column.truth and feature.kind == "boolean":
        return np.array([False, True])
    if feature.kind != "category" or column.values is None:
        if column.words:
            raise broken(
                TITLE,
                f"The model knows {where} by words, and the subject calls it {feature.kind}",
                f"Make it a category: {', '.join(inputs([column])[0].categories[:9])}",
            )
        return None
    known = {text(value): value for value in column.values.tolist()}
    if column.words:
        return np.array([known.get(category, category) for category in feature.categories], dtype=object)
    try:
        return np.array([known[each] if each in known else float(each) for each in feature.categories])
    except ValueError:
        raise broken(
            TITLE,
            f"The model knows {where} by numbers, and a category of the subject is none",
            f"Its categories are: {', '.join(list(known)[:9])}",
        ) from None


def codes_of(known: np.ndarray, column: Raw, feature: Feature) -> np.ndarray:
    """The row's code for each value that an encoder knows; a value that no row has gets a code of its own."""
    values = _decoded(column, feature)
    if values is None:
        return known.astype(np.float64)
    codes = {value: float(code) for code, value in enumerate(values.tolist())}
    spare = len(values)
    found = [
        np.nan if value is None or value != value else codes.get(value, float(spare + i))
        for i, value in enumerate(known.tolist())
    ]
    return np.array(found)


def _take(values: np.ndarray, missing: Any, codes: np.ndarray, name: str) -> np.ndarray:
    """The values that `codes` (n,) stand for, `missing` where one is NaN."""
    there = ~np.isnan(codes)
    index = np.where(there, codes, 0).astype(np.int64)
    if len(index) and not ((index >= 0) & (index < len(values))).all():
        raise UserFacingError(
            "The model cannot read a row",
            f"The column {name!r} has a code without a category",
            f"Give it codes from 0 to {len(values) - 1}",
        )
    found = values[index]
    if there.all():
        return found
    found = found.astype(object if found.dtype.kind in "OUb" else np.float64)
    found[~there] = missing
    return found
