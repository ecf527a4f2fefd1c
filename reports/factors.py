"""Attributions as factors a person can name: families of features, parts of a picture, the words of a text; ranked,
with what is within its error told apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from core.measures import rank_correlations
from core.nouns import Dataset, ModelSpec
from core.results import Attribution

NEGLIGIBLE = 0.01
"""Share of the largest effect below which a factor is not named: it would read as a rounding error."""

TOGETHER = 0.7
"""Rank correlation, of either sign, from which two features are said to go together."""

_NAMED = 2
_SAMPLE, _SAMPLE_SEED = 2000, 11  # rows that tell which features go together
_VERTICAL = ("upper", "middle", "lower")
_HORIZONTAL = ("left", "centre", "right")


@dataclass(frozen=True)
class Family:
    """Features that are ranked together: positions in the flattened row and the name they go by."""

    title: str
    positions: tuple[int, ...]


@dataclass(frozen=True)
class Factor:
    """A family's effect on one row's score.

    `shown` is its value as a person reads it ("31,000 EUR"; empty for a part of a picture), `error` the standard
    error of `effect` (0 where exact), `sure` whether the effect exceeds what the method leaves open.
    """

    title: str
    shown: str
    effect: float
    error: float
    sure: bool
    positions: tuple[int, ...] = ()

    @property
    def heading(self) -> str:
        """The name with a capital."""
        return self.title[:1].upper() + self.title[1:]

    @property
    def label(self) -> str:
        """Name and value: "Income 31,000 EUR"."""
        return f"{self.heading} {self.shown}".rstrip()

    @property
    def raises(self) -> bool:
        return self.effect > 0


def families(spec: ModelSpec, grouped: bool = True) -> tuple[Family, ...]:
    """A table's declared groups and lone features, in the order of the schema; a picture's nine regions."""
    if spec.modality == "image":
        return _regions(spec.shape)
    members: dict[str, list[int]] = {}
    for position, feature in enumerate(spec.features):
        key = f"group {feature.group}" if grouped and feature.group else f"feature {feature.name}"
        members.setdefault(key, []).append(position)
    return tuple(Family(_family_title(spec, positions), tuple(positions)) for positions in members.values())


def factors(attribution: Attribution, spec: ModelSpec, index: int = 0, grouped: bool = True) -> list[Factor]:
    """Every factor of row `index`, the largest effect first, ties in the order of the schema."""
    values = attribution.values[index].ravel()
    errors = np.zeros_like(values) if attribution.error is None else attribution.error[index].ravel()
    row = attribution.query.rows[index].ravel()
    parts = families(spec, grouped) if spec.vocabulary is None else _words(spec, row)
    effects = [float(values[list(part.positions)].sum()) for part in parts]
    floor = max(_left_open(attribution, index), NEGLIGIBLE * max(map(abs, effects), default=0.0))
    ranked = []
    for part, effect in zip(parts, effects, strict=True):
        # Errors of one family may move together, so they add up in full rather than in squares.
        error = float(errors[list(part.positions)].sum())
        sure = abs(effect) > max(floor, 2 * error)
        shown = _place(part, parts) if spec.vocabulary is not None else _shown(spec, part, row, values)
        ranked.append(Factor(part.title, shown, effect, error, sure, part.positions))
    return sorted(ranked, key=lambda factor: -abs(factor.effect))


def drivers(attribution: Attribution, spec: ModelSpec, index: int = 0, most: int = 4) -> list[Factor]:
    """The factors worth naming: at most `most`, each above twice its standard error and the residual, never padded."""
    return [factor for factor in factors(attribution, spec, index) if factor.sure][:most]


def bars(
    attribution: Attribution, spec: ModelSpec, index: int = 0, most: int = 10, grouped: bool = True
) -> list[Factor]:
    """What a bar chart shows: the `most` largest factors and, where there are more, the sum of the "20 others"."""
    ranked = factors(attribution, spec, index, grouped)
    shown, rest = ranked[:most], ranked[most:]
    if len(rest) < 2:
        return ranked
    return [*shown, together(rest)]


def together(rest: list[Factor]) -> Factor:
    """Several factors as one: "20 others"."""
    effect, error = sum(factor.effect for factor in rest), sum(factor.error for factor in rest)
    sure = any(factor.sure for factor in rest) and abs(effect) > 2 * error
    positions = tuple(position for factor in rest for position in factor.positions)
    return Factor(f"{len(rest)} others", "", effect, error, sure, positions)


def importance(attribution: Attribution, spec: ModelSpec, grouped: bool = True) -> list[Factor]:
    """Mean absolute effect of each factor over the rows, largest first; `error` is its standard error over the rows."""
    values = attribution.values.reshape(len(attribution.values), -1)
    ranked = []
    for part in families(spec, grouped):
        sizes = np.abs(values[:, list(part.positions)].sum(axis=1))
        error = float(sizes.std(ddof=1) / np.sqrt(len(sizes))) if len(sizes) > 1 else 0.0
        mean = float(sizes.mean())
        ranked.append(Factor(part.title, "", mean, error, mean > 2 * error, part.positions))
    return sorted(ranked, key=lambda factor: -factor.effect)


def _words(spec: ModelSpec, row: np.ndarray) -> tuple[Family, ...]:
    """The tokens that a text (length,) consists of, each by itself: "“great”"."""
    places = np.flatnonzero(spec.vocabulary.ordinary(row))
    return tuple(Family(f"“{spec.vocabulary.piece(row[place]).strip()}”", (int(place),)) for place in places)


def _place(part: Family, parts: tuple[Family, ...]) -> str:
    """Which of its kind a word is, where it stands in the text more than once: "(2 of 3)"."""
    alike = [each for each in parts if each.title == part.title]
    return f"({alike.index(part) + 1} of {len(alike)})" if len(alike) > 1 else ""


def _left_open(attribution: Attribution, index: int) -> float:
    """What the method left unexplained in this row; nothing where it does not promise to add up."""
    return 0.0 if attribution.tolerance is None else abs(float(attribution.residual[index]))


def _family_title(spec: ModelSpec, positions: list[int]) -> str:
    first = spec.features[positions[0]]
    return first.title if len(positions) == 1 else first.group.replace("_", " ")


def _shown(spec: ModelSpec, family: Family, row: np.ndarray, values: np.ndarray) -> str:
    """A lone feature's value; those of a small family; of a large one, its member with the largest effect."""
    if spec.modality == "image":
        return ""
    if len(family.positions) == 1:
        position = family.positions[0]
        return spec.features[position].show(row[position])
    chosen = named(family.positions, values)
    inside = ", ".join(f"{spec.features[p].title.lower()} {spec.features[p].show(row[p])}" for p in chosen)
    rest = len(family.positions) - len(chosen)
    return f"({inside} and {rest} more)" if rest else f"({inside})"


