"""Blocks: what every report is made of, as plain data for the template.

A section is a question, a heading that answers it, and blocks. Every figure carries its alternative text. A function
that is given many rows takes the `index` of the one to show.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from core.digest import short
from core.nouns import Feature, ModelFile, ModelSpec, Subject
from core.results import Attribution, Result
from core.scores import probabilities
from reports import figures, words
from reports.glossary import terms_in
from reports.numbers import MINUS, counted, number, score_and_cutoff, signed, tiny
from reports.reasons import Reason, Reasons
from reports.report import Exhibit

Block = dict[str, Any]
Titled = Sequence[tuple[str, Attribution]]

_FOLDED_FROM = 17


def section(question: str, heading: str, blocks: list[Block], room: int = 95) -> dict[str, Any]:
    """One section, under its question; it starts on a new page where less than `room` mm are left of one."""
    return {"question": question, "heading": heading, "blocks": blocks, "room": room}


def with_glossary(printed: dict[str, Any]) -> dict[str, Any]:
    """What is printed, and the entries of the glossary that it needs."""
    return {**printed, "glossary": [list(entry) for entry in terms_in(list(_texts(printed))).items()]}


def _texts(value: Any) -> Iterator[str]:
    """Every string in nested data."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)


# --- words and tables ------------------------------------------------------------------------------------------------


def text(said: str) -> Block:
    """A paragraph."""
    return {"kind": "text", "text": said}


def note(said: str) -> Block:
    """A quiet line over what follows it."""
    return {"kind": "note", "text": said}


def proof(attribution: Attribution, spec: ModelSpec, before: str = "") -> Block:
    """The quiet line under a figure; a warning where the method fails its own tolerance."""
    mark = short(attribution.digest)
    line = words.proof_line(attribution, spec).replace(mark, mark.replace(" ", "\u00a0"))
    return {"kind": "proof", "text": f"{before}{line}", "warning": attribution.complete is False}


def listed(items: list[str]) -> Block:
    """Sentences, each on its own."""
    return {"kind": "list", "items": items}


def title(kicker: str, said: str, room: int = 70) -> Block:
    """A heading inside a section, with what it is an instance of over it."""
    return {"kind": "title", "kicker": kicker, "text": said, "room": room}


def warning(said: str) -> Block:
    """What the reader has to know before they read on."""
    return {"kind": "warning", "text": said}


def missing(what: str, why: str, needed: str) -> Block:
    """What the reader might look for and will not find: why, and what would be needed."""
    return {"kind": "missing", "what": what, "why": why, "needed": needed}


def charts(drawn: Sequence[figures.Chart], said: str = "") -> Block:
    """Charts side by side, with a quiet line under them."""
    return {"kind": "charts", "charts": [each.drawn for each in drawn], "note": said}


def matrix(counts: np.ndarray, names: Sequence[str], alt: str) -> Block:
    """Counts (k, k) of true by decided class."""
    axis = "true class down, decided class across"
    return {"kind": "matrix", "alt": alt, "classes": list(names), "rows": figures.matrix_rows(counts), "axis": axis}


def table(
    head: list[str],
    rows: list[list[str]],
    said: str = "",
    folded: bool | None = None,
    widths: Sequence[float] = (),
    left: bool = False,
    dense: bool = False,
) -> Block:
    """A table with a quiet line under it. A long one of few columns is `folded` into two side by side.

    `widths` are the columns' shares of the width; without them all but the first are as wide as they need. Numbers
    stand right; `left` says that all are words. One with many columns is `dense`.
    """
    fold = len(rows) >= _FOLDED_FROM and len(head) <= 3 if folded is None else folded
    shape = {"folded": fold, "widths": list(widths), "left": left, "dense": dense}
    return {"kind": "table", "head": head, "rows": rows, "note": said, **shape}


def pairs(title: str, rows: Sequence[tuple[str, str]]) -> Block:
    """Terms and what is said of each."""
    return {"kind": "pairs", "title": title, "rows": [list(row) for row in rows]}


def identity() -> Block:
    """Where the template says the report's own digest, its status and who stands behind it."""
    return {"kind": "identity"}


def command(line: str) -> Block:
    """The command that asks for the report again; nothing where there is none."""
    return {"kind": "command", "text": line}


def exhibits(numbered: Sequence[tuple[str, Exhibit]]) -> Block:
    """Exhibits with their marks: each with its question and the digests of that and of the answer."""
    return {"kind": "exhibits", "rows": [_exhibit(mark, each) for mark, each in numbered]}


