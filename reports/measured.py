"""What was measured on a whole model, section by section: performance, importance, groups, attacks."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from core import measures
from core.nouns import Feature, ModelSpec
from core.results import Attacked, Attribution
from engine.questions import attack_refusals
from reports import blocks, figures, words
from reports.blocks import Block
from reports.factors import families
from reports.figures import Axis, Chart
from reports.numbers import MINUS, counted, listed, number, percent, plural
from reports.whole import Whole, share

Section = dict[str, Any]
_MOST_BARS = 10
_MOST_CLASSES = 12
_MOST_DOTS = 400
_DEPENDENCES = 4
_MOST_GROUPINGS = 4
_LABELLED = 0.72
"""The share of the width at which the words beside the end of a line begin."""


# --- performance -----------------------------------------------------------------------------------------------------


def performance(whole: Whole) -> Section:
    """How well the model decides or predicts, on the rows that it was judged on."""
    question = (
        "How well does it do on rows it did not see?" if whole.subject.dataset.split_known else "How well does it do?"
    )
    if not whole.judged:
        why = "No row of the data has a true answer that the model was not trained on."
        needed = "give the data a column with the true answers, and one that says which rows were held out of training."
        return blocks.section(question, whole.headline, [blocks.missing("performance", why, needed)], 60)
    judged = whole.dossier.judged
    said = words.judged_sentence(whole.subject, len(whole.outputs), judged.query.seed).rstrip(".")
    shown = _decided(whole) if whole.spec.classes else _predicted(whole)
    return blocks.section(question, whole.headline, [*shown, whole.source(said, judged)], 80)


def _decided(whole: Whole) -> list[Block]:
    spec, known = whole.spec, whole.known
    labels, decided = whole.labels[known], whole.decided[known]
    counts = measures.confusion(labels, decided, len(spec.classes))
    shown: list[Block] = []
    if whole.ranks:
        happened, chance = labels == 1, whole.chances[known, 1]
        here = measures.rates(happened, decided == 1)
        shown.append(
            blocks.charts(
                [
                    _roc(spec.classes[1], measures.roc(labels, chance), here),
                    _calibration(spec.classes[1], happened, chance),
                ]
            )
        )
    if len(spec.classes) <= _MOST_CLASSES:
        shown.append(blocks.matrix(counts, spec.classes, _confusion_alt(counts, spec.classes)))
    rows = []
    for k, name in enumerate(spec.classes):
        right, true, said = int(counts[k, k]), int(counts[k].sum()), int(counts[:, k].sum())
        rows.append([name, f"{true:,}", _with_interval(right, true), _with_interval(right, said)])
    head = ["Class", "rows with that label", "of these decided so", "of those decided so, labelled so"]
    if len(rows) > _MOST_CLASSES:
        order = np.argsort(-counts.sum(axis=1), kind="stable")[:_MOST_CLASSES]
        rest = f"Of {len(rows):,} classes the {_MOST_CLASSES} most frequent are listed."
        return [*shown, blocks.table(head, [rows[k] for k in order], rest)]
    return [*shown, blocks.table(head, rows, "Shares with their 95% Wilson intervals.")]


def _with_interval(part: int, of: int) -> str:
    if not of:
        return "none"
    low, high = measures.wilson(part, of)
    return f"{share(part / of)} ({100 * low:.1f} to {100 * high:.1f})"


def _roc(name: str, curve: measures.Roc, here: tuple[float, float]) -> Chart:
    false, true = here
    alt = (
        f"ROC curve for {name}: area {curve.area:.3f}. At the cut-off {percent(true)} of those labelled {name} are "
        f"found, with {percent(false)} false alarms among the others."
    )
    chart = Chart(f"ROC for {name}, area {curve.area:.3f}", alt, Axis.shares("false alarms"), Axis.shares("found"))
    chart = chart.line([0, 1], [0, 1], "quiet", "dotted", 0.8)
    chart = chart.line(curve.false_positive, curve.true_positive)
    return chart.dot(false, true, hue="ink").label(false, true - 0.09, "the cut-off")


def _calibration(name: str, happened: np.ndarray, chance: np.ndarray) -> Chart:
    found = measures.calibration(happened, chance)
    pairs = zip(found.stated, found.observed, strict=True)
    said = "; ".join(f"stated {percent(float(s))}, observed {percent(float(o))}" for s, o in pairs)
    across, upwards = Axis.shares("stated probability"), Axis.shares(f"labelled {name}, with 95% intervals")
    chart = Chart(
        f"Calibration for {name}", f"Calibration for {name}, in groups of equal size: {said}.", across, upwards
    )
    chart = chart.line([0, 1], [0, 1], "quiet", "dotted", 0.8)
    for stated, observed, low, high in zip(found.stated, found.observed, found.low, found.high, strict=True):
        chart = chart.dot(float(stated), float(observed), (float(low), float(high)))
    return chart


def _confusion_alt(counts: np.ndarray, names: tuple[str, ...]) -> str:
    parts = [
        f"of {int(row.sum()):,} labelled {name} {int(row[k]):,} decided so"
        for k, (name, row) in enumerate(zip(names, counts, strict=True))
    ]
    return f"True against decided class: {'; '.join(parts)}."


def _predicted(whole: Whole) -> list[Block]:
    spec, truth, predicted = whole.spec, whole.labels[whole.known], whole.outputs[whole.known, 0]
    ends = np.concatenate([truth, predicted])
    show, title, missed = _bare(spec), spec.outcome.title, predicted - truth
    unit = f", {spec.outcome.unit}" if spec.outcome.unit else ""
    error = words.outcome(spec, whole.fit.error)
    alt = f"Predicted against true {title} of {counted(len(truth), 'row')}: off by {error} on average."
    across, upwards = (Axis.around(f"{which} {title}{unit}", ends, show) for which in ("true", "predicted"))
    fitted = Chart("Predicted against true", alt, across, upwards)
    fitted = fitted.line([ends.min(), ends.max()], [ends.min(), ends.max()], "quiet", "dotted", 0.8)
    alt = f"What is missed: from {show(missed.min())} to {show(missed.max())}{unit}."
    across, upwards = Axis.around(f"true {title}{unit}", truth, show), Axis.around(f"too high{unit}", missed, show)
    off = Chart("Predicted less true", alt, across, upwards)
    off = off.line([truth.min(), truth.max()], [0, 0], "quiet", "dotted", 0.8)
    for i in range(0, len(truth), max(1, len(truth) // _MOST_DOTS)):
        fitted = fitted.dot(float(truth[i]), float(predicted[i]), size=1.0)
        off = off.dot(float(truth[i]), float(missed[i]), size=1.0)
    return [blocks.charts([fitted, off]), blocks.text(words.fit_sentence(spec, whole.fit))]


# --- what matters ----------------------------------------------------------------------------------------------------


def behaviour(whole: Whole) -> Section:
    """What moves the score most over many rows, and how the effect follows the value."""
    question, surveyed, spec = "What matters to it over many rows?", whole.dossier.surveyed, whole.spec
    if surveyed is None:
        why = f"Each {whole.subject.row_noun} is compared with itself, so that many are not explained in one question."
        needed = "open Whole model in the dashboard, which explains a sample one by one and lists the words."
        heading = f"Which words matter over many {plural(whole.subject.row_noun)} is not in this report."
        return blocks.section(question, heading, [blocks.missing("importance over many rows", why, needed)], 60)
    shown = [importance(whole, surveyed)]
    if spec.modality == "image":
        shown.insert(0, _mean_picture(whole, surveyed))
    said = f"{whole.mark(surveyed)}: "
    shown.append(blocks.proof(surveyed, spec, said))
    shown.append(blocks.text(words.scale_sentence(spec, surveyed.query.target.scale)))
    if spec.modality == "table":
        shown += _dependence(whole, surveyed)
    return blocks.section(question, words.importance_headline(whole.subject, whole.model, surveyed), shown)


def importance(whole: Whole, surveyed: Attribution, most: int = _MOST_BARS) -> Block:
    """Mean size of each factor's effect with its interval, the largest first."""
    spec, parts = whole.spec, families(whole.spec, grouped=False)
    values = surveyed.values.reshape(len(surveyed.values), -1)
    together = np.column_stack([values[:, list(part.positions)].sum(axis=1) for part in parts])
    found = measures.importance(together, surveyed.query.seed)
    order = np.argsort(-found.mean, kind="stable")[:most]
    ranked = [
        (words.capital(parts[i].title), *(float(each[i]) for each in (found.mean, found.low, found.high)))
        for i in order
    ]
    unit = words.scale_name(spec, surveyed.query.target.scale)
    alt = "Mean size of the effects, largest first: " + "; ".join(f"{name} {number(mean)}" for name, mean, *_ in ranked)
    left = len(parts) - len(ranked)
    shape = figures.size_rows(ranked)
    shape["columns"][0]["title"] = f"95% intervals{f', without the {left} smallest' if left else ''}"
    return {"kind": "bars", "alt": f"{alt}.", "axis": f"mean size in {unit}", **shape}


