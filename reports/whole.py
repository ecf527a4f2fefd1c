"""A whole model's figures, worked out once from its dossier for the full report and for the one page."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from core import measures
from core.digest import short
from core.likeness import unlike
from core.nouns import Reference
from core.results import Agreement, Attacked, Attribution, Result
from core.scores import decide, probabilities
from reports import words
from reports.blocks import Block
from reports.dossier import Dossier
from reports.factors import importance
from reports.numbers import counted, listed, number, plural, tiny
from reports.reasons import Reasons, reasons
from reports.report import Exhibit


@dataclass(frozen=True)
class Finding:
    """One line of the conclusion: what was looked at, the figure, how sure it is, and the exhibits behind it."""

    what: str
    figure: str
    sure: str
    marks: str


class Whole:
    """A dossier and what follows from it."""

    def __init__(self, dossier: Dossier) -> None:
        self.dossier = dossier
        self.subject, self.model, self.spec = dossier.subject, dossier.model, dossier.model.spec
        self.exhibits: tuple[Exhibit, ...] = tuple(dossier.exhibits())
        self._marks = {exhibit.result.digest: f"E{place}" for place, exhibit in enumerate(self.exhibits, 1)}

    # --- exhibits ---------------------------------------------------------------------------------------------------

    def mark(self, *results: Result | None) -> str:
        """The exhibits' marks: "E3", "E3 to E5", "E3, E7"; the annex says their digests."""
        places = sorted({int(self._marks[each.digest][1:]) for each in results if each is not None})
        runs: list[list[int]] = []
        for place in places:
            if runs and place == runs[-1][-1] + 1:
                runs[-1].append(place)
            else:
                runs.append([place])
        return ", ".join(f"E{run[0]}" if len(run) == 1 else f"E{run[0]} to E{run[-1]}" for run in runs)

    def source(self, said: str, *results: Result) -> Block:
        """The quiet line under a figure that is no explanation: its exhibits, what it is of, a lone digest."""
        digest = ", " + short(results[0].digest).replace(" ", "\u00a0") if len(results) == 1 else ""
        return {"kind": "proof", "text": f"{self.mark(*results)}: {said}{digest}", "warning": False}

    # --- performance ------------------------------------------------------------------------------------------------

    @cached_property
    def labels(self) -> np.ndarray:
        """The true answer of each judged row (n,), as in the data."""
        data = self.subject.dataset
        return data.labels[[data.index(row_id) for row_id in self.dossier.judged.query.row_ids]]

    @cached_property
    def known(self) -> np.ndarray:
        """Which judged rows have a true answer (n,)."""
        return ~np.isnan(self.labels) if self.labels.dtype.kind == "f" else self.labels >= 0

    @cached_property
    def judged(self) -> bool:
        """Whether there is anything to judge the model by."""
        return bool(len(self.subject.dataset.judged)) and bool(self.known.any())

    @cached_property
    def outputs(self) -> np.ndarray:
        return self.dossier.judged.outputs

    @cached_property
    def decided(self) -> np.ndarray:
        """The decided class of each judged row (n,); of a model that decides."""
        return decide(self.outputs, self.spec, self.subject.cutoff)

    @cached_property
    def chances(self) -> np.ndarray:
        """Probabilities of each judged row (n, classes)."""
        return probabilities(self.outputs, self.spec)

    @property
    def two(self) -> bool:
        return len(self.spec.classes) == 2

    @property
    def ranks(self) -> bool:
        """Whether the judged rows can tell how well its scores rank: two classes, with rows of both."""
        return self.two and len(np.unique(self.labels[self.known])) == 2

    @cached_property
    def fit(self) -> measures.Fit:
        """How near predicted numbers come; of a model that predicts one."""
        return measures.fit(self.labels[self.known], self.outputs[self.known, 0])

    @property
    def rows(self) -> str:
        """ "2,000 held-out applications"."""
        held = "held-out " if self.subject.dataset.split_known else ""
        return counted(len(self.outputs), f"{held}{self.subject.row_noun}")

    # --- the data -----------------------------------------------------------------------------------------------------

    @property
    def reference(self) -> Reference | None:
        """What cases are compared with; None of texts, each of which is compared with itself."""
        grounds = self.dossier.grounds
        return grounds[0].explained.query.reference if grounds and self.spec.vocabulary is None else None

    @cached_property
    def unlike(self) -> np.ndarray:
        """Which judged rows are unlike the data (n,)."""
        query = self.dossier.judged.query
        return unlike(self.subject.dataset, self.spec, query.rows, query.row_ids).unlike

    # --- explanations -----------------------------------------------------------------------------------------------

    @cached_property
    def explained(self) -> tuple[Attribution, ...]:
        """Every explanation once: of the sample, of the cases by either method."""
        d = self.dossier
        every = [d.surveyed, *(each.explained for each in d.grounds), *d.seconds]
        return tuple({each.digest: each for each in every if each is not None}.values())

    def second(self, place: int) -> tuple[Attribution, int]:
        """The other method's explanation of the case at `place`, and the index of its row in it."""
        seconds = self.dossier.seconds
        return (seconds[0], place) if len(seconds) == 1 else (seconds[place], 0)

    def case_outputs(self, place: int) -> np.ndarray:
        """The model's outputs (1, columns) for the case at `place`, which is one of the judged rows."""
        row_id = self.subject.dataset.row_ids[self.dossier.cases[place].position]
        return self.outputs[[self.dossier.judged.query.row_ids.index(row_id)]]

    @cached_property
    def agreements(self) -> list[Agreement]:
        """How far both methods agree, case by case."""
        found = []
        for place, each in enumerate(self.dossier.grounds):
            other, index = self.second(place)
            found.append(words.agreement(each.explained.values[each.index], other.values[index]))
        return found

    @cached_property
    def reasons(self) -> list[Reasons]:
        """The reasons for each case."""
        return [reasons(self.subject, self.model, each) for each in self.dossier.grounds]

    @cached_property
    def swaps(self) -> tuple[int, int, int]:
        """Factors that were put to the tests, that stood both, and cases without a reason."""
        found = sum(len(each.found) for each in self.reasons)
        tested = found + sum(len(each.withheld) for each in self.reasons)
        return tested, found, sum(not each.found for each in self.reasons)

    # --- attacks ----------------------------------------------------------------------------------------------------

    @cached_property
    def usual(self) -> Attacked:
        """The strongest attack at the size at which the others were run too."""
        growing, others = self.dossier.strongest, self.dossier.others
        size = others[0].size if others else growing[len(growing) // 2].size
        return next(each for each in growing if each.size == size)

    @cached_property
    def attacked_labels(self) -> np.ndarray:
        data = self.subject.dataset
        return data.labels[[data.index(row_id) for row_id in self.usual.query.row_ids]]

    def held(self, attacked: Attacked) -> measures.Robustness:
        """Rows decided as labelled and still so; of rows without a label, decided as before."""
        labels = np.where(self.attacked_labels >= 0, self.attacked_labels, attacked.clean_class)
        return measures.robustness(labels, attacked.clean_class, attacked.attacked_class, attacked.noise_class)

    @cached_property
    def shifts(self) -> list[tuple[Agreement, Agreement]]:
        """For each row of the shifted explanations: its agreement with that after the attack, and after noise."""
        if len(self.dossier.shifted) != 3:
            return []
        before, after, noise = (each.values for each in self.dossier.shifted)
        return [(words.agreement(a, b), words.agreement(a, c)) for a, b, c in zip(before, after, noise, strict=True)]

    # --- the conclusion ---------------------------------------------------------------------------------------------

    @cached_property
    def headline(self) -> str:
        """How well the model decides, with the figures; that it cannot be told where there is nothing to judge by."""
        if not self.judged:
            return f"How well {self.model.title} decides cannot be told: no {self.subject.row_noun} has a true answer."
        outputs, labels = self.outputs[self.known], self.labels[self.known]
        return words.performance_headline(self.subject, self.model, outputs, labels)

    @property
    def title(self) -> str:
        """The headline as a title: one figure."""
        if not self.judged:
            return f"{self.model.title} on {self.subject.title}: how well it decides cannot be told"
        if not self.spec.classes:
            off = words.outcome(self.spec, self.fit.error)
            return f"{self.model.title} predicts {self.spec.outcome.title} {off} off on average"
        right = float((self.decided == self.labels)[self.known].mean())
        return f"{self.model.title} decides {share(right)} of {self.rows} as labelled"

    @property
    def conclusion(self) -> str:
        """What was found, in a sentence."""
        parts = []
        if self.judged and self.spec.classes:
            right = float((self.decided == self.labels)[self.known].mean())
            parts.append(f"{share(right)} of {self.rows} are decided as labelled")
        elif self.judged:
            off = words.outcome(self.spec, self.fit.error)
            parts.append(f"predictions for {self.rows} are {off} off on average")
        else:
            parts.append("how well the model decides cannot be told")
        if self.dossier.attacked:
            held, size = self.held(self.usual), words.size_phrase(self.spec, self.usual.norm, self.usual.size)
            right, left = round(held.accuracy * held.rows), round(held.attacked * held.rows)
            parts.append(f"a change of {size} turns {right - left} of {right} right decisions")
        if self.reasons:
            tested, found, _ = self.swaps
            told = (
                f"{found} of {counted(tested, 'reason')} stood their tests"
                if tested
                else "no case has a reason to test"
            )
            parts.append(told)
        return words.capital(f"{listed(parts)}.")

    def findings(self) -> list[Finding]:
        """What was found, a line each, in the order of the sections."""
        found = [*self._performed(), *self._moved(), *self._exact(), *self._reasoned()]
        return found + (self._attacks() if self.dossier.attacked else [])

    def _performed(self) -> list[Finding]:
        mark = self.mark(self.dossier.judged)
        if not self.judged:
            return []
        if not self.spec.classes:
            low, high = (words.outcome(self.spec, each) for each in self.fit.error_interval)
            error = words.outcome(self.spec, self.fit.error)
            return [Finding("Mean distance from the true number", error, f"95% interval {low} to {high}", mark)]
        right, rows = int((self.decided == self.labels)[self.known].sum()), int(self.known.sum())
        low, high = measures.wilson(right, rows)
        lines = [Finding("Decided as labelled", share(right / rows), interval(low, high), mark)]
        if self.ranks:
            area = measures.area(self.labels[self.known], self.chances[self.known, 1])
            said = f"95% interval {area.low:.3f} to {area.high:.3f}; 0.5 is chance"
            lines.append(Finding("Area under the ROC curve", f"{area.value:.3f}", said, mark))
        return lines

    def _moved(self) -> list[Finding]:
        surveyed = self.dossier.surveyed
        if surveyed is None:
            return []
        first = importance(surveyed, self.spec, grouped=False)[:3]
        unit = words.scale_name(self.spec, surveyed.query.target.scale)
        rows = counted(len(surveyed.query), self.subject.row_noun)
        named = ", ".join(f"{each.heading} {number(each.effect)}" for each in first)
        return [Finding("Moved most by", named, f"mean size in {unit}, {rows}", self.mark(surveyed))]

    def _exact(self) -> list[Finding]:
        promised = [each for each in self.explained if each.tolerance is not None]
        lines = []
        if promised:
            worst = max(promised, key=lambda each: np.abs(each.residual).max() / each.spread)
            part = float(np.abs(worst.residual).max()) / worst.spread
            failed = sum(each.complete is False for each in promised)
            said = f"{failed} of {len(promised)} miss their tolerance" if failed else "all within their tolerance"
            left = "nothing" if part == 0 else f"{tiny(part)} of the range"
            lines.append(Finding("Explanations leave over at most", left, said, self.mark(*promised)))
        if self.agreements:
            shared = sum(each.shared_top for each in self.agreements)
            every = sum(each.top_k for each in self.agreements)
            cases = counted(len(self.agreements), "case")
            used = [*(each.explained for each in self.dossier.grounds), *self.dossier.seconds]
            figure = f"{shared} of {every}"
            lines.append(Finding("Largest effects named by both methods", figure, f"over {cases}", self.mark(*used)))
        return lines

    def _reasoned(self) -> list[Finding]:
        tested, found, without = self.swaps
        if not self.reasons:
            return []
        grounds = self.dossier.grounds
        used = [*(each.swapped for each in grounds), *(other for each in grounds for other in each.resampled)]
        cases = counted(len(self.reasons), "case")
        said = f"{without} of {cases} {'has' if without == 1 else 'have'} none" if without else f"over {cases}"
        return [Finding("Reasons that stood both tests", f"{found} of {tested}", said, self.mark(*used))]

    def _attacks(self) -> list[Finding]:
        held = self.held(self.usual)
        right = round(held.accuracy * held.rows)
        size = words.size_phrase(self.spec, self.usual.norm, self.usual.size)
        low, high = held.attacked_interval
        lines = [
            Finding(
                f"Still decided as labelled after a change of {size}",
                f"{round(held.attacked * held.rows)} of {right}",
                f"after noise {round(held.noise * held.rows)}; {interval(low, high)} of all {held.rows}",
                self.mark(self.usual),
            )
        ]
        if self.shifts:
            top = sum(each.top_k for each, _ in self.shifts)
            after, noise = (sum(pair[side].shared_top for pair in self.shifts) for side in (0, 1))
            what = f"Largest effects of {plural(words.things(self.spec))} that stay so after the attack"
            lines.append(Finding(what, f"{after} of {top}", f"after noise {noise}", self.mark(*self.dossier.shifted)))
        return lines


def share(value: float) -> str:
    """A share with one decimal, so that nearly all does not read as all."""
    return f"{value:.1%}"


def interval(low: float, high: float) -> str:
    """ "95% interval 76.4% to 80.1%"."""
    return f"95% interval {share(low)} to {share(high)}"
