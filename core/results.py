"""What comes back: results that carry their question, their method and the figures to check them by."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np

from core.digest import digest
from core.nouns import MethodId, Query, frozen_array


@dataclass(frozen=True)
class Prediction:
    """A model's outputs (n, columns) for the rows of a query."""

    query: Query
    method: MethodId
    outputs: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "outputs", frozen_array(self.outputs))

    @cached_property
    def digest(self) -> str:
        return digest("prediction", self.query.digest, self.method, self.outputs)


@dataclass(frozen=True)
class Attribution:
    """How much each feature moved the score away from the reference.

    `values` (n, *shape) and `base` (n,) on the target's scale, `output` (n,) as the model predicts
    it. `error`, like `values`, is the standard error of each value, None where the method is exact.
    `tolerance` is the largest residual, as a share of the output's range, that the method allows
    itself; None where it does not promise to add up. That range, `spread`, is taken over the explained
    and the reference rows. `base` is NaN where the method has none.
    `facts` are the ledger's further lines (engine, device, steps).
    """

    query: Query
    method: MethodId
    values: np.ndarray
    base: np.ndarray
    output: np.ndarray
    error: np.ndarray | None = None
    tolerance: float | None = None
    spread: float = 1.0
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("values", "base", "output"):
            object.__setattr__(self, name, frozen_array(getattr(self, name)))
        if self.error is not None:
            object.__setattr__(self, "error", frozen_array(self.error))

    @property
    def residual(self) -> np.ndarray:
        """`output - base - sum(values)` (n,): zero where the explanation is complete."""
        return self.output - self.base - self.values.reshape(len(self.values), -1).sum(axis=1)

    @property
    def compares(self) -> bool:
        """Whether its values are effects against a reference; else they are sensitivities of the score."""
        return bool(np.isfinite(self.base).all())

    @property
    def complete(self) -> bool | None:
        """Whether it adds up within its tolerance; None where the method does not promise to."""
        if self.tolerance is None:
            return None
        return bool(np.abs(self.residual).max(initial=0.0) <= self.tolerance * self.spread)

    @cached_property
    def digest(self) -> str:
        content = (self.values, self.base, self.output, self.error, self.tolerance, self.spread, self.facts)
        return digest("attribution", self.query.digest, self.method, content)


@dataclass(frozen=True)
class Attacked:
    """Rows pushed over the decision, and equal noise beside them.

    `perturbed` and `noise` (n, *shape) raw units; `distance` and `noise_distance` (n,) in `norm`
    with each feature's range as unit; `clean_class`, `attacked_class`, `noise_class` (n,) decided
    class indices; outputs (n, columns). `model_calls`: rows sent through the model.
    """

    query: Query
    method: MethodId
    norm: str
    size: float
    perturbed: np.ndarray
    noise: np.ndarray
    distance: np.ndarray
    noise_distance: np.ndarray
    clean_outputs: np.ndarray
    attacked_outputs: np.ndarray
    noise_outputs: np.ndarray
    clean_class: np.ndarray
    attacked_class: np.ndarray
    noise_class: np.ndarray
    model_calls: int
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("perturbed", "noise", "distance", "noise_distance"):
            object.__setattr__(self, name, frozen_array(getattr(self, name)))
        for name in ("clean_outputs", "attacked_outputs", "noise_outputs"):
            object.__setattr__(self, name, frozen_array(getattr(self, name)))
        for name in ("clean_class", "attacked_class", "noise_class"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.int64))

    @property
    def success(self) -> np.ndarray:
        """Whether the attack changed the decision (n,)."""
        return self.attacked_class != self.clean_class

    @property
    def noise_success(self) -> np.ndarray:
        """Whether noise of equal size changed the decision (n,)."""
        return self.noise_class != self.clean_class

    @cached_property
    def digest(self) -> str:
        content = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in ("query", "method")}
        return digest("attacked", self.query.digest, self.method, content)


Result = Prediction | Attribution | Attacked


@dataclass(frozen=True)
class Agreement:
    """How far two attributions of one row tell the same story (see `agreement`)."""

    top_k: int
    shared_top: int
    same_sign: float
    rank: float


def agreement(first: np.ndarray, second: np.ndarray, top_k: int = 5) -> Agreement:
    """Agreement of two attributions of one row, both (*shape).

    `shared_top`: how many of the `top_k` largest by absolute value both name; `same_sign`: the share
    of those that either names on which the signs agree; `rank`: Spearman's rank correlation of the
    absolute values over all features (Krishna et al. 2022, section 4), NaN where one is constant.
    """
    a, b = np.ravel(first), np.ravel(second)
    top_k = min(top_k, len(a))
    top_a = set(np.argsort(-np.abs(a), kind="stable")[:top_k].tolist())
    top_b = set(np.argsort(-np.abs(b), kind="stable")[:top_k].tolist())
    named = sorted(top_a | top_b)
    same = float(np.mean(np.sign(a[named]) == np.sign(b[named])))
    return Agreement(top_k, len(top_a & top_b), same, rank_correlation(np.abs(a), np.abs(b)))


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rank correlation with ties at their mean rank; NaN where one side is constant."""
    ranks_a, ranks_b = mean_ranks(a), mean_ranks(b)
    if np.ptp(ranks_a) == 0 or np.ptp(ranks_b) == 0:
        return float("nan")
    return float(np.corrcoef(ranks_a, ranks_b)[0, 1])


def mean_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks of values (n,) from 1, ties at their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2.0)[inverse]


@dataclass(frozen=True)
class Comparison:
    """The same explanation before and after an attack, with equal noise as the control.

    Each attribution holds one row, for one target, reference and seed.
    """

    attacked: Attacked
    clean: Attribution
    after: Attribution
    noise: Attribution

    @property
    def shift(self) -> Agreement:
        """Agreement of the explanation before and after the attack."""
        return agreement(self.clean.values[0], self.after.values[0])

    @property
    def noise_shift(self) -> Agreement:
        """Agreement of the explanation before and after equal noise."""
        return agreement(self.clean.values[0], self.noise.values[0])
