"""Attacks that follow a network's gradient: one step (FGSM) and many (PGD).

Both lower one of two losses. `margin` is the decided class's logit less that of the class aimed at (Carlini
and Wagner 2017, section V-A, f6). `cross_entropy` is taken as the log-odds of the decided class, its logit
less the log-sum-exp of the others: a rising function of the cross-entropy's negative with the same
direction, whose gradient does not vanish where the softmax saturates. Gradients are normalised row by row,
so that the scale of the logits does not matter.
"""

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from attacks.base import Attack, Progress, RawAttacked, nothing_to_attack
from attacks.best import Best
from attacks.space import Space, scaled
from core.models import Differentiable
from core.nouns import ModelSpec, Query
from core.options import option

_BATCH = 1024  # rows through the network at once
_ALL = -1  # in place of a class to aim at: all but the decided one
_MOST_AIMS = 9  # classes tried as targets, as in AutoAttack (Croce and Hein 2020)


@dataclass(frozen=True)
class GradientAttack(Attack):
    """What FGSM and PGD share: the loss, what they refuse, and how a gradient is taken."""

    loss: str = option(
        "margin",
        "Loss",
        "margin: the distance to another class. cross_entropy: the probability of the decided class.",
        choices=("margin", "cross_entropy"),
    )

    def refusal(self, spec: ModelSpec) -> str | None:
        if spec.modality == "text" or spec.task == "regression":
            return nothing_to_attack(spec)
        if "gradients" not in spec.capabilities:
            return "It follows gradients and this model has none; random_search needs none"
        features = () if spec.modality == "image" else spec.features
        stuck = [f.title for f in features if f.mutable and f.kind not in ("real", "pixel")]
        if stuck:
            return f"It moves in small steps and {stuck[0]} cannot; random_search can change such features"
        return nothing_to_attack(spec)

    def _facts(self, hunt: "_Hunt") -> dict[str, Any]:
        return {"device": hunt.model.device, "rows_without_gradient": hunt.without_gradient}


@final
@dataclass(frozen=True)
class FGSM(GradientAttack):
    """The furthest legal point along one gradient, taken at the clean row. Best for linear models."""

    name = "fgsm"
    title = "Fast gradient (FGSM)"
    version = "1"
    summary = "One step along the gradient. Quick, and never enough for a verdict on its own."
    source = "Goodfellow, Shlens and Szegedy (2015), Explaining and Harnessing Adversarial Examples, section 4"

    def _run(self, model: Differentiable, query: Query, space: Space, progress: Progress) -> RawAttacked:
        hunt = _Hunt(self, model, query, space)
        hunt.leap(hunt.best.standing, hunt.aims()[0])
        progress(1.0)
        return RawAttacked(hunt.best.rows, hunt.best.calls, self._facts(hunt))


@final
@dataclass(frozen=True)
class PGD(GradientAttack):
    """Projected gradient descent from several starts, aimed at the most promising classes in turn.

    First every class within reach is tried with one step; rows that still stand are then walked from the
    row itself toward the class that came nearest, and from random starts toward the next ones. The step
    falls from twice the size to nothing. Rows already broken take no further part.
    """

    name = "pgd"
    title = "Projected gradient (PGD)"
    version = "1"
    summary = "Many small steps along the gradient, from several starts."
    source = (
        "Madry et al. (2018), Towards Deep Learning Models Resistant to Adversarial Attacks, section 2.1; "
        "targets as in Croce and Hein (2020), section 4"
    )

    steps: int = option(40, "Steps", "Steps of each walk.", low=1, high=10_000)
    restarts: int = option(
        2,
        "Starts",
        "Walks: the first starts at the row itself, the others at random points of the ball.",
        low=1,
        high=1000,
    )

    def _run(self, model: Differentiable, query: Query, space: Space, progress: Progress) -> RawAttacked:
        hunt = _Hunt(self, model, query, space)
        aims = self._ranked(hunt)
        rng = np.random.default_rng(query.seed)
        for walk in range(self.restarts):
            moves = self._start(hunt, rng) * (walk > 0)
            for step in range(self.steps):
                if not len(hunt.best.standing):
                    break
                hunt.step(moves, aims[walk % len(aims)], 2.0 * hunt.reach * (1.0 - step / self.steps))
                progress((walk * self.steps + step + 1) / (self.restarts * self.steps))
            hunt.look(hunt.best.standing, moves)
        progress(1.0)
        return RawAttacked(hunt.best.rows, hunt.best.calls, self._facts(hunt))

    def _ranked(self, hunt: "_Hunt") -> np.ndarray:
        """Each row's aims (aims, n) by how near one leap toward them came, the nearest first."""
        aims = hunt.aims()
        left = np.full(aims.shape, np.inf)
        for number, aim in enumerate(aims):
            index = hunt.best.standing
            left[number, index] = hunt.leap(index, aim)
        return np.take_along_axis(aims, np.argsort(left, axis=0, kind="stable"), axis=0)

    def _start(self, hunt: "_Hunt", rng: np.random.Generator) -> np.ndarray:
        """Random moves (n, features): uniform in the cube, or on the sphere."""
        moves = hunt.reach * hunt.space.directions(rng, len(hunt.query), self.norm)
        return moves * rng.random(moves.shape) if self.norm == "linf" else moves


