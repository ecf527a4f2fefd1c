"""What every explainer is: options as fields, one method to write, the checks done here."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, final

import numpy as np

from core.errors import UserFacingError
from core.models import Model
from core.nouns import MethodId, ModelSpec, Query, Target
from core.options import option_values
from core.results import Attribution
from core.scores import check_target, scales, score

Progress = Callable[[float], None]


def silent(_share: float) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class RawAttribution:
    """What a method hands over before it is checked: `values` (n, *shape), `error` alike or None."""

    values: np.ndarray
    error: np.ndarray | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Explainer(ABC):
    """One way to attribute a score to features. Concrete classes are frozen dataclasses and final.

    `name` is what the command line takes, `family` the tradition it stands in, `tolerance` the
    residual it allows itself as a share of the output's range (None: it does not promise to add up),
    `needs_reference` whether it compares with reference rows, `source` the paper.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    version: ClassVar[str]
    family: ClassVar[Literal["shap", "captum"]]
    summary: ClassVar[str]
    source: ClassVar[str]
    tolerance: ClassVar[float | None]
    needs_reference: ClassVar[bool] = True

    @abstractmethod
    def refusal(self, spec: ModelSpec) -> str | None:
        """The sentence that says why this method does not apply to such a model and what does; None: it applies."""

    def scales(self, spec: ModelSpec) -> tuple[str, ...]:
        """The scales on which this method can explain such a model."""
        return scales(spec)

    @property
    def method(self) -> MethodId:
        return MethodId(self.name, self.version, option_values(self))

    @final
    def check(self, spec: ModelSpec, target: Target) -> None:
        """Refuses, in words, a model or target that this method cannot explain."""
        sentence = self.refusal(spec)
        if sentence:
            raise UserFacingError(f"{self.title} does not apply to this model", sentence, "Choose another method")
        check_target(target, spec)
        if target.scale not in self.scales(spec):
            raise UserFacingError(
                f"{self.title} cannot explain the {target.scale} scale",
                f"It is exact only on: {', '.join(self.scales(spec))}",
                "Choose that scale or another method",
            )

    @final
    def explain(self, model: Model, query: Query, progress: Progress = silent) -> Attribution:
        """The attribution of `query`, checked: shape, finite values, and the residual against the
        model's own predictions.

        A row's values are those that it has alone: exactly of trees, which are walked row by row; elsewhere up to the
        rounding of the model's own sums. `spread` and `tolerance` are of all rows together.
        """
        self.check(model.spec, query.target)
        if self.needs_reference and (query.reference is None or not len(query.reference)):
            raise UserFacingError(
                f"{self.title} needs reference rows", "None were given", "Name a reference of at least one row"
            )
        raw = self._run(model, query, progress)
        self._verify_shape(raw, query)
        output = score(model.predict(query.rows), query.target, model.spec)
        usual = np.full(1, np.nan)
        if self.needs_reference:
            usual = score(model.predict(query.reference.rows), query.target, model.spec)
        return Attribution(
            query=query,
            method=self.method,
            values=raw.values,
            base=np.full(len(query), usual.mean()),
            output=output,
            error=raw.error,
            tolerance=self.tolerance,
            spread=score_range(np.concatenate([output, usual])),
            facts=raw.facts,
        )

    @final
    def _verify_shape(self, raw: RawAttribution, query: Query) -> None:
        for name, array in (("values", raw.values), ("errors", raw.error)):
            if array is None:
                continue
            if array.shape != query.rows.shape:
                raise ValueError(f"{self.name}: {name} have shape {array.shape}, rows {query.rows.shape}")
            if not np.isfinite(array).all():
                raise UserFacingError(
                    f"{self.title} gave no usable answer",
                    f"Some of its {name} are not finite numbers",
                    "Choose another method, or look for extreme values in the row",
                )

    @abstractmethod
    def _run(self, model: Model, query: Query, progress: Progress) -> RawAttribution:
        """The method itself. `progress` takes the share done, 0 to 1, as often as is useful."""


def differing(row: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Where each reference row (m, ...) differs from `row` (...); missing is the same as missing."""
    return (reference != row) & ~(np.isnan(reference) & np.isnan(row))


def score_range(scores: np.ndarray) -> float:
    """What a residual is measured against: the range of the scores, 1 where they are all alike."""
    return float(np.nanmax(scores) - np.nanmin(scores)) or 1.0
