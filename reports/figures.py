"""From results to shapes on paper: shares of a width, and pixels. The template draws them and measures nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from core.nouns import ModelSpec
from core.results import Attribution
from core.scores import probabilities
from reports.factors import Factor, factors, together
from reports.numbers import chance, number, percent, signed
from reports.palette import LIGHT

_BINS = 40
_MARKED = 0.25
"""Share of the largest effect from which a cell also carries its sign, so that it reads without colour."""
_MOST_MARKED_WIDTH = 16
_MOST_DRAWN = 128
"""Squares along a picture at most; more could not be told apart on paper."""
_MOST_PLACES = 200
"""Of a line with more points only every so many are drawn."""


def bar_rows(
    columns: Sequence[tuple[str, Attribution]], spec: ModelSpec, most: int = 10, one_row: bool = True, index: int = 0
) -> dict[str, Any]:
    """One row for each factor in the order of the first column, one bar for each column; all columns that compare with
    a reference share one scale.

    The `most` factors with the largest effect in any of these are shown, the others as their sum. Labels carry values
    where all columns are of `one_row`. Positions are shares of the plot's width.
    """
    each = [{factor.positions: factor for factor in factors(attribution, spec, index)} for _, attribution in columns]
    alike = [attribution.compares for _, attribution in columns]
    rows = _leading(each, alike, most)
    matched = [[_sum([column[positions] for positions in row]) for row in rows] for column in each]
    shared = [factor for column, compares in zip(matched, alike, strict=True) if compares for factor in column]
    drawn = []
    for (title, _), column, compares in zip(columns, matched, alike, strict=True):
        scale = _Scale.around(shared if compares else column)
        drawn.append({"title": title, "zero": scale(0.0), "bars": [_bar(factor, scale) for factor in column]})
    return {"labels": [_label(factor, one_row) for factor in matched[0]], "columns": drawn}


def strip(own: float, population: np.ndarray, cutoff: float | None, low: float, high: float) -> dict[str, Any]:
    """Where a score stands: the population's histogram over [low, high], the cut-off, this case."""
    counts, _ = np.histogram(population, bins=_BINS, range=(low, high))
    share = _Scale(low, high)
    return {
        "heights": (counts / max(counts.max(initial=0), 1)).tolist(),
        "own": share(own),
        "cutoff": None if cutoff is None else share(cutoff),
    }


def class_rows(outputs: np.ndarray, spec: ModelSpec, most: int = 5) -> list[dict[str, Any]]:
    """The likeliest classes of one row (1, columns), each with its probability as the bar's width."""
    p = probabilities(outputs, spec)[0]
    order = np.argsort(-p, kind="stable")[:most]
    return [{"label": spec.classes[k], "width": float(p[k]), "text": chance(float(p[k]))} for k in order]


def picture(row: np.ndarray, spec: ModelSpec) -> np.ndarray:
    """A row (h, w, channels) as (h, w, 3) uint8: three channels as colours; any other number in grey, its upper
    bound dark where the pictures are inked.
    """
    first = spec.features[0]
    share = np.clip((row - first.lower) / first.span, 0.0, 1.0)
    if share.shape[2] != 3:
        grey = share.mean(axis=2, keepdims=True)
        share = np.repeat(1.0 - grey if spec.inked else grey, 3, axis=2)
    return np.round(255 * share).astype(np.uint8)


def overlay(row: np.ndarray, effects: np.ndarray, limit: float, spec: ModelSpec) -> np.ndarray:
    """The picture, paled, with effects (h, w) over it: the diverging pair, as strong as their share of `limit`."""
    pale = 255 - (255 - picture(row, spec).astype(float)) * 0.35
    weight = np.clip(np.abs(effects) / (limit or 1.0), 0.0, 1.0)[..., None] * 0.9
    colour = np.where((effects > 0)[..., None], _rgb(LIGHT.raises), _rgb(LIGHT.lowers))
    return np.round(pale * (1 - weight) + colour * weight).astype(np.uint8)


def difference(before: np.ndarray, after: np.ndarray, limit: float) -> np.ndarray:
    """What was changed, (h, w, channels) each, in the attack's colour: white is nothing, full is `limit`."""
    weight = np.clip(np.abs(after - before).max(axis=2) / (limit or 1.0), 0.0, 1.0)[..., None]
    return np.round(255 * (1 - weight) + _rgb(LIGHT.attacked) * weight).astype(np.uint8)


