"""Many rows with their decisions: which of them fit what somebody looks for, and what is said of those."""

from dataclasses import dataclass

import numpy as np

from core.likeness import unlike
from core.nouns import ModelFile, ModelSpec, Subject
from core.results import Attribution, rank_correlation
from core.scores import decide, probabilities
from reports.factors import drivers
from reports.numbers import chance, counted, listed, signed
from reports.words import class_name, outcome, score_of

UNLIKE = "unlike the data: have a person look at it"
_TOP = 5


@dataclass(frozen=True)
class Decided:
    """Rows with what the model says of them: `positions` (n,) in the data, `outputs` (n, columns).

    `classes` (n,) are the decided class indices, `scores` (n,) the probability of the second of two classes, of the
    decided one of more, or the predicted number. `labels` (n,) as in `Dataset`.
    """

    positions: np.ndarray
    outputs: np.ndarray
    classes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Sought:
    """What somebody looks for; what is None does not count.

    `decided` is a class index, `right` whether decision and true answer agree, `scores` the least and largest score.
    `feature` is the position of a feature, with its least and largest value in `values`; a category is its index.
    """

    decided: int | None = None
    right: bool | None = None
    scores: tuple[float, float] | None = None
    feature: int | None = None
    values: tuple[float, float] | None = None


def decided_rows(
    subject: Subject, model: ModelFile, positions: np.ndarray, outputs: np.ndarray, labels: np.ndarray | None = None
) -> Decided:
    """The rows at these positions with their decisions; `labels` where they are not those of the data."""
    spec = model.spec
    known = subject.dataset.labels[positions] if labels is None else labels
    if not spec.classes:
        return Decided(positions, outputs, np.zeros(len(outputs), np.int64), outputs[:, 0], known)
    classes, chances = decide(outputs, spec, subject.cutoff), probabilities(outputs, spec)
    scores = chances[:, 1] if len(spec.classes) == 2 else chances[np.arange(len(chances)), classes]
    return Decided(positions, outputs, classes, scores, known)


def fitting(subject: Subject, model: ModelFile, rows: Decided, sought: Sought) -> np.ndarray:
    """Which of the rows fit (n,). A row without a true answer is neither right nor wrong; a missing value fits none."""
    fits = np.ones(len(rows.positions), dtype=bool)
    if sought.decided is not None:
        fits &= rows.classes == sought.decided
    if sought.right is not None and model.spec.classes:
        fits &= (rows.labels >= 0) & ((rows.classes == rows.labels) == sought.right)
    if sought.scores is not None:
        fits &= (rows.scores >= sought.scores[0]) & (rows.scores <= sought.scores[1])
    if sought.feature is not None and sought.values is not None:
        values = subject.dataset.rows[rows.positions].reshape(len(fits), -1)[:, sought.feature]
        fits &= (values >= sought.values[0]) & (values <= sought.values[1])
    return fits


def headline(subject: Subject, model: ModelFile, rows: Decided, fits: np.ndarray) -> str:
    """How many rows fit, and how they were decided."""
    every, found = len(fits), int(fits.sum())
    said = f"{found:,} of {counted(every, subject.row_noun)} {'fits' if found == 1 else 'fit'}"
    if found == every:
        said = f"All {counted(every, subject.row_noun)} are listed" if every > 1 else f"1 {subject.row_noun} is listed"
    if not model.spec.classes or not found:
        return f"{said}."
    counts = np.bincount(rows.classes[fits], minlength=len(model.spec.classes))
    order = [k for k in np.argsort(-counts, kind="stable") if counts[k]][:3]
    parts = [f"{counts[k]:,} {model.spec.classes[k]}" for k in order]
    known = fits & (rows.labels >= 0)
    right = int((rows.classes == rows.labels)[known].sum())
    judged = f"; {right:,} of {int(known.sum()):,} with a true answer are decided so" if known.any() else ""
    return f"{said}: {listed(parts)}{judged}."


