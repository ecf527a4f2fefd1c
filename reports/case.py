"""The file on one case: every result that its report draws from, and the digest of them all."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from access.masks import hidden
from core.digest import digest
from core.errors import UserFacingError
from core.nouns import ModelFile, Subject
from core.results import Attribution, Comparison, Prediction
from reports.reasons import Grounds, Reasons, reasons, warnings

SECTIONS = ("decision", "attributions", "attack", "ledger")


@dataclass(frozen=True)
class CaseFile:
    """One decision with its evidence.

    `outputs` is the model's prediction of the one row the case is about, `population` that of the reference rows,
    `attributions` the same row and target by one or more methods, the first of which is told in words. `sections` are
    the chosen ones of `SECTIONS`; the cover is always there. `grounds` is what the reasons for the decision rest on,
    None where the first method compares with nothing.
    """

    subject: Subject
    model: ModelFile
    outputs: Prediction
    population: Prediction
    attributions: tuple[Attribution, ...]
    comparison: Comparison | None = None
    sections: tuple[str, ...] = ("decision", "attributions", "ledger")
    grounds: Grounds | None = None

    def __post_init__(self) -> None:
        for name in self.sections:
            if name not in SECTIONS:
                raise UserFacingError(
                    f"A report has no section called {name!r}",
                    f"Its sections are: {', '.join(SECTIONS)}",
                    "Choose among them",
                )
        if "attack" in self.sections and self.comparison is None:
            raise UserFacingError(
                "The report has no attack to show",
                "None was run on this row",
                "Run one first or leave that section out",
            )
        if not self.attributions:
            raise UserFacingError(
                "The report has no explanation to show", "No method was chosen", "Choose at least one method"
            )
        self._check_one_row()

    @property
    def row_id(self) -> str:
        return self.outputs.query.row_ids[0]

    @cached_property
    def digest(self) -> str:
        """That of everything printed: the results, and what the subject and model add in words."""
        subject, model = self.subject, self.model
        return digest(
            "case",
            self.sections,
            (subject.name, subject.title, subject.row_noun, subject.verdicts, subject.cutoff, subject.limits),
            subject.dataset.digest,
            (model.name, model.title, model.format),
            model.spec,
            [result.digest for result in self.results],
            *([hidden(model.spec)] if hidden(model.spec) else []),
        )

    @cached_property
    def reasons(self) -> Reasons | None:
        """The reasons for the decision, or why there are none; None where there are no grounds."""
        return None if self.grounds is None else reasons(self.subject, self.model, self.grounds)

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What a reader has to know first: that the row or the reference is unlike the data. Mostly none."""
        query = self.attributions[0].query
        return warnings(self.subject, self.model, query.rows[0], query.row_ids[0], query.reference)

    @property
    def results(self) -> Iterable[Prediction | Attribution]:
        """Every result that the report rests on, in the order of the ledger."""
        found = [self.outputs, self.population, *self.attributions]
        if self.comparison is not None:
            found += [self.comparison.attacked, self.comparison.clean, self.comparison.after, self.comparison.noise]
        if self.grounds is not None:
            found += [self.grounds.swapped, *self.grounds.resampled]
        return found

    def _check_one_row(self) -> None:
        """A report that mixed rows or models would be wrong in print; that is a defect, not bad input."""
        for result in self.results:
            if result.query.model != self.model.spec.digest:
                raise ValueError("a result is of another model than the case")
        attacked = () if self.comparison is None else (self.comparison.attacked, self.comparison.clean)
        resampled = () if self.grounds is None else self.grounds.resampled
        for result in (*self.attributions, *attacked, *resampled):
            if result.query.row_ids != (self.row_id,):
                raise ValueError(f"a result is of {result.query.row_ids}, the case of {self.row_id}")
