"""Figures over many rows: importance, performance, robustness. Pure functions of arrays."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

LEAST_TEXTS = 3


@dataclass(frozen=True)
class Importance:
    """Mean absolute attribution of each feature (d,), with a 95% bootstrap interval over the rows."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def importance(values: np.ndarray, seed: int = 0, draws: int = 400) -> Importance:
    """Importance from attributions (n, *shape), flattened to (d,).

    The interval is the percentile bootstrap over rows (Efron and Tibshirani 1993, chapter 13).
    """
    size = np.abs(values.reshape(len(values), -1))
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(len(size), np.full(len(size), 1 / len(size)), size=draws) / len(size)
    low, high = np.percentile(weights @ size, [2.5, 97.5], axis=0)
    return Importance(size.mean(axis=0), low, high)


def ranking(values: np.ndarray) -> np.ndarray:
    """Feature positions (d,) by mean absolute attribution (n, *shape), the largest first."""
    return np.argsort(-np.abs(values.reshape(len(values), -1)).mean(axis=0), kind="stable")


@dataclass(frozen=True)
class TokenEffect:
    """A token's effect over the texts that hold it: `mean` of its effects, `size` of their absolute values."""

    token: int
    mean: float
    size: float
    texts: int


def token_effects(
    rows: Sequence[np.ndarray], values: Sequence[np.ndarray], ordinary: Callable[[np.ndarray], np.ndarray]
) -> list[TokenEffect]:
    """The tokens of texts `rows`, each (length,), by the mean size of their effects `values`, the largest first.

    `ordinary` says which places of a text hold one of its own tokens. A token that occurs twice in a text counts
    with both effects together; one that fewer than `LEAST_TEXTS` texts hold is left out, as chance would rank it.
    """
    found: dict[int, list[float]] = {}
    for row, effects in zip(rows, values, strict=True):
        kept = ordinary(row)
        tokens, place = np.unique(row[kept], return_inverse=True)
        for token, effect in zip(tokens, np.bincount(place, effects[kept], len(tokens)), strict=True):
            found.setdefault(int(token), []).append(float(effect))
    listed = [
        TokenEffect(token, float(np.mean(each)), float(np.abs(each).mean()), len(each))
        for token, each in found.items()
        if len(each) >= LEAST_TEXTS
    ]
    return sorted(listed, key=lambda each: (-each.size, each.token))


def rates(happened: np.ndarray, decided: np.ndarray) -> tuple[float, float]:
    """False and true positive rate of decisions (n,) for whether it happened (n,)."""
    false = (decided & ~happened).sum() / max((~happened).sum(), 1)
    true = (decided & happened).sum() / max(happened.sum(), 1)
    return float(false), float(true)


def wilson(successes: float, n: int) -> tuple[float, float]:
    """The 95% Wilson score interval of a share (Wilson 1927)."""
    if n == 0:
        return 0.0, 1.0
    z, share = 1.959964, successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return float(max(0.0, centre - half)), float(min(1.0, centre + half))


def confusion(labels: np.ndarray, decided: np.ndarray, classes: int) -> np.ndarray:
    """Counts (classes, classes): true class by decided class."""
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (labels, decided), 1)
    return counts


@dataclass(frozen=True)
class Roc:
    """The ROC curve of a two-class score: rates at every threshold, and the area under it."""

    false_positive: np.ndarray
    true_positive: np.ndarray
    area: float


def roc(labels: np.ndarray, chance: np.ndarray) -> Roc:
    """ROC curve of probabilities (n,) against labels (n,) in {0, 1}; ties move together."""
    order = np.argsort(-chance, kind="stable")
    hits = labels[order] == 1
    last = np.append(np.flatnonzero(np.diff(chance[order])), len(chance) - 1)
    true_positive = np.concatenate([[0], np.cumsum(hits)[last]]) / max(hits.sum(), 1)
    false_positive = np.concatenate([[0], np.cumsum(~hits)[last]]) / max((~hits).sum(), 1)
    return Roc(false_positive, true_positive, float(np.trapezoid(true_positive, false_positive)))


@dataclass(frozen=True)
class Calibration:
    """Observed against stated probability in bins of equal count, with 95% intervals."""

    stated: np.ndarray
    observed: np.ndarray
    low: np.ndarray
    high: np.ndarray
    count: np.ndarray


def calibration(happened: np.ndarray, chance: np.ndarray, bins: int = 10) -> Calibration:
    """Calibration of probabilities (n,) for whether it happened (n,)."""
    order = np.argsort(chance, kind="stable")
    parts = [part for part in np.array_split(order, min(bins, len(order))) if len(part)]
    ends = [wilson(happened[part].sum(), len(part)) for part in parts]
    return Calibration(
        stated=np.array([chance[part].mean() for part in parts]),
        observed=np.array([happened[part].mean() for part in parts]),
        low=np.array([low for low, _ in ends]),
        high=np.array([high for _, high in ends]),
        count=np.array([len(part) for part in parts]),
    )


@dataclass(frozen=True)
class Fit:
    """How near predicted numbers come to the true ones.

    `r2` is the share of the true numbers' variance that is predicted, NaN where they are all alike; `error` the
    mean absolute error and `usual` that of saying the median of the true numbers every time. Intervals are 95%.
    """

    r2: float
    r2_interval: tuple[float, float]
    error: float
    error_interval: tuple[float, float]
    usual: float


def fit(truth: np.ndarray, predicted: np.ndarray, seed: int = 0, draws: int = 1000) -> Fit:
    """The fit of predictions (n,) to true numbers (n,).

    The intervals are the percentile bootstrap over rows (Efron and Tibshirani 1993, chapter 13), one thousand draws.
    """
    rng = np.random.default_rng(seed)
    n, missed = len(truth), np.abs(predicted - truth)
    r2s, errors = np.empty(draws), np.empty(draws)
    for draw in range(draws):
        chosen = rng.integers(n, size=n)
        r2s[draw], errors[draw] = _r2(truth[chosen], predicted[chosen]), missed[chosen].mean()
    known = r2s[np.isfinite(r2s)]
    r2_ends = np.percentile(known, [2.5, 97.5]) if len(known) else (np.nan, np.nan)
    error_ends = np.percentile(errors, [2.5, 97.5])
    usual = float(np.abs(truth - np.median(truth)).mean())
    pairs = [(float(low), float(high)) for low, high in (r2_ends, error_ends)]
    return Fit(_r2(truth, predicted), pairs[0], float(missed.mean()), pairs[1], usual)


def _r2(truth: np.ndarray, predicted: np.ndarray) -> float:
    """1 less the squared errors over the squared distances from the mean; NaN where there are none."""
    around = ((truth - truth.mean()) ** 2).sum()
    return float(1 - ((predicted - truth) ** 2).sum() / around) if around > 0 else float("nan")


@dataclass(frozen=True)
class Robustness:
    """The share of rows decided rightly and still so under attack, and under noise of equal size."""

    rows: int
    accuracy: float
    attacked: float
    attacked_interval: tuple[float, float]
    noise: float


def robustness(labels: np.ndarray, clean: np.ndarray, attacked: np.ndarray, noise: np.ndarray) -> Robustness:
    """Robust accuracy from decided classes (n,) before and after; a row wrong from the start stays wrong."""
    right = clean == labels
    holds, holds_noise = right & (attacked == clean), right & (noise == clean)
    n = len(labels)
    return Robustness(n, float(right.mean()), float(holds.mean()), wilson(holds.sum(), n), float(holds_noise.mean()))
