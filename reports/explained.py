"""What was explained of a whole model, section by section: how, how accurately, single cases and their reasons."""

from typing import Any

import numpy as np

from core import measures
from core.results import Attribution
from reports import blocks, figures, words
from reports.blocks import Block
from reports.dossier import Chosen, rule
from reports.factors import drivers
from reports.numbers import counted, listed, number, percent, tiny
from reports.reasons import HELD, MOST, RESAMPLES
from reports.whole import Whole

Section = dict[str, Any]
_MOST_BARS = 6
_KINDS = {
    "typical": "A typical case",
    "borderline": "A borderline case",
    "wrong": "A wrong decision",
    "unlike": "A case unlike the data",
}

# --- how it was explained --------------------------------------------------------------------------------------------


def methods(whole: Whole) -> Section:
    """Every choice behind the explanations."""
    d, spec = whole.dossier, whole.spec
    used: dict[str, Attribution] = {}
    for each in (*(grounds.explained for grounds in d.grounds), *d.seconds, *([d.surveyed] if d.surveyed else [])):
        used.setdefault(each.method.name, each)
    names = [words.method_title(each.method) for each in used.values()]
    titled = [
        (f"{words.method_title(each.method)} [{whole.mark(*_of(whole, name))}]", _choices(whole, each))
        for name, each in used.items()
    ]
    heading = f"{words.capital(words.score_of(spec, d.target))} is explained by {listed(names)}."
    about = f"all: {words.target_phrase(spec, d.target)}"
    if len(spec.classes) > 2:
        heading = f"Decisions are explained by {listed(names)}."
        about = f"many rows: {words.target_phrase(spec, d.target)}; for single cases: the class that was decided"
    shown = [
        blocks.text(f"Explained is, for {about}. {words.scale_sentence(spec, d.target.scale)}"),
        *blocks.ledgers(titled),
        blocks.text(
            f"Reasons are named by {names[0]}, at most {MOST}, each put to two tests: with its values swapped for "
            "those of the reference the score has to move as claimed, and it has to be among the reasons against at "
            f"least {percent(HELD)} of {RESAMPLES} other references. A case unlike the data gets none."
        ),
    ]
    return blocks.section("How was it explained?", heading, shown, 55)


def _of(whole: Whole, name: str) -> list[Attribution]:
    return [each for each in whole.explained if each.method.name == name]


def _choices(whole: Whole, found: Attribution) -> list[tuple[str, str]]:
    """The ledger without what differs from question to question, which the annex gives."""
    told = words.ledger(found, whole.subject, whole.model)
    left_out = (
        "Explained",
        "Subject",
        "Model",
        "Rows",
        "Residual",
        "Standard error",
        "Model digest",
        "Question digest",
        "Result digest",
    )
    return [(term, said) for term, said in told if term not in left_out]


def accuracy(whole: Whole) -> Section:
    """Whether explanations add up, how exact they are, whether methods agree and reasons stand their tests."""
    rows = []
    for each in whole.explained:
        largest = float(np.abs(each.values).max())
        worst, error = float(np.abs(each.residual).max()), each.error
        rows.append(
            [
                f"{words.method_title(each.method)}, {counted(len(each.query), 'row')} [{whole.mark(each)}]",
                "not promised"
                if each.tolerance is None
                else f"{tiny(worst)} ({'passes' if each.complete else 'FAILS'})",
                "none" if each.tolerance is None else tiny(each.tolerance * each.spread),
                "nothing is sampled"
                if error is None
                else f"{tiny(float(error.max()))}, of effects up to {number(largest)}",
            ]
        )
    shown = [
        blocks.table(
            ["Do the effects add up?", "residual", "tolerance", "largest standard error"], rows, "", folded=False
        )
    ]
    shown.append(_agreements(whole))
    tested, found, _ = whole.swaps
    shown.append(
        blocks.text(
            f"For the cases below {counted(tested, 'factor')} came into question as reasons; {found} stood both tests."
        )
    )
    failed = [each for each in whole.explained if each.complete is False]
    heading = "Every explanation that promises to add up does so within its tolerance."
    if failed:
        heading = f"{len(failed)} of {counted(len(whole.explained), 'explanation')} miss their own tolerance."
        shown.insert(
            0, blocks.warning(f"Not within tolerance: {whole.mark(*failed)}. What rests on them is not exact.")
        )
    return blocks.section("How accurate are the explanations?", heading, shown, 55)


def _agreements(whole: Whole) -> Block:
    rows = []
    for place, (chosen, found) in enumerate(zip(whole.dossier.cases, whole.agreements, strict=True)):
        other, _ = whole.second(place)
        marks = whole.mark(whole.dossier.grounds[place].explained, other)
        rank = "none" if np.isnan(found.rank) else number(found.rank)
        rows.append(
            [f"{_KINDS[chosen.kind]} [{marks}]", f"{found.shared_top} of {found.top_k}", percent(found.same_sign), rank]
        )
    head = ["Do both methods agree?", "largest effects shared", "same direction", "rank correlation"]
    return blocks.table(head, rows, "Two methods that agree may still both mislead.", folded=False)


# --- cases and reasons -----------------------------------------------------------------------------------------------


