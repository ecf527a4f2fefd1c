"""From nouns to sentences, the same on the page and in the report.

Pure functions. They say what a model did, never why the world is so: no sentence claims a cause, a proof, fairness,
a share of the decision or a guarantee, and a test holds them to it.
"""

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from core.digest import short
from core.likeness import Drift, Unlikeness
from core.measures import AttackChecks, Fit, Group, TokenEffect, fit
from core.nouns import Feature, MethodId, ModelFile, ModelSpec, Pixels, Query, Subject, Target
from core.results import Agreement, Attacked, Attribution, Comparison, Prediction, Result, agreement
from core.scores import decide, probabilities
from reports.factors import Factor, bars, companions, drivers, factors, families, importance
from reports.numbers import MINUS, chance, counted, listed, number, percent, plural, score_and_cutoff, signed, tiny

if TYPE_CHECKING:
    from reports.reasons import Reasons

_MOST_NAMED = 5
_SCALES = {"margin": "log-odds", "logit": "logits", "probability": "probability"}


# --- names -----------------------------------------------------------------------------------------------------------


def capital(text: str) -> str:
    """`text` with a capital first letter, the rest as it is."""
    return text[:1].upper() + text[1:]


def row_name(subject: Subject, row_id: str) -> str:
    """ "application 1042"."""
    return f"{subject.row_noun} {row_id}"


def class_name(spec: ModelSpec, target: Target) -> str:
    """What is explained: the class, or the predicted number of a regression."""
    return spec.classes[target.output] if spec.classes else f"the predicted {spec.outcome.title}"


def scale_name(spec: ModelSpec, scale: str) -> str:
    """ "log-odds", "logits", "probability"; of a regression the unit of its number, or the number's name."""
    return _SCALES.get(scale, spec.outcome.unit or f"predicted {spec.outcome.title}")


def result_noun(spec: ModelSpec) -> str:
    """What a model gives a case: a score or a prediction."""
    return "score" if spec.classes else "prediction"


def target_phrase(spec: ModelSpec, target: Target) -> str:
    """ "declined, in log-odds"; "the predicted price, in EUR"."""
    if not spec.classes and not spec.outcome.unit:
        return class_name(spec, target)
    return f"{class_name(spec, target)}, in {scale_name(spec, target.scale)}"


def score_of(spec: ModelSpec, target: Target) -> str:
    """ "the score for declined"; "the predicted price"."""
    return f"the score for {class_name(spec, target)}" if spec.classes else class_name(spec, target)


def things(spec: ModelSpec) -> str:
    """What a feature is called: a pixel, a word or a feature."""
    return {"image": "pixel", "text": "word"}.get(spec.modality, "feature")


def method_title(method: MethodId) -> str:
    """The plain name of an explainer or attack; for one that is no longer in the lists, its own."""
    known = _listed_method(method)
    return known.title if known else capital(method.name.replace("_", " "))


def _listed_method(method: MethodId) -> type | None:
    """The explainer or attack of that name."""
    from attacks import ATTACKS
    from explainers import EXPLAINERS

    return next((each for each in (*EXPLAINERS, *ATTACKS) if each.name == method.name), None)


def reference_phrase(subject: Subject, spec: ModelSpec, query: Query) -> str:
    """ "100 applications drawn with seed 7"; "the same review with every word hidden"."""
    if spec.modality == "text":
        return f"the same {subject.row_noun} with every word hidden"
    rows = counted(len(query.reference), subject.row_noun)
    return f"{rows} drawn with seed {query.reference.seed}" if query.reference.seed is not None else rows


# --- the decision ----------------------------------------------------------------------------------------------------


def decision_headline(subject: Subject, model: ModelFile, row_id: str, outputs: np.ndarray) -> str:
    """ "Application 1042 was declined: score 0.71, cut-off 0.60."; "House 12 is valued at 312,000 EUR."

    `outputs`: one row, (columns,) or (1, columns).
    """
    said = _verdict(subject, model, row_id, outputs)
    return f"{said}: {figures(subject, model, _one(outputs))}." if model.spec.classes else f"{said}."


def _verdict(subject: Subject, model: ModelFile, row_id: str, outputs: np.ndarray) -> str:
    """ "Application 1042 was declined"."""
    who, outputs = capital(row_name(subject, row_id)), _one(outputs)
    if not model.spec.classes:
        verdict = next(iter(subject.verdicts), f"has a predicted {model.spec.outcome.title} of")
        return f"{who} {verdict} {outcome(model.spec, outputs[0, 0])}"
    return f"{who} {subject.verdict(_decided(subject, model, outputs), model.spec)}"


def outcome(spec: ModelSpec, value: float) -> str:
    """A predicted number as it is read, with its unit: "312,000 EUR"."""
    return spec.outcome.show(float(value)).replace("-", MINUS)


def decision_paragraphs(
    subject: Subject, model: ModelFile, row_id: str, outputs: np.ndarray, population: np.ndarray
) -> list[str]:
    """What was decided or predicted about a row, what the data say of it, and where it stands among others."""
    said = _beside_the_verdict(subject, model, row_id, outputs)
    return [said, population_sentence(subject, model, outputs, population)]


def _beside_the_verdict(subject: Subject, model: ModelFile, row_id: str, outputs: np.ndarray) -> str:
    """What the headline leaves open: how clear the decision is, or what the data say of the predicted number."""
    recorded = "" if model.spec.classes else recorded_sentence(subject, model, row_id, outputs)
    return recorded or decision_sentence(subject, model, outputs)


