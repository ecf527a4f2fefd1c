"""Asks everything that a report rests on; what was asked before is not computed again."""

from collections.abc import Callable, Sequence
from itertools import islice

import numpy as np

from access.desk import Desk
from attacks.base import Attack
from core.nouns import ModelFile, ModelSpec, Query, Reference, Subject, Target
from core.results import Attacked, Attribution, Comparison, Result
from core.scores import decide
from engine.engine import Lane, Question
from engine.predict import Predict
from engine.questions import (
    ATTACK_SIZES,
    attack_query,
    attacks_for,
    default_pair,
    default_survey,
    explain_query,
    population_query,
    prediction_query,
    resampled_queries,
    shifted_queries,
    swap_query,
)
from engine.worker import Method
from explainers.base import Explainer
from reports.case import CaseFile
from reports.dossier import Chosen, Dossier, choose
from reports.reasons import RESAMPLES, Grounds, candidates

JUDGED = {"table": 2000, "image": 2000, "text": 200}
SURVEYED = {"table": 200, "image": 40}
ATTACKED = {"table": 40, "image": 25}
SHIFTED = 10
"""Rows at most: on which a model is judged, explained over many, attacked, explained under attack."""
SEED = 0
"""Draws all of these."""
SIZES = (0.5, 1.0, 2.0)
"""Of the strongest attack, in shares of the usual size."""
NO_LIMIT = 1.0
"""The size at which every value may move through its whole range."""

Progress = Callable[[float], None]
Ask = Callable[[Method, Sequence[Query]], list[Result]]


def comparison_questions(model: ModelFile, method: Explainer, query: Query, attacked: Attacked) -> list[Question]:
    """The same explanation asked of the clean, the attacked and the noisy row."""
    return [Question(model, method, each) for each in shifted_queries(query, attacked)]


def gather(
    desk: Desk,
    subject: Subject,
    model: ModelFile,
    row: int,
    target: Target,
    reference: Reference,
    explainers: tuple[Explainer, ...],
    attack: Attack | None,
    sections: tuple[str, ...],
    progress: Progress | None = None,
) -> CaseFile:
    """The case file on one row. `attack` None: none is run, and the report has no attack section.

    Reasons are those of the first explainer; there are none where it compares with nothing.
    """
    steps = 2 + len(explainers) + 1 + RESAMPLES + (4 if attack else 0)
    asking = _Asking(desk, model, "quick", steps, progress)
    (outputs,) = asking.ask(Predict(), prediction_query(subject, model, [row]))
    (population,) = asking.ask(Predict(), population_query(model, reference))
    query = explain_query(subject, model, [row], target, reference)
    attributions = tuple(found for method in explainers for found in asking.ask(method, query))
    first = attributions[0]
    grounds = grounds_of(asking.several, subject, model.spec, explainers[0], [first])[0] if first.compares else None
    comparison = None
    if attack is not None:
        (attacked,) = asking.ask(attack, attack_query(subject, model, [row]))
        comparison = Comparison(attacked, *asking.ask(explainers[0], *shifted_queries(query, attacked)))
    asking.done()
    return CaseFile(subject, model, outputs, population, attributions, comparison, sections, grounds)


def gather_dossier(
    desk: Desk,
    subject: Subject,
    model: ModelFile,
    target: Target,
    reference: Reference,
    progress: Progress | None = None,
) -> Dossier:
    """The file on the whole model: how it decides many rows, what moves it, a few cases by rule, and its attacks.

    The cases of a model of many classes are each explained for the class that was decided, all else for `target`.
    """
    spec, data = model.spec, subject.dataset
    many = len(data.judged) > 0
    asking = _Asking(desk, model, "long", _steps(model), progress)
    drawn = data.sample(JUDGED[spec.modality], SEED, judged_only=many)
    (judged,) = asking.ask(Predict(), prediction_query(subject, model, drawn))
    (population,) = asking.ask(Predict(), population_query(model, reference))
    surveyed = None
    if spec.modality in SURVEYED:
        rows = data.sample(SURVEYED[spec.modality], SEED)
        (surveyed,) = asking.ask(default_survey(spec)(), explain_query(subject, model, rows, target, reference))
    cases = choose(subject, model, judged)
    first, second = (kind() for kind in default_pair(spec))
    queries = _case_queries(subject, model, cases, judged.outputs[_places(drawn, cases)], target, reference)
    explained = asking.ask(first, *queries)
    grounds = tuple(grounds_of(asking.several, subject, spec, first, explained))
    seconds = tuple(asking.ask(second, *queries))
    attacks = _attacks(asking, subject, model, target, reference) if attacks_for(spec) else ()
    asking.done()
    return Dossier(subject, model, target, judged, population, surveyed, cases, grounds, seconds, *attacks)


