"""Under attack: the decision beside the same decision under attack, and how many decisions hold."""

from dataclasses import replace

import streamlit as st

from attacks.base import Attack
from core import measures
from core.nouns import Reference
from core.options import options_of
from core.results import Comparison
from engine.questions import ATTACK_SIZES, attack_refusals, attacks_for, default_pair
from explainers.base import Explainer
from reports import words
from reports.gather import comparison_questions
from reports.numbers import signed
from ui import charts, choices, forms, parts, problems, waiting
from ui.context import Context
from ui.page import Page

PAGE = Page("Under attack", "attack", "view", 3)


def render(ctx: Context) -> None:
    """One row under attack, then many."""
    if not attacks_for(ctx.spec):
        _nothing_applies(ctx)
        return
    heading = st.container()
    attack, seed, (shap, reference) = _controls(ctx)
    attacked = waiting.answer(ctx.desk, ctx.attack(attack, seed=seed), f"Running {attack.title}")
    with heading:
        parts.headline(words.attack_headline(ctx.subject, ctx.model, attacked))
    query = ctx.explain(shap, reference).query
    questions = comparison_questions(ctx.model, shap, query, attacked)
    found = Comparison(attacked, *waiting.answers(ctx.desk, questions, "Explaining before and after"))
    _side_by_side(ctx, found)
    parts.paragraphs(words.attack_statement(ctx.subject, ctx.model, found))
    parts.proof(ctx, attacked, parts.attack_line(attacked))
    with problems.shown():
        _many(ctx, attack, seed)


def _nothing_applies(ctx: Context) -> None:
    """Why there is nothing to see, attack by attack, and where to go instead."""
    parts.headline("No attack applies to this model.")
    parts.paragraphs([words.instead_of_attack(ctx.spec)])
    if ctx.spec.classes:
        parts.paragraphs([f"{title}: {sentence}." for title, sentence in attack_refusals(ctx.spec)])


def _controls(ctx: Context) -> tuple[Attack, int, tuple[Explainer, Reference]]:
    """The attack with its options, its seed, and how the decision is explained."""
    fitting = {kind.name: kind for kind in attacks_for(ctx.spec)}
    usual = default_pair(ctx.spec)[0]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = forms.choice("attack", "Attack", list(fitting), next(iter(fitting)), lambda each: fitting[each].title)
        kind = fitting[name]
        norms = options_of(kind)[0]
        norm = forms.choice(
            "norm", "Limit on", norms.choices, norms.default, choices.NORMS.__getitem__, norms.help, small=True
        )
        size = forms.slider("size", choices.ATTACK_SIZES[norm], 0.5, "%.1f", 100 * ATTACK_SIZES[ctx.spec.modality])
        with st.popover("More", icon=":material/tune:"):
            seed = forms.number("attack-seed", choices.ATTACK_SEED)
            options = forms.method_options(kind, kind.name, leave_out=("norm", "size"))
            shap = parts.explainer(ctx, "method", "Explained by", usual)
            reference = parts.reference(ctx)
    if any(feature.kind in ("category", "boolean") for feature in ctx.spec.features):
        parts.quiet("Changing a category or a yes-or-no value counts as 100% of its range, so below that they stay.")
    return kind(norm=norm, size=size / 100, **options), seed, (shap(), reference)


def _side_by_side(ctx: Context, found: Comparison) -> None:
    """Input, decision and attribution before, after the attack and after equal noise, on one scale."""
    attacked = found.attacked
    order = charts.strongest(found.clean, ctx.spec)
    limit = charts.bar_limit(found.clean, found.after, found.noise)
    shown = [
        ("Before", attacked.clean_outputs, found.clean),
        ("After the attack", attacked.attacked_outputs, found.after),
        ("After equal noise", attacked.noise_outputs, found.noise),
    ]
    for column, (title, outputs, attribution) in zip(st.columns(3, gap="medium"), shown, strict=True):
        with column:
            parts.decided(ctx, title, outputs)
            if ctx.spec.modality == "image":
                pixels = attribution.query.rows[0]
                parts.picture(ctx, pixels, f"{ctx.subject.row_noun} {ctx.row_id}: {title.lower()}", f"picture-{title}")
            parts.attribution(ctx, attribution, limit, f"bars-{title}", order)
    if ctx.spec.modality == "image":
        parts.directions(ctx, found.clean)
        _differences(ctx, found, limit)
    else:
        _moves(ctx, found)