def recorded_sentence(subject: Subject, model: ModelFile, row_id: str, outputs: np.ndarray) -> str:
    """What the data say a regression's number is, and how far the prediction is from it; empty where they do not."""
    spec, known = model.spec, float(subject.dataset.labels[subject.position(row_id)])
    if math.isnan(known):
        return ""
    miss = float(_one(outputs)[0, 0]) - known
    side = "above" if miss > 0 else "below"
    return (
        f"Its {spec.outcome.title} in the data is {outcome(spec, known)}: the prediction lies "
        f"{outcome(spec, abs(miss))} {side} that."
    )


def decision_sentence(subject: Subject, model: ModelFile, outputs: np.ndarray) -> str:
    """What the score is and how far it lies from changing the decision."""
    spec, outputs = model.spec, _one(outputs)
    if not spec.classes:
        return f"The predicted {spec.outcome.title} is {outcome(spec, outputs[0, 0])}."
    ranked = _ranked(spec, outputs)
    if len(spec.classes) > 2:
        (first, p), (second, q) = ranked[:2]
        return (
            f"The model's probability of {first} is {chance(p)}; {second} comes next, {chance(q)}. The largest decides."
        )
    score, cutoff = probabilities(outputs, spec)[0, 1], _cutoff(subject)
    side = "above" if score >= cutoff else "below"
    score_text, cutoff_text = score_and_cutoff(score, cutoff)
    return (
        f"The score is the model's probability of {spec.classes[1]}, {score_text}. From {cutoff_text} upwards "
        f"the decision is {spec.classes[1]}; this {subject.row_noun} lies {number(abs(score - cutoff))} {side}."
    )


def population_sentence(subject: Subject, model: ModelFile, outputs: np.ndarray, population: np.ndarray) -> str:
    """Where this score stands among those of the reference rows, `population` (m, columns)."""
    spec, outputs = model.spec, _one(outputs)
    column = 1 if len(spec.classes) == 2 else _decided(subject, model, outputs) if spec.classes else 0
    own, others = (
        probabilities(each, spec)[:, column] if spec.classes else each[:, 0] for each in (outputs, population)
    )
    below = int((others < own[0]).sum())
    what = "a lower prediction" if not spec.classes else f"a lower probability of {spec.classes[column]}"
    verb = "has" if below == 1 else "have"
    score = f"score{'s' if below == 1 else ''} lower" if len(spec.classes) == 2 else f"{verb} {what}"
    return f"{below:,} of {counted(len(others), population_noun(subject, spec))} {score} than this one."


def population_noun(subject: Subject, spec: ModelSpec) -> str:
    """What one of the rows is called among which a score stands: a text is not compared with them otherwise."""
    return f"{'sampled' if spec.modality == 'text' else 'reference'} {subject.row_noun}"


def what_if_headline(
    subject: Subject, model: ModelFile, before: np.ndarray, after: np.ndarray, changed: list[tuple[int, float]]
) -> str:
    """The edited row's answer: `changed` holds (feature position, new value)."""
    spec = model.spec
    if not changed:
        return "Nothing is changed yet."
    edits = listed([f"{_within(spec.features[i].title)} {spec.features[i].show(value)}" for i, value in changed[:3]])
    edits = f"{edits} and {counted(len(changed) - 3, 'further change')}" if len(changed) > 3 else edits
    return f"With {edits} {_turn(subject, model, _one(before), _one(after))}"


def hidden_words_headline(
    subject: Subject, model: ModelFile, before: np.ndarray, after: np.ndarray, words: list[str]
) -> str:
    """The answer to a text with some of its words hidden."""
    if not words:
        return "Nothing is hidden yet."
    named = listed([f"“{word}”" for word in words[:5]])
    named = f"{named} and {counted(len(words) - 5, 'more word')}" if len(words) > 5 else named
    return f"With {named} hidden {_turn(subject, model, _one(before), _one(after))}"


def _turn(subject: Subject, model: ModelFile, before: np.ndarray, after: np.ndarray) -> str:
    """What a change does to the decision or the predicted number, both (1, columns)."""
    spec = model.spec
    if not spec.classes:
        ends = (outcome(spec, each[0, 0]) for each in (before, after))
        return f"the predicted {spec.outcome.title} moves from {' to '.join(ends)}."
    was, now = _decided(subject, model, before), _decided(subject, model, after)
    turn = (
        f"the decision stays {spec.classes[now]}"
        if was == now
        else f"the decision turns from {spec.classes[was]} to {spec.classes[now]}"
    )
    return f"{turn}: {figures(subject, model, after)}."


def performance_headline(subject: Subject, model: ModelFile, outputs: np.ndarray, labels: np.ndarray) -> str:
    """How often decision and label agree, or how far predictions are off: `outputs` (n, columns), `labels` (n,)."""
    spec = model.spec
    if not spec.classes:
        return _fit_headline(subject, spec, fit(labels, outputs[:, 0]), len(labels))
    decided = decide(outputs, spec, subject.cutoff)
    right, rows = int((decided == labels).sum()), counted(len(labels), _judged_noun(subject))
    sentence = f"On {rows} decision and label agree on {right:,} ({percent(right / max(len(labels), 1))})."
    if len(spec.classes) != 2:
        return sentence
    misses = [
        f"{int(((decided != k) & (labels == k)).sum()):,} of {int((labels == k).sum()):,} labelled {name}"
        for k, name in ((1, spec.classes[1]), (0, spec.classes[0]))
    ]
    return f"{sentence} Decided otherwise: {misses[0]}, {misses[1]}."


