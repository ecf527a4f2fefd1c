"""What every attack is: options as fields, one method to write, the checks done here."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

import numpy as np

from attacks.space import Space
from core.errors import UserFacingError
from core.models import Model
from core.nouns import MethodId, ModelSpec, Query
from core.options import option, option_values
from core.results import Attacked
from core.scores import decide

Progress = Callable[[float], None]


def silent(_share: float) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class RawAttacked:
    """What an attack hands over before it is checked: rows (n, *shape) raw units, rows sent to the model."""

    perturbed: np.ndarray
    model_calls: int
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Attack(ABC):
    """One way to push rows over the decision. Concrete classes are frozen dataclasses and final.

    `size` is measured in `norm` with each feature's range (upper - lower) as unit: 0.1 under linf
    moves every feature by at most a tenth of its range.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    version: ClassVar[str]
    summary: ClassVar[str]
    source: ClassVar[str]

    norm: str = option(
        "linf",
        "Norm",
        "linf: each feature moves by at most the size. l2: the Euclidean "
        "length of all moves together is at most the size.",
        choices=("linf", "l2"),
    )
    size: float = option(
        0.1, "Size", "How far a row may move, with each feature's range as unit.", low=0.0, high=1_000_000.0
    )

    @abstractmethod
    def refusal(self, spec: ModelSpec) -> str | None:
        """The sentence that says why this attack does not apply to such a model and what does; None: it applies."""

    @property
    def method(self) -> MethodId:
        return MethodId(self.name, self.version, option_values(self))

    @final
    def check(self, spec: ModelSpec) -> None:
        """Refuses, in words, a model that this attack cannot attack."""
        sentence = self.refusal(spec)
        if sentence:
            raise UserFacingError(f"{self.title} does not apply to this model", sentence, "Choose another attack")

    @final
    def attack(self, model: Model, query: Query, progress: Progress = silent) -> Attacked:
        """The attacked rows of `query`, re-predicted and re-measured here, with equal noise beside them.

        An attack that leaves its ball, a feature's bounds or a constraint is a defect and raises.
        """
        spec = model.spec
        self.check(spec)
        space = Space(spec)
        raw = self._run(model, query, space, progress) if self.size > 0 else RawAttacked(query.rows, 0)
        self._verify(space, raw.perturbed, query.rows)
        noise = space.noise(query.rows, self.norm, self.size, query.seed)
        self._verify(space, noise, query.rows)
        outputs = {
            "clean": model.predict(query.rows),
            "attacked": model.predict(raw.perturbed),
            "noise": model.predict(noise),
        }
        classes = {name: decide(each, spec, query.cutoff) for name, each in outputs.items()}
        return Attacked(
            query=query,
            method=self.method,
            norm=self.norm,
            size=self.size,
            perturbed=raw.perturbed,
            noise=noise,
            distance=space.distance(raw.perturbed, query.rows, self.norm),
            noise_distance=space.distance(noise, query.rows, self.norm),
            clean_outputs=outputs["clean"],
            attacked_outputs=outputs["attacked"],
            noise_outputs=outputs["noise"],
            clean_class=classes["clean"],
            attacked_class=classes["attacked"],
            noise_class=classes["noise"],
            model_calls=raw.model_calls + 3 * len(query),
            facts=raw.facts,
        )

    @final
    def _verify(self, space: Space, rows: np.ndarray, clean: np.ndarray) -> None:
        broken = space.violations(rows, clean, self.norm, self.size)
        if broken:
            raise ValueError(f"{self.name}: {broken[0]} (and {len(broken) - 1} more)")

    @abstractmethod
    def _run(self, model: Model, query: Query, space: Space, progress: Progress) -> RawAttacked:
        """The attack itself: for every row the best iterate it saw, the clean row where nothing helped."""


def nothing_to_attack(spec: ModelSpec) -> str | None:
    """What every attack refuses, in a sentence."""
    if spec.task == "regression":
        return "An attack turns decisions and this model predicts a number; attack a classifier"
    if spec.modality == "text":
        return "It changes numbers and categories, not words; hide single words under What would change it"
    if not any(feature.mutable for feature in spec.features):
        return "Every feature is fixed; let at least one be changed"
    return None