def _differences(ctx: Context, found: Comparison, limit: float) -> None:
    """What the attack and the noise changed in the picture, and the attack in the explanation."""
    span = ctx.spec.features[0].span * found.attacked.size
    clean = found.clean.query.rows[0]
    ink = (ctx.palette.attacked, ctx.palette.accent)
    inked = ctx.spec.inked and ctx.spec.shape[-1] == 1
    unit, meanings = ("ink", ("more ink", "less ink")) if inked else ("light", ("lighter", "darker"))
    shown = [
        ("What moved in the explanation", found.after.values[0] - found.clean.values[0], limit, "of the score", None),
        ("What the attack drew", found.attacked.perturbed[0] - clean, span, unit, ink),
        ("What the noise drew", found.attacked.noise[0] - clean, span, unit, ink),
    ]
    for column, (title, change, most, of, colours) in zip(st.columns(3, gap="medium"), shown, strict=True):
        with column:
            st.markdown(f"**{title}**")
            figure = charts.difference(change, most, ctx.palette, of, colours)
            parts.chart(figure, charts.difference_alt(title, change, of), title)
            if colours:
                parts.legend(list(zip(ink, meanings, strict=True)))


def _moves(ctx: Context, found: Comparison) -> None:
    """The values that moved most, with their effects before and after."""
    features, attacked = ctx.spec.features, found.attacked
    moved = charts.moved(attacked, features)
    with st.expander(f"The {len(moved)} values that moved most, and their effects", type="compact"):
        parts.table(
            {
                "Feature": [features[i].title for i in moved],
                "Before": [features[i].show(attacked.query.rows[0, i]) for i in moved],
                "Attacked": [features[i].show(attacked.perturbed[0, i]) for i in moved],
                "Noise": [features[i].show(attacked.noise[0, i]) for i in moved],
                "Effect before": [signed(found.clean.values[0, i]) for i in moved],
                "Effect attacked": [signed(found.after.values[0, i]) for i in moved],
                "Change of effect": [signed(found.after.values[0, i] - found.clean.values[0, i]) for i in moved],
            }
        )


def _many(ctx: Context, attack: Attack, seed: int) -> None:
    """The share of decisions that hold, against the size of the change."""
    st.header("How many decisions hold", anchor=False, help=parts.term("robust accuracy"))
    data = ctx.subject.dataset
    if len(data.judged) < 2:
        parts.paragraphs([words.NOTHING_TO_JUDGE])
        return
    with st.container(width=200):
        rows = forms.number("attack-rows", choices.ATTACK_ROWS, min(choices.ATTACK_ROWS.default, len(data.judged)))
    chosen = data.sample(rows, seed, judged_only=True)
    sizes = sorted({*choices.ATTACK_STEPS[ctx.spec.modality], attack.size} - {0.0})
    questions = [ctx.attack(replace(attack, size=size), chosen, seed, "long") for size in sizes]
    found = waiting.answers(ctx.desk, questions, f"Attacking {len(chosen):,} rows at {len(sizes)} sizes")
    labels = data.labels[chosen]
    clean = found[0].clean_class
    shares = [measures.robustness(labels, clean, clean, clean)]
    shares += [measures.robustness(labels, clean, each.attacked_class, each.noise_class) for each in found]
    here = found[sizes.index(attack.size)] if attack.size else found[0]
    parts.paragraphs([words.robustness_sentence(ctx.subject, ctx.model, here, labels)])
    figure = charts.robustness_curve([0.0, *sizes], shares, ctx.palette, attack.size)
    parts.chart(figure, charts.robustness_alt([0.0, *sizes], shares), "robustness")
    kind = "held-out rows" if data.split_known else "rows with a true answer"
    parts.proof(ctx, here, f"{len(chosen):,} {kind} drawn with seed {seed}. {parts.attack_line(here)}")
