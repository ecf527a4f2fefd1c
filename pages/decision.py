"""Decision: what was decided about one row, why, how sure that is, and what would change it."""

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.nouns import Reference
from core.results import Attribution
from engine.questions import default_pair
from explainers.base import Explainer
from reports import words
from ui import charts, forms, parts, problems, waiting, whatif
from ui.context import Context
from ui.page import Page

PAGE = Page("Decision", "", "view", 1)


def render(ctx: Context) -> None:
    """The landing page."""
    parts.headline(words.decision_headline(ctx.subject, ctx.model, ctx.row_id, ctx.outputs))
    warnings, decision = st.container(), st.container(key="decision")
    st.header(f"What moved the {words.result_noun(ctx.spec)}", anchor=False)
    shap, captum, reference = _methods(ctx)
    asked = [ctx.explain(shap, reference), ctx.explain(captum, reference)]
    waiting.ahead(ctx.desk, asked[:1])
    left, right = st.columns(2, gap="large")
    with decision:
        story = _decision(ctx, ctx.population(reference).outputs)
    with left:
        first = waiting.answer(ctx.desk, asked[0], f"Computing {shap.title}")
        _explanation(ctx, first, first, "shap")
    with story:
        parts.paragraphs([words.drivers_paragraph(ctx.subject, ctx.model, first)])
    with right, problems.shown():
        second = waiting.answer(ctx.desk, asked[1], f"Computing {captum.title}")
        _explanation(ctx, second, first, "captum")
        parts.agreement(ctx, first, second)
    whatif.draw(ctx, shap, first)
    st.header("How far to trust it", anchor=False)
    parts.paragraphs([words.accuracy_sentence(first), words.limits_paragraph(ctx.subject)])
    with warnings:
        parts.warnings(ctx, reference)


def _decision(ctx: Context, population: np.ndarray) -> DeltaGenerator:
    """What was decided and where the score lies; returns the place for what moved it."""
    if ctx.spec.modality == "image":
        seen, told, drawn = st.columns([2, 4, 4], gap="large")
        with seen:
            parts.picture(ctx, ctx.values, f"{ctx.subject.row_noun} {ctx.row_id}, as the model gets it", "input")
    else:
        told, drawn = st.columns([5, 4], gap="large")
    with told:
        if ctx.spec.modality == "text":
            parts.plain_text(ctx, ctx.values)
        parts.paragraphs(words.decision_paragraphs(ctx.subject, ctx.model, ctx.row_id, ctx.outputs, population))
        story = st.container()
        if ctx.spec.modality == "table":
            parts.row_table(ctx)
    with drawn:
        parts.score(ctx, ctx.outputs, population, "score")
    return story


def _methods(ctx: Context) -> tuple[Explainer, Explainer, Reference]:
    """Which two methods explain, against which reference, with which options."""
    usual = default_pair(ctx.spec)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        shap = parts.explainer(ctx, "shap", "By SHAP", usual[0], "shap")
        captum = parts.explainer(ctx, "captum", "By Captum", usual[1], "captum")
        with st.popover("More", icon=":material/tune:"):
            reference = parts.reference(ctx)
            options = [forms.method_options(kind, kind.name) for kind in (shap, captum)]
    return shap(**options[0]), captum(**options[1]), reference


def _explanation(ctx: Context, found: Attribution, beside: Attribution, key: str) -> None:
    """One method's chart on the scale of the one beside it, and its proof."""
    st.markdown(f"**{words.method_title(found.method)}**")
    parts.attribution(ctx, found, charts.shared_limit(found, beside), key)
    if ctx.spec.modality != "table":
        parts.directions(ctx, found)
    parts.proof(ctx, found)
