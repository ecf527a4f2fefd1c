"""A random search for any model: asks for outputs only."""

from dataclasses import dataclass
from typing import final

import numpy as np

from attacks.base import Attack, Progress, RawAttacked, nothing_to_attack
from attacks.best import Best
from attacks.space import Space
from core.models import Model
from core.nouns import ModelSpec, Query
from core.options import option

_FIRST_SHARE = 0.8  # of the features that can move, in the first proposals
_INNER_SHARE = 0.25  # of the proposed values under linf that lie inside the ball, not at its edge
_STRIDE = 0.5  # of the size, the middle length of a proposed turn under l2


@final
@dataclass(frozen=True)
class RandomSearch(Attack):
    """Square Attack's random search, with sets of features in place of squares of pixels.

    Every query proposes new values for a random set of features that shrinks as the search goes on: for linf
    mostly at the ball's edge, for l2 a random turn of the whole move, brought back to its full length; for
    categories and booleans new codes. A proposal is taken unless it raises the margin, so that the search crosses the
    plateaus of tree ensembles.
    """

    name = "random_search"
    title = "Random search"
    version = "1"
    summary = "Tries random legal changes and keeps what helps. Needs no gradient."
    source = "Andriushchenko et al. (2020), Square Attack, algorithm 1, with sets of features for squares"

    queries: int = option(500, "Queries", "How often each row is sent to the model at most.", low=1, high=1_000_000)

    def refusal(self, spec: ModelSpec) -> str | None:
        return nothing_to_attack(spec)

    def _run(self, model: Model, query: Query, space: Space, progress: Progress) -> RawAttacked:
        best = Best(model, query)
        rng = np.random.default_rng(query.seed)
        moves = np.zeros((len(query), len(space.features)))
        margin = best.margin.copy()
        for number in range(self.queries):
            index = best.standing
            if not len(index) or not space.able(self.size).any():
                break
            clean = query.rows[index]
            proposed = self._proposal(space, rng, clean, moves[index], number / self.queries)
            rows = space.move(clean, proposed, self.norm, self.size)
            seen = best.see(index, rows, model.predict(rows))
            taken = seen <= margin[index]
            moves[index[taken]] = space.moves(rows[taken], clean[taken])
            margin[index[taken]] = seen[taken]
            progress((number + 1) / self.queries)
        progress(1.0)
        return RawAttacked(best.rows, best.calls)

    def _proposal(
        self, space: Space, rng: np.random.Generator, clean: np.ndarray, moves: np.ndarray, done: float
    ) -> np.ndarray:
        """New moves (n, features): `moves` with a random set of features drawn anew."""
        chosen = _random_sets(space.able(self.size), rng, len(moves), done)
        reach = space.radius(self.norm, self.size)
        drawn = reach * space.directions(rng, len(moves), self.norm)
        if self.norm == "linf":
            inner = rng.random(moves.shape) < _INNER_SHARE
            drawn *= np.where(inner, rng.random(moves.shape), 1.0)
            drawn = np.where(chosen, drawn, moves)
        else:
            stride = _STRIDE * np.exp(rng.standard_normal((len(moves), 1)))
            drawn = np.where(space.coded, 0.0, moves + np.where(chosen, stride * drawn, 0.0))
            drawn *= reach / np.maximum(np.linalg.norm(drawn, axis=1, keepdims=True), 1e-300)
        codes = space.codes(rng, len(moves)) - clean.reshape(moves.shape)
        return np.where(space.coded, np.where(chosen, codes, moves), drawn)


def _random_sets(able: np.ndarray, rng: np.random.Generator, count: int, done: float) -> np.ndarray:
    """A random set of the able features for each row (count, features) bool, smaller as `done` nears 1."""
    most = max(1.0, _FIRST_SHARE * able.sum())
    wanted = round(most ** (1.0 - done))
    keys = np.where(able, rng.random((count, len(able))), 2.0)
    return keys <= np.partition(keys, wanted - 1, axis=1)[:, wanted - 1 : wanted]