class _Hunt:
    """One run of a gradient attack: the rows, the network and the best iterates so far."""

    def __init__(self, attack: GradientAttack, model: Differentiable, query: Query, space: Space) -> None:
        self.model, self.query, self.space = model, query, space
        self.norm, self.size, self.loss = attack.norm, attack.size, attack.loss
        self.reach = space.radius(attack.norm, attack.size)
        self.best = Best(model, query)
        self.without_gradient = 0

    def aims(self) -> np.ndarray:
        """The classes worth aiming at (aims, n), the nearest by its logit first; `_ALL` under cross-entropy."""
        best = self.best
        if self.loss == "cross_entropy":
            return np.full((1, len(self.query)), _ALL)
        if len(best.spec.classes) == 2:
            return 1 - best.decided[None]
        others = best.outputs.copy()
        others[np.arange(len(others)), best.decided] = -np.inf
        return np.argsort(-others, axis=1, kind="stable")[:, :-1].T[:_MOST_AIMS]

    def leap(self, index: np.ndarray, aim: np.ndarray) -> np.ndarray:
        """Sends the clean rows at `index` as far along their gradient as is legal; the loss there (len(index),)."""
        clean = self.query.rows[index]
        _, slope = self._slope(index, clean, aim)
        self.best.calls += len(index)
        self.without_gradient = max(self.without_gradient, int((slope == 0).all(axis=1).sum()))
        rows = self.space.reach(clean, -slope, self.norm, self.size)
        outputs = self.model.predict(rows)
        margin = self.best.see(index, rows, outputs)
        if self.loss == "cross_entropy" or outputs.shape[1] == 1:
            return margin
        each = np.arange(len(index))
        return outputs[each, self.best.decided[index]] - outputs[each, aim[index]]

    def step(self, moves: np.ndarray, aim: np.ndarray, length: float) -> None:
        """One step of every row that stands, written into `moves`; the iterate that it leaves is taken in."""
        index = self.best.standing
        clean = self.query.rows[index]
        rows = self.space.move(clean, moves[index], self.norm, self.size)
        outputs, slope = self._slope(index, rows, aim)
        self.best.see(index, rows, outputs)
        direction = np.sign(slope) if self.norm == "linf" else _unit(slope)
        moved = self.space.move(clean, moves[index] - length * direction, self.norm, self.size)
        moves[index] = self.space.moves(moved, clean)

    def look(self, index: np.ndarray, moves: np.ndarray) -> None:
        """Takes in the iterates where the rows at `index` have come to."""
        rows = self.space.move(self.query.rows[index], moves[index], self.norm, self.size)
        self.best.see(index, rows, self.model.predict(rows))

    def _slope(self, index: np.ndarray, rows: np.ndarray, aim: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Outputs (len(index), columns) at `rows`, and the gradient of the loss by moves (len(index), features).

        One pass forward and backward for each row, which counts as one model call.
        """
        import torch

        module, spec, device = self.model.module(), self.model.spec, self.model.device
        outputs = np.zeros((len(rows), spec.columns))
        slopes = np.zeros((len(rows), len(spec.features)))
        for start in range(0, len(rows), _BATCH):
            part = slice(start, start + _BATCH)
            x = torch.tensor(rows[part], dtype=torch.float32, device=device, requires_grad=True)
            raw = module(x)
            loss = _loss(_logits(raw, spec), self.best.decided[index[part]], aim[index[part]])
            (gradient,) = torch.autograd.grad(loss.sum(), x)
            outputs[part] = raw.detach().cpu().numpy()
            slopes[part] = gradient.reshape(len(x), -1).cpu().numpy()
        return outputs, np.nan_to_num(slopes, posinf=0.0, neginf=0.0) * self.space.span * self.space.movable


def _logits(raw: Any, spec: ModelSpec) -> Any:
    """The module's outputs as one logit a class (n, classes)."""
    import torch

    if spec.output == "margin":
        return torch.cat([torch.zeros_like(raw), raw], dim=1)
    if spec.output == "probability":
        return raw.clamp_min(torch.finfo(raw.dtype).tiny).log()
    return raw


def _loss(logits: Any, decided: np.ndarray, aim: np.ndarray) -> Any:
    """What an attack lowers (n,): the decided class's logit less that aimed at, or less all others together."""
    import torch

    own, other = (torch.tensor(classes, device=logits.device)[:, None] for classes in (decided, aim))
    if (aim == _ALL).all():
        against = logits.scatter(1, own, -torch.inf).logsumexp(dim=1)
    else:
        against = logits.gather(1, other)[:, 0]
    return logits.gather(1, own)[:, 0] - against


def _unit(slope: np.ndarray) -> np.ndarray:
    """Each row of `slope` (n, features) with Euclidean length 1; 0 stays 0."""
    large = scaled(slope)
    return large / np.maximum(np.linalg.norm(large, axis=1, keepdims=True), 1.0)
