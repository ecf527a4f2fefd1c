"""How unlike the data a row is, and how unlike the data a reference is. Pure functions of arrays.

A table is measured by its features, a picture by the means of its squares, a text by its words.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from core.errors import UserFacingError
from core.nouns import Dataset, Feature, ModelSpec, Reference, frozen_array

NEIGHBOURS = 5
SAMPLE, SAMPLE_SEED = 1000, 11
"""Rows of the data that a row is compared with, and the seed that draws them."""
USUAL = 0.99
"""The share of the data's own rows that count as like the data."""
LEVEL = 0.005
"""How often a reference drawn with a seed may be called unlike the data, at most."""

_SQUARES, _REGIONS = 8, 3  # squares along a picture, at most: for distances, and as many as a person can point at
_MIDDLE = (5, 95)  # percentiles between which a feature has its usual range
_BATCH = 2_000_000  # distances worked on at once
_AFTER_ANSWERS = 0.05  # LEVEL for features once the true answers differ
_POPULATION = 20_000  # rows of the data that a reference is compared with, at most


@dataclass(frozen=True)
class Unlikeness:
    """How unlike the data some rows are.

    `distance` (n,): how far a row is from the data, of a text the share of its words that no other text has; `usual`:
    what 99% of the data's own rows stay within, each left out of the data for it. `outside`: for each row the
    positions of the features whose values lie outside their bounds, or are categories that the data do not hold.
    """

    distance: np.ndarray
    usual: float
    outside: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "distance", frozen_array(self.distance))

    @property
    def unlike(self) -> np.ndarray:
        """Which rows are unlike the data (n,)."""
        return (self.distance > self.usual) | np.array([bool(each) for each in self.outside], dtype=bool)


@dataclass(frozen=True)
class Drift:
    """In what a reference differs from the data that it should stand for.

    `chances` (d,): for each feature, of pictures for each of their nine regions, how likely a sample of that size
    differs as much, at most; `features`: the positions of those that are too unlikely, the least likely first.
    `answers`: whether the true answers are. `repeated`: how many of its rows are there more than once.
    """

    chances: np.ndarray
    features: tuple[int, ...]
    answers: bool
    repeated: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "chances", frozen_array(self.chances))

    @property
    def found(self) -> bool:
        return bool(self.features) or self.answers or self.repeated > 0


def unlike(dataset: Dataset, spec: ModelSpec, rows: np.ndarray, row_ids: Sequence[str] = ()) -> Unlikeness:
    """How unlike the data the rows (n, *shape) are; those that are in the data, by `row_ids`, leave themselves out.

    The distance to the fifth nearest row of a seeded sample (Ramaswamy, Rastogi and Shim 2000, Efficient Algorithms for
    Mining Outliers, section 2), after Gower 1971, A General Coefficient of Similarity: the mean over the features of
    how far two values are apart in ranges of the feature, and 1 for two categories. Unlike Gower's, the range runs
    from the 5th to the 95th percentile, so that it does not grow with an extreme value, and a missing value is as far
    from a known one as two categories are.
    """
    return _learnt(_key(dataset, spec)).unlike(rows, row_ids)


def drift(dataset: Dataset, spec: ModelSpec, reference: Reference) -> Drift | None:
    """The features in which the reference is another population than the data; None of texts, which have no reference.

    Each number has two tests: on where its values lie, the Kolmogorov-Smirnov distance with the bound of Massart 1990,
    The Tight Constant in the Dvoretzky-Kiefer-Wolfowitz Inequality; and on how far they spread, the chance that so
    many draws fall into so narrow a window (David and Nagaraja 2003, Order Statistics, section 2.3). Each category has
    one on its share (Hoeffding 1963, Probability Inequalities for Sums of Bounded Random Variables, theorem 1, which by
    section 6 holds for draws without replacement). All are bounds at any size; Bonferroni adds them up. The true
    answers are tested like a feature: once they tell the two populations apart, a feature is named more readily.
    """
    return None if spec.modality == "text" else _drift(_key(dataset, spec), _Drawn(reference.digest, reference))


# --- what is learnt of the data, once ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Key:
    """Data as rows of a kind of model, told apart by their digest and features."""

    digest: str
    modality: str
    features: tuple[Feature, ...]
    dataset: Dataset = field(compare=False)
    spec: ModelSpec = field(compare=False)


@dataclass(frozen=True)
class _Drawn:
    """A reference, told apart by its digest."""

    digest: str
    reference: Reference = field(compare=False)


def _key(dataset: Dataset, spec: ModelSpec) -> _Key:
    features = tuple(spec.features) if spec.modality == "table" else ()
    return _Key(dataset.digest, spec.modality, features, dataset, spec)


@lru_cache(maxsize=8)
def _learnt(key: _Key) -> "_Rows | _Texts":
    return _Texts(key.dataset, key.spec) if key.modality == "text" else _Rows(key.dataset, key.spec)


