"""The report on one decision: where it stands, what moved it, what would change it, how that was computed."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from core.nouns import ModelFile, Subject
from core.results import Attacked, Attribution, Comparison, Result
from reports import blocks, figures, words
from reports.blocks import Block
from reports.case import CaseFile
from reports.factors import factors, families
from reports.numbers import MINUS, number, percent, signed
from reports.reasons import Grounds
from reports.report import Exhibit, Report, Stamp, numbered

_MOST_MOVED = 10
_MOST_FEATURES = 80
_QUESTIONS = {
    "decision": "Where does this case stand?",
    "attributions": "What raised and lowered the ",
    "attack": "What would change it?",
    "ledger": "How was this computed?",
}
"""How the question over each section begins."""


def report(case: CaseFile, stamp: Stamp, command: str = "") -> Report:
    """The report on the case, with its chosen sections."""
    chosen = {name: _SECTIONS[name](case) for name in _SECTIONS if name in case.sections}
    if "ledger" in chosen:
        chosen["ledger"]["blocks"].insert(1, blocks.command(command))
    printed = {
        "kind": "Report on one decision",
        "title": _title(case),
        "cover": _cover(case),
        "sections": list(chosen.values()),
        "running": f"{case.subject.title}, {words.row_name(case.subject, case.row_id)}",
    }
    return Report(
        "decision",
        case.subject,
        case.model,
        (case.row_id,),
        tuple(exhibits(case)),
        blocks.with_glossary(printed),
        command,
        stamp,
    )


def exhibits(case: CaseFile) -> Iterator[Exhibit]:
    """Every answer that the chosen sections rest on, once, by name."""
    yield Exhibit("decision", case.outputs)
    yield Exhibit("reference-scores", case.population)
    for place, each in enumerate(case.attributions, 1):
        yield Exhibit(f"explanation-{place}", each)
    if case.grounds is not None:
        yield Exhibit("swapped", case.grounds.swapped)
        for place, each in enumerate(case.grounds.resampled, 1):
            yield Exhibit(f"resample-{place}", each)
    if case.comparison is None or "attack" not in case.sections:
        return
    yield Exhibit("attack", case.comparison.attacked)
    if case.comparison.clean.digest not in {each.digest for each in case.attributions}:
        yield Exhibit("before-attack", case.comparison.clean)
    yield Exhibit("after-attack", case.comparison.after)
    yield Exhibit("after-noise", case.comparison.noise)


def case_of(subject: Subject, model: ModelFile, answers: Mapping[str, Result], printed: Mapping[str, Any]) -> CaseFile:
    """The case that rests on these answers, by the names that `exhibits` gives them, with the sections of `printed`."""
    attributions, grounds, comparison = numbered(answers, "explanation-{}"), None, None
    if "swapped" in answers:
        grounds = Grounds(0, attributions[0], answers["swapped"], numbered(answers, "resample-{}"))
    if "attack" in answers:
        clean = answers.get("before-attack", attributions[0])
        comparison = Comparison(answers["attack"], clean, answers["after-attack"], answers["after-noise"])
    asked = [each["question"] for each in printed["sections"]]
    sections = tuple(name for name, start in _QUESTIONS.items() if any(each.startswith(start) for each in asked))
    outputs, population = answers["decision"], answers["reference-scores"]
    return CaseFile(subject, model, outputs, population, attributions, comparison, sections, grounds)


def _title(case: CaseFile) -> str:
    return words.decision_headline(case.subject, case.model, case.row_id, case.outputs.outputs)


def _cover(case: CaseFile) -> dict[str, Any]:
    first, second = case.attributions[0], case.attributions[1] if len(case.attributions) > 1 else None
    query, spec = first.query, case.model.spec
    compared = words.reference_phrase(case.subject, spec, query) if query.reference else "nothing"
    return {
        "subject": case.subject.title,
        "statement": _statement(case, first, second),
        "figures": _key_figures(case),
        "facts": [
            ["Model", case.model.title],
            ["Explained", words.target_phrase(spec, query.target)],
            ["Compared with", compared],
        ],
    }


def _statement(case: CaseFile, first: Attribution, second: Attribution | None) -> list[str]:
    """What was decided, why, how sure and what it is not; the reasons with their tests, where these were asked for."""
    decided, drivers, *rest = words.statement(case.subject, case.model, case.outputs.outputs, first, second)
    if case.reasons is not None:
        drivers = words.reasons_paragraph(case.subject, case.model, first.query, case.reasons)
    return [decided, *case.warnings, drivers, *rest]


def _key_figures(case: CaseFile) -> list[list[str]]:
    """Three or four numbers with what they are."""
    shown = blocks.key_figures(case.subject, case.model, case.row_id, case.outputs.outputs)
    if len(case.attributions) > 1:
        found = words.agreement_of(*case.attributions[:2])
        shown.append([f"{found.shared_top} of {found.top_k}", "largest effects named by both methods"])
    if case.comparison is not None and "attack" in case.sections:
        attacked = case.comparison.attacked
        found = "a change turns it" if attacked.success[0] else "no change found"
        size = float(attacked.distance[0]) if attacked.success[0] else attacked.size
        if attacked.norm == "linf":
            things = words.things(case.model.spec)
            shown.append([percent(size), f"{found} at this share of each {things}'s range"])
        else:
            shown.append([number(size), f"{found} at this length"])
    return shown


# --- the sections ----------------------------------------------------------------------------------------------------


def _decision(case: CaseFile) -> dict[str, Any]:
    subject, model, spec = case.subject, case.model, case.model.spec
    outputs, population = case.outputs.outputs, case.population.outputs
    row = case.attributions[0].query.rows[0]
    panel = blocks.input_panel(subject, spec, case.row_id, row) if spec.modality == "image" else None
    if len(spec.classes) > 2:
        heading, shown = words.decision_sentence(subject, model, outputs), [blocks.classes(spec, outputs, panel)]
    else:
        heading = words.population_sentence(subject, model, outputs, population)
        shown = [blocks.strip(subject, model, case.row_id, outputs, population)]
    if spec.modality == "table":
        shown.append(_inputs(case))
    elif spec.modality == "text":
        shown.append(blocks.text_as_read(spec, row))
    elif len(spec.classes) <= 2:
        shown.append(blocks.panels([panel], blocks.grey_note(spec)))
    return blocks.section(_QUESTIONS["decision"], heading, shown)


def _attributions(case: CaseFile) -> dict[str, Any]:
    subject, model, spec = case.subject, case.model, case.model.spec
    first = case.attributions[0]
    titled = [(blocks.column_title(each), each) for each in case.attributions]
    shown = [blocks.warning(said) for said in case.warnings]
    if spec.modality == "image":
        pixels = figures.picture(first.query.rows[0], spec)
        shown.append(
            blocks.attribution_panels(subject, model, titled, figures.panel("The picture", pixels, _title(case)))
        )
    if spec.modality == "text":
        shown.append(blocks.words_in_place(subject, model, titled))
    alt = " ".join(words.attribution_alt(subject, model, each) for each in case.attributions)
    shown.append(blocks.bars(titled, spec, alt))
    shown += [blocks.proof(each, spec) for each in case.attributions]
    shown.append(blocks.text(words.scale_sentence(spec, first.query.target.scale)))
    if case.reasons is not None:
        shown += blocks.reasons(case.reasons)
    for other in case.attributions[1:]:
        agreed = words.agreement_of(first, other)
        titles = (words.method_title(each.method) for each in (first, other))
        shown.append(blocks.text(words.agreement_sentence(agreed, *titles, words.things(spec))))
    if spec.modality == "table" and len(families(spec)) < len(spec.features):
        shown.append(_feature_table(case, titled))
    question = f"{_QUESTIONS['attributions']}{words.result_noun(spec)}?"
    return blocks.section(question, words.drivers_headline(subject, model, first), shown)


def _attack(case: CaseFile) -> dict[str, Any]:
    subject, model, spec, comparison = case.subject, case.model, case.model.spec, case.comparison
    attacked = comparison.attacked
    titled = [("Before", comparison.clean), ("After the attack", comparison.after), ("After noise", comparison.noise)]
    method = words.method_title(comparison.clean.method)
    outcome, *others = map(blocks.text, words.attack_statement(subject, model, comparison))
    alt = f"{method} before the attack, after it and after noise. " + " ".join(
        f"{title}: {words.attribution_alt(subject, model, each)}" for title, each in titled
    )
    # One proof line speaks for the three columns; each that fails its tolerance gets its own warning.
    proofs = [blocks.proof(each, spec) for _, each in titled if each is comparison.clean or each.complete is False]
    note = blocks.note(f"{method}, the same class, reference and seed in each column.")
    bars = [note, blocks.bars(titled, spec, alt), *proofs]
    if spec.modality == "image":
        pictures = blocks.attribution_panels(subject, model, titled)
        shown = [outcome, _attack_pictures(case), pictures, *others, *bars]
    else:
        shown = [outcome, *bars, *others, _moved_table(case, attacked)]
    return blocks.section(_QUESTIONS["attack"], words.attack_headline(subject, model, attacked), shown)


def _ledger(case: CaseFile) -> dict[str, Any]:
    subject, model, comparison = case.subject, case.model, case.comparison
    named = [("The decision", case.outputs), *((words.method_title(each.method), each) for each in case.attributions)]
    shifted = []
    if comparison is not None and "attack" in case.sections:
        named.append((words.method_title(comparison.attacked.method), comparison.attacked))
        title = words.method_title(comparison.clean.method)
        if comparison.clean.digest not in {each.digest for each in case.attributions}:
            named.append((f"{title}, before the attack", comparison.clean))
        shifted = [(f"{title}, after the attack", comparison.after), (f"{title}, after noise", comparison.noise)]
    titled = [blocks.ledger(title, result, subject, model) for title, result in named]
    if shifted:
        # The same question about a moved row: only what differs is said again.
        told = words.ledger(comparison.clean, subject, model)
        titled += [
            (title, [line for line in words.ledger(result, subject, model) if line not in told])
            for title, result in shifted
        ]
    return blocks.section(
        _QUESTIONS["ledger"],
        "Every choice behind the figures is listed here, so that they can be computed again.",
        [blocks.identity(), *blocks.ledgers(titled), *_others(case, [result for _, result in (*named, *shifted)])],
    )


def _others(case: CaseFile, told: list[Result]) -> list[Block]:
    """The exhibits that have no ledger of their own."""
    digests = {result.digest for result in told}
    marked = [(f"E{place}", each) for place, each in enumerate(exhibits(case), 1)]
    return [blocks.exhibits([(mark, each) for mark, each in marked if each.result.digest not in digests])]


_SECTIONS: dict[str, Callable[[CaseFile], dict[str, Any]]] = {
    "decision": _decision,
    "attributions": _attributions,
    "attack": _attack,
    "ledger": _ledger,
}


# --- tables ----------------------------------------------------------------------------------------------------------


def _inputs(case: CaseFile) -> Block:
    """What the model was given, beside what is usual in the reference; of many features the strongest."""
    query, features = case.attributions[0].query, case.model.spec.features
    reference = None if query.reference is None else query.reference.rows
    rows = [
        [
            words.capital(features[i].title),
            features[i].show(query.rows[0, i]),
            "" if reference is None else blocks.usual(features[i], reference[:, i]),
        ]
        for i in _shown_features(case)
    ]
    note = f"Usual is the median of the reference rows; for categories the most frequent one.{_left_out(case)}"
    return blocks.table(["What the model was given", f"this {case.subject.row_noun}", "usual"], rows, note)


def _shown_features(case: CaseFile) -> list[int]:
    """The features that tables list, in the order of the schema: all, or those with the largest effects."""
    sizes = np.abs(case.attributions[0].values[0]).ravel()
    return sorted(np.argsort(-sizes, kind="stable")[:_MOST_FEATURES].tolist())


def _left_out(case: CaseFile) -> str:
    count = len(case.model.spec.features)
    if count <= _MOST_FEATURES:
        return ""
    return f" Of {count:,} features the {_MOST_FEATURES} with the largest effects are listed."


def _feature_table(case: CaseFile, titled: list[tuple[str, Attribution]]) -> Block:
    """Every single feature, where the chart shows families."""
    spec, row = case.model.spec, titled[0][1].query.rows[0]
    ranked = [factors(each, spec, grouped=False) for _, each in titled]
    by_position = [{factor.positions: factor for factor in column} for column in ranked]
    rows = [
        [
            words.capital(factor.title),
            spec.features[factor.positions[0]].show(row[factor.positions[0]]),
            *(signed(column[factor.positions].effect) for column in by_position),
        ]
        for factor in ranked[0][:_MOST_FEATURES]
    ]
    head = ["Each feature by itself", "value", *(title for title, _ in titled)]
    return blocks.table(head, rows, _left_out(case).strip(), folded=False)


def _moved_table(case: CaseFile, attacked: Attacked) -> Block:
    """The values that the attack changed most."""
    spec = case.model.spec
    clean, moved, noise = attacked.query.rows[0], attacked.perturbed[0], attacked.noise[0]
    spans = np.array([feature.span for feature in spec.features])
    shares = np.nan_to_num((moved - clean) / spans)
    order = [i for i in np.argsort(-np.abs(shares), kind="stable") if shares[i]]
    rows = []
    for i in order[:_MOST_MOVED]:
        feature, sign = spec.features[i], "+" if shares[i] > 0 else MINUS
        values = (feature.show(each[i]) for each in (clean, moved, noise))
        share = "hidden" if feature.hidden else f"{sign}{percent(abs(float(shares[i])))}"
        rows.append([words.capital(feature.title), *values, share])
    rest = len(order) - len(rows)
    head = ["Values changed", "before", "after the attack", "after noise", "attack, of its range"]
    return blocks.table(head, rows, f"{rest} more were changed by less." if rest else "")


def _attack_pictures(case: CaseFile) -> Block:
    spec, attacked = case.model.spec, case.comparison.attacked
    clean, moved, noise = attacked.query.rows[0], attacked.perturbed[0], attacked.noise[0]
    limit = float(max(np.abs(moved - clean).max(), np.abs(noise - clean).max()))
    decided = [
        spec.classes[int(each[0])] for each in (attacked.clean_class, attacked.attacked_class, attacked.noise_class)
    ]
    shown = [
        figures.panel(f"{title}: {name}", figures.picture(row, spec), f"{title}, read as {name}.")
        for title, name, row in zip(
            ("Before", "After the attack", "After noise"), decided, (clean, moved, noise), strict=True
        )
    ]
    alt = "Which pixels the attack changed, and how much."
    change = (moved - clean).mean(axis=2)
    difference = figures.panel("Difference", figures.difference(clean, moved, limit), alt, figures.marks(change, limit))
    shown.insert(2, difference)
    said = f"Difference: white is no change, full purple {number(limit)}; + is more, {MINUS} is less."
    return blocks.panels(shown, f"{blocks.grey_note(spec)} {said}")