def _mean_picture(whole: Whole, surveyed: Attribution) -> Block:
    """Where in the picture the effects are largest."""
    spec = whole.spec
    mean = np.abs(surveyed.values).mean(axis=0).sum(axis=2)
    limit = float(mean.max())
    pixels = figures.difference(np.zeros((*mean.shape, 1)), mean[:, :, None], limit)
    alt = words.importance_headline(whole.subject, whole.model, surveyed)
    panel = figures.panel("Mean size of each pixel's effect", pixels, alt)
    average = figures.panel(
        "The mean of the pictures",
        figures.picture(surveyed.query.rows.mean(axis=0), spec),
        "The mean of all pictures explained.",
    )
    unit = words.scale_name(spec, surveyed.query.target.scale)
    return blocks.panels([average, panel], f"White is no effect, full purple {number(limit)} {unit}.")


def _dependence(whole: Whole, surveyed: Attribution) -> list[Block]:
    """The effect of the strongest features against their values, a dot a row."""
    spec = whole.spec
    known = ~np.isnan(surveyed.query.rows).all(axis=0)
    shown = [int(i) for i in measures.ranking(surveyed.values) if known[i] and not spec.features[i].hidden]
    ranked = shown[:_DEPENDENCES]
    if not ranked:
        return []
    effects = surveyed.values[:, ranked]
    unit = words.scale_name(spec, surveyed.query.target.scale)
    upwards = Axis.around(f"effect, {unit}", effects)
    drawn = [_follows(whole, surveyed, place, upwards) for place in ranked]
    said = f"{whole.mark(surveyed)}. A dot is one {whole.subject.row_noun}; missing values are left out."
    halves = [drawn[:2], drawn[2:]]
    return [
        blocks.title("One dot a row", "How the effect follows the value"),
        *(blocks.charts(half, said if half is halves[-1] or not halves[-1] else "") for half in halves if half),
    ]


