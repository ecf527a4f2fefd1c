"""Subjects: which there are, and a model and data of one's own brought, checked and saved as one more."""

import streamlit as st

from core.errors import UserFacingError
from engine.intake import suggested_name
from engine.oneshot import warm
from engine.preflight import Preflight
from engine.sandbox import gaps
from engine.shelf import Shelved, free_name
from engine.subject_files import About, check_name
from reports import preflight as words
from ui import bring, parts, problems
from ui.bench import Bench
from ui.page import Page

PAGE = Page("Subjects", "subjects", "view", 6, about_row=False)


def render(ctx: Bench) -> None:
    """The list, then the way in."""
    subjects = ctx.desk.shelf()
    parts.headline(words.shelf_headline(subjects) if ctx.desk.may("view") else words.granted_headline(subjects))
    if not subjects:
        parts.paragraphs(["Every grant has a last day and can be taken back. Ask the person who invited you for one."])
    _list(ctx, subjects)
    if ctx.desk.may("bring"):
        _bring(ctx)


def _bring(ctx: Bench) -> None:
    """Two files, side by side, and what they make together."""
    warm()
    st.header("Bring your own", anchor=False)
    parts.paragraphs([words.FENCE])
    for gap in gaps():
        st.warning(problems.literal(gap), icon=":material/warning:")
    model = data = None
    left, right = st.columns(2, gap="large")
    with left, problems.shown():
        model = bring.model(ctx.desk)
        parts.paragraphs(words.model_sentences(model.facts) if model else [words.MODELS_TAKEN])
    with right, problems.shown():
        data = bring.data(ctx.desk)
        parts.paragraphs(words.data_sentences(data.facts) if data else [words.DATA_TAKEN])
    if model is not None and data is not None:
        with problems.shown():
            _together(ctx, model, data)


def _list(ctx: Bench, subjects: list[Shelved]) -> None:
    """Every subject with the way to it: the samples side by side, one's own below, line by line."""
    samples = [each for each in subjects if not each.own]
    for column, subject in zip(st.columns(max(1, len(samples)), gap="large"), samples, strict=False):
        with column:
            _entry(ctx, subject)
    for subject in subjects:
        if subject.own:
            with st.container(horizontal=True, vertical_alignment="center", key=f"own-{subject.name}"):
                _entry(ctx, subject)
                if ctx.desk.removable(subject):
                    _removal(ctx, subject)


def _entry(ctx: Bench, subject: Shelved) -> None:
    """The way to a subject and what it is, or why it cannot be opened."""
    if subject.problem:
        parts.paragraphs([f"{subject.name}: {subject.problem}"])
        return
    st.page_link(
        ctx.landing,
        label=f"**{problems.literal(subject.title)}**",
        icon=":material/arrow_forward:",
        icon_position="right",
        query_params={"subject": subject.name},
    )
    parts.quiet(subject.summary)


def _removal(ctx: Bench, subject: Shelved) -> None:
    """Removing is asked for twice."""
    with st.popover("Remove", type="tertiary", key=f"removal-{subject.name}"):
        parts.paragraphs([f"{subject.title} is removed for good: its model, its data, and the way to its answers."])
        if st.button("Remove it", key=f"remove-{subject.name}"):
            ctx.desk.remove(subject.name)
            st.rerun()


def _together(ctx: Bench, model: bring.Upload, data: bring.Upload) -> None:
    """What the two files make: how they fit, what is to be known first, and where it is saved."""
    st.header("Do they fit together?", anchor=False)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        answer = bring.target(model, data)
        said = bring.corrections(model, data, answer)
    try:
        brought, proposal = bring.fit(model, data, answer, said)
    except UserFacingError as error:
        problems.show(error)
        bring.table(model, data, None, [each["name"] for each in said.get("feature", [])])
        return
    found = bring.ready(model, brought, proposal)
    _preflight(found.preflight, answer)
    if proposal.features:
        st.header("The columns, as they will be read", anchor=False)
        bring.table(model, data, proposal)
    st.header("Save it and see its decisions explained", anchor=False)
    _save(ctx, found, data.name)


def _preflight(found: Preflight, answer: str) -> None:
    """Figures first, then what to know before trusting them."""
    parts.paragraphs([words.score_sentence(found, answer), words.decided_sentence(found), words.scale_sentence(found)])
    if found.warnings:
        st.markdown("**To know before you go on**")
        st.markdown("\n".join(f"- {problems.literal(warning)}" for warning in found.warnings))
    with st.expander("What can explain and attack it", type="compact"):
        methods = words.methods(found)
        parts.table({"Method": list(methods), "Whether it applies": list(methods.values())})


def _save(ctx: Bench, found: bring.Ready, file_name: str) -> None:
    """The names that people and addresses will know it by."""
    usual = free_name(suggested_name(file_name))
    with st.form("bring-save", border=False):
        left, middle, right = st.columns(3, gap="medium")
        title = left.text_input("Title", usual.replace("-", " ").capitalize(), max_chars=80)
        noun = middle.text_input("What one row is called", "row", max_chars=40)
        name = right.text_input("Name in addresses", usual, max_chars=48)
        wanted = st.form_submit_button("Save and explain")
    if wanted:
        check_name(name)
        about = About(
            name,
            title.strip() or name,
            noun.strip() or "row",
            summary=found.preflight.summary,
            limits=found.preflight.limits,
            outcome=found.agreed.proposal.outcome,
        )
        ctx.desk.save(found.brought, found.agreed, about)
        bring.forget()
        st.switch_page(ctx.landing, query_params={"subject": name})