def _judged_noun(subject: Subject) -> str:
    return f"held-out {subject.row_noun}" if subject.dataset.split_known else subject.row_noun


def judged_sentence(subject: Subject, rows: int, seed: int) -> str:
    """Which rows performance was measured on; `rows` of them, drawn with `seed` where there are more."""
    data = subject.dataset
    every = len(data.judged)
    drawn = f", drawn with seed {seed} from {every:,}" if rows < every else ""
    if data.split_known:
        return f"{rows:,} held-out rows{drawn}, none of them used in training."
    return (
        f"{rows:,} rows with a true answer{drawn}. Whether training saw them is not known: this may flatter the model."
    )


def _fit_headline(subject: Subject, spec: ModelSpec, found: Fit, rows: int) -> str:
    bare = replace(spec.outcome, unit="")
    low, high = (bare.show(each) for each in found.error_interval)
    share = "" if math.isnan(found.r2) else f" R² is {_r2(found.r2)}."
    return (
        f"On {counted(rows, _judged_noun(subject))} the predicted {spec.outcome.title} is off by "
        f"{outcome(spec, found.error)} on average (95% interval {low} to {high}).{share}"
    )


def _r2(share: float) -> str:
    return f"{share:.3f}".replace("-", MINUS)


def fit_sentence(spec: ModelSpec, found: Fit) -> str:
    """What R² and the mean absolute error say, for a reader who has not met them."""
    usual = f"Saying the median {spec.outcome.title} every time would be off by {outcome(spec, found.usual)}."
    if math.isnan(found.r2):
        return f"{usual} R² cannot be told: the true numbers are all alike."
    low, high = (_r2(each) for each in found.r2_interval)
    return (
        f"{usual} R² is {_r2(found.r2)} (95% interval {low} to {high}): 1 is exact, 0 is no nearer than saying the "
        "mean every time, less is worse than that."
    )


def importance_headline(subject: Subject, model: ModelFile, attribution: Attribution) -> str:
    """Which factors move the score most, on average over the rows explained."""
    ranked = importance(attribution, model.spec, grouped=False)[:3]
    rows = counted(len(attribution.query), subject.row_noun)
    spec, target = model.spec, attribution.query.target
    what, unit = score_of(spec, target), scale_name(spec, target.scale)
    if not ranked or ranked[0].effect == 0:
        return f"No factor moves {what} over {rows}."
    first = f"{_the(model.spec, ranked[0])} ({number(ranked[0].effect)} {unit})"
    others = [f"{_the(model.spec, each)} ({number(each.effect)})" for each in ranked[1:]]
    then = f", then by {listed(others)}" if others else ""
    return f"On average over {rows}, {what} is moved most by {first}{then}."


NOTHING_TO_JUDGE = (
    "No row has a true answer that the model was not trained on. Give the data a column with the true answers, and "
    "one that says which rows were held out of training."
)


def tokens_headline(subject: Subject, model: ModelFile, target: Target, ranked: list[TokenEffect], texts: int) -> str:
    """Which words move the score most, over the texts that hold them."""
    rows, what = counted(texts, subject.row_noun), score_of(model.spec, target)
    if not ranked:
        return f"No word occurs often enough in {rows} to say how it moves {what}."
    named = listed([_token(model.spec, each) for each in ranked[:3]])
    return f"Over {rows}, {what} is moved most by {named}."


def tokens_alt(spec: ModelSpec, target: Target, ranked: list[TokenEffect]) -> str:
    """What the chart of words says, for a reader who cannot see it."""
    items = "; ".join(f"{_token(spec, each)} in {counted(each.texts, 'text')}" for each in ranked[:10])
    return f"Mean effects on {score_of(spec, target)}, largest first: {items}."


def _token(spec: ModelSpec, each: TokenEffect) -> str:
    return f"“{spec.vocabulary.piece(each.token).strip()}” ({signed(each.mean)})"


# --- the explanation -------------------------------------------------------------------------------------------------


def statement(
    subject: Subject,
    model: ModelFile,
    outputs: np.ndarray,
    attribution: Attribution,
    second: Attribution | None = None,
    index: int = 0,
) -> list[str]:
    """The plain-language statement, a paragraph each: what was decided, what raised and lowered the score, how sure,
    what this is not. `outputs`: the row's, (columns,) or (1, columns); `second`: another method on the same row.
    """
    row_id = attribution.query.row_ids[index]
    sure = [accuracy_sentence(attribution, index)]
    if second is not None:
        sure.append(
            agreement_sentence(
                agreement_of(attribution, second, index),
                method_title(attribution.method),
                method_title(second.method),
                things(model.spec),
            )
        )
    return [
        f"{_verdict(subject, model, row_id, outputs)}. {_beside_the_verdict(subject, model, row_id, outputs)}",
        drivers_paragraph(subject, model, attribution, index),
        " ".join(sure),
        limits_paragraph(subject),
    ]


def drivers_headline(subject: Subject, model: ModelFile, attribution: Attribution, index: int = 0) -> str:
    """The strongest factor on either side: "Debt ratio 61% raised the score for declined most; ..."."""
    spec = model.spec
    named, what = drivers(attribution, spec, index), score_of(spec, attribution.query.target)
    if not named:
        return f"No single factor stands out from what {_within(method_title(attribution.method))} leaves open."
    if not _compares(attribution):
        return f"{capital(what)} reacts most to {_short_the(spec, named[0])}."
    first = named[0]
    other = next((factor for factor in named if factor.raises != first.raises), None)
    text = f"{capital(_short_the(spec, first))} {'raised' if first.raises else 'lowered'} {what} most"
    if other is None:
        return f"{text}."
    return f"{text}; {_short_the(spec, other)} {'raised' if other.raises else 'lowered'} it most."


