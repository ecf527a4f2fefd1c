"""Whole model: what matters to it over many rows, and how well it decides."""

from dataclasses import replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core import measures
from core.results import Attribution
from core.scores import decide, probabilities
from engine.questions import default_survey
from reports import words
from reports.numbers import plural
from ui import charts, choices, forms, parts, problems, waiting
from ui.context import Context
from ui.page import Page

PAGE = Page("Whole model", "model", "view", 2)


def render(ctx: Context) -> None:
    """One of two views."""
    heading = st.container()
    views = choices.MODEL_VIEWS if ctx.spec.classes else choices.MODEL_VIEWS_OF_NUMBERS
    view = forms.choice("view", "View", list(views), "matters", views.__getitem__, small=True)
    if view == "matters" and ctx.spec.modality == "text":
        _words_that_matter(ctx, heading)
    elif view == "matters":
        _matters(ctx, heading)
    elif not len(ctx.subject.dataset.judged):
        parts.headline("How well this model decides cannot be told.")
        parts.paragraphs([words.NOTHING_TO_JUDGE])
    elif ctx.spec.classes:
        _decides(ctx, heading)
    else:
        _predicts(ctx, heading)


def _matters(ctx: Context, heading: DeltaGenerator) -> None:
    """Importance, every row's effects, and one feature's effect against its value."""
    usual = default_survey(ctx.spec)
    with st.container(horizontal=True, vertical_alignment="bottom", width=520):
        kind = parts.explainer(ctx, "method", "Explained by", usual)
        with st.popover("More", icon=":material/tune:"):
            reference = parts.reference(ctx)
            rows = forms.number("sample", choices.SAMPLE, _sample_size(ctx))
            seed = forms.number("sample-seed", choices.SAMPLE_SEED)
            options = forms.method_options(kind, kind.name)
    chosen = ctx.subject.dataset.sample(rows, seed)
    question = ctx.explain(kind(**options), reference, chosen, "long")
    found = waiting.answer(ctx.desk, question, f"Explaining {len(chosen):,} rows by {kind.title}")
    with heading:
        parts.headline(words.importance_headline(ctx.subject, ctx.model, found))
    _importance(ctx, found, seed)
    parts.proof(ctx, found, f"{len(chosen):,} rows drawn with seed {seed}. {words.proof_line(found, ctx.spec)}")
    _dependence(ctx, found)


def _sample_size(ctx: Context) -> int:
    usual = choices.SAMPLE_OF_IMAGES if ctx.spec.modality == "image" else choices.SAMPLE.default
    return min(usual, len(ctx.subject.dataset))


def _importance(ctx: Context, found: Attribution, seed: int) -> None:
    """How much each feature matters on average, and on every row."""
    spec, unit = ctx.spec, words.scale_name(ctx.spec, ctx.target.scale)
    averages = measures.importance(found.values, seed)
    alt = words.importance_headline(ctx.subject, ctx.model, found)
    left, right = st.columns(2, gap="large")
    with left:
        if spec.modality == "image":
            st.markdown(
                "**Mean size of each pixel's effect; the fuller the colour, the larger**", help=parts.term("importance")
            )
            figure = charts.importance_picture(averages, found.query.rows, spec, ctx.palette)
        else:
            st.markdown("**Mean size of each effect, with 95% intervals**", help=parts.term("importance"))
            figure = charts.importance_bars(averages, spec, ctx.palette, unit)
        parts.chart(figure, alt, "importance")
    with right:
        st.markdown(
            "**Every row's effect; blue dots are low values of the feature, orange high**", help=parts.term("beeswarm")
        )
        parts.chart(charts.beeswarm(found, spec, ctx.palette, unit), alt, "beeswarm")


def _dependence(ctx: Context, found: Attribution) -> None:
    """One feature's effect against its value."""
    spec = ctx.spec
    ranked = [int(i) for i in measures.ranking(found.values) if not spec.features[i].hidden]
    if not ranked:
        return
    places = {spec.features[i].name: i for i in sorted(ranked)}
    first = spec.features[ranked[0]].name
    st.header("How the effect follows the value", anchor=False, help=parts.term("dependence"))
    with st.container(width=360):
        name = forms.choice("feature", "Feature", list(places), first, lambda name: spec.features[places[name]].title)
    position = places[name]
    title = spec.features[position].title
    alt = f"{title}: its value across, its effect on {words.score_of(spec, ctx.target)} upwards."
    figure = charts.dependence(found, position, spec, ctx.palette, words.scale_name(spec, ctx.target.scale))
    parts.chart(figure, alt, "dependence")


def _cutoff(ctx: Context) -> float:
    with st.container(width=420):
        return forms.slider("cutoff", choices.CUTOFF, 0.01, "%.2f", ctx.subject.cutoff or 0.5)


