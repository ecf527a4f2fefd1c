"""The letter to the person concerned: what was decided, what spoke for it, and what can be asked for.

About one row only. It names at most four reasons, each with its value and the usual one, never their sizes: people
read log-odds as percentages. Where there are no reasons that stand, it says so.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.errors import UserFacingError
from core.nouns import ModelFile, ModelSpec, Reference, Subject
from core.results import Result
from core.scores import decide
from reports import blocks, words
from reports.blocks import Block
from reports.factors import Factor, named
from reports.numbers import counted, listed, plural
from reports.reasons import Grounds, Reasons, reasons
from reports.report import Exhibit, Report, Stamp, numbered

FEWEST = 20
"""Rows with which a letter on a table compares at least."""
_MOST_GIVEN = 40
"""Values that a letter lists; of more, whoever is concerned can ask for them."""
_LIMITS = (
    "The reasons describe how the model arrived at its answer. They do not say what brings anything about in the "
    "world, and they are not advice on what to change. What is not named may have counted too."
)
_SILENCE = (
    "That no reasons are named does not say that nothing counted, nor whether the answer is right. It is not advice on "
    "what to change."
)
_ASK = (
    "You can ask whoever sent you this letter to have a person look at the decision again, to show you all data about "
    "you that the model was given, and to correct what is wrong in them. Which rights you have in this is for the law "
    "where you live to say."
)


@dataclass(frozen=True)
class Letter:
    """One row with its grounds, which are about no other row. A row that is not in the data has an id of its own."""

    subject: Subject
    model: ModelFile
    grounds: Grounds

    def __post_init__(self) -> None:
        explained = (self.grounds.explained, *self.grounds.resampled)
        if any(each.query.row_ids != (self.row_id,) for each in explained):
            raise ValueError("a letter is about one row and no other")
        check_reference(self.model.spec, self.grounds.explained.query.reference)

    @property
    def row_id(self) -> str:
        return self.grounds.swapped.query.row_ids[0]

    @property
    def row(self) -> np.ndarray:
        """What the model was given (*shape)."""
        return self.grounds.explained.query.rows[0]

    @property
    def outputs(self) -> np.ndarray:
        """What the model said of it (1, columns)."""
        return self.grounds.swapped.outputs[:1]

    def exhibits(self) -> Iterator[Exhibit]:
        """Every answer once, by name."""
        yield Exhibit("decision-and-swaps", self.grounds.swapped)
        yield Exhibit("explanation", self.grounds.explained)
        for number, each in enumerate(self.grounds.resampled, 1):
            yield Exhibit(f"resample-{number}", each)

    @classmethod
    def of(cls, subject: Subject, model: ModelFile, answers: Mapping[str, Result]) -> "Letter":
        """The letter that rests on these answers, by the names that `exhibits` gives them."""
        explained, swapped = answers["explanation"], answers["decision-and-swaps"]
        return cls(subject, model, Grounds(0, explained, swapped, numbered(answers, "resample-{}")))


def check_reference(spec: ModelSpec, reference: Reference | None) -> None:
    """Refuses so few rows of a table that what a letter calls usual would be somebody's own value."""
    if spec.modality == "table" and reference is not None and len(reference) < FEWEST:
        raise UserFacingError(
            "The letter cannot be written",
            f"It would compare with {counted(len(reference), 'row')}, and what is usual among fewer than {FEWEST} is "
            "somebody's own value",
            f"Compare with {FEWEST} rows or more",
        )


def report(letter: Letter, stamp: Stamp, command: str = "") -> Report:
    """The letter as a report. `command` asks for it again."""
    subject, model, row_id = letter.subject, letter.model, letter.row_id
    found, who = reasons(subject, model, letter.grounds), words.row_name(subject, row_id)
    printed = {
        "title": title(subject, model, row_id, letter.outputs),
        "subject": subject.title,
        "to": f"To the person concerned, {who}",
        "running": f"{subject.title}, {who}",
        "opening": _opening(letter),
        "sections": [
            _reasons(letter, found),
            *([_section("How sure this is", _sure(letter, found))] if found.found else []),
            _section("What this does not say", f"{_LIMITS if found.found else _SILENCE} {subject.limits}".rstrip()),
            _section("What you can ask for", _ASK),
        ],
        "given": _given(letter),
    }
    return Report("letter", subject, model, (row_id,), tuple(letter.exhibits()), printed, command, stamp)


def _section(heading: str, said: str, *others: Block) -> dict[str, Any]:
    return {"heading": heading, "blocks": [blocks.text(said), *others]}


def title(subject: Subject, model: ModelFile, row_id: str, outputs: np.ndarray) -> str:
    """What was decided by `outputs` (1, columns), without its figures; a predicted number is what was decided."""
    if not model.spec.classes:
        return words.decision_headline(subject, model, row_id, outputs)
    decided = int(decide(outputs, model.spec, subject.cutoff)[0])
    return f"{words.capital(words.row_name(subject, row_id))} {subject.verdict(decided, model.spec)}."