def _exhibit(mark: str, exhibit: Exhibit) -> dict[str, str]:
    result, method, reference = exhibit.result, exhibit.result.method, exhibit.result.query.reference
    options = "".join(f", {name.replace('_', ' ')} {value}" for name, value in method.options)
    parts = [f"{method.name} {method.version}{options}", counted(len(result.query), "row"), f"seed {result.query.seed}"]
    if reference is not None:
        seed = "" if reference.seed is None else f" of seed {reference.seed}"
        parts.append(f"{counted(len(reference), 'reference row')}{seed}")
    if isinstance(result, Attribution):
        parts.append("promises no sum" if result.tolerance is None else f"tolerance {tiny(result.tolerance)}")
    said = {"name": exhibit.name, "said": ", ".join(parts)}
    return {"mark": mark, **said, "question": exhibit.question, "digest": result.digest}


def ledgers(titled: list[tuple[str, list[tuple[str, str]]]]) -> list[Block]:
    """One ledger each; the lines on which all agree that have the term are said once, before them."""
    shared = _shared([lines for _, lines in titled])
    rest = [pairs(title, [line for line in lines if line not in shared]) for title, lines in titled]
    return [pairs("The same for all", shared), *rest] if shared else rest


def _shared(every: list[list[tuple[str, str]]]) -> list[tuple[str, str]]:
    said: dict[str, list[str]] = {}
    for lines in every:
        for term, value in lines:
            said.setdefault(term, []).append(value)
    return [(term, values[0]) for term, values in said.items() if len(values) > 1 and len(set(values)) == 1]


def ledger(title: str, result: Result, subject: Subject, model: ModelFile) -> tuple[str, list[tuple[str, str]]]:
    """Every choice behind a result, under a title."""
    return title, words.ledger(result, subject, model)


# --- one row ---------------------------------------------------------------------------------------------------------


def key_figures(subject: Subject, model: ModelFile, row_id: str, outputs: np.ndarray) -> list[list[str]]:
    """The two numbers of a decision or prediction with what they are; `outputs`: the row's, (1, columns)."""
    spec = model.spec
    if not spec.classes:
        shown = [[words.outcome(spec, outputs[0, 0]), f"predicted {spec.outcome.title}"]]
        known = float(subject.dataset.labels[subject.position(row_id)])
        if not np.isnan(known):
            shown.append([words.outcome(spec, known), f"{spec.outcome.title} in the data"])
        return shown
    if len(spec.classes) == 2:
        score_text, cutoff_text = score_and_cutoff(float(probabilities(outputs, spec)[0, 1]), _cutoff(subject))
        return [[score_text, f"score: probability of {spec.classes[1]}"], [cutoff_text, "cut-off"]]
    return [
        [each["text"].replace("above ", "> ").replace("below ", "< "), f"probability of {each['label']}"]
        for each in figures.class_rows(outputs, spec, 2)
    ]


def strip(subject: Subject, model: ModelFile, row_id: str, outputs: np.ndarray, population: np.ndarray) -> Block:
    """One score or predicted number among those of the reference rows; of at most two classes."""
    spec = model.spec
    rows = counted(len(population), words.population_noun(subject, spec))
    if spec.classes:
        own, cutoff = float(probabilities(outputs, spec)[0, 1]), _cutoff(subject)
        own_text, cutoff_text = score_and_cutoff(own, cutoff)
        shape = figures.strip(own, probabilities(population, spec)[:, 1], cutoff, 0.0, 1.0)
        ends, axis = ["0", "1"], f"probability of {spec.classes[1]}, {rows} in grey"
    else:
        own, others = float(outputs[0, 0]), population[:, 0]
        low, high = float(min(own, others.min())), float(max(own, others.max()))
        own_text, cutoff_text = words.outcome(spec, own), ""
        shape = figures.strip(own, others, None, low, high)
        ends = [words.outcome(spec, low), words.outcome(spec, high)]
        axis = f"predicted {spec.outcome.title}, {rows} in grey"
    return {
        "kind": "strip",
        "alt": words.score_alt(subject, model, row_id, outputs, population),
        **shape,
        "own_text": f"this {subject.row_noun} {own_text}",
        "cutoff_text": f"cut-off {cutoff_text}",
        "ends": ends,
        "axis": axis,
    }


def classes(spec: ModelSpec, outputs: np.ndarray, panel: dict[str, Any] | None = None) -> Block:
    """The likeliest of many classes, beside the picture where there is one."""
    rows = figures.class_rows(outputs, spec)
    alt = "Probabilities of the likeliest classes: " + ", ".join(f"{row['label']} {row['text']}" for row in rows) + "."
    return {"kind": "classes", "alt": alt, "rows": rows, "axis": "probability", "panel": panel}


def bars(titled: Titled, spec: ModelSpec, alt: str, index: int = 0, most: int = 10) -> Block:
    """Effects side by side, a column for each explanation."""
    unit = words.scale_name(spec, titled[0][1].query.target.scale)
    rows = [each.query.rows[index] for _, each in titled]
    one_row = all(np.array_equal(rows[0], each, equal_nan=True) for each in rows[1:])
    shape = figures.bar_rows(titled, spec, most, one_row, index)
    return {"kind": "bars", "alt": alt, "axis": f"effect in {unit}", **shape}