def drivers_paragraph(subject: Subject, model: ModelFile, attribution: Attribution, index: int = 0) -> str:
    """What raised and what lowered the score, against the named reference; says so where nothing can be told apart."""
    spec, query = model.spec, attribution.query
    named, what = drivers(attribution, spec, index), score_of(spec, query.target)
    if not named:
        return f"No single factor moved {what} by more than this method leaves open, so none is named."
    if not _compares(attribution):
        strongest = listed([_the(spec, factor) for factor in named])
        return (
            f"{capital(what)} reacts most strongly to small changes of {strongest}. This method compares with "
            "nothing, so it does not say what raised or lowered the score."
        )
    sentences = [
        f"{'raised' if up else 'lowered'} by {listed(side)}"
        for up in (True, False)
        if (side := [_with_effect(spec, factor) for factor in named if factor.raises is up])
    ]
    text = f"Compared with {reference_phrase(subject, spec, query)}, {what} was {' and '.join(sentences)}."
    return f"{text} {scale_sentence(spec, query.target.scale)}"


def scale_sentence(spec: ModelSpec, scale: str) -> str:
    """What the figures on a scale are, for a reader who has not met it."""
    if scale == "margin":
        return "The figures are log-odds, the scale on which this model adds up; they are not percentage points."
    if scale == "logit":
        return "The figures are logits, the scores before they become probabilities; they are not percentage points."
    if scale == "probability":
        return "The figures are parts of a probability: 0.10 is ten percentage points."
    return f"The figures are in {spec.outcome.unit or f'the unit of the predicted {spec.outcome.title}'}."


def accuracy_sentence(attribution: Attribution, index: int = 0) -> str:
    """Whether the effects add up to the score, and how exact each is."""
    if attribution.complete is False:
        return _warning(attribution)
    noun = "prediction" if attribution.query.target.scale == "value" else "score"
    if attribution.tolerance is None:
        text = f"This method does not promise that its effects add up to the {noun}."
    else:
        gap = abs(float(attribution.residual[index])) / attribution.spread
        left = "nothing" if gap < 5e-5 else percent(gap)
        text = (
            f"Starting from the reference's mean {noun}, the effects of all features add up to this {noun}, with "
            f"{left} left over."
        )
    if attribution.error is not None:
        largest = float(attribution.error[index].max())
        text += (
            f" They are estimated from a sample; the largest standard error is {number(largest)}, and nothing "
            "smaller than twice its own error is named."
        )
    return text


def agreement_of(first: Attribution, second: Attribution, index: int = 0) -> Agreement:
    """Agreement of two methods on one row, feature by feature."""
    return agreement(first.values[index], second.values[index])


def agreement_sentence(found: Agreement, first_title: str, second_title: str, noun: str = "feature") -> str:
    """How far two methods tell the same story about one row."""
    both = f"{first_title} and {_within(second_title)} name {found.shared_top} of the same top {found.top_k} "
    signs = "all" if found.same_sign == 1 else percent(found.same_sign)
    text = f"{both}{plural(noun)} and point the same way on {signs} of those that either names"
    if math.isnan(found.rank):
        return f"{text}."
    return f"{text}; their rank correlation is {number(found.rank)}, where 1 is the same order throughout."


def limits_paragraph(subject: Subject) -> str:
    """What an explanation is not."""
    text = (
        "This describes how the model arrived at its answer. It does not say what brings the outcome about in the "
        "world, and it is not advice on what to change. Two methods that agree may still both mislead."
    )
    return f"{text} {subject.limits}".rstrip()


def proof_line(attribution: Attribution, spec: ModelSpec) -> str:
    """The quiet line under a chart; a plain warning where the method fails its own tolerance."""
    query = attribution.query
    named = [f"class {class_name(spec, query.target)}", scale_name(spec, query.target.scale)]
    parts = [
        method_title(attribution.method),
        *(named if spec.classes else [target_phrase(spec, query.target)]),
        _reference_note(attribution, spec),
        *_sum_note(attribution),
        short(attribution.digest),
    ]
    line = ", ".join(parts)
    return f"{_warning(attribution)} {line}" if attribution.complete is False else line


def effect_unit(attribution: Attribution, spec: ModelSpec) -> str:
    """What the length of a bar is: an effect on the score, or the score's slope where nothing is compared."""
    unit, noun = scale_name(spec, attribution.query.target.scale), result_noun(spec)
    return f"moves the {noun} by, {unit}" if attribution.compares else f"slope of the {noun}, {unit} per range"


def attribution_alt(subject: Subject, model: ModelFile, attribution: Attribution, index: int = 0) -> str:
    """What an attribution chart says, for a reader who cannot see it."""
    spec, query = model.spec, attribution.query
    title, what = method_title(attribution.method), score_of(spec, query.target)
    shown = bars(attribution, spec, index, most=5) if attribution.compares else factors(attribution, spec, index)[:5]
    items = [
        f"{factor.label} {signed(factor.effect)}{'' if factor.sure else ' (within its error)'}" for factor in shown
    ]
    kind = "effects on" if attribution.compares else "slopes of"
    return (
        f"{title} for {row_name(subject, query.row_ids[index])}: {kind} {what} "
        f"in {scale_name(spec, query.target.scale)}, largest first: {'; '.join(items)}."
    )