def _opening(letter: Letter) -> str:
    said = f"The answer comes from a computer model: {letter.model.title}."
    if not letter.model.spec.classes:
        return said
    return f"{said} {words.decision_sentence(letter.subject, letter.model, letter.outputs)}"


# --- the reasons -----------------------------------------------------------------------------------------------------


def _reasons(letter: Letter, found: Reasons) -> dict[str, Any]:
    """The reasons, the strongest first, or the sentence why there are none."""
    if not found.found:
        return _section("Why no reasons are named", found.abstained)
    spec, factors = letter.model.spec, [each.factor for each in found.found]
    compared = words.reference_phrase(letter.subject, spec, letter.grounds.explained.query)
    heading = "What spoke for this decision most" if spec.classes else "What moved this number most"
    if spec.modality != "table":
        names = [each.label if spec.modality == "text" else f"the {each.title}" for each in factors]
        return _section(heading, f"Compared with {compared}, the strongest first: {listed(names)}.")
    protected = [each.title for each in factors if any(spec.features[place].protected for place in each.positions)]
    flags = [blocks.text(_flag(protected))] if protected else []
    return _section(heading, f"The strongest first, compared with {compared}.", _table(letter, factors), *flags)


def _table(letter: Letter, factors: list[Factor]) -> Block:
    """A line a reason, or one for each member of a family that is named: its value and the usual one."""
    spec, effects = letter.model.spec, letter.grounds.explained.values[0]
    reference = letter.grounds.explained.query.reference.rows
    rows = []
    for number, factor in enumerate(factors, 1):
        inside = named(factor.positions, effects)
        for place in inside:
            feature = spec.features[place]
            told = f"{number}. {factor.heading}{_member(feature.title, len(factor.positions), len(inside))}"
            way = [] if spec.classes else ["raised it" if factor.raises else "lowered it"]
            rows.append([told, feature.show(letter.row[place]), blocks.usual(feature, reference[:, place]), *way])
    head = ["", f"this {letter.subject.row_noun}", "usual", *([] if spec.classes else ["effect"])]
    return blocks.table(head, rows, "Usual is the middle one of the values compared with, or the most frequent one.")


def _member(title: str, members: int, shown: int) -> str:
    """Which member of a family a line is about."""
    if members == 1:
        return ""
    return f": {title.lower()}{f', and {members - shown} more' if members > shown else ''}"


def _flag(protected: list[str]) -> str:
    """That a reason is one which a decision may not rest on."""
    is_it = "is something" if len(protected) == 1 else "are things"
    return (
        f"{words.capital(listed(protected))} {is_it} that such a decision should not rest on, by what whoever uses the "
        "model has said of it. Ask for a person to look at the decision."
    )


def _sure(letter: Letter, found: Reasons) -> str:
    """What the reasons were put to, and what did not stand it."""
    explained, query = letter.grounds.explained, letter.grounds.explained.query
    compared = "a hidden word" if letter.model.spec.modality == "text" else f"those of the {len(query.reference):,}"
    moved = f"the {words.result_noun(letter.model.spec)} moved as a reason for it has to"
    tests = [f"with its value exchanged for {compared}, {moved}"]
    least, most = min(each.held for each in found.found), found.found[0].resamples
    if most:
        times = "each time" if least == most else f"at least {least} times"
        tests.append(f"against {most} other draws of {plural(letter.subject.row_noun)} it was named again {times}")
    said = f"Each reason stood {'two tests' if len(tests) == 2 else 'a test'}: {'; '.join(tests)}."
    failed = listed([each.factor.title for each in found.withheld])
    warning = [words.accuracy_sentence(explained)] if explained.complete is False else []
    withheld = f"Put to them too, and not named: {failed}." if failed else ""
    together = words.together_sentence(letter.subject, letter.model, found)
    return " ".join(filter(None, [*warning, said, withheld, together]))


# --- what the model was given ----------------------------------------------------------------------------------------


def _given(letter: Letter) -> dict[str, Any]:
    """All that the model was given, so that what is wrong in it can be found: values by name, or a picture or text."""
    spec, row = letter.model.spec, letter.row
    if spec.modality == "image":
        panel = blocks.input_panel(letter.subject, spec, letter.row_id, row)
        return {"values": [], "blocks": [blocks.panels([panel], "")]}
    if spec.modality == "text":
        return {"values": [], "blocks": [blocks.text_as_read(spec, row)]}
    shown = list(zip(spec.features, row, strict=True)) if len(spec.features) <= _MOST_GIVEN else []
    return {"values": [[words.capital(each.title), each.show(value)] for each, value in shown], "blocks": []}
