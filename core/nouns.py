"""What is audited and what is asked: features, models' specifications, data, subjects, questions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from core.digest import digest
from core.errors import UserFacingError

Kind = Literal["real", "integer", "category", "boolean", "pixel", "token"]
Direction = Literal["any", "up", "down"]
Output = Literal["logit", "margin", "probability", "value"]
Scale = Literal["logit", "margin", "probability", "value"]
Capability = Literal["gradients", "trees", "linear"]


def frozen_array(value: Any, dtype: Any = np.float64) -> np.ndarray:
    """A read-only array of `value`, its own copy unless it was read-only already."""
    array = np.asarray(value, dtype=dtype)
    if not _is_frozen(array):
        array = np.array(array, dtype=dtype, order="C")
        array.flags.writeable = False
    return array


def _is_frozen(array: np.ndarray) -> bool:
    """Whether nobody can write to `array`, nor to what it is a view of."""
    base: Any = array
    while isinstance(base, np.ndarray):
        if base.flags.writeable:
            return False
        base = base.base
    return base is None


@dataclass(frozen=True)
class Feature:
    """One input of a model, in raw units.

    A category is stored as its index in `categories`; a boolean as 0 or 1; missing as NaN.
    `mutable` and `direction` bound what an attack or a what-if may change; `group` names the family
    that is ranked together; `protected` marks what a decision may not rest on. `hidden` says that whoever looks now
    may not see its values; it is about them, not about the feature, so it counts in no comparison and no digest.
    """

    name: str
    kind: Kind = "real"
    label: str = ""
    unit: str = ""
    help: str = ""
    lower: float = 0.0
    upper: float = 1.0
    categories: tuple[str, ...] = ()
    missing: bool = False
    mutable: bool = True
    direction: Direction = "any"
    group: str = ""
    protected: bool = False
    decimals: int = 2
    hidden: bool = field(default=False, compare=False)

    @property
    def title(self) -> str:
        """The plain name a person reads."""
        return self.label or self.name.replace("_", " ")

    @property
    def span(self) -> float:
        """The width of its range: the unit in which attacks measure size."""
        return (self.upper - self.lower) or 1.0

    def show(self, value: float) -> str:
        """`value` as a person reads it, with its unit."""
        if self.hidden:
            return "hidden"
        if np.isnan(value):
            return "missing"
        if self.kind == "category":
            return self.categories[int(value)]
        if self.kind == "boolean":
            return "yes" if value else "no"
        if self.kind == "integer" and not self.unit and abs(value) < 10_000:
            return f"{value:z.0f}"  # a year, say
        digits = 0 if self.kind == "integer" else self.decimals
        return f"{value:z,.{digits}f} {self.unit}".rstrip()


@dataclass(frozen=True)
class Pixels(Sequence[Feature]):
    """The features of a picture of `shape` (height, width, channels): one a pixel and channel, row by row.

    Made when they are asked for, so that a large picture is said, hashed and sent to a worker as four numbers and
    two bounds. `pixel_2_5` is row 2, column 5, counted from 0.
    """

    shape: tuple[int, ...]
    lower: float
    upper: float

    def __len__(self) -> int:
        return int(np.prod(self.shape))

    def __iter__(self) -> Iterator[Feature]:
        return map(self._at, range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return tuple(map(self._at, range(*index.indices(len(self)))))
        return self._at(range(len(self))[index])

    def _at(self, index: int) -> Feature:
        width, channels = self.shape[1:]
        (row, column), channel = divmod(index // channels, width), index % channels
        name, label = f"pixel_{row}_{column}", f"Row {row + 1}, column {column + 1}"
        if channels > 1:
            name, label = f"{name}_{channel}", f"{label}, channel {channel + 1}"
        return Feature(name, "pixel", label, lower=self.lower, upper=self.upper, decimals=0)


@dataclass(frozen=True)
class Vocabulary:
    """How a model's tokens are read by people: the printed piece of each id that occurs.

    A piece that starts a word begins with a space. `mask` stands for a word that is hidden, `pad` fills a row up;
    `special` are the ids, `pad` among them, that a text does not consist of and that no method touches.
    """

    pieces: tuple[tuple[int, str], ...]
    mask: int
    pad: int
    special: tuple[int, ...]

    def ordinary(self, rows: np.ndarray) -> np.ndarray:
        """Which places of `rows` (..., length) hold a token of the text itself; a hidden one counts."""
        return ~np.isin(rows, [*self.special, self.pad]) | (rows == self.mask)

    def masked(self, rows: np.ndarray) -> np.ndarray:
        """`rows` with every token of the text hidden: what a text is compared with."""
        return np.where(self.ordinary(rows), float(self.mask), rows)

    def piece(self, token: float) -> str:
        """What is printed for a token id."""
        return " [hidden]" if token == self.mask else self._printed.get(int(token), " [unknown]")

    def text(self, row: np.ndarray) -> str:
        """The text that a row (length,) holds."""
        return "".join(self.piece(token) for token in row[self.ordinary(row)]).strip()

    @cached_property
    def _printed(self) -> dict[int, str]:
        return dict(self.pieces)


@dataclass(frozen=True)
class ModelSpec:
    """What a model takes and gives, without the model.

    `output` says what `Model.predict` returns: `margin`, one column, the log-odds of `classes[1]`;
    `logit`, one column a class before softmax; `probability`, one column a class; `value`, one
    column of a regression. `digest` is that of the model file and how it is read. `outcome` is the number
    that a regression predicts, in words: its name, unit and decimals. `vocabulary` is there for text alone.
    `inked` says of pictures of one channel that their upper end is ink on paper rather than light.
    """

    modality: Literal["table", "image", "text"]
    shape: tuple[int, ...]
    features: Sequence[Feature]
    classes: tuple[str, ...]
    output: Output
    digest: str
    capabilities: tuple[Capability, ...] = ()
    outcome: Feature = Feature("value")
    vocabulary: Vocabulary | None = None
    inked: bool = True

    @property
    def task(self) -> Literal["classification", "regression"]:
        return "regression" if self.output == "value" else "classification"

    @property
    def columns(self) -> int:
        """How many columns `predict` returns."""
        return 1 if self.output in ("margin", "value") else len(self.classes)

    @property
    def natural_scale(self) -> Scale:
        """The scale on which the model adds up: where it is explained unless asked otherwise."""
        return self.output

    def class_index(self, name: str) -> int:
        """The index of the class called `name`, or a sentence that lists the classes."""
        if name not in self.classes:
            known = ", ".join(self.classes)
            raise UserFacingError(
                f"There is no class called {name!r}",
                f"This model tells apart: {known}",
                "Choose one of them",
            )
        return self.classes.index(name)


@dataclass(frozen=True)
class Dataset:
    """Rows in raw units with their ids and labels.

    `rows` (n, *shape) float64, read-only; `labels` (n,) class indices, -1 where unknown, or where a number is
    predicted float64 with NaN where unknown; `held_out` (n,) bool: not seen in training, the only rows
    performance is measured on. Where nobody knows which those are, `split_known` is False and all count.
    """

    rows: np.ndarray
    row_ids: tuple[str, ...]
    labels: np.ndarray
    held_out: np.ndarray
    split_known: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", frozen_array(self.rows))
        numbers = np.asarray(self.labels).dtype.kind == "f"
        object.__setattr__(self, "labels", frozen_array(self.labels, np.float64 if numbers else np.int64))
        object.__setattr__(self, "held_out", frozen_array(self.held_out, np.bool_))

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def digest(self) -> str:
        return digest(self)

    @property
    def judged(self) -> np.ndarray:
        """Positions of the rows on which performance is measured: held out and labelled."""
        known = ~np.isnan(self.labels) if self.labels.dtype.kind == "f" else self.labels >= 0
        return np.flatnonzero(self.held_out & known)

    def index(self, row_id: str) -> int:
        """The position of the row called `row_id`, or a sentence that says which there are."""
        try:
            return self._positions[row_id]
        except KeyError:
            raise UserFacingError(
                f"There is no row {row_id!r}",
                f"This data set has {len(self):,} rows, from {self.row_ids[0]} to {self.row_ids[-1]}",
                "Choose one of them",
            ) from None

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {row_id: index for index, row_id in enumerate(self.row_ids)}

    def sample(self, size: int, seed: int, judged_only: bool = False) -> np.ndarray:
        """Positions of a seeded sample without replacement, in ascending order; of the judged rows, if asked for."""
        pool = self.judged if judged_only else np.arange(len(self))
        chosen = np.random.default_rng(seed).permutation(pool)[:size]
        return np.sort(chosen)


@dataclass(frozen=True)
class ModelFile:
    """A model as it lies on disk: never opened in the web process, only by a worker.

    `settings` is what the format needs beside the bytes (a network's architecture, say).
    """

    name: str
    title: str
    format: str
    path: str
    spec: ModelSpec
    settings: Mapping[str, Any] = field(default_factory=dict)
    card: str = ""


@dataclass(frozen=True)
class Subject:
    """What is audited: models, the data they decide on, and the rule that turns scores into decisions.

    `cutoff` is the probability of `classes[1]` from which that class is decided; None where the
    largest output decides. `reference_size` and `reference_seed` name the default reference sample.
    `verdicts` say a decision in words, one a class; of a regression one, "is valued at", or none.
    """

    name: str
    title: str
    summary: str
    row_noun: str
    dataset: Dataset
    models: tuple[ModelFile, ...]
    cutoff: float | None
    reference_size: int = 100
    reference_seed: int = 7
    example: str = ""
    source: str = ""
    verdicts: tuple[str, ...] = ()
    limits: str = ""

    def model(self, name: str | None = None) -> ModelFile:
        """The model called `name`; the first where none is named."""
        if name is None:
            return self.models[0]
        for model in self.models:
            if model.name == name:
                return model
        known = ", ".join(model.name for model in self.models)
        raise UserFacingError(
            f"{self.name} has no model called {name!r}", f"Its models are: {known}", "Choose one of them"
        )

    def position(self, row_id: str) -> int:
        """The position of the row called `row_id`, or a sentence in the subject's own words."""
        try:
            return self.dataset.index(row_id)
        except UserFacingError as error:
            raise UserFacingError(f"There is no {self.row_noun} {row_id!r}", error.why, error.remedy) from error

    def reference(self, size: int | None = None, seed: int | None = None) -> "Reference":
        """A seeded sample of the rows as reference population, never more than there are."""
        size = self.reference_size if size is None else size
        seed = self.reference_seed if seed is None else seed
        if size < 1:
            raise UserFacingError(
                "The reference is empty", f"{size} reference rows were asked for", "Ask for at least 1"
            )
        if size > len(self.dataset):
            raise UserFacingError(
                "The reference cannot be drawn",
                f"{size:,} rows were asked for and the data has {len(self.dataset):,}",
                "Ask for fewer",
            )
        chosen = self.dataset.sample(size, seed)
        ids = tuple(self.dataset.row_ids[i] for i in chosen)
        return Reference(self.dataset.rows[chosen], ids, seed)

    def masked(self, position: int, vocabulary: Vocabulary) -> "Reference":
        """What the text at `position` is compared with: itself, with every token of its own hidden."""
        rows = vocabulary.masked(self.dataset.rows[[position]])
        return Reference(rows, (f"{self.dataset.row_ids[position]} hidden",))

    def verdict(self, decided: int, spec: ModelSpec) -> str:
        """What a decision for class `decided` is called in a sentence: "was declined"."""
        return self.verdicts[decided] if self.verdicts else f"was read as {spec.classes[decided]}"


@dataclass(frozen=True)
class Target:
    """Which output is explained, on which scale.

    `output` is a class index (0 for a regression). On the `margin` scale class 0 is the negative of
    class 1, so that every class can be asked about.
    """

    output: int
    scale: Scale


@dataclass(frozen=True)
class Reference:
    """The rows an attribution compares with: (m, *shape) raw units, their ids, the seed that drew them."""

    rows: np.ndarray
    row_ids: tuple[str, ...]
    seed: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", frozen_array(self.rows))

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def digest(self) -> str:
        return digest(self)


@dataclass(frozen=True)
class Query:
    """What is asked, of which model, about which rows.

    `rows` (n, *shape) raw units; `cutoff` as in `Subject`, where the decision matters (attacks);
    `seed` feeds every random draw.
    """

    model: str
    rows: np.ndarray
    row_ids: tuple[str, ...]
    target: Target
    reference: Reference | None = None
    seed: int = 0
    cutoff: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", frozen_array(self.rows))

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def digest(self) -> str:
        return digest(self)


@dataclass(frozen=True)
class MethodId:
    """Which method answered, in which version, with which options: with the query, the cache key."""

    name: str
    version: str
    options: tuple[tuple[str, Any], ...] = ()

    @cached_property
    def digest(self) -> str:
        return digest(self)