class _Rows:
    """A seeded sample of tables' rows or of pictures, and how far each of them is from the others."""

    def __init__(self, dataset: Dataset, spec: ModelSpec) -> None:
        chosen = dataset.sample(SAMPLE, SAMPLE_SEED)
        self._spec = spec
        self._sample = _measured(dataset.rows[chosen], spec)
        self._coded = _coded(spec, self._sample.shape[1])
        self._units = units(self._sample, self._coded)
        self._places = {dataset.row_ids[position]: place for place, position in enumerate(chosen)}
        self._seen = {place: np.unique(dataset.rows[:, place]) for place in np.flatnonzero(self._coded)}
        own = self._distances(self._sample, np.arange(len(chosen)))
        self._usual = float(np.quantile(own, USUAL, method="higher"))

    def unlike(self, rows: np.ndarray, row_ids: Sequence[str]) -> Unlikeness:
        places = [self._places.get(row_id, -1) for row_id in row_ids] or [-1] * len(rows)
        distance = self._distances(_measured(rows, self._spec), np.array(places))
        return Unlikeness(distance, self._usual, tuple(map(self._outside, rows)))

    def _distances(self, rows: np.ndarray, left_out: np.ndarray) -> np.ndarray:
        """The distance (n,) of each row to the fifth nearest of the sample, the one at `left_out` apart (-1: none)."""
        found, step = np.empty(len(rows)), max(1, _BATCH // len(self._sample))
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            apart = gower(rows[part], self._sample, self._units, self._coded)
            own = np.flatnonzero(left_out[part] >= 0)
            apart[own, left_out[part][own]] = np.inf
            others = np.isfinite(apart).sum(axis=1)
            nearest = np.sort(apart, axis=1)
            found[part] = nearest[np.arange(len(apart)), np.clip(others, 1, NEIGHBOURS) - 1]
        return np.where(np.isfinite(found), found, 0.0)  # data of one row are like themselves

    def _outside(self, row: np.ndarray) -> tuple[int, ...]:
        """The features of a row (*shape) whose values are out of bounds, or are categories nobody has."""
        if self._spec.modality == "image":
            ends = self._spec.features[0]
            return tuple(np.flatnonzero((row < ends.lower) | (row > ends.upper)).tolist())
        return tuple(
            place
            for place, (feature, value) in enumerate(zip(self._spec.features, row.tolist(), strict=True))
            if not np.isnan(value)
            and (value not in self._seen[place] if place in self._seen else not feature.lower <= value <= feature.upper)
        )


class _Texts:
    """In how many texts each token occurs."""

    def __init__(self, dataset: Dataset, spec: ModelSpec) -> None:
        self._vocabulary, self._ids = spec.vocabulary, frozenset(dataset.row_ids)
        texts = [self._tokens(row) for row in dataset.rows]
        tokens, counts = np.unique(np.concatenate(texts), return_counts=True)
        self._texts = dict(zip(tokens.tolist(), counts.tolist(), strict=True))
        own = [self._share(texts[place], 1) for place in dataset.sample(SAMPLE, SAMPLE_SEED)]
        self._usual = float(np.quantile(own, USUAL, method="higher"))

    def unlike(self, rows: np.ndarray, row_ids: Sequence[str]) -> Unlikeness:
        own = [int(row_id in self._ids) for row_id in row_ids] or [0] * len(rows)
        shares = [self._share(self._tokens(row), each) for row, each in zip(rows, own, strict=True)]
        return Unlikeness(np.array(shares), self._usual, ((),) * len(rows))

    def _tokens(self, row: np.ndarray) -> np.ndarray:
        """The different tokens of a text; a hidden word is none."""
        return np.setdiff1d(row[self._vocabulary.ordinary(row)], [self._vocabulary.mask])

    def _share(self, tokens: np.ndarray, own: int) -> float:
        """The share of a text's tokens that no other text has; `own`: 1 where it is one of the data itself, else 0."""
        strange = [self._texts.get(token, 0) <= own for token in tokens.tolist()]
        return float(np.mean(strange)) if strange else 0.0


# --- distances --------------------------------------------------------------------------------------------------------


def gower(rows: np.ndarray, others: np.ndarray, unit: np.ndarray, coded: np.ndarray) -> np.ndarray:
    """Distances (n, m) between rows (n, d) and others (m, d): the mean over the features of |a - b| / unit (d,), and of
    whether two codes differ or one value is missing.
    """
    apart = np.zeros((len(rows), len(others)))
    for a, b, size, code in zip(rows.T, others.T, unit, coded, strict=True):
        gap = a[:, None] != b if code else np.abs(a[:, None] - b) / size
        missing = np.isnan(a)[:, None], np.isnan(b)
        if missing[0].any() or missing[1].any():
            gap = np.where(missing[0] | missing[1], missing[0] ^ missing[1], gap)
        apart += gap
    return apart / rows.shape[1]


def units(rows: np.ndarray, coded: np.ndarray) -> np.ndarray:
    """The usual range of each number in rows (n, d); its whole range where the middle is alike, 1 where it is all."""
    found = np.ones(rows.shape[1])
    for column in np.flatnonzero(~coded):
        known = rows[:, column][~np.isnan(rows[:, column])]
        if len(known):
            found[column] = np.diff(np.percentile(known, _MIDDLE))[0] or np.ptp(known) or 1.0
    return found


def squares(pictures: np.ndarray, side: int) -> np.ndarray:
    """Pictures (n, height, width, channels) as the means of at most `side` by `side` squares (n, squares)."""
    for axis in (1, 2):
        size = pictures.shape[axis]
        starts = np.flatnonzero(np.diff(np.arange(size) * side // size, prepend=-1))
        counts = np.diff(np.append(starts, size))
        pictures = np.add.reduceat(pictures, starts, axis=axis) / np.expand_dims(counts, tuple({0, 1, 2, 3} - {axis}))
    return pictures.reshape(len(pictures), -1)


def _measured(rows: np.ndarray, spec: ModelSpec) -> np.ndarray:
    """What is measured of rows (n, *shape), as (n, d)."""
    return rows if spec.modality == "table" else squares(rows, _SQUARES)


def _coded(spec: ModelSpec, width: int) -> np.ndarray:
    """Which of the `width` numbers that are measured of a row are codes."""
    if spec.modality != "table":
        return np.zeros(width, dtype=bool)
    return np.array([feature.kind in ("category", "boolean") for feature in spec.features])


# --- references -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def _drift(key: _Key, asked: _Drawn) -> Drift:
    dataset, reference = key.dataset, asked.reference
    population = dataset.rows[dataset.sample(_POPULATION, SAMPLE_SEED)]
    size = len(reference)
    if len(population) < len(dataset):  # the data are known from a sample themselves
        size = size * len(population) / (size + len(population))
    data, drawn = (_compared(rows, key.spec) for rows in (population, reference.rows))
    tests = [_share_chance if code else _number_chance for code in _coded(key.spec, data.shape[1])]
    chances = np.array([test(a, b, size) for test, a, b in zip(tests, data.T, drawn.T, strict=True)])
    answers = _answers_chance(dataset, reference) < LEVEL / (1 + len(chances))
    level = (_AFTER_ANSWERS if answers else LEVEL) / (1 + len(chances))
    found = [int(place) for place in np.argsort(chances, kind="stable") if chances[place] < level]
    return Drift(chances, tuple(found), answers, len(reference) - len(set(reference.row_ids)))


def _answers_chance(dataset: Dataset, reference: Reference) -> float:
    """The same of the true answers to the reference rows; 1 where these are not of the data."""
    try:
        drawn = dataset.labels[[dataset.index(row_id) for row_id in reference.row_ids]]
    except UserFacingError:
        return 1.0
    test = _number_chance if dataset.labels.dtype.kind == "f" else _share_chance
    return test(dataset.labels, drawn, len(reference))


def _compared(rows: np.ndarray, spec: ModelSpec) -> np.ndarray:
    """What is compared of rows (n, *shape): a table's features, the brightness of the nine regions of pictures."""
    return rows if spec.modality == "table" else squares(rows.mean(axis=-1, keepdims=True), _REGIONS)


def _number_chance(data: np.ndarray, drawn: np.ndarray, size: float) -> float:
    """How likely numbers `drawn` (n,) lie so far from the data's or so close together, at most; missing is largest."""
    data, drawn = (np.sort(np.nan_to_num(each, nan=np.inf)) for each in (data, drawn))
    below, upto = (np.searchsorted(data, drawn, side) / len(data) for side in ("left", "right"))
    before, after = (np.searchsorted(drawn, drawn, side) / len(drawn) for side in ("left", "right"))
    apart = max(np.abs(upto - after).max(), np.abs(below - before).max())
    place = 2 * np.exp(-2 * size * apart**2)
    window = upto[-1] - below[0]
    spread = size * window ** (size - 1) - (size - 1) * window**size
    return float(min(1.0, 2 * min(place, spread)))


def _share_chance(data: np.ndarray, drawn: np.ndarray, size: float) -> float:
    """How likely the share of one code in `drawn` (n,) is so far from that in the data, at most; missing is a code."""
    data, drawn = (np.nan_to_num(each, nan=-1.0) for each in (data, drawn))
    codes = np.union1d(data, drawn)
    usual, seen = (
        np.bincount(np.searchsorted(codes, each), minlength=len(codes)) / len(each) for each in (data, drawn)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        divergence = sum(
            np.where(share > 0, share * np.log(share / expected), 0.0)
            for share, expected in ((seen, usual), (1 - seen, 1 - usual))
        )
    return float(min(1.0, len(codes) * 2 * np.exp(-size * divergence).min()))
