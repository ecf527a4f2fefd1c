"""What a file says of itself: found by a worker, read by whoever brought it, never trusted further than checked.

Both nouns travel from a worker as JSON (`as_json`, `from_json`).
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from core.nouns import Capability, Feature, Kind, Output

T = TypeVar("T")
MOST_OUTPUTS = 100_000
MOST_SIZE = 10_000_000

ColumnKind = Kind | Literal["text"]


@dataclass(frozen=True)
class Input:
    """One column that a model of tables reads.

    `name` is empty and `kind` None where the file does not say; `categories` stand in the order of the
    codes that the model reads.
    """

    name: str = ""
    kind: Kind | None = None
    categories: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelFacts:
    """A model file, before anybody says what it is for.

    `shape` is one row as Assay gives it: (d,), (height, width, channels) or (tokens,); a 0 in it is a
    size that the data decide. `inputs` has d entries for a table and none otherwise. `columns` counts
    the numbers that the file gives a row. `outputs` are the scales on which they can be read, the one
    to take first; `told_by` says in a clause how that was told. `classes` is empty where the file
    does not name them. `settings` is what `load` needs beside the bytes; `ask` names settings that the
    file leaves open, with the values they may have, the likelier first.
    """

    format: str
    title: str
    modality: Literal["table", "image", "text"]
    shape: tuple[int, ...]
    columns: int
    outputs: tuple[Output, ...]
    told_by: str
    inputs: tuple[Input, ...] = ()
    classes: tuple[str, ...] = ()
    capabilities: tuple[Capability, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    ask: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Column:
    """One column of a table as it was read.

    `kind` is a guess that a person may correct, `why` the clause that says what it rests on. `lower` and
    `upper` are the least and largest number, None for text and categories. `categories` are its
    different values in ascending order, where there are few enough to be one. `decimals` is how many
    its numbers are written with. `group` names a family that belongs together (one-hot columns).
    """

    name: str
    kind: ColumnKind
    why: str
    missing: int = 0
    distinct: int = 0
    lower: float | None = None
    upper: float | None = None
    decimals: int = 0
    categories: tuple[str, ...] = ()
    group: str = ""
    duplicate_of: str = ""
    examples: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataFacts:
    """A data file. `title` says what it is in words, `dialect` how it is read (encoding, delimiter, ...).

    For images `shape` is that of one, `columns` are its labels, if it has any, and `lower` and `upper` the
    least and largest pixel. `digest` is the SHA-256 of the file.
    """

    format: str
    title: str
    rows: int
    columns: tuple[Column, ...]
    digest: str
    dialect: Mapping[str, Any] = field(default_factory=dict)
    shape: tuple[int, ...] = ()
    lower: float = 0.0
    upper: float = 0.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """Which columns of a data file become what.

    `features` are a table's, each from the column of its name, in the order in which the model reads
    them; `text` is the column with the texts instead. `label` holds the true class by its name in
    `classes`, or the true number where there are none. `id` names the rows (their number, from 1, where
    it is empty), `held_out` is true for rows that no model was trained on (all, where it is empty).
    """

    features: tuple[Feature, ...] = ()
    text: str = ""
    label: str = ""
    classes: tuple[str, ...] = ()
    id: str = ""
    held_out: str = ""


@dataclass(frozen=True)
class Extracted:
    """Rows as a `Dataset` has them: (n, *shape) float64 in raw units, a category as its index in its
    feature's categories, missing as NaN. `labels` (n,): int64 class indices, -1 where unknown; float64
    with NaN where a number is predicted. `texts` where `Wanted.text` asked for them; `rows` is then empty.
    """

    rows: np.ndarray
    row_ids: tuple[str, ...]
    labels: np.ndarray
    held_out: np.ndarray
    texts: tuple[str, ...] = ()


def as_json(facts: ModelFacts | DataFacts) -> dict[str, Any]:
    """The facts as plain JSON values."""
    return asdict(facts)


def model_facts(plain: Mapping[str, Any]) -> ModelFacts:
    """The facts that `as_json` made of a model. Raises ValueError where they can be no model's."""
    known = _known(ModelFacts, plain)
    known["inputs"] = tuple(Input(**_known(Input, each)) for each in known["inputs"])
    known["ask"] = {name: tuple(values) for name, values in known["ask"].items()}
    facts = _fitting(ModelFacts(**known))
    sizes = (*facts.shape, len(facts.inputs), len(facts.classes))
    if not facts.outputs or not 0 < facts.columns <= MOST_OUTPUTS or not all(0 <= size <= MOST_SIZE for size in sizes):
        raise ValueError(f"a model of {facts.columns} outputs and sizes {sizes[:6]}")
    return facts


def data_facts(plain: Mapping[str, Any]) -> DataFacts:
    """The facts that `as_json` made of a data file. Raises ValueError where they can be no data's."""
    known = _known(DataFacts, plain)
    known["columns"] = tuple(Column(**_known(Column, each)) for each in known["columns"])
    facts = _fitting(DataFacts(**known))
    if facts.rows < 1 or not all(0 < size <= MOST_SIZE for size in facts.shape):
        raise ValueError(f"data of {facts.rows} rows and shape {facts.shape}")
    return facts


def _known(kind: type, plain: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `kind` in `plain`, lists as the tuples they were. Raises KeyError where one is not there."""
    values = {each.name: plain[each.name] for each in fields(kind)}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _fitting(noun: T) -> T:
    """`noun`, every field of the type that is declared. Raises ValueError where one is not."""
    hints = get_type_hints(type(noun))
    for each in fields(noun):
        if not _fits(getattr(noun, each.name), hints[each.name]):
            raise ValueError(f"{type(noun).__name__}.{each.name} is of another type")
    return noun


def _fits(value: Any, hint: Any) -> bool:
    """Whether `value` is of the type `hint`; numbers are finite, and no boolean is one."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin is Literal:
        return value in inner
    if origin in (Union, UnionType):
        return any(_fits(value, each) for each in inner)
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(each, inner[0]) for each in value)
    if origin is Mapping:
        return isinstance(value, Mapping) and all(_fits(each, inner[1]) for each in value.values())
    if is_dataclass(hint):
        return isinstance(value, hint) and _fitting(value) is value
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return type(value) is hint
