"""Reasons for one decision: at most four, each put to two tests, and withheld where it fails one.

A reason is a factor that moved the score towards the decision, against the named reference; of a predicted number,
either way. It has to be above what the method leaves open. Its swap test puts the factor at the reference's values and
asks the model again; its resamples explain the row against other references. A row unlike the data gets no reasons.
"""

from dataclasses import dataclass

import numpy as np

from core.likeness import drift, unlike
from core.nouns import ModelFile, ModelSpec, Reference, Subject
from core.results import Attribution, Prediction
from core.scores import decide, score
from reports import words
from reports.factors import NEGLIGIBLE, Factor, factors

MOST = 4
RESAMPLES = 10
HELD = 0.9
"""The share of the resamples in which a factor has to be among the reasons."""


@dataclass(frozen=True)
class Grounds:
    """What the reasons for one row rest on.

    `explained` may be about many rows, of which this is the one at `index`. `swapped` is the prediction of that row as
    it is, then of it with one of its `candidates` after the other put at the values of each reference row: as many
    rows a candidate. `resampled` explains the same rows against other references, drawn with other seeds; empty where
    there are no others (a text is compared with itself, and a reference may be all of the data).
    """

    index: int
    explained: Attribution
    swapped: Prediction
    resampled: tuple[Attribution, ...] = ()


@dataclass(frozen=True)
class Reason:
    """A factor that stood both tests.

    `change` is the score less its mean with the factor at the reference's values, `error` its standard error over
    them. In `held` of `resamples` the factor was among the reasons.
    """

    factor: Factor
    change: float
    error: float
    held: int
    resamples: int

    @property
    def label(self) -> str:
        """Name and value: "Income 31,000 EUR"."""
        return self.factor.label

    @property
    def effect(self) -> float:
        return self.factor.effect


@dataclass(frozen=True)
class Withheld:
    """A factor that failed a test, and the sentence that says which."""

    factor: Factor
    sentence: str


@dataclass(frozen=True)
class Reasons:
    """The reasons for one row, the strongest first: none, where `abstained` says in a sentence why.

    `withheld` are the factors that would have been reasons and failed a test.
    """

    found: tuple[Reason, ...]
    withheld: tuple[Withheld, ...] = ()
    abstained: str = ""


def candidates(explained: Attribution, spec: ModelSpec, index: int) -> list[Factor]:
    """The factors that are put to the swap test: the sure ones, at most four that raise and four that lower."""
    if not explained.compares:
        return []
    sure = [factor for factor in factors(explained, spec, index) if factor.sure]
    kept = _side(sure, True) + _side(sure, False)
    return [factor for factor in sure if factor in kept]


def reasons(subject: Subject, model: ModelFile, grounds: Grounds) -> Reasons:
    """The reasons for the row that `grounds` are about."""
    spec, query, index = model.spec, grounds.explained.query, grounds.index
    row_id = query.row_ids[index]
    strange = words.unlike_sentence(
        subject, model, row_id, unlike(subject.dataset, spec, query.rows[[index]], (row_id,))
    )
    if strange:
        return Reasons((), abstained=f"No reasons are named. {strange}")
    tested = candidates(grounds.explained, spec, index)
    claimed = _reasons(tested, _direction(subject, spec, grounds))
    if not claimed:
        return Reasons((), abstained=words.no_reason(subject, model, grounds.explained))
    held = _held(subject, spec, grounds, claimed)
    changes = _changes(spec, grounds, len(tested))
    found, withheld = [], []
    for factor in claimed:
        change, error = changes[tested.index(factor)]
        reason = Reason(factor, change, error, held[factor.positions], len(grounds.resampled))
        if change * factor.effect <= 0 or abs(change) <= max(2 * error, NEGLIGIBLE * abs(factor.effect)):
            withheld.append(Withheld(factor, words.failed_swap(model, query, factor, change, error)))
        elif reason.held < HELD * reason.resamples:
            withheld.append(Withheld(factor, words.not_separable(model, factor, reason.held, reason.resamples)))
        else:
            found.append(reason)
    return Reasons(tuple(found), tuple(withheld), "" if found else words.none_stood(subject))


def warnings(
    subject: Subject, model: ModelFile, row: np.ndarray, row_id: str, reference: Reference | None
) -> tuple[str, ...]:
    """That a row (*shape), or the reference that it is compared with, is unlike the data, in sentences; mostly none."""
    likeness = unlike(subject.dataset, model.spec, row[None], (row_id,))
    differs = None if reference is None else drift(subject.dataset, model.spec, reference)
    said = [words.unlike_sentence(subject, model, row_id, likeness), words.drift_sentence(subject, model, differs)]
    return tuple(filter(None, said))


def _direction(subject: Subject, spec: ModelSpec, grounds: Grounds) -> int:
    """1 where the explained score speaks for the decision, -1 where against it, 0 of a predicted number: either."""
    if not spec.classes:
        return 0
    decided = decide(grounds.swapped.outputs[:1], spec, subject.cutoff)[0]
    return 1 if decided == grounds.explained.query.target.output else -1


def _reasons(sure: list[Factor], direction: int) -> list[Factor]:
    """Those of the sure factors that are reasons, at most four."""
    return sure[:MOST] if direction == 0 else _side(sure, direction > 0)


def _side(sure: list[Factor], raises: bool) -> list[Factor]:
    return [factor for factor in sure if factor.raises is raises][:MOST]


def _changes(spec: ModelSpec, grounds: Grounds, tested: int) -> list[tuple[float, float]]:
    """For each candidate the score less its mean after the swap, and the standard error of that."""
    scores = score(grounds.swapped.outputs, grounds.explained.query.target, spec)
    swapped = scores[1:].reshape(tested, -1)
    size = swapped.shape[1]
    errors = swapped.std(axis=1, ddof=1) / np.sqrt(size) if size > 1 else np.zeros(tested)
    return [(float(scores[0] - mean), float(error)) for mean, error in zip(swapped.mean(axis=1), errors, strict=True)]


def _held(subject: Subject, spec: ModelSpec, grounds: Grounds, claimed: list[Factor]) -> dict[tuple[int, ...], int]:
    """In how many resamples each factor is a reason in the same direction."""
    direction, counts = _direction(subject, spec, grounds), {factor.positions: 0 for factor in claimed}
    for other in grounds.resampled:
        again = {(each.positions, each.raises) for each in _reasons(candidates(other, spec, grounds.index), direction)}
        for factor in claimed:
            counts[factor.positions] += (factor.positions, factor.raises) in again
    return counts