def _follows(whole: Whole, surveyed: Attribution, place: int, upwards: Axis) -> Chart:
    feature = whole.spec.features[place]
    values, effects = surveyed.query.rows[:, place], surveyed.values[:, place]
    shown = ~np.isnan(values)
    values, effects = values[shown], effects[shown]
    if feature.kind in ("category", "boolean"):
        codes = range(len(feature.categories) or 2)
        across = Axis("", -0.5, len(codes) - 0.5, tuple((float(code), feature.show(code)) for code in codes))
    else:
        across = Axis.around(
            feature.unit, values, lambda value: feature.show(value).removesuffix(feature.unit).rstrip()
        )
    upper, lower = (float(effects[half].mean()) for half in (values >= np.median(values), values <= np.median(values)))
    alt = (
        f"{words.capital(feature.title)} against its effect on {words.score_of(whole.spec, surveyed.query.target)}: on "
        f"average {number(lower)} in the lower half of its values, {number(upper)} in the upper."
    )
    chart = Chart(words.capital(feature.title), alt, across, upwards, height=36)
    chart = chart.line([across.low, across.high], [0, 0], "quiet", "dotted", 0.8)
    for value, effect in zip(values, effects, strict=True):
        chart = chart.dot(float(value), float(effect), hue="raises" if effect > 0 else "lowers", size=1.2)
    return chart


# --- groups ----------------------------------------------------------------------------------------------------------


def groups(whole: Whole) -> Section:
    """How often each group is decided which way, and how often otherwise than labelled: figures, no verdict."""
    question, spec = "Do the figures differ between groups?", whole.spec
    grouping = [i for i, feature in enumerate(spec.features) if _groups(feature)] if spec.modality == "table" else []
    if not grouping:
        why = "The schema names no groups: no feature is protected, and none is a category."
        if spec.modality != "table":
            why = "Pictures and texts have no columns that name groups."
        blank = blocks.missing("differences between groups", why, "a table with columns that name groups.")
        return blocks.section(question, "Differences between groups are not in this report.", [blank], 60)
    shown = [_group_table(whole, i) for i in grouping[:_MOST_GROUPINGS]]
    names = [words.capital(spec.features[i].title) for i in grouping[:_MOST_GROUPINGS]]
    left = len(grouping) - len(shown)
    said = whole.rows + (f", {counted(left, 'further feature')} not listed" if left else "")
    unit = "All in per cent, w" if spec.classes else "W"
    told = (
        f"{unit}ith 95% intervals. Groups may differ in what they bring, in how they were labelled and in how they are "
        "decided; these figures do not tell these apart, and none of them settles whether a difference is justified."
    )
    heading = f"Rates for groups by {listed(names)}: figures, no verdict."
    return blocks.section(question, heading, [*shown, whole.source(said, whole.dossier.judged), blocks.text(told)])


