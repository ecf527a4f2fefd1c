"""Figures over many rows: importance, performance, robustness. Pure functions of arrays."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from core.results import Attacked, mean_ranks
from core.scores import log_odds, sigmoid

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


def rank_correlations(rows: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation of each two columns of rows (n, d), as (d, d); a missing value counts as the middle.

    It is 0 with a column that is the same throughout.
    """
    ranks = np.zeros(rows.shape)
    for column, values in enumerate(rows.T):
        known = ~np.isnan(values)
        if known.any():
            found = mean_ranks(values[known])
            ranks[known, column] = found - found.mean()
    sizes = np.sqrt((ranks**2).sum(axis=0))
    return (ranks.T @ ranks) / np.maximum(np.outer(sizes, sizes), 1e-300)


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
class Estimate:
    """A figure with its 95% interval."""

    value: float
    low: float
    high: float


def share(happened: np.ndarray) -> Estimate:
    """The share of rows (n,) in which it happened, with the Wilson interval; NaN of none."""
    n = len(happened)
    return Estimate(float(happened.mean()) if n else float("nan"), *wilson(happened.sum(), n))


def area(labels: np.ndarray, chance: np.ndarray) -> Estimate:
    """The area under the ROC curve of probabilities (n,) against labels (n,) in {0, 1}; NaN where one is missing.

    The interval is that of DeLong, DeLong and Clarke-Pearson 1988, Comparing the Areas under Two or More Correlated
    ROC Curves, computed by ranks as in Sun and Xu 2014, and taken on the log-odds of the area, so that it stays
    between 0 and 1. Where every pair is in order, or none, nothing varies: the rule of three on the smaller class.
    """
    hits, others = chance[labels == 1], chance[labels == 0]
    m, n = len(hits), len(others)
    if not m or not n:
        return Estimate(float("nan"), 0.0, 1.0)
    among = mean_ranks(np.concatenate([hits, others]))
    of_hits = (among[:m] - mean_ranks(hits)) / n  # the share of others that each is above, ties by half
    of_others = 1 - (among[m:] - mean_ranks(others)) / m
    found, fewest = float(of_hits.mean()), min(m, n)
    if found in (0.0, 1.0):
        left = min(1.0, 3 / fewest)
        return Estimate(found, max(0.0, found - left), min(1.0, found + left))
    if fewest < 2:
        return Estimate(found, 0.0, 1.0)
    variance = of_hits.var(ddof=1) / m + of_others.var(ddof=1) / n
    reach = 1.959964 * np.sqrt(variance) / (found * (1 - found))
    low, high = sigmoid(log_odds(found) + np.array([-reach, reach]))
    return Estimate(found, float(low), float(high))


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
class Group:
    """Rows that have a value of a feature in common. All are figures; none is a verdict.

    `inside` (n,) says which rows; `lower` and `upper` are the ends of their values, NaN where these are missing. `rate`
    is the share of them that is selected, or the mean of their predicted numbers; `wrong` the share decided otherwise
    than labelled, or the mean distance from the true number, None where none of them has a true answer. The gaps are
    those to all other rows; None where there are none.
    """

    inside: np.ndarray
    lower: float
    upper: float
    rate: Estimate
    rate_gap: Estimate | None
    wrong: Estimate | None
    wrong_gap: Estimate | None

    @property
    def rows(self) -> int:
        return int(self.inside.sum())


def groups(values: np.ndarray, coded: bool, rate: np.ndarray, wrong: np.ndarray, known: np.ndarray) -> list[Group]:
    """The groups that a feature's `values` (n,) make: each code, quarters of numbers, and the missing.

    `rate` and `wrong` (n,): booleans of a decision, numbers of a prediction; `known` (n,) which rows have an answer.
    """
    found = []
    for inside, lower, upper in _members(values, coded):
        judged, others = inside & known, ~inside & known
        found.append(
            Group(
                inside,
                lower,
                upper,
                _estimate(rate[inside]),
                _gap(rate[inside], rate[~inside]),
                _estimate(wrong[judged]) if judged.any() else None,
                _gap(wrong[judged], wrong[others]),
            )
        )
    return found


def _members(values: np.ndarray, coded: bool) -> Iterator[tuple[np.ndarray, float, float]]:
    """Which rows each group holds (n,), and the ends of its values: quarters of equal size, ties kept together."""
    missing = np.isnan(values)
    known = values[~missing]
    if coded:
        uppers = np.unique(known)
    else:
        uppers = np.unique(np.quantile(known, [0.25, 0.5, 0.75, 1], method="inverted_cdf")) if len(known) else known
    place = np.where(missing, -1, np.searchsorted(uppers, values))
    for number in range(len(uppers)):
        inside = place == number
        yield inside, float(values[inside].min()), float(values[inside].max())
    if missing.any():
        yield missing, float("nan"), float("nan")


def _estimate(values: np.ndarray) -> Estimate:
    """A share, or a mean with the interval of the normal distribution."""
    if values.dtype == bool:
        return share(values)
    mean, error = float(values.mean()), _standard_error(values)
    return Estimate(mean, mean - 1.959964 * error, mean + 1.959964 * error)


def _gap(one: np.ndarray, other: np.ndarray) -> Estimate | None:
    """How much larger the share or mean of one is than of the other; None where either is empty.

    Of shares the interval is Newcombe's (1998, Interval Estimation for the Difference Between Independent Proportions,
    method 10), of means Welch's.
    """
    if not len(one) or not len(other):
        return None
    a, b = _estimate(one), _estimate(other)
    gap = a.value - b.value
    if one.dtype == bool:
        return Estimate(
            gap,
            gap - float(np.hypot(a.value - a.low, b.high - b.value)),
            gap + float(np.hypot(a.high - a.value, b.value - b.low)),
        )
    reach = 1.959964 * float(np.hypot(_standard_error(one), _standard_error(other)))
    return Estimate(gap, gap - reach, gap + reach)


def _standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("inf")


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


@dataclass(frozen=True)
class AttackChecks:
    """Whether attacks behave as they do where nothing hides the way from them (Carlini et al. 2019, On Evaluating
    Adversarial Robustness, section 5). What could not be checked is None.

    `grows`: whether never fewer decisions turn at a larger size. `beaten_by`: the names of other attacks that turn
    more at the same size than the strongest. `beats_noise`: whether never fewer turn than by noise of equal size.
    `standing`: how many decisions hold although every value may move through its whole range.
    """

    grows: bool | None
    beaten_by: tuple[str, ...] | None
    beats_noise: bool
    standing: int | None


def attack_checks(growing: Sequence[Attacked], others: Sequence[Attacked], extreme: Attacked | None) -> AttackChecks:
    """The checks on the strongest attack at `growing` sizes, beside others at one of these sizes, on the same rows."""
    turned = [int(each.success.sum()) for each in growing]
    by_size = {each.size: count for each, count in zip(growing, turned, strict=True)}
    beaten_by = tuple(
        each.method.name for each in others if each.size in by_size and each.success.sum() > by_size[each.size]
    )
    return AttackChecks(
        grows=all(a <= b for a, b in itertools.pairwise(turned)) if len(turned) > 1 else None,
        beaten_by=beaten_by if others else None,
        beats_noise=all(each.success.sum() >= each.noise_success.sum() for each in growing),
        standing=None if extreme is None else int((~extreme.success).sum()),
    )
