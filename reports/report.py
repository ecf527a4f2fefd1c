"""A report: what is printed, what it rests on, and what is said of it beside the evidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import count, takewhile
from typing import Any

from access.masks import hidden
from core.digest import digest
from core.nouns import ModelFile, ModelSpec, Query, Subject
from core.results import Result
from storage.evidence import question_key

FORMAT = "1"
"""The form of a report, of its bundle and of its digest."""
ID = 12
"""Digits of a report's digest by which people call it."""
AUDIENCES: Mapping[str, str] = {
    "decision": "One decision, with what moved it and what would change it",
    "letter": "A letter to the person concerned",
    "full": "The whole model, for an auditor",
    "summary": "The whole model on one page",
}
RowNames = tuple[tuple[str, ...], tuple[str, ...]]
"""By name the rows that a question is about, and those of its reference, none where it has none."""
OF_CASES = ("decision", "letter")
"""The audiences of reports on cases; the others are on the whole model."""


@dataclass(frozen=True)
class Exhibit:
    """One answer that a report rests on, under the name by which the report speaks of it."""

    name: str
    result: Result

    @property
    def question(self) -> str:
        """The key of the question that it answers."""
        return question_key(self.result.query, self.result.method)


@dataclass(frozen=True)
class Stamp:
    """What is said of a report beside its evidence.

    `use` is what the model is used for, in a sentence; empty where nobody said so, like `author` and `reviewer`. A
    draft has a watermark and no signature. `log` is the number of entries and the head of the log when it was signed.
    """

    as_of: date
    author: str = ""
    reviewer: str = ""
    use: str = ""
    final: bool = False
    log: tuple[int, str] | None = None

    @property
    def said(self) -> dict[str, Any]:
        """The stamp in words, and its date as year, month and day."""
        day = self.as_of
        return {
            "as_of": f"{day.day} {day:%B %Y}",
            "date": [day.year, day.month, day.day],
            "author": self.author or "not named",
            "reviewer": self.reviewer or "not named",
            "use": self.use or "not stated",
            "log": "not signed" if self.log is None else f"{self.log[0]:,} entries, head {self.log[1]}",
        }

    def beside(self, digest: str) -> dict[str, Any]:
        """What a sheet says beside what is printed, of a report with that digest."""
        return {"id": digest[:ID], "digest": digest, "draft": not self.final, "stamp": self.said}


@dataclass(frozen=True)
class Report:
    """What is printed for one audience, and every answer it rests on.

    `printed` is what the template prints, as JSON has it, the stamp apart. `row_ids` are the cases that it is about by
    name, none for the whole model. `command` asks for the same report again.
    """

    audience: str
    subject: Subject
    model: ModelFile
    row_ids: tuple[str, ...]
    exhibits: tuple[Exhibit, ...]
    printed: Mapping[str, Any]
    command: str
    stamp: Stamp

    def __post_init__(self) -> None:
        if self.audience not in AUDIENCES:
            raise ValueError(f"there is no audience {self.audience!r}")
        for exhibit in self.exhibits:
            if exhibit.result.query.model != self.model.spec.digest:
                raise ValueError(f"{exhibit.name} is of another model than the report")
        if not is_about(self.audience, self.row_ids, [rows_of(each.result.query) for each in self.exhibits]):
            raise ValueError("an exhibit is about other rows than the report")

    @cached_property
    def digest(self) -> str:
        """That of everything printed and of all that it rests on, the stamp apart."""
        return report_digest(
            (self.audience, self.subject.name, self.subject.dataset.digest, self.model.spec.digest),
            self.row_ids,
            [(exhibit.name, exhibit.question, exhibit.result.digest) for exhibit in self.exhibits],
            self.printed,
            masked_names(self.model.spec),
        )

    @property
    def sheet(self) -> dict[str, Any]:
        """What the template is given: all that is printed, and the stamp in words."""
        return {**self.printed, **self.stamp.beside(self.digest)}

    @property
    def id(self) -> str:
        """What a person calls it: the first digits of its digest."""
        return self.digest[:ID]


def rows_of(query: Query) -> RowNames:
    """The names of its rows."""
    return query.row_ids, query.reference.row_ids if query.reference else ()


def is_about(audience: str, row_ids: Sequence[str], asked: Sequence[RowNames]) -> bool:
    """Whether a report rests on something, and one on cases on answers that begin with these.

    An answer without a reference may be about all rows of another's reference instead.
    """
    references = {reference for _, reference in asked if reference}
    begun = [set(rows[:1]) & set(row_ids) or (not reference and rows in references) for rows, reference in asked]
    return bool(asked) and (audience not in OF_CASES or all(begun))


def numbered(answers: Mapping[str, Result], form: str) -> tuple[Result, ...]:
    """The answers named `form` with 1, 2 and so on in it, up to the first that is not there."""
    return tuple(answers[name] for name in takewhile(answers.__contains__, map(form.format, count(1))))


def report_digest(
    about: tuple[str, str, str, str],
    row_ids: Sequence[str],
    exhibits: Sequence[tuple[str, str, str]],
    printed: Mapping[str, Any],
    masked: Sequence[str],
) -> str:
    """A report's digest from its parts, as a bundle holds them.

    `about`: its audience, the subject's name, the digests of data and model; `exhibits`: the name of each, its question
    and the digest of its result; `masked`: the features whose values its reader may not see.
    """
    return digest("report", FORMAT, about, row_ids, exhibits, printed, *([masked] if masked else []))


def masked_names(spec: ModelSpec) -> tuple[str, ...]:
    """The features whose values are hidden, by name."""
    return tuple(spec.features[place].name for place in hidden(spec))