def score_alt(subject: Subject, model: ModelFile, row_id: str, outputs: np.ndarray, population: np.ndarray) -> str:
    """What a score strip says, for a reader who cannot see it."""
    where = population_sentence(subject, model, outputs, population)
    return f"{decision_headline(subject, model, row_id, outputs)} {where}"


# --- reasons, and what they rest on ----------------------------------------------------------------------------------


def reasons_paragraph(subject: Subject, model: ModelFile, query: Query, found: "Reasons") -> str:
    """The reasons for a row's decision, or the sentence why there are none. `query` asked for its explanation."""
    if not found.found:
        return found.abstained
    spec = model.spec
    named = listed([_with_effect(spec, each.factor) for each in found.found])
    compared = f"Compared with {reference_phrase(subject, spec, query)}"
    what = score_of(spec, query.target)
    tests = f"{tests_sentence(found)} {together_sentence(subject, model, found)}".rstrip()
    if not spec.classes:
        return f"{compared}, {what} was moved most by {named}. {tests}"
    way = "raised" if found.found[0].effect > 0 else "lowered"
    return f"{compared}, these {way} {what}, towards the decision: {named}. {tests}"


def tests_sentence(found: "Reasons") -> str:
    """What every reason that is named has stood."""
    text = "With each of them put at the reference's values, the model's answer moved as claimed"
    resamples = found.found[0].resamples
    if not resamples:
        return f"{text}."
    least = min(each.held for each in found.found)
    return f"{text}; each is a reason against {least} of {resamples} other references, or more."


def together_sentence(subject: Subject, model: ModelFile, found: "Reasons") -> str:
    """Which reasons go together in the data with features that are none: one may stand for the other. Else ""."""
    spec = model.spec
    reasons = {place for each in found.found for place in each.factor.positions}
    said = []
    for each in found.found:
        others = [place for place in companions(subject.dataset, spec, each.factor.positions) if place not in reasons]
        if others:
            titles = [_within(spec.features[place].title) for place in others]
            said.append(f"{_within(each.factor.title)} with {_some(titles)}")
    if not said:
        return ""
    return (
        "What goes together in the data, with a rank correlation of 0.7 or more, may stand for each other: "
        f"{'; '.join(said)}."
    )


def unlike_sentence(subject: Subject, model: ModelFile, row_id: str, likeness: Unlikeness, index: int = 0) -> str:
    """That a row is unlike the data, and what to do; "" where it is not. `index` is its place in `likeness`."""
    if not likeness.unlike[index]:
        return ""
    spec, rows, outside = model.spec, plural(subject.row_noun), likeness.outside[index]
    distance, usual = number(float(likeness.distance[index])), number(likeness.usual)
    if outside and spec.modality == "table":
        titles = [_within(spec.features[place].title) for place in outside if not spec.features[place].hidden]
        why = f"{_some(titles) if titles else 'it'} {'lie' if len(titles) > 1 else 'lies'} outside what the data hold"
    elif outside:
        why = f"{counted(len(outside), things(spec))} {'lies' if len(outside) == 1 else 'lie'} outside the range"
    elif spec.modality == "text":
        share, most = (percent(value) for value in (float(likeness.distance[index]), likeness.usual))
        why = f"{share} of its words are in no other {subject.row_noun}; of 99% of the {rows} at most {most} are"
    else:
        why = f"its distance to the {rows} most like it is {distance}, and 99% of the {rows} lie within {usual}"
    return (
        f"{capital(row_name(subject, row_id))} is unlike the data: {why}. Nothing shows how the model does "
        "on such cases. Have a person look at it."
    )


def no_reason(subject: Subject, model: ModelFile, explained: Attribution) -> str:
    """That no factor is a candidate for a reason."""
    title = _within(method_title(explained.method))
    if not _compares(explained):
        return f"No reasons are named: {title} compares with nothing, so it does not say what moved the score."
    what = score_of(model.spec, explained.query.target)
    way = " towards the decision" if model.spec.classes else ""
    return f"No reasons are named: no single factor moved {what}{way} by more than {title} leaves open."


def none_stood(subject: Subject) -> str:
    """That every candidate failed a test."""
    return (
        f"No reasons are named: none stood its tests on this {subject.row_noun}. Have a person look at it, or explain "
        "it against a larger reference."
    )


def failed_swap(model: ModelFile, query: Query, factor: Factor, change: float, error: float) -> str:
    """That putting a factor at the reference's values did not do what its effect says."""
    what = score_of(model.spec, query.target)
    return (
        f"{_capital_the(model.spec, factor)} is withheld: its effect is {signed(factor.effect)}, but with it at the "
        f"reference's values {what} changes by {signed(-change)} (standard error {number(error)})."
    )


def not_separable(model: ModelFile, factor: Factor, held: int, resamples: int) -> str:
    """That a factor is a reason against some references and not against others."""
    return (
        f"{_capital_the(model.spec, factor)} is not separable from others: it is a reason against {held} of "
        f"{resamples} other references, too few to name it."
    )


