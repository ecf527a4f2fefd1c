"""The file on a whole model: every result that its report draws from, and the rule that chooses its cases."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from core.likeness import unlike
from core.nouns import ModelFile, Subject, Target
from core.results import Attacked, Attribution, Prediction, Result
from core.scores import decide, decision_margin
from reports.numbers import counted
from reports.reasons import Grounds
from reports.report import Exhibit, numbered

KINDS = {
    "typical": "two typical ones, each the median of one of the two decisions made most",
    "borderline": "the one nearest to another decision",
    "wrong": "the one furthest from the decision that its true answer would be",
    "unlike": "the one most unlike the data",
}
"""What a case of a dossier stands for, and how it was chosen."""
_NO_LIMIT = "attack-without-limit"
_SHIFTED = ("before-attack", "after-attack", "after-noise")
KINDS_OF_NUMBERS = {
    "typical": "a typical one, with the median prediction",
    "wrong": "the one whose prediction is furthest from its true answer",
    "unlike": KINDS["unlike"],
}


@dataclass(frozen=True)
class Chosen:
    """A case that stands for others: `kind` is one of KINDS, `position` that of its row in the data."""

    kind: str
    position: int


@dataclass(frozen=True)
class Dossier:
    """One model with its evidence.

    `judged` is the prediction of rows drawn, with the seed that its query names, from those on which the model is
    judged, or from all where none are; `population` that of the reference rows. `surveyed` explains rows drawn alike
    from all by the method for many, None for texts. `cases` were chosen among the judged rows by a rule; `grounds` are
    those of each, `seconds` the other method's explanation of each (one attribution of all or one each, as
    `Grounds.explained` has it). `attacked` holds the strongest fitting attack at growing sizes, then the others at the
    usual size, all about the same rows; `extreme` is the strongest one with every value free to move through its whole
    range. `shifted` is the explanation of the first of those rows before the strongest attack at the usual size, after
    it and after noise. All of these are empty where no attack applies.
    """

    subject: Subject
    model: ModelFile
    target: Target
    judged: Prediction
    population: Prediction
    surveyed: Attribution | None
    cases: tuple[Chosen, ...]
    grounds: tuple[Grounds, ...]
    seconds: tuple[Attribution, ...]
    attacked: tuple[Attacked, ...] = ()
    extreme: Attacked | None = None
    shifted: tuple[Attribution, ...] = ()

    def exhibits(self) -> Iterator[Exhibit]:
        """Every answer once, by name."""
        seen = set()
        for name, result in self._named():
            if result is not None and result.digest not in seen:
                seen.add(result.digest)
                yield Exhibit(name, result)

    @classmethod
    def of(cls, subject: Subject, model: ModelFile, answers: Mapping[str, Result]) -> "Dossier":
        """The dossier that rests on these answers, by the names that `exhibits` gives them; the cases chosen again.

        An answer that came before under another name has none of its own.
        """
        judged, surveyed = answers["judged-rows"], answers.get("survey")
        cases = choose(subject, model, judged)
        grounds = tuple(_grounds(answers, subject.dataset.row_ids[each.position], n) for n, each in enumerate(cases, 1))
        attacked = tuple(each for name, each in answers.items() if isinstance(each, Attacked) and name != _NO_LIMIT)
        before = answers.get(_SHIFTED[0], surveyed)
        shifted = tuple(answers.get(name, before) for name in _SHIFTED) if attacked else ()
        explained = next(each for each in (surveyed, *shifted, grounds[0].explained) if each is not None)
        return cls(
            subject,
            model,
            explained.query.target,
            judged,
            answers.get("reference-scores", judged),
            surveyed,
            cases,
            grounds,
            numbered(answers, "case-{}-second-method"),
            attacked,
            answers.get(_NO_LIMIT),
            shifted,
        )

    @property
    def strongest(self) -> tuple[Attacked, ...]:
        """The strongest attack at growing sizes."""
        return tuple(each for each in self.attacked if each.method.name == self.attacked[0].method.name)

    @property
    def others(self) -> tuple[Attacked, ...]:
        """The other attacks, at the usual size."""
        return self.attacked[len(self.strongest) :]

    def _named(self) -> Iterator[tuple[str, Result | None]]:
        yield from (("judged-rows", self.judged), ("reference-scores", self.population), ("survey", self.surveyed))
        for number, each in enumerate(self.grounds, 1):
            yield f"case-{number}-explained", each.explained
            yield f"case-{number}-swapped", each.swapped
            for place, other in enumerate(each.resampled, 1):
                yield f"case-{number}-resample-{place}", other
        for number, each in enumerate(self.seconds, 1):
            yield f"case-{number}-second-method", each
        for each in self.attacked:
            yield f"{each.method.name}-{each.size:g}", each
        yield _NO_LIMIT, self.extreme
        yield from zip(_SHIFTED, self.shifted, strict=False)


def _grounds(answers: Mapping[str, Result], row_id: str, number: int) -> Grounds:
    """Those of a case by its number; what it shares with the first case is named after that one."""
    first = "case-1" if f"case-{number}-explained" not in answers else f"case-{number}"
    explained = answers[f"{first}-explained"]
    index = explained.query.row_ids.index(row_id)
    return Grounds(index, explained, answers[f"case-{number}-swapped"], numbered(answers, f"{first}-resample-{{}}"))


def rule(subject: Subject, model: ModelFile, judged: Prediction) -> str:
    """How the cases were chosen, in a sentence."""
    kinds = KINDS if model.spec.classes else KINDS_OF_NUMBERS
    rows = counted(len(judged.query), subject.row_noun)
    return f"Among {rows} the cases were chosen by rule: {'; '.join(kinds.values())}. Nobody picked them."


def choose(subject: Subject, model: ModelFile, judged: Prediction) -> tuple[Chosen, ...]:
    """The cases that stand for others among the judged rows, each row once.

    Of a classifier: the median margin within each of the two classes decided most, the smallest margin, the largest
    among wrong decisions, the largest distance from the data. Of a predicted number: the median, the largest miss, the
    largest distance. The first in the order of the data where several are alike.
    """
    dataset, spec = subject.dataset, model.spec
    positions = np.array([dataset.index(row_id) for row_id in judged.query.row_ids])
    likeness = unlike(dataset, spec, judged.query.rows, judged.query.row_ids)
    orders = [*_orders(subject, model, judged.outputs, dataset.labels[positions])]
    orders.append(("unlike", np.argsort(-likeness.distance, kind="stable")))
    chosen: list[Chosen] = []
    for kind, order in orders:
        taken = {each.position for each in chosen}
        free = next((int(positions[place]) for place in order if positions[place] not in taken), None)
        if free is not None:
            chosen.append(Chosen(kind, free))
    return tuple(chosen)


def _orders(
    subject: Subject, model: ModelFile, outputs: np.ndarray, labels: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
    """For each case its kind and the places of the rows that could be it, the likeliest first."""
    spec = model.spec
    if not spec.classes:
        predicted, miss = outputs[:, 0], np.abs(outputs[:, 0] - labels)
        yield "typical", _nearest_to_median(predicted, np.arange(len(predicted)))
        yield "wrong", np.argsort(-miss, kind="stable")[: np.isfinite(miss).sum()]
        return
    decided = decide(outputs, spec, subject.cutoff)
    margin = decision_margin(outputs, spec, subject.cutoff, decided)
    counts = np.bincount(decided, minlength=len(spec.classes))
    for each in np.argsort(-counts, kind="stable")[:2]:
        yield "typical", _nearest_to_median(margin, np.flatnonzero(decided == each))
    yield "borderline", np.argsort(margin, kind="stable")
    wrong = np.flatnonzero((labels >= 0) & (decided != labels))
    yield "wrong", wrong[np.argsort(-margin[wrong], kind="stable")]


def _nearest_to_median(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """`places` by how near their values come to the median value among them."""
    if not len(places):
        return places
    return places[np.argsort(np.abs(values[places] - np.median(values[places])), kind="stable")]