def named(positions: Sequence[int], values: np.ndarray) -> list[int]:
    """The members of a family that are said by name: of a small one all, of a large one that with the largest effect.

    `values`: the row's effects, of any shape.
    """
    flat = values.ravel()
    ranked = sorted(positions, key=lambda position: -abs(flat[position]))
    return ranked if len(ranked) <= _NAMED else ranked[:1]


def companions(dataset: Dataset, spec: ModelSpec, positions: Sequence[int]) -> list[int]:
    """The features that go together in the data with one at these positions, the closest first; of tables alone.

    Categories have no order, and so none.
    """
    if spec.modality != "table":
        return []
    ordered = [feature.kind != "category" for feature in spec.features]
    inside = [place for place in positions if ordered[place]]
    if not inside:
        return []
    found = np.abs(_correlations(_Data(dataset.digest, dataset))[inside]).max(axis=0)
    ranked = np.argsort(-found, kind="stable").tolist()
    return [place for place in ranked if found[place] >= TOGETHER and ordered[place] and place not in positions]


@dataclass(frozen=True)
class _Data:
    """Data, told apart by their digest."""

    digest: str
    dataset: Dataset = field(compare=False)


@lru_cache(maxsize=8)
def _correlations(data: _Data) -> np.ndarray:
    return rank_correlations(data.dataset.rows[data.dataset.sample(_SAMPLE, _SAMPLE_SEED)])


@lru_cache(maxsize=8)
def _regions(shape: tuple[int, ...]) -> tuple[Family, ...]:
    """Thirds of height by thirds of width, named as one would point at them."""
    positions = np.arange(int(np.prod(shape))).reshape(shape[0], shape[1], -1)
    rows = np.minimum(np.arange(shape[0]) * 3 // shape[0], 2)
    columns = np.minimum(np.arange(shape[1]) * 3 // shape[1], 2)
    return tuple(
        Family(
            "centre" if (i, j) == (1, 1) else f"{vertical} {horizontal}",
            tuple(positions[rows == i][:, columns == j].ravel().tolist()),
        )
        for i, vertical in enumerate(_VERTICAL)
        for j, horizontal in enumerate(_HORIZONTAL)
    )