def drift_sentence(subject: Subject, model: ModelFile, found: Drift | None) -> str:
    """A warning that the reference is another population than the data, with the features that say so; else ""."""
    if found is None or not found.found:
        return ""
    spec = model.spec
    titles = [_within(spec.features[place].title) for place in found.features]
    if spec.modality == "image":
        titles = [f"the {families(spec)[place].title}" for place in found.features]
    named = [*(["the true answers"] if found.answers else []), *titles]
    said = [f"it differs in {_some(named)}"] if named else []
    if found.repeated:
        said.append(f"{found.repeated:,} of its rows {'is' if found.repeated == 1 else 'are'} there more than once")
    return (
        f"Warning: the reference is not like the {plural(subject.row_noun)} of the data: {', and '.join(said)}. What "
        "is compared with it may mislead. Draw one with a seed."
    )


def _some(titles: list[str]) -> str:
    """The first few of them."""
    if len(titles) <= _MOST_NAMED:
        return listed(titles)
    return f"{', '.join(titles[:_MOST_NAMED])} and {len(titles) - _MOST_NAMED} more"


def _capital_the(spec: ModelSpec, factor: Factor) -> str:
    return capital(_the(spec, factor))


# --- under attack ----------------------------------------------------------------------------------------------------


def instead_of_attack(spec: ModelSpec) -> str:
    """What to do with a model that nothing here can attack."""
    if not spec.classes:
        return (
            "An attack looks for a small change that turns a decision, and this model predicts a number. Where a small "
            "change moves that number far can be tried on the Decision page, under What would change it."
        )
    return (
        "Each attack says below what it needs. Single changes can be tried on the Decision page, under What would "
        "change it."
    )


def attack_headline(subject: Subject, model: ModelFile, attacked: Attacked, index: int = 0) -> str:
    """Whether the attack changed this row's decision, and whether equal noise did. Never a verdict on robustness."""
    spec, noise = model.spec, bool(attacked.noise_success[index])
    if not attacked.success[index]:
        turned = " Random noise of that size does change it." if noise else ""
        size = size_phrase(spec, attacked.norm, attacked.size)
        return f"No change of {size} was found that alters the decision on this {subject.row_noun}.{turned}"
    size = size_phrase(spec, attacked.norm, float(attacked.distance[index]))
    before, after = (spec.classes[int(each[index])] for each in (attacked.clean_class, attacked.attacked_class))
    control = "does so too" if noise else "does not"
    return (
        f"A change of {size} turns the decision on this {subject.row_noun} from {before} to {after}. "
        f"Random noise of the same size {control}."
    )


def size_phrase(spec: ModelSpec, norm: str, size: float) -> str:
    """An attack's size in the reader's units: "at most 2.4 of 16 in each pixel"."""
    each = things(spec)
    if norm == "l2":
        return f"length {number(size)} over all {plural(each)} together (each {each}'s range counts as 1)"
    if spec.modality == "image" and _alike(spec):
        span = spec.features[0].span
        return f"at most {_short_number(size * span)} of {_short_number(span)} in each pixel"
    return f"at most {percent(size)} of each {each}'s range"


def _alike(spec: ModelSpec) -> bool:
    """Whether all features have the same range; those of a picture are not gone through one by one."""
    return isinstance(spec.features, Pixels) or len({feature.span for feature in spec.features}) == 1


def attack_statement(subject: Subject, model: ModelFile, comparison: Comparison) -> list[str]:
    """What the attack changed in the row, in the decision and in its explanation, with noise as the control."""
    attacked = comparison.attacked
    paragraphs = [_outcome_paragraph(subject, model, attacked), _shift_paragraph(model.spec, comparison)]
    if model.spec.modality == "table":
        paragraphs.insert(1, _moved_paragraph(model.spec, attacked))
    if not attacked.success[0]:
        paragraphs.append(
            "That this attack found nothing does not mean that there is nothing to find: another "
            "attack, another start or more steps may."
        )
    return paragraphs


def robustness_sentence(subject: Subject, model: ModelFile, attacked: Attacked, labels: np.ndarray) -> str:
    """Rows decided as labelled before, and those still so after the attack and after equal noise; `labels` (n,)."""
    right = attacked.clean_class == labels
    held, held_noise = (right & ~each for each in (attacked.success, attacked.noise_success))
    size = size_phrase(model.spec, attacked.norm, attacked.size)
    return (
        f"Of {counted(len(labels), subject.row_noun)}, {right.sum():,} are decided as labelled. After a change of "
        f"{size} found by {_within(method_title(attacked.method))} {held.sum():,} still are, after random noise of "
        f"the same size {held_noise.sum():,}. A stronger attack may leave fewer."
    )


def attack_checks_sentences(model: ModelFile, attack: MethodId, found: AttackChecks) -> list[str]:
    """The checks that the strongest attack fails, a sentence each; where it fails none, one that says so."""
    title, failed = _within(method_title(attack)), []
    if found.grows is False:
        failed.append(f"{capital(title)} turns fewer decisions at a larger size: it stops short, and more may turn.")
    if found.beaten_by:
        others = listed([_within(method_title(MethodId(name, ""))) for name in found.beaten_by])
        more = f"{capital(others)} turned more decisions than {title} at the same size"
        failed.append(f"{more}: take the least that held.")
    if not found.beats_noise:
        failed.append(f"Random noise turns more decisions than {title} of the same size: its figures say little.")
    if found.standing:
        decisions = counted(found.standing, "decision")
        holds, why = "holds" if found.standing == 1 else "hold", "the attack stops short"
        table = model.spec.modality == "table"
        if table and not all(feature.mutable and feature.direction == "any" for feature in model.spec.features):
            why = "what may not be changed keeps them, or the attack stops short"
        failed.append(f"{decisions} {holds} although every value may move through its whole range: {why}.")
    if failed:
        return failed
    passed = ["more turn at a larger size"] if found.grows else []
    passed += ["no other attack turns more"] if found.beaten_by == () else []
    passed += ["noise turns no more", *(["all turn without a limit"] if found.standing == 0 else [])]
    return [f"{capital(title)} behaves as an attack should: {listed(passed)}."]


