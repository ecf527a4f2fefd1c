"""SHAP values of any model by sampled orders of its features, with the sampling error of each value."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import final

import numpy as np

from core.models import Differentiable, Model
from core.nouns import ModelSpec, Query
from core.options import option
from core.scores import score
from explainers.base import Explainer, Progress, RawAttribution, differing

Scores = Callable[[np.ndarray], np.ndarray]  # flat rows (m, features) -> (m,)

_BATCH = 4096  # rows sent to the model in one call
_NUMBERS = 8_000_000  # in the rows of one call
_SQUARES = 64  # of a large picture
_LEAST_ROUNDS = 3  # pairs for each reference row: fewer leave too little to tell its variance by


@final
@dataclass(frozen=True)
class PermutationShap(Explainer):
    """Interventional SHAP by antithetic pairs of feature orders, each pair with one reference row.

    An order turns a reference row into the explained row feature by feature, and each feature gets
    the change of the score at its turn (Castro et al. 2009, section 3); the same order backwards is
    its antithetic twin (Mitchell et al. 2022). The reference is gone through in turn, equally often,
    so that every sum is `f(x) - mean(f(reference))` whatever was sampled.

    The pairs of one reference row differ by their orders alone, so their variance, pooled over the
    reference rows, is that of the sampling: `error` is the standard error of each value, widened for
    the few degrees of freedom it rests on, so that 1.96 errors to either side are a 95% interval.

    All rows of a query share the orders, so that a row's answer does not hang on its neighbours and
    before and after an attack are compared without fresh noise. A feature that is the same in the row and in
    every reference row cannot move the score: it gets exactly zero and no turn of its own.

    The pixels of a large picture come in squares, each with one turn; a square's share is dealt out equally to
    those of its pixels that differ.
    """

    name = "permutation_shap"
    title = "Permutation SHAP"
    version = "2"
    family = "shap"
    summary = "SHAP for any model: sampled orders of the features, with the sampling error of each value."
    source = (
        "Castro, Gomez and Tejada 2009, Polynomial calculation of the Shapley value based on sampling, section 3; "
        "Mitchell et al. 2022, Sampling Permutations for Shapley Value Estimation, on antithetic sampling"
    )
    tolerance = 1e-6

    pairs: int = option(
        300,
        "Pairs of orders",
        "Antithetic pairs of feature orders for each row. More make the error smaller. Rounded "
        "up so that every reference row serves equally often, and at least three times.",
        low=64,
        high=100_000,
    )
    square: int = option(
        0,
        "Square",
        "Side of the squares of a picture that take their turn together, in pixels. 0: so large that there are at "
        "most 64 of them.",
        low=0,
        high=1024,
    )

    def refusal(self, spec: ModelSpec) -> str | None:
        return None

    def _run(self, model: Model, query: Query, progress: Progress) -> RawAttribution:
        rows = query.rows.reshape(len(query), -1)
        reference = query.reference.rows.reshape(len(query.reference), -1)
        rounds = max(_LEAST_ROUNDS, -(-self.pairs // len(reference)))
        groups = _groups(model.spec, self.square)
        ranks = _ranks(query.seed, rounds * len(reference), groups.max() + 1)

        def scores(flat: np.ndarray) -> np.ndarray:
            return score(model.predict(flat.reshape(-1, *model.spec.shape)), query.target, model.spec)

        at_rows, at_reference = scores(rows), np.tile(scores(reference), rounds)
        starts = np.tile(reference, (rounds, 1))
        values, error = np.zeros(rows.shape), np.zeros(rows.shape)
        sent = len(reference) + len(rows)
        for index, row in enumerate(rows):
            moving = np.flatnonzero(differing(row, reference).any(axis=0))
            players, player = np.unique(groups[moving], return_inverse=True)
            turns = _among(ranks, players)
            shares = np.empty(turns.shape)
            for part in _parts(*turns.shape, len(row)):
                gains = _antithetic_gains(scores, row, starts[part], turns[part], moving, player)
                shares[part] = _shares(gains, at_rows[index] - at_reference[part], turns[part])
                sent += 2 * gains.size
                progress((index + part.stop / len(ranks)) / len(rows))
            alike = np.bincount(player, minlength=len(players))
            values[index, moving] = (shares.mean(axis=0) / alike)[player]
            error[index, moving] = (_standard_error(shares.reshape(rounds, len(reference), -1)) / alike)[player]
        shape = query.rows.shape
        facts = {"pairs": len(ranks), "model_rows": sent}
        if isinstance(model, Differentiable):
            facts["device"] = model.device
        return RawAttribution(values.reshape(shape), error.reshape(shape), facts)


def _groups(spec: ModelSpec, square: int) -> np.ndarray:
    """Which features take their turn together (features,): each by itself, or those of a square of a picture."""
    if spec.modality != "image":
        return np.arange(int(np.prod(spec.shape)))
    height, width, channels = spec.shape
    side = square or next(side for side in itertools.count(1) if -(-height // side) * -(-width // side) <= _SQUARES)
    if side == 1:
        return np.arange(height * width * channels)
    rows, columns = np.arange(height) // side, np.arange(width) // side
    return np.repeat((rows[:, None] * (columns[-1] + 1) + columns).ravel(), channels)


def _ranks(seed: int, pairs: int, features: int) -> np.ndarray:
    """Seeded orders as ranks (pairs, features): the turn at which each feature comes."""
    return np.random.default_rng(seed).permuted(np.tile(np.arange(features), (pairs, 1)), axis=1)


def _among(ranks: np.ndarray, players: np.ndarray) -> np.ndarray:
    """The orders `ranks` (pairs, groups) of some groups alone, as ranks (pairs, players)."""
    if len(players) == ranks.shape[1]:
        return ranks
    return ranks[:, players].argsort(axis=1).argsort(axis=1)


def _parts(pairs: int, players: int, features: int) -> Iterator[slice]:
    """Slices of the pairs, each of about `_BATCH` model rows, fewer where rows are large."""
    if not players:
        return
    size = max(1, min(_BATCH, _NUMBERS // features) // (2 * players))
    for start in range(0, pairs, size):
        yield slice(start, min(start + size, pairs))


def _antithetic_gains(
    scores: Scores, row: np.ndarray, starts: np.ndarray, ranks: np.ndarray, moving: np.ndarray, player: np.ndarray
) -> np.ndarray:
    """How much better each first part of an order does than the rest (pairs, players - 1).

    Column s - 1 is `f(the first s players from row) - f(the others from row)`, what is missing from
    `starts`: the second is where the backwards order stands, so one difference serves both. `moving` are the
    positions of the features that differ at all, `player` the player that each belongs to.
    """
    steps = np.arange(1, ranks.shape[1])
    if not len(steps):
        return np.empty((len(ranks), 0))
    first = (ranks[:, None, :] < steps[:, None])[..., player]
    mixed = np.broadcast_to(row, (2, *first.shape[:2], len(row))).copy()
    mixed[..., moving] = np.where(np.stack([first, ~first]), row[moving], starts[:, None, moving])
    forward, backward = scores(mixed.reshape(-1, len(row))).reshape(2, len(ranks), len(steps))
    return forward - backward


def _shares(gains: np.ndarray, whole: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """Each feature's mean contribution over an order and its reverse (pairs, features).

    `whole` (pairs,) is what all features bring together, to which the shares of a pair add up.
    """
    bounded = np.column_stack([-whole, gains, whole])
    return np.take_along_axis(np.diff(bounded, axis=1) / 2, ranks, axis=1)


def _standard_error(shares: np.ndarray) -> np.ndarray:
    """The error (features,) of the mean of shares (rounds, reference rows, features).

    Each reference row is a stratum with a variance of its own. Satterthwaite 1946 gives the degrees
    of freedom of their sum, few where a few rows carry it, and the first term of Student's t over
    the normal quantile at 95%, 1 + 1.2 / freedom, the widening.
    """
    rounds, size, _ = shares.shape
    variances = shares.var(axis=0, ddof=1)
    total, squares = variances.sum(axis=0), (variances**2).sum(axis=0)
    freedom = np.divide((rounds - 1) * total**2, squares, out=np.ones_like(total), where=squares > 0)
    return np.sqrt(total / rounds) / size * (1 + 1.2 / freedom)
