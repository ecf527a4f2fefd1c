"""A report's words and numbers, worked out again from answers that were asked for again.

The answers go, by the names of their exhibits, through what makes the pages of reports. So a house that prints what its
evidence does not say is seen; where the subject is here, a cut-off, a title or a label that is another is seen too.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Any

from access.masks import masked
from core.nouns import Subject
from core.results import Result
from engine.wire import shown
from reports import decision, full, letter, summary
from reports.bundle import Bundle, Filed
from reports.dossier import Dossier
from reports.letter import Letter
from reports.manifest import environment, unstamped
from reports.numbers import counted, listed
from reports.recompute import Difference
from reports.report import Report, masked_names
from reports.rules import rules
from reports.verifying import Line

_MOST = 3  # places of which each is told
_LONGEST = 40  # characters of what is told of each
_BEFORE = 12  # of these, before the first that differs
_NOTHING = object()
_MEANS = ("engine", "device")  # facts of an answer that another machine may change


def remade(bundle: Bundle, subject: Subject, answers: Mapping[str, Result]) -> Report:
    """The report that these answers give, by the names of the bundle's exhibits and in their order.

    Title, labels, cut-off and all else that is no answer are those of `subject`; command, stamp and, in a report on a
    whole model, the environment that it names are the bundle's. Raises what comes of answers that it cannot rest on.
    """
    told = bundle.manifest
    subject = replace(masked(subject, told["masked"]), name=told["subject"]["name"])
    fitting = [each for each in subject.models if each.spec.digest == told["model"]["digest"]]
    model = min(fitting, key=lambda each: each.name != told["model"]["name"])
    stamp, command = unstamped(told["stamp"]), told["command"]
    if bundle.audience == "letter":
        return letter.report(Letter.of(subject, model, answers), stamp, command)
    if bundle.audience == "decision":
        return decision.report(decision.case_of(subject, model, answers, bundle.sheet), stamp, command)
    dossier = Dossier.of(subject, model, answers)
    if bundle.audience == "summary":
        return summary.report(dossier, stamp, command)
    return full.report(dossier, stamp, command, told["environment"])


def pages(bundle: Bundle, subject: Subject, found: Sequence[Difference]) -> Line:
    """Whether what is printed is what comes out of `found`, which was asked for again (`recompute`) of `subject`."""
    if not all(each.ok and each.answer for each in found):
        return Line(None, "Its pages were not worked out again: not every answer came out as the report has it.")
    if any(set(masked_names(each.spec)) - set(bundle.manifest["masked"]) for each in subject.models):
        return Line(None, "Its pages cannot be worked out again: they may say what is hidden from you.")
    again = {each.name: each.answer for each in found}
    answers = {each.name: _as_told(each, again[each.name]) for each in bundle.exhibits}
    try:
        report = remade(bundle, subject, answers)
    except Exception:  # what was signed by somebody trusted, and yet was not made here, fails in any way
        return Line(False, "Its pages cannot be worked out again: such a report does not rest on its answers.")
    places = list(_places(_told(bundle), _said(report)))
    if places:
        return Line(False, " ".join(shown(_otherwise(bundle, places)).split()))
    said = "Worked out again from the answers, every word and number on its pages is the same."
    return Line(True, " ".join([said, *_own_words(answers, again)]))


def _as_told(filed: Filed, answer: Result) -> Result:
    """An answer as the report has it, where it came out as another within rounding: digests are printed too."""
    if answer.digest == filed.digest:
        return answer
    told = replace(filed.result, query=answer.query)
    facts, here = _facts(told), _facts(answer)
    alike = {**facts, **{name: here[name] for name in _MEANS if name in facts and name in here}} == here
    return told if alike and told.digest == filed.digest else answer


def _facts(answer: Result) -> Mapping[str, Any]:
    return getattr(answer, "facts", {})


def _own_words(answers: Mapping[str, Result], again: Mapping[str, Result]) -> Iterator[str]:
    """That answers were computed by other means, as the report says; that nobody can look up."""
    names = [name for name, each in answers.items() if _facts(each) != _facts(again[name])]
    if names:
        yield f"By which {' or '.join(_MEANS)} it computed {listed(names)} is its own word: here it is another."


# --- comparing -------------------------------------------------------------------------------------------------------


def _told(bundle: Bundle) -> dict[str, Any]:
    """What the bundle prints, its stamp apart, and what that is about and rests on."""
    told = bundle.manifest
    beside = unstamped(told["stamp"]).beside(told["digest"])
    printed = {name: value for name, value in bundle.sheet.items() if name not in beside}
    return {"rows": told["row_ids"], "answers": [each.name for each in bundle.exhibits], "": printed}


def _said(report: Report) -> dict[str, Any]:
    """The same of a report, as JSON has it."""
    names = [each.name for each in report.exhibits]
    return json.loads(json.dumps({"rows": report.row_ids, "answers": names, "": report.printed}))


def _places(told: Any, found: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where two values from JSON differ: the path to each place, and what either has there."""
    if isinstance(told, dict) and isinstance(found, dict):
        for name in {**told, **found}:
            here = f"{path}.{name[:_LONGEST]}".strip(".")
            yield from _places(told.get(name, _NOTHING), found.get(name, _NOTHING), here)
    elif isinstance(told, list) and isinstance(found, list):
        for number, pair in enumerate(zip_longest(told, found, fillvalue=_NOTHING), 1):
            yield from _places(*pair, f"{path}[{number}]")
    elif type(told) is not type(found) or told != found:
        yield path, told, found


def _otherwise(bundle: Bundle, places: Sequence[tuple[str, Any, Any]]) -> str:
    """That the pages say something else than the answers, and where, in a few sentences."""
    said = [f"Worked out again from the answers, its pages differ in {counted(len(places), 'place')}."]
    for path, told, found in places[:_MOST]:
        start = max(0, _first(told, found) - _BEFORE)
        said.append(f"{path[-2 * _LONGEST :]}: {_short(told, start)} is printed, {_short(found, start)} comes out.")
    maker, here = bundle.manifest["environment"]["assay"][:_LONGEST], environment()["assay"]
    if maker != here:
        said.append(f"Assay {maker} made it and here is {here}, which may word it otherwise: check it with that one.")
    elif bundle.manifest["rules"]["digest"] != rules().digest:
        said.append("The rule file here is another than the report's.")
    return " ".join(said)


def _first(told: Any, found: Any) -> int:
    """The first character in which two texts differ; 0 of anything else."""
    if not isinstance(told, str) or not isinstance(found, str):
        return 0
    return next((place for place, (here, there) in enumerate(zip_longest(told, found)) if here != there), 0)


def _short(value: Any, start: int) -> str:
    """A value as it is told, a long text around `start` alone."""
    if value is _NOTHING:
        return "nothing"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = ("…" if start else "") + text[start : start + _LONGEST] + ("…" if len(text) > start + _LONGEST else "")
    return f"“{text}”" if isinstance(value, str) else text
