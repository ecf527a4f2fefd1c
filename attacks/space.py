"""Where an attack may go: each feature's range is the unit, its bounds and constraints are walls.

A *move* is a displacement from the clean row in units of the features' ranges, (n, features). A
category or boolean moves by whole codes and any change of it counts 1. A missing value stays missing.
A value outside its bounds already may stay or come nearer to them.
"""

import math

import numpy as np

from core.nouns import ModelSpec

_FAR = 1e12  # longer than any ball, short enough to be squared
_TINY = 1e-9  # what rounding may add to a distance


class Space:
    """The legal neighbourhood of rows under one model's features."""

    def __init__(self, spec: ModelSpec) -> None:
        features = tuple(spec.features)
        if len(features) != math.prod(spec.shape):
            raise ValueError(f"{len(features)} features describe rows of shape {spec.shape}")
        self.features = features
        self.coded = np.array([f.kind in ("category", "boolean") for f in features])
        self.whole = np.array([f.kind == "integer" for f in features])
        self.movable = np.array([f.mutable and f.kind != "token" for f in features])
        self.lower = np.array([0.0 if coded else f.lower for f, coded in zip(features, self.coded, strict=True)])
        self.upper = np.array(
            [
                len(f.categories) - 1.0 if f.kind == "category" else 1.0 if f.kind == "boolean" else f.upper
                for f in features
            ]
        )
        self.span = np.array([1.0 if coded else f.span for f, coded in zip(features, self.coded, strict=True)])
        self._may_fall = self.movable & np.array([f.direction != "up" for f in features])
        self._may_rise = self.movable & np.array([f.direction != "down" for f in features])

    def radius(self, norm: str, size: float) -> float:
        """`size`, or the largest distance between two legal rows where that is less."""
        return min(size, 1.0 if norm == "linf" else math.sqrt(len(self.features)))

    def able(self, size: float) -> np.ndarray:
        """The features (features,) that can move at all within `size`: codes and whole numbers need a whole step."""
        least = np.where(self.coded | self.whole, 1.0 / self.span, 0.0)
        return self.movable & (size >= least - _TINY)

    def moves(self, rows: np.ndarray, clean: np.ndarray) -> np.ndarray:
        """How far each feature of `rows` (n, *shape) lies from `clean`, as moves (n, features)."""
        return np.nan_to_num((_flat(rows) - _flat(clean)) / self.span)

    def move(self, clean: np.ndarray, moves: np.ndarray, norm: str, size: float) -> np.ndarray:
        """`clean` (n, *shape) displaced by `moves` (n, features) and brought to the nearest legal row.

        Legal: inside the ball of `size` in `norm`, inside the bounds, only in the permitted direction.
        Whole numbers are rounded toward the clean value, so that they stay inside the ball. Under l2
        changed codes are kept in the order of the features while they fit, the rest gets what is left.
        """
        flat, moves = _flat(clean), np.nan_to_num(moves)
        low, high = self._walls(flat)
        legal = np.where(self.coded, np.rint(moves), moves)
        if norm == "linf":
            codes = legal if size >= 1 - _TINY else 0.0
            legal = np.where(self.coded, codes, np.clip(legal, -size, size)).clip(low, high)
        else:
            codes = np.where(self.coded, legal.clip(low, high), 0.0)
            codes[np.cumsum(codes != 0, axis=1) > size**2 + _TINY] = 0.0
            left = np.sqrt(np.maximum(size**2 - (codes != 0).sum(axis=1), 0.0))
            legal = codes + _into_ball(np.where(self.coded, 0.0, legal), low, high, left)
        rows = (flat + legal * self.span).clip(*self._ends(flat))
        rows = np.where(self.whole, _rounded_toward(flat, rows), rows)
        return np.where(legal == 0, flat, rows).reshape(clean.shape)

    def project(self, rows: np.ndarray, clean: np.ndarray, norm: str, size: float) -> np.ndarray:
        """The legal rows nearest to `rows`; shapes (n, *shape)."""
        return self.move(clean, self.moves(rows, clean), norm, size)

    def reach(self, clean: np.ndarray, direction: np.ndarray, norm: str, size: float) -> np.ndarray:
        """The legal rows furthest along `direction` (n, features): what maximises a linear function."""
        return self.move(clean, _FAR * scaled(direction), norm, size)

    def noise(self, rows: np.ndarray, norm: str, size: float, seed: int) -> np.ndarray:
        """One seeded random move for each row, of full size where the bounds allow it.

        linf: every movable feature by the size, up or down. l2: a random direction. Codes change to a
        random one where the size reaches that far.
        """
        rng = np.random.default_rng(seed)
        direction = self.directions(rng, len(rows), norm) * self.movable
        far = _FAR * direction
        codes = self.codes(rng, len(rows)) - _flat(rows)
        changes = np.abs(direction) * size >= (1.0 if norm == "linf" else 0.5)
        return self.move(rows, np.where(self.coded, np.where(changes, codes, 0.0), far), norm, size)

    def directions(self, rng: np.random.Generator, count: int, norm: str) -> np.ndarray:
        """Random directions (count, features) of length 1 in `norm`: signs, or points on the sphere."""
        shape = (count, len(self.features))
        if norm == "linf":
            return rng.choice([-1.0, 1.0], shape)
        normal = rng.standard_normal(shape) * self.movable
        return normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-300)

    def codes(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Random legal codes (count, features) for categories and booleans, 0 elsewhere."""
        ends = np.where(self.coded, self.upper, 0.0)
        return np.floor(rng.random((count, len(ends))) * (ends + 1))

    def distance(self, a: np.ndarray, b: np.ndarray, norm: str) -> np.ndarray:
        """The distance of each row of `a` from that of `b` (n,); infinite where only one is missing."""
        gaps = self._gaps(_flat(a), _flat(b))
        return gaps.max(axis=1, initial=0.0) if norm == "linf" else np.sqrt((gaps**2).sum(axis=1))

    def violations(self, rows: np.ndarray, clean: np.ndarray, norm: str, size: float) -> list[str]:
        """A sentence for every row or value of `rows` that is not legal beside `clean`; none: all are."""
        a, b = _flat(rows), _flat(clean)
        gap = self._gaps(a, b)
        moved = gap > 0
        slack = _TINY * self.span
        lowest, highest = self._ends(b)
        walls = {
            "is missing in one and not in the other": np.isinf(gap),
            "may not be changed": moved & ~self.movable,
            "may only rise": moved & (a < b) & ~self._may_fall,
            "may only fall": moved & (a > b) & ~self._may_rise,
            "is below its lower bound": moved & (a < lowest - slack),
            "is above its upper bound": moved & (a > highest + slack),
            "must be a whole number": moved & (self.whole | self.coded) & (a != np.rint(a)),
        }
        found = [
            f"row {row}: {self.features[column].title} {sentence}"
            for sentence, where in walls.items()
            for row, column in np.argwhere(where)
        ]
        far = self.distance(rows, clean, norm)
        too_far = np.flatnonzero(far > size + 1e-6)
        return found + [f"row {row}: it moved by {far[row]:.6g}, further than {size:g}" for row in too_far]

    def _gaps(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Each feature's own distance (n, features): a changed code counts 1, a missing value infinity."""
        gaps = np.where(self.coded, (a != b).astype(np.float64), np.abs(a - b) / self.span)
        missing = np.isnan(a), np.isnan(b)
        return np.where(missing[0] | missing[1], np.where(missing[0] & missing[1], 0.0, np.inf), gaps)

    def _ends(self, clean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The least and largest legal values (n, features): the bounds, or a clean value outside them."""
        return (
            np.where(self.coded, self.lower, np.minimum(self.lower, clean)),
            np.where(self.coded, self.upper, np.maximum(self.upper, clean)),
        )

    def _walls(self, clean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The lowest and highest legal move of each feature, at most and at least 0; size not counted."""
        known = ~self.coded | (clean >= self.lower) & (clean <= self.upper)
        low = np.where(known & self._may_fall, (self.lower - clean) / self.span, 0.0)
        high = np.where(known & self._may_rise, (self.upper - clean) / self.span, 0.0)
        return np.nan_to_num(low).clip(max=0.0), np.nan_to_num(high).clip(min=0.0)


def scaled(direction: np.ndarray) -> np.ndarray:
    """Each row of `direction` (n, features) divided by its largest entry, so that tiny gradients count too."""
    largest = np.abs(direction).max(axis=1, keepdims=True, initial=0.0)
    return direction / np.where(largest > 0, largest, 1.0)


def _flat(rows: np.ndarray) -> np.ndarray:
    return rows.reshape(len(rows), math.prod(rows.shape[1:]))


def _rounded_toward(clean: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The whole numbers between `rows` and `clean` that are nearest to `rows`; `clean` where there is none."""
    return np.where(rows > clean, np.maximum(np.floor(rows + _TINY), clean), np.minimum(np.ceil(rows - _TINY), clean))


def _into_ball(moves: np.ndarray, low: np.ndarray, high: np.ndarray, length: np.ndarray) -> np.ndarray:
    """The nearest point to `moves` (n, features) in the box [low, high] with Euclidean length at most
    `length` (n,).

    The box holds 0, so by the Karush-Kuhn-Tucker conditions that point is clip(t * moves) for one t in
    [0, 1]. The squared length of clip(t * moves) grows with t and is quadratic between the points where
    a feature meets its wall: find the piece that reaches `length` and solve it.
    """
    far = np.abs(moves)
    wall = np.where(moves > 0, high, -low) * (far > 0)
    meets = np.divide(wall, far, out=np.zeros_like(far), where=far > 0)
    order = np.argsort(meets, axis=1)
    meets, wall2, far2 = (np.take_along_axis(each, order, axis=1) for each in (meets, wall**2, far**2))
    at_walls = np.cumsum(wall2, axis=1) - wall2  # squared length of what met its wall earlier
    free = np.cumsum(far2[:, ::-1], axis=1)[:, ::-1]  # squared speed of what still moves
    squared = at_walls + meets**2 * free
    reached = squared >= (length**2)[:, None]
    piece = np.where(reached.any(axis=1), reached.argmax(axis=1), -1)
    rows = np.arange(len(moves))
    left = np.maximum(length**2 - at_walls[rows, piece], 0.0)
    scale = np.sqrt(np.divide(left, free[rows, piece], out=np.zeros_like(left), where=free[rows, piece] > 0))
    scale = np.where(piece >= 0, np.minimum(scale, 1.0), 1.0)
    return np.clip(scale[:, None] * moves, low, high)