def _groups(feature: Feature) -> bool:
    return not feature.hidden and (feature.protected or feature.kind in ("category", "boolean"))


def _group_table(whole: Whole, place: int) -> Block:
    feature, spec = whole.spec.features[place], whole.spec
    if spec.classes:
        chosen = whole.dossier.target.output
        rate, wrong, what = whole.decided == chosen, whole.decided != whole.labels, f"decided {spec.classes[chosen]}"
        missed = "not decided as labelled"
    else:
        rate, wrong = whole.outputs[:, 0], np.abs(whole.outputs[:, 0] - whole.labels)
        what, missed = f"mean predicted {spec.outcome.title}", "mean distance from the true number"
    values, coded = whole.dossier.judged.query.rows[:, place], feature.kind in ("category", "boolean")
    rows = [
        [
            words.group_name(feature, each),
            f"{each.rows:,}",
            *(_estimated(spec, figure) for figure in (each.rate, each.rate_gap, each.wrong, each.wrong_gap)),
        ]
        for each in measures.groups(values, coded, rate, wrong, whole.known)
    ]
    name = f"{words.capital(feature.title)}{', protected' if feature.protected else ''}"
    head = [name, "rows", what, "than the others", missed, "than the others"]
    return blocks.table(head, rows, folded=False, widths=(2, 0.8, 2.6, 2.8, 2.6, 2.8), dense=True)


def _estimated(spec: ModelSpec, found: measures.Estimate | None) -> str:
    """ "30.4 (26.5 to 34.7)", in per cent or in the unit of the predicted number."""
    if found is None:
        return "none"
    show = (lambda value: f"{100 * value:.1f}".replace("-", MINUS)) if spec.classes else _bare(spec)
    return f"{show(found.value)} ({show(found.low)} to {show(found.high)})"


def _bare(spec: ModelSpec) -> Callable[[float], str]:
    return lambda value: replace(spec.outcome, unit="").show(value).replace("-", MINUS)


# --- attacks ---------------------------------------------------------------------------------------------------------

_NEVER = [
    "Poisoning: rows put into the training data. It would take the training itself.",
    "Membership inference and reconstruction: what the model gives away about the rows it was trained on. It would "
    "take the training rows and others like them.",
    "Extraction: copying the model by asking it. It would take a budget of questions to defend.",
    "Changes beyond those of a stated size: another way of measuring change, physical changes, several rows at once.",
]


def attacks(whole: Whole) -> Section:
    """Whether small changes turn decisions: who attacks, with what, how far, and what was not tried."""
    question, spec = "Can small changes turn its decisions?", whole.spec
    refused = [f"{title}: {sentence}" for title, sentence in attack_refusals(spec)]
    if not whole.dossier.attacked:
        why = refused[0] if refused else "None was run."
        needed = "a model of a kind that an attack applies to; single changes can be tried on the Decision page."
        blank = blocks.missing("attacks", why, needed)
        heading = "No attack applies to this model, so nothing is said of changes made on purpose."
        return blocks.section(
            question, heading, [blank, blocks.title("", "What was not tested"), blocks.listed(_NEVER)], 60
        )
    usual, labels = whole.usual, whole.attacked_labels
    heading = words.robustness_sentence(whole.subject, whole.model, usual, labels)
    shown = [
        blocks.pairs("The attacker", _threat(whole)),
        blocks.charts([curve(whole)]),
        whole.source(
            f"{len(usual.query)} rows, the same in each, with equal noise as the control", *whole.dossier.strongest
        ),
        _attack_table(whole),
        blocks.listed(words.attack_checks_sentences(whole.model, usual.method, _checks(whole))),
    ]
    return blocks.section(
        question,
        heading,
        [*shown, *_shift(whole), blocks.title("", "What was not tested", 40), blocks.listed([*refused, *_NEVER])],
        75,
    )


def _checks(whole: Whole) -> measures.AttackChecks:
    d = whole.dossier
    return measures.attack_checks(d.strongest, d.others, d.extreme)


def _threat(whole: Whole) -> list[tuple[str, str]]:
    spec, usual = whole.spec, whole.usual
    fixed = [feature.title for feature in spec.features if not feature.mutable] if spec.modality == "table" else []
    one_way = (
        [feature.title for feature in spec.features if feature.direction != "any"] if spec.modality == "table" else []
    )
    used = {each.method.name: each for each in whole.dossier.attacked}
    sizes = listed([words.size_phrase(spec, each.norm, each.size) for each in whole.dossier.strongest])
    return [
        ("Aim", "to turn the decision on one row to any other"),
        ("Knowledge", "; ".join(f"{words.method_title(each.method)}: {_knows(each)}" for each in used.values())),
        ("Sizes", sizes),
        ("Bounds", f"every {words.things(spec)} stays within the range of the schema"),
        ("Cannot be changed", listed(fixed) if fixed else "none is ruled out"),
        ("Changed one way only", listed(one_way) if one_way else "none"),
        ("Rows", f"{counted(len(usual.query), whole.subject.row_noun)}, the same for every attack"),
        ("Effort", f"{sum(each.model_calls for each in whole.dossier.attacked):,} rows sent to the model in all"),
    ]