def panel(title: str, pixels: np.ndarray, alt: str, marks: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """One picture as the template takes it; a large one by the means of squares of `step` by `step` pixels."""
    step = -(-max(pixels.shape[:2]) // _MOST_DRAWN)
    if step > 1:
        height, width = (size - size % step for size in pixels.shape[:2])
        squares = pixels[:height, :width].reshape(height // step, step, width // step, step, -1)
        pixels = np.round(squares.mean(axis=(1, 3))).astype(np.uint8)
    height, width = pixels.shape[:2]
    return {
        "title": title,
        "alt": alt,
        "step": step,
        "width": width,
        "height": height,
        "pixels": pixels.ravel().tolist(),
        "marks": list(marks),
    }


def marks(effects: np.ndarray, limit: float) -> list[dict[str, Any]]:
    """Signs for the strong cells of a small picture, (h, w); a large one has no room for them."""
    height, width = effects.shape
    if max(height, width) > _MOST_MARKED_WIDTH:
        return []
    strong = np.argwhere(np.abs(effects) >= max(_MARKED * limit, 1e-300))
    return [{"x": (x + 0.5) / width, "y": (y + 0.5) / height, "up": bool(effects[y, x] > 0)} for y, x in strong]


def plain_words(row: np.ndarray, spec: ModelSpec) -> list[dict[str, Any]]:
    """The pieces of a text (length,) as the template takes them, without colour."""
    places = np.flatnonzero(spec.vocabulary.ordinary(row))
    return [_word(spec.vocabulary.piece(row[place]), 0.0, False, False) for place in places]


def shaded_words(attribution: Attribution, limit: float, spec: ModelSpec, index: int = 0) -> list[dict[str, Any]]:
    """The pieces of one row's text, each with the strength of its effect as a share of `limit`."""
    row, values = attribution.query.rows[index], attribution.values[index]
    shown = []
    for place in np.flatnonzero(spec.vocabulary.ordinary(row)):
        share = min(1.0, abs(float(values[place])) / (limit or 1.0))
        shown.append(_word(spec.vocabulary.piece(row[place]), share, bool(values[place] > 0), share >= _MARKED))
    return shown


def _word(piece: str, share: float, up: bool, marked: bool) -> dict[str, Any]:
    """`space`: whether it stands apart from the piece before it; `marked`: whether it carries its sign."""
    return {"text": piece.strip(), "space": piece.startswith(" "), "share": share, "up": up, "marked": marked}


def pixel_effects(attribution: Attribution, index: int = 0) -> np.ndarray:
    """One row's effects (h, w), channels added up."""
    return attribution.values[index].sum(axis=2)


# --- charts of many rows ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Axis:
    """One side of a chart: what it shows, from where to where, and its ticks (value, text)."""

    label: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]

    @classmethod
    def shares(cls, label: str) -> "Axis":
        """From 0 to 100%."""
        return cls(label, 0.0, 1.0, ((0.0, "0"), (0.25, "25%"), (0.5, "50%"), (0.75, "75%"), (1.0, "100%")))

    @classmethod
    def around(cls, label: str, values: np.ndarray, show: Callable[[float], str] = number) -> "Axis":
        """Over all that is shown of `values`, its ends and its middle told by `show`."""
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        places = [low] if low == high else [low, (low + high) / 2, high]
        return cls(label, low, high, tuple((place, show(place)) for place in places))

    def __call__(self, value: float) -> float:
        return _Scale(self.low, self.high)(value)

    @property
    def drawn(self) -> dict[str, Any]:
        return {"label": self.label, "ticks": [[self(value), text] for value, text in self.ticks]}


@dataclass(frozen=True)
class Chart:
    """Lines, dots and words over two axes; `line`, `dot` and `label` return the chart with one more."""

    title: str
    alt: str
    across: Axis
    upwards: Axis
    height: int = 46
    lines: tuple[dict[str, Any], ...] = ()
    dots: tuple[dict[str, Any], ...] = ()
    labels: tuple[dict[str, Any], ...] = ()

    def line(self, xs: Any, ys: Any, hue: str = "size", dash: str = "solid", width: float = 1.2) -> "Chart":
        """A line through the points, of very many only some."""
        step = max(1, len(xs) // _MOST_PLACES)
        chosen = sorted({*range(0, len(xs), step), len(xs) - 1})
        points = [[self.across(float(xs[i])), self.upwards(float(ys[i]))] for i in chosen]
        return replace(self, lines=(*self.lines, {"points": points, "hue": hue, "dash": dash, "width": width}))

    def dot(
        self,
        x: float,
        y: float,
        ends: tuple[float, float] | None = None,
        hue: str = "size",
        size: float = 2.2,
        hollow: bool = False,
    ) -> "Chart":
        """One point, with its interval upwards."""
        interval = None if ends is None else [self.upwards(end) for end in ends]
        dot = {"x": self.across(x), "y": self.upwards(y), "interval": interval, "hue": hue, "size": size}
        return replace(self, dots=(*self.dots, {**dot, "open": hollow}))

    def label(self, x: float, y: float, text: str, hue: str = "ink") -> "Chart":
        """Words beside a point, on the side where there is room."""
        place = self.across(x)
        label = {"x": place, "y": self.upwards(y), "text": text, "hue": hue, "end": place > 0.5}
        return replace(self, labels=(*self.labels, label))

    @property
    def drawn(self) -> dict[str, Any]:
        """As the template takes it."""
        return {
            "title": self.title,
            "alt": self.alt,
            "height": self.height,
            "across": self.across.drawn,
            "upwards": self.upwards.drawn,
            "lines": list(self.lines),
            "dots": list(self.dots),
            "labels": list(self.labels),
        }


def size_rows(ranked: Sequence[tuple[str, float, float, float]]) -> dict[str, Any]:
    """Bars from zero, each a title, its length and the ends of its interval."""
    scale = _Scale(0.0, max((high for *_, high in ranked), default=1.0))
    bars = [
        {"from": 0.0, "to": scale(size), "interval": [scale(low), scale(high)], "kind": "size", "text": number(size)}
        for _, size, low, high in ranked
    ]
    return {
        "labels": [[title, ""] for title, *_ in ranked],
        "columns": [{"title": "", "zero": 0.0, "bars": bars}],
    }


def share_rows(
    columns: Sequence[tuple[str, Sequence[tuple[float, tuple[float, float]] | None]]],
) -> list[dict[str, Any]]:
    """Columns of shares as points from 0 to 1, each with its interval; None: nothing to show."""
    return [{"title": title, "zero": 0.0, "bars": [_point(each) for each in shares]} for title, shares in columns]


def _point(each: tuple[float, tuple[float, float]] | None) -> dict[str, Any]:
    if each is None:
        return {"from": 0.0, "to": 0.0, "interval": None, "kind": "none", "text": "none"}
    share, ends = each
    return {"from": 0.0, "to": share, "interval": list(ends), "kind": "point", "text": percent(share)}


def matrix_rows(counts: np.ndarray) -> list[list[dict[str, Any]]]:
    """Counts (k, k) of true by decided class as texts, each with its share of its row."""
    totals = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    shares = counts / totals
    return [
        [{"text": f"{int(count):,}", "share": float(share)} for count, share in zip(row, part, strict=True)]
        for row, part in zip(counts, shares, strict=True)
    ]


@dataclass(frozen=True)
class _Scale:
    """From a value to its share of a width."""

    low: float
    high: float

    def __call__(self, value: float) -> float:
        return float(np.clip((value - self.low) / ((self.high - self.low) or 1.0), 0.0, 1.0))

    @classmethod
    def around(cls, shown: Sequence[Factor]) -> "_Scale":
        """From the lowest end of any bar or interval to the highest, zero always inside."""
        ends = [0.0] + [factor.effect + side * 2 * factor.error for factor in shown for side in (-1, 1)]
        return cls(min(ends), max(ends))


def _label(factor: Factor, with_value: bool) -> list[str]:
    """Name and value; of a large family how many features it holds, which a table lists one by one."""
    size = len(factor.positions)
    if factor.shown and size > 2:
        return [factor.heading, f"{size} features"]
    return [factor.heading, factor.shown if with_value else ""]


def _leading(columns: list[dict[tuple[int, ...], Factor]], alike: list[bool], most: int) -> list[list[tuple[int, ...]]]:
    """The factors of each row, by their positions: one by one, and in the last row all that are left."""
    judged = [column for column, compares in zip(columns, alike, strict=True) if compares] or columns

    def largest(positions: tuple[int, ...]) -> float:
        return max(abs(column[positions].effect) for column in judged)

    order = list(columns[0])
    if len(order) <= most + 1:
        return [[positions] for positions in order]
    shown = set(sorted(order, key=largest, reverse=True)[:most])
    rest = [positions for positions in order if positions not in shown]
    return [*([positions] for positions in order if positions in shown), rest]


def _sum(members: list[Factor]) -> Factor:
    return members[0] if len(members) == 1 else together(members)


def _bar(factor: Factor, scale: _Scale) -> dict[str, Any]:
    ends = sorted((scale(0.0), scale(factor.effect)))
    around = None
    if factor.error:
        around = [scale(factor.effect - 2 * factor.error), scale(factor.effect + 2 * factor.error)]
    kind = "unsure" if not factor.sure else "raises" if factor.raises else "lowers"
    return {"from": ends[0], "to": ends[1], "interval": around, "kind": kind, "text": signed(factor.effect)}


def _rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], dtype=float)