def table(subject: Subject, model: ModelFile, rows: Decided, fits: np.ndarray, feature: int | None) -> dict[str, list]:
    """The rows that fit as columns of texts and numbers: id, decision, score, true answer, and one feature."""
    spec, chosen = model.spec, np.flatnonzero(fits)
    columns: dict[str, list] = {subject.row_noun: [subject.dataset.row_ids[i] for i in rows.positions[chosen]]}
    columns |= decisions(spec, rows, chosen)
    if feature is not None:
        values = subject.dataset.rows[rows.positions[chosen]].reshape(len(chosen), -1)[:, feature]
        columns[spec.features[feature].title] = [spec.features[feature].show(value) for value in values]
    return columns


def decisions(spec: ModelSpec, rows: Decided, chosen: np.ndarray) -> dict[str, list]:
    """What was decided about the rows `chosen` of `rows`, and the true answers where they are known."""
    if not spec.classes:
        columns: dict[str, list] = {f"predicted {spec.outcome.title}": [outcome(spec, v) for v in rows.scores[chosen]]}
        known = rows.labels[chosen]
        if not np.isnan(known).all():
            columns[f"{spec.outcome.title} in the data"] = ["" if np.isnan(v) else outcome(spec, v) for v in known]
        return columns
    what = f"score for {spec.classes[1]}" if len(spec.classes) == 2 else "probability of it"
    columns = {
        "decision": [spec.classes[k] for k in rows.classes[chosen]],
        what: [chance(float(v)) for v in rows.scores[chosen]],
    }
    if (rows.labels[chosen] >= 0).any():
        columns["true answer"] = [spec.classes[k] if k >= 0 else "" for k in rows.labels[chosen]]
    return columns


def moved_by(found: Attribution, subject: Subject, spec: ModelSpec) -> list[str]:
    """For each row what moved its score most, at most three factors with effects; none of one unlike the data."""
    strange = unlike(subject.dataset, spec, found.query.rows, found.query.row_ids).unlike
    return [UNLIKE if strange[index] else _moved(found, spec, index) for index in range(len(found.query))]


def _moved(found: Attribution, spec: ModelSpec, index: int) -> str:
    named = drivers(found, spec, index, most=3)
    return ", ".join(f"{each.label} ({signed(each.effect)})" for each in named) or "nothing stands out"


def own_headline(subject: Subject, model: ModelFile, rows: Decided) -> str:
    """What was decided about rows that somebody brought."""
    count, spec = len(rows.positions), model.spec
    who = f"your {counted(count, 'row')}" if count > 1 else "your row"
    if not spec.classes:
        low, high = outcome(spec, rows.scores.min()), outcome(spec, rows.scores.max())
        return f"For {who} the predicted {spec.outcome.title} is {low if low == high else f'{low} to {high}'}."
    counts = np.bincount(rows.classes, minlength=len(spec.classes))
    parts = [f"{counts[k]:,} {spec.classes[k]}" for k in np.argsort(-counts, kind="stable") if counts[k]]
    return f"Of {who}: {listed(parts)}."


def samples_sentence(found: Attribution, other: Attribution, spec: ModelSpec) -> str:
    """How far two samples of rows, explained alike, agree on what matters."""
    first, second = (np.abs(each.values.reshape(len(each.values), -1)).mean(axis=0) for each in (found, other))
    top = min(_TOP, len(first))
    shared = len(set(np.argsort(-first, kind="stable")[:top]) & set(np.argsort(-second, kind="stable")[:top]))
    rank = rank_correlation(first, second)
    ranks = "" if np.isnan(rank) else f" The order of all has the rank correlation {rank:.2f}; 1 is the same order."
    what = score_of(spec, found.query.target) if spec.classes else class_name(spec, found.query.target)
    return (
        f"Of the {top} features that move {what} most, {shared} are the same in your sample as in the one on Whole "
        f"model.{ranks}"
    )