class _Asking:
    """Puts questions about one model to a desk, several at once, and tells the share of all `steps` that is done."""

    def __init__(self, desk: Desk, model: ModelFile, lane: Lane, steps: int, progress: Progress | None) -> None:
        self._desk, self.model, self._lane = desk, model, lane
        self._steps, self._done = steps, 0
        self._progress = progress or (lambda share: None)

    def ask(self, method: Method, *queries: Query) -> list[Result]:
        """The same of queries one by one."""
        return self.several(method, queries)

    def several(self, method: Method, queries: Sequence[Query]) -> list[Result]:
        """The answers in order. What is not answered yet is called off where one raises."""
        jobs = [self._desk.submit(Question(self.model, method, query, self._lane)) for query in queries]
        found = []
        try:
            for job in jobs:
                while not job.wait(0.1):
                    self._tell(job.progress)
                found.append(job.result())
                self._done += 1
                self._tell(0)
        except BaseException:
            for job in jobs:
                self._desk.cancel(job)
            raise
        return found

    def done(self) -> None:
        """Tells that nothing more is asked."""
        self._progress(1.0)

    def _tell(self, more: float) -> None:
        self._progress(min(1.0, (self._done + more) / self._steps))


def grounds_of(
    ask: Ask, subject: Subject, spec: ModelSpec, method: Explainer, explained: Sequence[Attribution]
) -> list[Grounds]:
    """What the reasons rest on for every row of some explanations by `method`, in their order."""
    rows = [(number, index) for number, found in enumerate(explained) for index in range(len(found.query))]
    swaps = []
    for number, index in rows:
        parts = [each.positions for each in candidates(explained[number], spec, index)]
        swaps.append(swap_query(explained[number].query, index, parts))
    swapped = ask(Predict(), swaps)
    others = [resampled_queries(subject, found.query, RESAMPLES) for found in explained]
    answers = iter(ask(method, [query for queries in others for query in queries]))
    resampled = [tuple(islice(answers, len(queries))) for queries in others]
    pairs = zip(rows, swapped, strict=True)
    return [Grounds(index, explained[number], swap, resampled[number]) for (number, index), swap in pairs]


def _case_queries(
    subject: Subject,
    model: ModelFile,
    cases: Sequence[Chosen],
    outputs: np.ndarray,
    target: Target,
    reference: Reference,
) -> list[Query]:
    """The explanations of the cases, whose outputs are (n, columns): one question where one can ask about all."""
    positions = [each.position for each in cases]
    if len(model.spec.classes) <= 2 and model.spec.modality != "text":
        return [explain_query(subject, model, positions, target, reference)]
    targets = [target] * len(cases)
    if len(model.spec.classes) > 2:
        targets = [Target(int(each), target.scale) for each in decide(outputs, model.spec, subject.cutoff)]
    pairs = zip(positions, targets, strict=True)
    return [explain_query(subject, model, [position], each, reference) for position, each in pairs]


def _places(drawn: np.ndarray, cases: Sequence[Chosen]) -> list[int]:
    """Where the cases are among the rows `drawn`, which are in ascending order."""
    return np.searchsorted(drawn, [each.position for each in cases]).tolist()


def _attacks(
    asking: _Asking, subject: Subject, model: ModelFile, target: Target, reference: Reference
) -> tuple[tuple[Attacked, ...], Attacked, tuple[Attribution, ...]]:
    """The attacks, the one without limit, and how explanations shift under the strongest, as a dossier has them."""
    spec, data = model.spec, subject.dataset
    rows = data.sample(ATTACKED[spec.modality], SEED, judged_only=len(data.judged) > 0)
    query, usual = attack_query(subject, model, rows, SEED), ATTACK_SIZES[spec.modality]
    strongest, *others = attacks_for(spec)
    growing = [found for share in SIZES for found in asking.ask(strongest(size=share * usual), query)]
    beside = [found for kind in others for found in asking.ask(kind(size=usual), query)]
    (extreme,) = asking.ask(strongest(size=NO_LIMIT), query)
    explained = explain_query(subject, model, rows[:SHIFTED], target, reference)
    shifted = asking.ask(default_survey(spec)(), *shifted_queries(explained, growing[SIZES.index(1.0)]))
    return (*growing, *beside), extreme, tuple(shifted)


def _steps(model: ModelFile) -> int:
    """How many questions a dossier asks at most."""
    spec, cases = model.spec, 5
    each = len(spec.classes) > 2 or spec.modality == "text"
    explained = (cases if each else 1) * (2 + (0 if spec.modality == "text" else RESAMPLES)) + cases
    attacks = len(SIZES) + len(attacks_for(spec)) + 3 if attacks_for(spec) else 0
    return 2 + (spec.modality in SURVEYED) + explained + attacks