def _decides(ctx: Context, heading: DeltaGenerator) -> None:
    """Confusion, ROC and calibration on the rows that the model has not seen in training."""
    spec, data = ctx.spec, ctx.subject.dataset
    rows = data.sample(choices.JUDGED, choices.JUDGED_SEED, judged_only=True)
    outputs = waiting.answer(ctx.desk, ctx.predict(rows), f"Asking the model about {len(rows):,} rows").outputs
    labels, two = data.labels[rows], len(spec.classes) == 2
    cutoff = _cutoff(ctx) if two else None
    decided = decide(outputs, spec, cutoff)
    with heading:
        parts.headline(words.performance_headline(replace(ctx.subject, cutoff=cutoff), ctx.model, outputs, labels))
    chance, concerned = probabilities(outputs, spec)[:, ctx.target.output], labels == ctx.target.output
    name = spec.classes[ctx.target.output]
    counts = measures.confusion(labels, decided, len(spec.classes))
    with_cutoff = "at this cut-off" if two else "as decided"
    columns = st.columns(3, gap="large")
    with columns[0]:
        st.markdown("**Decided against true class**", help=parts.term("confusion matrix"))
        parts.chart(
            charts.confusion_table(counts, spec.classes, ctx.palette),
            charts.confusion_alt(counts, spec.classes),
            "confusion",
        )
    with columns[1]:
        _roc(ctx, measures.roc(concerned, chance), measures.rates(concerned, decided == ctx.target.output), with_cutoff)
    with columns[2]:
        found = measures.calibration(concerned, chance)
        st.markdown(f"**Calibration for {problems.literal(name)}**", help=parts.term("calibration"))
        parts.chart(charts.calibration_curve(found, ctx.palette), charts.calibration_alt(found, name), "calibration")
    parts.quiet(words.judged_sentence(ctx.subject, len(rows), choices.JUDGED_SEED))


def _predicts(ctx: Context, heading: DeltaGenerator) -> None:
    """Predicted against true numbers, and what is missed, on the rows that the model has not seen in training."""
    spec, data = ctx.spec, ctx.subject.dataset
    rows = data.sample(choices.JUDGED, choices.JUDGED_SEED, judged_only=True)
    outputs = waiting.answer(ctx.desk, ctx.predict(rows), f"Asking the model about {len(rows):,} rows").outputs
    truth, predicted = data.labels[rows], outputs[:, 0]
    found = measures.fit(truth, predicted)
    with heading:
        parts.headline(words.performance_headline(ctx.subject, ctx.model, outputs, truth))
    parts.paragraphs([words.fit_sentence(spec, found)])
    alt = charts.fit_alt(truth, predicted, spec, found)
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**Predicted against true; on the dotted line they are the same**", help=parts.term("R²"))
        parts.chart(charts.fitted(truth, predicted, spec, ctx.palette), alt, "fitted")
    with right:
        st.markdown("**What is missed; above the line is predicted too high**", help=parts.term("mean absolute error"))
        parts.chart(charts.residuals(truth, predicted, spec, ctx.palette), alt, "residuals")
    drawn = f" {charts.MOST_POINTS:,} of them are drawn." if len(rows) > charts.MOST_POINTS else ""
    parts.quiet(words.judged_sentence(ctx.subject, len(rows), choices.JUDGED_SEED) + drawn)


def _words_that_matter(ctx: Context, heading: DeltaGenerator) -> None:
    """The effect of every word that occurs in several texts: one question a text, as each has its own reference."""
    noun = plural(ctx.subject.row_noun)
    with st.container(horizontal=True, vertical_alignment="bottom", width=520):
        kind = parts.explainer(ctx, "method", "Explained by", default_survey(ctx.spec))
        with st.popover("More", icon=":material/tune:"):
            rows = forms.number("sample", choices.SAMPLE, min(choices.SAMPLE_OF_TEXTS, len(ctx.subject.dataset)))
            seed = forms.number("sample-seed", choices.SAMPLE_SEED)
            options = forms.method_options(kind, kind.name)
    chosen = ctx.subject.dataset.sample(rows, seed)
    reference = ctx.subject.reference()
    questions = [ctx.explain(kind(**options), reference, [int(row)]) for row in chosen]
    found = waiting.answers(ctx.desk, questions, f"Explaining {len(chosen):,} {noun} by {kind.title}")
    ranked = measures.token_effects(
        [each.query.rows[0] for each in found], [each.values[0] for each in found], ctx.spec.vocabulary.ordinary
    )
    with heading:
        parts.headline(words.tokens_headline(ctx.subject, ctx.model, ctx.target, ranked, len(found)))
    if ranked:
        st.markdown("**Mean effect of each word, and in how many texts it occurs**", help=parts.term("importance"))
        unit = words.scale_name(ctx.spec, ctx.target.scale)
        figure = charts.token_bars(ranked, ctx.spec, ctx.palette, unit)
        parts.chart(figure, words.tokens_alt(ctx.spec, ctx.target, ranked), "tokens")
    parts.quiet(
        f"{len(found):,} {noun} drawn with seed {seed}, each compared with itself, every word hidden; "
        f"{kind.title}. Words that occur in fewer than {measures.LEAST_TEXTS} of them are not listed."
    )


def _roc(ctx: Context, curve: measures.Roc, here: tuple[float, float], mark: str) -> None:
    """The ROC curve of the explained class against all others."""
    name = ctx.spec.classes[ctx.target.output]
    st.markdown(f"**ROC for {problems.literal(name)}, area {curve.area:.3f}**", help=parts.term("ROC"))
    alt = f"ROC curve for {name}: area {curve.area:.3f}; {mark} {here[1]:.0%} found, {here[0]:.0%} false alarms."
    parts.chart(charts.roc_curve(curve, here, mark, ctx.palette), alt, "roc")