def reasons(found: Reasons, marks: str = "") -> list[Block]:
    """The reasons for a decision with the tests that they stood, those withheld, or the sentence why there are none."""
    shown: list[Block] = []
    if found.found:
        rows = [[each.label, signed(each.effect), signed(each.change), _held(each)] for each in found.found]
        head = [f"Reasons{f' [{marks}]' if marks else ''}", "effect", "score less swapped", "held in"]
        shown.append(table(head, rows, folded=False))
    if found.withheld:
        shown.append(listed([each.sentence for each in found.withheld]))
    return [*shown, *([text(found.abstained)] if found.abstained else [])]


def _held(reason: Reason) -> str:
    return f"{reason.held} of {reason.resamples}" if reason.resamples else "no others"


def column_title(attribution: Attribution) -> str:
    """A method that compares with nothing has no scale in common with those that do."""
    title = words.method_title(attribution.method)
    return title if attribution.compares else f"{title} (own scale)"


def usual(feature: Feature, column: np.ndarray) -> str:
    """The value of most reference rows, `column` (m,): the median, or the most frequent category."""
    known = column[~np.isnan(column)]
    if not len(known):
        return "missing"
    if feature.kind in ("category", "boolean"):
        values, counts = np.unique(known, return_counts=True)
        return feature.show(float(values[counts.argmax()]))
    return feature.show(float(np.median(known)))


def _cutoff(subject: Subject) -> float:
    return 0.5 if subject.cutoff is None else subject.cutoff


# --- pictures --------------------------------------------------------------------------------------------------------


def panels(shown: list[dict[str, Any]], said: str) -> Block:
    """Pictures side by side, with a quiet line under them."""
    step = max(each["step"] for each in shown)
    if step > 1:
        said = f"{said} Large pictures are drawn by the means of squares of {step} by {step} pixels.".strip()
    return {"kind": "panels", "panels": shown, "note": said}


def input_panel(subject: Subject, spec: ModelSpec, row_id: str, row: np.ndarray) -> dict[str, Any]:
    """A picture (h, w, channels) as the model was given it."""
    name = words.capital(words.row_name(subject, row_id))
    return figures.panel(name, figures.picture(row, spec), f"{name} as the model saw it.")


def attribution_panels(
    subject: Subject, model: ModelFile, titled: Titled, first: dict[str, Any] | None = None, index: int = 0
) -> Block:
    """Effects over the picture, those that compare with a reference on one scale; `first` stands before them."""
    spec = model.spec
    effects = [figures.pixel_effects(each, index) for _, each in titled]
    compared = [np.abs(e).max() for e, (_, each) in zip(effects, titled, strict=True) if each.compares]
    shared = float(max(compared, default=0.0))
    shown = [] if first is None else [first]
    for (title, each), effect in zip(titled, effects, strict=True):
        limit = shared if each.compares else float(np.abs(effect).max())
        pixels = figures.overlay(each.query.rows[index], effect, limit, spec)
        alt = f"{title}: {words.attribution_alt(subject, model, each, index)}"
        shown.append(figures.panel(title, pixels, alt, figures.marks(effect, limit)))
    return panels(shown, f"{_colours(spec, titled, shared)} in one pixel.")


def grey_note(spec: ModelSpec) -> str:
    """Which end of the pixels is white; nothing to say of colours."""
    if spec.shape[2] == 3:
        return ""
    ends = (spec.features[0].lower, spec.features[0].upper)
    white, black = ends if spec.inked else ends[::-1]
    return f"White is {white:g}, black {black:g}."


def _colours(spec: ModelSpec, titled: Titled, limit: float) -> str:
    target = titled[0][1].query.target
    what = words.score_of(spec, target)
    unit = words.scale_name(spec, target.scale)
    return (
        f"Orange with + raises {what}, blue with {MINUS} lowers it; full colour is an effect of {number(limit)} {unit}"
    )


# --- words in place --------------------------------------------------------------------------------------------------


def text_as_read(spec: ModelSpec, row: np.ndarray) -> Block:
    """A text (length,) as the model was given it, word by word."""
    panel = {"title": "What the model was given", "words": figures.plain_words(row, spec)}
    return {"kind": "words", "alt": spec.vocabulary.text(row), "panels": [panel], "note": ""}


def words_in_place(subject: Subject, model: ModelFile, titled: Titled, index: int = 0) -> Block:
    """Every method's effects on the words where they stand, all on one scale."""
    spec, limit = model.spec, max(float(np.abs(each.values[index]).max()) for _, each in titled)
    shown = [{"title": title, "words": figures.shaded_words(each, limit, spec, index)} for title, each in titled]
    alt = " ".join(words.attribution_alt(subject, model, each, index) for _, each in titled)
    return {"kind": "words", "alt": alt, "panels": shown, "note": f"{_colours(spec, titled, limit)}."}