def group_name(feature: Feature, group: Group) -> str:
    """ "18 to 31 years"; "owns"; "missing"."""
    if math.isnan(group.lower):
        return "missing"
    if group.lower == group.upper:
        return feature.show(group.lower)
    return f"{replace(feature, unit='').show(group.lower)} to {feature.show(group.upper)}"


# --- the ledger ------------------------------------------------------------------------------------------------------


def ledger(result: Result, subject: Subject, model: ModelFile) -> list[tuple[str, str]]:
    """Every choice behind a result, as (term, text)."""
    query, kind = result.query, type(result)
    lines = [
        ("Subject", f"{subject.title} ({subject.name})"),
        ("Model", f"{model.title} ({model.name}, {model.format})"),
        ("Rows", _ids(query)),
        *_method_lines(result.method),
    ]
    if kind is Attribution:
        lines += _attribution_lines(result, model.spec)
    if kind is Attacked:
        lines += _attacked_lines(result, model.spec)
    if query.cutoff is not None:
        lines.append(("Cut-off", f"probability {query.cutoff:g} of {model.spec.classes[1]}"))
    lines += [("Seed", str(query.seed))]
    if kind is not Prediction:
        lines += [(capital(name.replace("_", " ")), _shown(value)) for name, value in sorted(result.facts.items())]
    return [
        *lines,
        ("Model digest", query.model),
        ("Question digest", query.digest),
        ("Result digest", result.digest),
    ]


def _method_lines(method: MethodId) -> list[tuple[str, str]]:
    known = _listed_method(method)
    lines = [("Method", f"{method_title(method)} ({method.name})"), ("Method version", method.version)]
    if known:
        lines += [("How it works", known.summary), ("Source", known.source)]
    return [*lines, *((f"Option: {name.replace('_', ' ')}", _shown(value)) for name, value in method.options)]


def _attribution_lines(result: Attribution, spec: ModelSpec) -> list[tuple[str, str]]:
    query, known = result.query, _listed_method(result.method)
    lines = [("Explained", target_phrase(spec, query.target))]
    if query.reference is None or not _compares(result):
        lines.append(("Reference", "none, this method compares with nothing"))
    else:
        seed = "" if query.reference.seed is None else f", drawn with seed {query.reference.seed}"
        rows = f"{counted(len(query.reference), 'row')}{seed}"
        lines += [
            ("Reference", "the text itself, every word hidden" if spec.modality == "text" else rows),
            ("Reference digest", query.reference.digest),
        ]
        if known and known.family == "shap" and spec.modality != "text":
            lines.append(
                (
                    "Perturbation",
                    "interventional: features take the values of the reference rows, whatever "
                    "depends on them in the data",
                )
            )
    if result.tolerance is None:
        lines.append(("Adds up", "this method does not promise to"))
    else:
        verdict = "passes" if result.complete else "FAILS"
        lines += [
            ("Residual", f"{tiny(float(np.abs(result.residual).max()))}, {verdict}"),
            ("Tolerance", f"{tiny(result.tolerance)} of the output's range of {number(result.spread)}"),
        ]
    sampled = "none, nothing is sampled" if result.error is None else f"largest {tiny(float(result.error.max()))}"
    return [*lines, ("Standard error", sampled)]


def _attacked_lines(result: Attacked, spec: ModelSpec) -> list[tuple[str, str]]:
    return [
        ("Size allowed", f"{size_phrase(spec, result.norm, result.size)} ({result.norm} {result.size:g})"),
        ("Size used", f"largest {number(float(result.distance.max()))}"),
        ("Noise control", f"seeded, largest size {number(float(result.noise_distance.max()))}"),
        (
            "Decisions changed",
            f"{int(result.success.sum())} of {len(result.success)} by the attack, "
            f"{int(result.noise_success.sum())} by noise",
        ),
        ("Rows sent to the model", f"{result.model_calls:,}"),
    ]


# --- pieces ----------------------------------------------------------------------------------------------------------


def _one(outputs: np.ndarray) -> np.ndarray:
    """One row's outputs as (1, columns)."""
    return np.atleast_2d(np.asarray(outputs, dtype=np.float64))[:1]


def _cutoff(subject: Subject) -> float:
    return 0.5 if subject.cutoff is None else subject.cutoff


def _decided(subject: Subject, model: ModelFile, outputs: np.ndarray) -> int:
    return int(decide(outputs, model.spec, subject.cutoff)[0])


def _ranked(spec: ModelSpec, outputs: np.ndarray) -> list[tuple[str, float]]:
    """Classes with their probabilities, the likeliest first."""
    p = probabilities(outputs, spec)[0]
    return [(spec.classes[k], float(p[k])) for k in np.argsort(-p, kind="stable")]


def figures(subject: Subject, model: ModelFile, outputs: np.ndarray) -> str:
    """ "score 0.71, cut-off 0.60", or the two likeliest classes; of a regression its number."""
    if not model.spec.classes:
        return outcome(model.spec, outputs[0, 0])
    if len(model.spec.classes) > 2:
        (_, first), (second, q) = _ranked(model.spec, outputs)[:2]
        return f"probability {chance(first)}, next {second} {chance(q) if q < 0.005 else f'at {chance(q)}'}"
    score, cutoff = score_and_cutoff(float(probabilities(outputs, model.spec)[0, 1]), _cutoff(subject))
    return f"score {score}, cut-off {cutoff}"