def _knows(attacked: Attacked) -> str:
    return "the model's outputs alone" if attacked.method.name == "random_search" else "the model with its gradients"


def curve(whole: Whole, height: int = 52) -> Chart:
    """The share of rows still decided as labelled, by the size of the change, with noise beside it."""
    growing = whole.dossier.strongest
    title = words.method_title(growing[0].method)
    found = [whole.held(each) for each in growing]
    sizes, start = [0.0, *(each.size for each in growing)], found[0].accuracy
    across = Axis("size of the change", 0.0, sizes[-1] * 1.05, tuple((size, percent(size)) for size in sizes))
    steps = [
        f"at {percent(each.size)} {share(r.attacked)}, after noise {share(r.noise)}"
        for each, r in zip(growing, found, strict=True)
    ]
    alt = f"Still decided as labelled: {share(start)} unchanged; {'; '.join(steps)}."
    chart = Chart(
        "Still decided as labelled", alt, across, Axis.shares("of all rows, with 95% intervals"), height=height
    )
    chart = chart.line(sizes, [start, *(each.noise for each in found)], "quiet", "dashed")
    chart = chart.line(sizes, [start, *(each.attacked for each in found)], "attacked", width=1.6)
    for size, each in zip(sizes[1:], found, strict=True):
        chart = chart.dot(size, each.noise, hue="quiet", hollow=True)
        chart = chart.dot(size, each.attacked, each.attacked_interval, hue="attacked")
    for name, hue, held in (
        ("noise of the same size", "quiet", [start, *(each.noise for each in found)]),
        (title, "attacked", [start, *(each.attacked for each in found)]),
    ):
        before = float(np.interp(_LABELLED * sizes[-1], sizes, held))
        high, low = max(before, held[-1]), min(before, held[-1])
        chart = chart.label(sizes[-1], high + 0.07 if high < 0.9 else low - 0.08, name, hue)
    return chart


def _attack_table(whole: Whole) -> Block:
    rows = []
    for each in (*whole.dossier.attacked, *([whole.dossier.extreme] if whole.dossier.extreme else [])):
        held, size = whole.held(each), percent(each.size) if each.norm == "linf" else number(each.size)
        before, after, noise = (f"{round(part * held.rows)}" for part in (held.accuracy, held.attacked, held.noise))
        rows.append(
            [
                f"{words.method_title(each.method)} [{whole.mark(each)}]",
                size,
                before,
                after,
                noise,
                f"{each.model_calls:,}",
            ]
        )
    head = ["Decided as labelled, rows", "size", "before", "after it", "after noise", "rows asked"]
    said = "Size as a share of each feature's range. A row that was wrong from the start counts as wrong throughout."
    return blocks.table(head, rows, said)


def _shift(whole: Whole) -> list[Block]:
    """How far the explanations of attacked rows moved."""
    title = blocks.title("Clean beside attacked", "How far do the explanations move?", 45)
    if not whole.shifts:
        why = "No explanation of the attacked rows was asked for."
        return [title, blocks.missing("explanations under attack", why, "explain the rows again after the attack.")]
    ids = whole.dossier.shifted[0].query.row_ids
    rows = [
        [
            row_id,
            f"{after.shared_top} of {after.top_k}",
            f"{noise.shared_top} of {noise.top_k}",
            _rank(after.rank),
            _rank(noise.rank),
        ]
        for row_id, (after, noise) in zip(ids, whole.shifts, strict=True)
    ]
    top = whole.shifts[0][0].top_k
    head = [
        words.capital(whole.subject.row_noun),
        f"top {top} kept, attack",
        "noise",
        "rank correlation, attack",
        "noise",
    ]
    said = (
        f"{whole.mark(*whole.dossier.shifted)}, {words.method_title(whole.dossier.shifted[0].method)}, the same class, "
        "reference and seed. An explanation that moves is no alarm, and one that stays is no all-clear."
    )
    return [title, blocks.table(head, rows, said)]


def _rank(value: float) -> str:
    return "none" if np.isnan(value) else number(value)