def cases(whole: Whole) -> Section:
    """Cases that stand for others, each with its decision, its reasons and its effects."""
    chosen = whole.dossier.cases
    shown = [block for place, each in enumerate(chosen) for block in _case(whole, place, each)]
    heading = f"{counted(len(chosen), 'case')}, chosen by a stated rule and not by hand."
    return blocks.section(
        "How were single cases decided?",
        heading,
        [blocks.text(rule(whole.subject, whole.model, whole.dossier.judged)), *shown],
        60,
    )


def _case(whole: Whole, place: int, chosen: Chosen) -> list[Block]:
    subject, model, spec = whole.subject, whole.model, whole.spec
    row_id = subject.dataset.row_ids[chosen.position]
    grounds, (second, other) = whole.dossier.grounds[place], whole.second(place)
    outputs, row = whole.case_outputs(place), grounds.explained.query.rows[grounds.index]
    shown = [blocks.title(_KINDS[chosen.kind], words.decision_headline(subject, model, row_id, outputs), 50)]
    if len(spec.classes) > 2:
        panel = blocks.input_panel(subject, spec, row_id, row) if spec.modality == "image" else None
        shown.append(blocks.classes(spec, outputs, panel))
        beside = []
    else:
        beside = [whole.dossier.population]
        shown.append(blocks.strip(subject, model, row_id, outputs, whole.dossier.population.outputs))
    shown.append(whole.source(_labelled(whole, chosen), whole.dossier.judged, *beside))
    shown += blocks.reasons(whole.reasons[place], whole.mark(grounds.swapped, *grounds.resampled))
    first = (blocks.column_title(grounds.explained), grounds.explained)
    alt = words.attribution_alt(subject, model, grounds.explained, grounds.index)
    if spec.modality == "text":
        shown.append(blocks.words_in_place(subject, model, [first], grounds.index))
    if grounds.index == other:
        titled = [first, (blocks.column_title(second), second)]
        alt = f"{alt} {words.attribution_alt(subject, model, second, other)}"
    else:
        titled = [first]
    if spec.modality == "image":
        shown.append(blocks.attribution_panels(subject, model, titled, index=grounds.index))
    shown.append(blocks.bars(titled, spec, alt, grounds.index, _MOST_BARS))
    return [*shown, *(blocks.proof(each, spec, f"{whole.mark(each)}: ") for _, each in titled)]


def _labelled(whole: Whole, chosen: Chosen) -> str:
    """What the data say is right."""
    label, spec = whole.subject.dataset.labels[chosen.position], whole.spec
    if not spec.classes:
        known = not np.isnan(label)
        return f"its {spec.outcome.title} in the data is {words.outcome(spec, label) if known else 'not known'}"
    return "the data do not say what is right" if label < 0 else f"the data label it {spec.classes[label]}"


def reasons(whole: Whole) -> Section:
    """How often each factor would be named, and how many reasons stand their tests."""
    question, surveyed = "How good are the reasons?", whole.dossier.surveyed
    tested, found, without = whole.swaps
    cases = counted(len(whole.reasons), "case")
    heading = f"Of {counted(tested, 'reason')} for {cases}, {found} stood both tests."
    if not tested:
        heading = f"None of {cases} has a reason that could be tested."
    rows = []
    for chosen, each in zip(whole.dossier.cases, whole.reasons, strict=True):
        fewest = min((reason.held for reason in each.found), default=None)
        resamples = each.found[0].resamples if each.found else 0
        rows.append(
            [
                _KINDS[chosen.kind],
                str(len(each.found)),
                str(len(each.withheld)),
                "none given" if fewest is None else f"{fewest} of {resamples}" if resamples else "no others",
            ]
        )
    shown = [blocks.table(["Case", "reasons given", "withheld", "held in at least"], rows, "", folded=False)]
    if without:
        shown.append(blocks.text(f"Cases without any reason: {without}. That none is given is said in its place."))
    if surveyed is None:
        why = "Each text is compared with itself, so that many are not explained in one question."
        return blocks.section(
            question,
            heading,
            [*shown, blocks.missing("how often each reason occurs", why, "explain a sample of texts one by one.")],
            70,
        )
    return blocks.section(question, heading, [*shown, *_frequencies(whole, surveyed)], 55)


def _frequencies(whole: Whole, surveyed: Attribution) -> list[Block]:
    """In how many of the rows surveyed each factor is among the four strongest that are above their error."""
    counts: dict[str, int] = {}
    size = len(surveyed.query)
    for index in range(size):
        for factor in drivers(surveyed, whole.spec, index, MOST):
            counts[factor.heading] = counts.get(factor.heading, 0) + 1
    ranked = sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:8]
    column = [(count / size, measures.wilson(count, size)) for _, count in ranked]
    alt = "Among the four strongest: " + "; ".join(f"{name} in {count} of {size}" for name, count in ranked) + "."
    shape = {
        "labels": [[name, ""] for name, _ in ranked],
        "columns": figures.share_rows([(f"share of {size} rows, with 95% intervals", column)]),
    }
    return [
        blocks.title("Over many rows", "How often is each factor among the four strongest?", 50),
        {"kind": "bars", "alt": alt, "axis": "factor", **shape},
        blocks.proof(surveyed, whole.spec, f"{whole.mark(surveyed)}: "),
    ]
