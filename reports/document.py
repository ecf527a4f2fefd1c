"""What a case's report says, section by section, as plain data for the template.

A section is a question, a heading that answers it, and blocks: text, note, strip, classes, bars, panels, words, table,
pairs, proof. Every figure carries its alternative text.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from core.digest import short
from core.nouns import Feature
from core.results import Attacked, Attribution
from core.scores import probabilities
from reports import figures, words
from reports.case import CaseFile
from reports.factors import factors, families
from reports.glossary import terms_in
from reports.numbers import MINUS, counted, number, percent, score_and_cutoff, signed

Block = dict[str, Any]
_MOST_MOVED = 10
_MOST_ROWS = 16
_MOST_FEATURES = 80


def document(case: CaseFile) -> dict[str, Any]:
    """Everything the template prints."""
    chosen = [_SECTIONS[name](case) for name in _SECTIONS if name in case.sections]
    report = {
        "title": _title(case),
        "cover": _cover(case),
        "sections": chosen,
        "evidence": short(case.digest),
        "digest": case.digest,
        "running": f"{case.subject.title}, {words.row_name(case.subject, case.row_id)}",
    }
    return {**report, "glossary": list(terms_in(list(_texts(report))).items())}


def _title(case: CaseFile) -> str:
    return words.decision_headline(case.subject, case.model, case.row_id, case.outputs.outputs)


def _cover(case: CaseFile) -> dict[str, Any]:
    first, second = case.attributions[0], case.attributions[1] if len(case.attributions) > 1 else None
    query, spec = first.query, case.model.spec
    compared = words.reference_phrase(case.subject, spec, query) if query.reference else "nothing"
    return {
        "subject": case.subject.title,
        "summary": case.subject.summary,
        "headline": _title(case),
        "statement": words.statement(case.subject, case.model, case.outputs.outputs, first, second),
        "figures": _key_figures(case),
        "facts": [
            ["Model", case.model.title],
            ["Explained", words.target_phrase(spec, query.target)],
            ["Compared with", compared],
            ["Evidence", short(case.digest)],
        ],
    }


def _key_figures(case: CaseFile) -> list[list[str]]:
    """Three or four numbers with what they are."""
    spec, outputs = case.model.spec, case.outputs.outputs
    if not spec.classes:
        shown = [[words.outcome(spec, outputs[0, 0]), f"predicted {spec.outcome.title}"]]
        known = float(case.subject.dataset.labels[case.subject.position(case.row_id)])
        if not np.isnan(known):
            shown.append([words.outcome(spec, known), f"{spec.outcome.title} in the data"])
    elif len(spec.classes) == 2:
        cutoff = 0.5 if case.subject.cutoff is None else case.subject.cutoff
        score_text, cutoff_text = score_and_cutoff(float(probabilities(outputs, spec)[0, 1]), cutoff)
        shown = [[score_text, f"score: probability of {spec.classes[1]}"], [cutoff_text, "cut-off"]]
    else:
        first, second = figures.class_rows(outputs, spec, 2)
        shown = [
            [each["text"].replace("above ", "> ").replace("below ", "< "), f"probability of {each['label']}"]
            for each in (first, second)
        ]
    if len(case.attributions) > 1:
        found = words.agreement_of(*case.attributions[:2])
        shown.append([f"{found.shared_top} of {found.top_k}", "largest effects named by both methods"])
    if case.comparison is not None and "attack" in case.sections:
        attacked = case.comparison.attacked
        found = "a change turns it" if attacked.success[0] else "no change found"
        size = float(attacked.distance[0]) if attacked.success[0] else attacked.size
        if attacked.norm == "linf":
            shown.append([percent(size), f"{found} at this share of each {words.things(spec)}'s range"])
        else:
            shown.append([number(size), f"{found} at this length"])
    return shown


# --- the sections ----------------------------------------------------------------------------------------------------


def _decision(case: CaseFile) -> dict[str, Any]:
    subject, model, spec = case.subject, case.model, case.model.spec
    outputs, population = case.outputs.outputs, case.population.outputs
    if len(spec.classes) > 2:
        heading, blocks = words.decision_sentence(subject, model, outputs), [_classes(case)]
    else:
        heading = words.population_sentence(subject, model, outputs, population)
        blocks = [_strip(case)]
    if spec.modality == "table":
        blocks.append(_inputs(case))
    elif spec.modality == "text":
        blocks.append(_text_as_read(case))
    elif len(spec.classes) <= 2:
        blocks.append(_panels([_input_panel(case)], _grey_note(case)))
    return {"question": "Where does this case stand?", "heading": heading, "blocks": blocks}


def _attributions(case: CaseFile) -> dict[str, Any]:
    subject, model, spec = case.subject, case.model, case.model.spec
    first = case.attributions[0]
    titled = [(_column_title(each), each) for each in case.attributions]
    blocks: list[Block] = []
    if spec.modality == "image":
        blocks.append(_attribution_panels(case, titled, with_input=True))
    if spec.modality == "text":
        blocks.append(_words_in_place(case, titled))
    alt = " ".join(words.attribution_alt(subject, model, each) for each in case.attributions)
    blocks.append(_bars(case, titled, alt))
    blocks += [_proof(case, each) for each in case.attributions]
    blocks.append(_text(words.scale_sentence(spec, first.query.target.scale)))
    for other in case.attributions[1:]:
        blocks.append(
            _text(
                words.agreement_sentence(
                    words.agreement_of(first, other),
                    words.method_title(first.method),
                    words.method_title(other.method),
                    words.things(spec),
                )
            )
        )
    if spec.modality == "table" and len(families(spec)) < len(spec.features):
        blocks.append(_feature_table(case, titled))
    return {
        "question": f"What raised and lowered the {words.result_noun(spec)}?",
        "heading": words.drivers_headline(subject, model, first),
        "blocks": blocks,
    }


def _attack(case: CaseFile) -> dict[str, Any]:
    subject, model, spec, comparison = case.subject, case.model, case.model.spec, case.comparison
    attacked = comparison.attacked
    titled = [("Before", comparison.clean), ("After the attack", comparison.after), ("After noise", comparison.noise)]
    method = words.method_title(comparison.clean.method)
    outcome, *others = map(_text, words.attack_statement(subject, model, comparison))
    alt = f"{method} before the attack, after it and after noise. " + " ".join(
        f"{title}: {words.attribution_alt(subject, model, each)}" for title, each in titled
    )
    # One proof line speaks for the three columns; each that fails its tolerance gets its own warning.
    proofs = [_proof(case, each) for _, each in titled if each is comparison.clean or each.complete is False]
    note = _note(f"{method}, the same class, reference and seed in each column.")
    bars = [note, _bars(case, titled, alt), *proofs]
    if spec.modality == "image":
        blocks = [outcome, _attack_pictures(case), _attribution_panels(case, titled, with_input=False), *others, *bars]
    else:
        blocks = [outcome, *bars, *others, _moved_table(case, attacked)]
    return {
        "question": "What would change it?",
        "heading": words.attack_headline(subject, model, attacked),
        "blocks": blocks,
    }


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
    ledgers = [(title, words.ledger(result, subject, model)) for title, result in named]
    if shifted:
        # The same question about a moved row: only what differs is said again.
        told = words.ledger(comparison.clean, subject, model)
        ledgers += [
            (title, [line for line in words.ledger(result, subject, model) if line not in told])
            for title, result in shifted
        ]
    shared = _shared([lines for _, lines in ledgers])
    blocks = [_pairs("The same for all", [("Evidence digest", case.digest), *shared])]
    blocks += [_pairs(title, [line for line in lines if line not in shared]) for title, lines in ledgers]
    return {
        "question": "How was this computed?",
        "heading": "Every choice behind the figures is listed here, so that they can be computed again.",
        "blocks": blocks,
    }


def _pairs(title: str, rows: list[tuple[str, str]]) -> Block:
    return {"kind": "pairs", "title": title, "rows": rows}


def _shared(ledgers: list[list[tuple[str, str]]]) -> list[tuple[str, str]]:
    """The lines on which all ledgers that have the term agree, in order: said once instead of in each."""
    said: dict[str, list[str]] = {}
    for lines in ledgers:
        for term, text in lines:
            said.setdefault(term, []).append(text)
    return [(term, texts[0]) for term, texts in said.items() if len(texts) > 1 and len(set(texts)) == 1]


_SECTIONS: dict[str, Callable[[CaseFile], dict[str, Any]]] = {
    "decision": _decision,
    "attributions": _attributions,
    "attack": _attack,
    "ledger": _ledger,
}


def _column_title(attribution: Attribution) -> str:
    """A method that compares with nothing has no scale in common with those that do."""
    title = words.method_title(attribution.method)
    return title if attribution.compares else f"{title} (own scale)"


# --- blocks ----------------------------------------------------------------------------------------------------------


def _text(text: str) -> Block:
    return {"kind": "text", "text": text}


def _note(text: str) -> Block:
    return {"kind": "note", "text": text}


def _proof(case: CaseFile, attribution: Attribution) -> Block:
    mark = short(attribution.digest)
    line = words.proof_line(attribution, case.model.spec).replace(mark, mark.replace(" ", "\u00a0"))
    return {"kind": "proof", "text": line, "warning": attribution.complete is False}


def _strip(case: CaseFile) -> Block:
    """The score among those of the reference rows."""
    spec, outputs, population = case.model.spec, case.outputs.outputs, case.population.outputs
    alt = words.score_alt(case.subject, case.model, case.row_id, outputs, population)
    rows = counted(len(population), words.population_noun(case.subject, spec))
    if spec.classes:
        own = float(probabilities(outputs, spec)[0, 1])
        cutoff = 0.5 if case.subject.cutoff is None else case.subject.cutoff
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
        "alt": alt,
        **shape,
        "own_text": f"this {case.subject.row_noun} {own_text}",
        "cutoff_text": f"cut-off {cutoff_text}",
        "ends": ends,
        "axis": axis,
    }


def _classes(case: CaseFile) -> Block:
    rows = figures.class_rows(case.outputs.outputs, case.model.spec)
    alt = "Probabilities of the likeliest classes: " + ", ".join(f"{row['label']} {row['text']}" for row in rows) + "."
    panel = _input_panel(case) if case.model.spec.modality == "image" else None
    return {"kind": "classes", "alt": alt, "rows": rows, "axis": "probability", "panel": panel}


def _bars(case: CaseFile, titled: list[tuple[str, Attribution]], alt: str) -> Block:
    unit = words.scale_name(case.model.spec, titled[0][1].query.target.scale)
    return {
        "kind": "bars",
        "alt": alt,
        "axis": f"effect in {unit}",
        **figures.bar_rows(titled, case.model.spec, one_row=_one_row(titled)),
    }


def _one_row(titled: list[tuple[str, Attribution]]) -> bool:
    """Whether all columns explain the same values, rather than a row before and after an attack."""
    rows = [attribution.query.rows for _, attribution in titled]
    return all(np.array_equal(rows[0], each, equal_nan=True) for each in rows[1:])


def _inputs(case: CaseFile) -> Block:
    """What the model was given, beside what is usual in the reference; of many features the strongest."""
    query, features = case.attributions[0].query, case.model.spec.features
    head = ["What the model was given", f"this {case.subject.row_noun}", "usual"]
    reference = None if query.reference is None else query.reference.rows
    rows = [
        [words.capital(features[i].title), features[i].show(query.rows[0, i]), _usual(features[i], reference, i)]
        for i in _shown_features(case)
    ]
    note = "Usual is the median of the reference rows; for categories the most frequent one."
    return {
        "kind": "table",
        "head": head,
        "rows": rows,
        "folded": len(rows) > _MOST_ROWS,
        "note": f"{note}{_left_out(case)}",
    }


def _shown_features(case: CaseFile) -> list[int]:
    """The features that tables list, in the order of the schema: all, or those with the largest effects."""
    sizes = np.abs(case.attributions[0].values[0]).ravel()
    return sorted(np.argsort(-sizes, kind="stable")[:_MOST_FEATURES].tolist())


def _left_out(case: CaseFile) -> str:
    count = len(case.model.spec.features)
    if count <= _MOST_FEATURES:
        return ""
    return f" Of {count:,} features the {_MOST_FEATURES} with the largest effects are listed."


def _usual(feature: Feature, reference: np.ndarray | None, column: int) -> str:
    if reference is None:
        return ""
    known = reference[:, column][~np.isnan(reference[:, column])]
    if not len(known):
        return "missing"
    if feature.kind in ("category", "boolean"):
        values, counts = np.unique(known, return_counts=True)
        return feature.show(float(values[counts.argmax()]))
    return feature.show(float(np.median(known)))


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
    return {
        "kind": "table",
        "head": ["Each feature by itself", "value", *(title for title, _ in titled)],
        "rows": rows,
        "folded": False,
        "note": _left_out(case).strip(),
    }


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
    note = f"{rest} more were changed by less." if rest else ""
    head = ["Values changed", "before", "after the attack", "after noise", "attack, of its range"]
    return {"kind": "table", "head": head, "rows": rows, "folded": False, "note": note}


# --- pictures --------------------------------------------------------------------------------------------------------


def _input_panel(case: CaseFile) -> dict[str, Any]:
    name = words.capital(words.row_name(case.subject, case.row_id))
    pixels = figures.picture(case.attributions[0].query.rows[0], case.model.spec)
    return figures.panel(name, pixels, f"{name} as the model saw it.")


def _attribution_panels(case: CaseFile, titled: list[tuple[str, Attribution]], with_input: bool) -> Block:
    """Effects over the picture, those that compare with a reference on one scale."""
    spec = case.model.spec
    effects = [figures.pixel_effects(each) for _, each in titled]
    compared = [np.abs(e).max() for e, (_, each) in zip(effects, titled, strict=True) if each.compares]
    shared = float(max(compared, default=0.0))
    shown = []
    if with_input:
        row = titled[0][1].query.rows[0]
        shown.append(figures.panel("The picture", figures.picture(row, spec), _title(case)))
    for (title, each), effect in zip(titled, effects, strict=True):
        limit = shared if each.compares else float(np.abs(effect).max())
        pixels = figures.overlay(each.query.rows[0], effect, limit, spec)
        alt = f"{title}: {words.attribution_alt(case.subject, case.model, each)}"
        shown.append(figures.panel(title, pixels, alt, figures.marks(effect, limit)))
    what = words.score_of(spec, titled[0][1].query.target)
    note = (
        f"Orange with + raises {what}, blue with {MINUS} lowers it; full colour is an effect of "
        f"{number(shared)} {words.scale_name(spec, titled[0][1].query.target.scale)} in one pixel."
    )
    return _panels(shown, note)


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
    shown.insert(
        2, figures.panel("Difference", figures.difference(clean, moved, limit), alt, figures.marks(change, limit))
    )
    note = (
        f"{_grey_note(case)} Difference: white is no change, full purple {number(limit)}; + is more, {MINUS} is less."
    )
    return _panels(shown, note)


def _panels(shown: list[dict[str, Any]], note: str) -> Block:
    return {"kind": "panels", "panels": shown, "note": note}


def _grey_note(case: CaseFile) -> str:
    spec = case.model.spec
    if spec.shape[2] == 3:
        return ""
    ends = (spec.features[0].lower, spec.features[0].upper)
    white, black = ends if spec.inked else ends[::-1]
    return f"White is {white:g}, black {black:g}."


# --- words in place --------------------------------------------------------------------------------------------------


def _text_as_read(case: CaseFile) -> Block:
    """The text as the model was given it, word by word."""
    spec, row = case.model.spec, case.attributions[0].query.rows[0]
    panel = {"title": "What the model was given", "words": figures.plain_words(row, spec)}
    return {"kind": "words", "alt": spec.vocabulary.text(row), "panels": [panel], "note": ""}


def _words_in_place(case: CaseFile, titled: list[tuple[str, Attribution]]) -> Block:
    """Every method's effects on the words where they stand, all on one scale."""
    spec, limit = case.model.spec, max(float(np.abs(each.values).max()) for _, each in titled)
    panels = [{"title": title, "words": figures.shaded_words(each, limit, spec)} for title, each in titled]
    what = words.score_of(spec, titled[0][1].query.target)
    note = (
        f"Orange with + raises {what}, blue with {MINUS} lowers it; full colour is an effect of "
        f"{number(limit)} {words.scale_name(spec, titled[0][1].query.target.scale)}."
    )
    alt = " ".join(words.attribution_alt(case.subject, case.model, each) for _, each in titled)
    return {"kind": "words", "alt": alt, "panels": panels, "note": note}


def _texts(value: Any) -> Any:
    """Every string in nested data."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
