"""What is said before a subject is saved: figures and sentences that a person reads before trusting anything else."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from attacks import ATTACKS
from core.measures import confusion
from core.nouns import ModelSpec
from core.scores import decide
from engine.intake import Agreed, Brought, Tried, spec_of
from explainers import EXPLAINERS

SHOWN = 50
_ENOUGH = 10  # rows from which on a score says something about the order of classes
_SCALES = {
    "margin": "log-odds of the second class",
    "logit": "one number a class before softmax",
    "probability": "one probability a class",
    "value": "the predicted number",
}


@dataclass(frozen=True)
class Preflight:
    """`score` is the share of right decisions, or R² of a regression, over `scored` rows; None without true answers.

    `tried` rows were drawn; `summary` says in a sentence what was brought; `limits` are the warnings that stay with the
    subject, in one text. `decided` counts the first `shown` rows' decisions by class name (of a regression: nothing).
    `explainers` and `attacks` map each method's name to None where it applies, else to the sentence why not.
    """

    summary: str
    rows: int
    columns: int
    scale: str
    told_by: str
    score: float | None
    scored: int
    tried: int
    shown: int
    decided: Mapping[str, int]
    warnings: tuple[str, ...]
    limits: str
    explainers: Mapping[str, str | None]
    attacks: Mapping[str, str | None]


def examine(brought: Brought, agreed: Agreed, tried: Tried, cutoff: float | None = None) -> Preflight:
    """The preflight of a subject that has not been saved yet; `cutoff` as in `Subject`."""
    spec, labels = spec_of(agreed), agreed.extracted.labels[tried.positions]
    known = labels >= 0 if labels.dtype.kind == "i" else ~np.isnan(labels)
    score = _score(spec, tried.outputs[known], labels[known], cutoff) if known.any() else None
    warnings = [*agreed.proposal.lasting, *brought.data.notes, *agreed.proposal.warnings]
    if score is not None:
        warnings += _suspicions(spec, tried.outputs[known], labels[known], score, cutoff)
    return Preflight(
        summary=f"{brought.data.rows:,} rows. {brought.model.title}.",
        rows=brought.data.rows,
        columns=len(brought.data.columns),
        scale=_SCALES[spec.output],
        told_by=tried.told_by,
        score=score,
        scored=int(known.sum()),
        tried=len(tried.outputs),
        shown=min(SHOWN, len(tried.outputs)),
        decided=_decided(spec, tried.outputs[:SHOWN], cutoff),
        warnings=tuple(dict.fromkeys(warnings)),
        limits=" ".join(agreed.proposal.lasting),
        explainers={kind.name: kind().refusal(spec) for kind in EXPLAINERS},
        attacks={kind.name: kind().refusal(spec) for kind in ATTACKS},
    )


def _score(spec: ModelSpec, outputs: np.ndarray, labels: np.ndarray, cutoff: float | None) -> float:
    if spec.task == "regression":
        spread = float(((labels - labels.mean()) ** 2).sum())
        return 1 - float(((labels - outputs[:, 0]) ** 2).sum()) / spread if spread else 0.0
    return float(np.mean(decide(outputs, spec, cutoff) == labels))


def _suspicions(
    spec: ModelSpec, outputs: np.ndarray, labels: np.ndarray, score: float, cutoff: float | None
) -> list[str]:
    """What looks wrong about a score."""
    found = []
    if round(score, 3) >= 1 and len(labels) > 1:
        found.append(
            "The score is 1.000 on these rows. Either the model was trained on them, or a column gives the answer away."
        )
    if spec.task == "regression":
        return found + (["The model predicts worse than the mean of the true answers would."] if score < 0 else [])
    if len(np.unique(labels)) == 1:
        return found
    most = np.bincount(labels).max() / len(labels)
    swapped, order = _best_order(spec, outputs, labels, cutoff)
    if len(spec.classes) > 2 and len(labels) >= _ENOUGH and swapped > score + 0.2:
        found.append(
            f"The model is right in {score:.0%} of these rows and would be in {swapped:.0%} with its classes in the "
            f"order {', '.join(order)}: their order may be wrong."
        )
    if len(spec.classes) == 2 and len(labels) >= _ENOUGH and 1 - score > max(score, 0.6):
        found.append(
            f"The model is right in {score:.0%} of these rows and would be in {1 - score:.0%} with its classes turned "
            "round: their order may be wrong."
        )
    elif score < most:
        found.append(f"Always answering the commonest class would be right more often ({most:.0%}) than the model.")
    if len(np.unique(decide(outputs, spec, cutoff))) == 1:
        found.append("The model decides all of these rows alike.")
    return found


def _best_order(
    spec: ModelSpec, outputs: np.ndarray, labels: np.ndarray, cutoff: float | None
) -> tuple[float, list[str]]:
    """The share that would be right if each output meant the class that it decides most often, and that order; 0 where
    two outputs would mean the same.
    """
    counts = confusion(labels, decide(outputs, spec, cutoff), len(spec.classes))
    meant = counts.argmax(axis=0)
    if len(set(meant.tolist())) < len(meant):
        return 0.0, []
    return float(counts[meant, np.arange(len(meant))].sum() / len(labels)), [spec.classes[each] for each in meant]


def _decided(spec: ModelSpec, outputs: np.ndarray, cutoff: float | None) -> dict[str, int]:
    if not spec.classes:
        return {}
    counts = np.bincount(decide(outputs, spec, cutoff), minlength=len(spec.classes))
    return {name: int(count) for name, count in zip(spec.classes, counts, strict=True)}