def _the(spec: ModelSpec, factor: Factor) -> str:
    """A factor inside a sentence: "the upper left", "income 31,000 EUR", "“dull”"."""
    if spec.modality == "text":
        return factor.label
    return f"the {factor.title}" if spec.modality == "image" else _within(factor.label)


def _with_effect(spec: ModelSpec, factor: Factor) -> str:
    """ "income 31,000 EUR (+0.42)"; a family's figures stand in its own brackets."""
    text = _the(spec, factor)
    if factor.shown.endswith(")"):
        return f"{text[:-1]}; {signed(factor.effect)})"
    return f"{text} ({signed(factor.effect)})"


def _short_the(spec: ModelSpec, factor: Factor) -> str:
    """A factor in a headline: a family goes by its name alone."""
    return _within(factor.title) if factor.shown.endswith(")") else _the(spec, factor)


def _within(title: str) -> str:
    """A title inside a sentence: "Integrated gradients" loses its capital, "DeepLIFT" and "PGD" keep theirs."""
    first = title.split(" ")[0]
    return title[:1].lower() + title[1:] if first[1:].islower() else title


def _warning(attribution: Attribution) -> str:
    worst = float(np.abs(attribution.residual).max())
    noun = "prediction" if attribution.query.target.scale == "value" else "score"
    return (
        f"Warning: this explanation does not add up. Its effects miss the {noun} by up to {tiny(worst)}, and the "
        f"method allows itself {tiny(attribution.tolerance * attribution.spread)}."
    )


def _compares(attribution: Attribution) -> bool:
    """Whether the method compares with the reference at all; one that does not has no base."""
    return attribution.compares


def _reference_note(attribution: Attribution, spec: ModelSpec) -> str:
    reference = attribution.query.reference
    if reference is None or not _compares(attribution):
        return "compares with nothing"
    if spec.modality == "text":
        return "compared with itself, every word hidden"
    seed = "" if reference.seed is None else f" (seed {reference.seed})"
    return f"{counted(len(reference), 'reference row')}{seed}"


def _sum_note(attribution: Attribution) -> list[str]:
    worst = float(np.abs(attribution.residual).max(initial=0.0))
    notes = []
    if attribution.tolerance is None:
        notes.append("does not promise to add up")
    elif attribution.complete:
        notes.append("adds up exactly" if worst == 0 else f"adds up to {tiny(worst)}")
    if attribution.error is not None:
        notes.append(f"largest standard error {number(float(attribution.error.max()))}")
    return notes


def _outcome_paragraph(subject: Subject, model: ModelFile, attacked: Attacked) -> str:
    before, after, noise = (
        f"{model.spec.classes[int(decided[0])]} ({figures(subject, model, outputs[:1])})"
        for decided, outputs in (
            (attacked.clean_class, attacked.clean_outputs),
            (attacked.attacked_class, attacked.attacked_outputs),
            (attacked.noise_class, attacked.noise_outputs),
        )
    )
    size = size_phrase(model.spec, attacked.norm, attacked.size)
    return (
        f"{method_title(attacked.method)} was allowed changes of {size}. Decision before: {before}; after the "
        f"attack: {after}; after random noise of the same size, drawn once with seed {attacked.query.seed}: "
        f"{noise}."
    )


def _moved_paragraph(spec: ModelSpec, attacked: Attacked) -> str:
    """Which values the attack moved most, with each feature's range as unit."""
    clean, moved = attacked.query.rows[0].ravel(), attacked.perturbed[0].ravel()
    steps = np.nan_to_num(np.abs(moved - clean) / np.array([feature.span for feature in spec.features]))
    order = [i for i in np.argsort(-steps, kind="stable") if steps[i] > 0]
    if not order:
        return "No value was changed."
    items = []
    for i in order[:3]:
        feature = spec.features[i]
        values = f"from {feature.show(clean[i])} to {feature.show(moved[i])}"
        items.append(f"{_within(feature.title)} {'(hidden)' if feature.hidden else values}")
    others = f" In all, {len(order)} values were changed." if len(order) > 3 else ""
    return f"Changed most: {listed(items)}.{others}"


def _shift_paragraph(spec: ModelSpec, comparison: Comparison) -> str:
    """How far the explanation moved; the same class, reference and seed before and after."""
    shift, noise = comparison.shift, comparison.noise_shift
    return (
        f"Of the {shift.top_k} {plural(things(spec))} with the largest effects on "
        f"{score_of(spec, comparison.clean.query.target)} before, this many are still among the largest "
        f"{shift.top_k}: {shift.shared_top} after the attack, {noise.shared_top} after the noise. An explanation "
        "that moves is no alarm, and one that stays is no all-clear: a decision can be turned and its explanation "
        "left as it was."
    )


def _ids(query: Query) -> str:
    ids = query.row_ids
    return ids[0] if len(ids) == 1 else f"{len(ids):,} rows, from {ids[0]} to {ids[-1]}"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _short_number(value: float) -> str:
    """Two decimals at most, no trailing zeros: "2.4", "16"."""
    text = f"{value:.2f}" if value >= 0.01 else f"{value:.1g}"
    return text.rstrip("0").rstrip(".").replace("-", MINUS) if "." in text else text
