"""Widgets of the page Share: what is asked before freezing, grants, and what people say."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import streamlit as st

from access import exchange, sharing
from access.desk import Desk
from access.notes import About, Note, Thread
from access.sharing import Grant, Snapshot
from core.nouns import ModelFile, Subject, Target
from engine.engine import Cancelled, Question
from engine.predict import Predict
from engine.questions import (
    default_class,
    default_pair,
    default_survey,
    explain_query,
    population_query,
    prediction_query,
)
from reports import words
from reports.numbers import counted
from ui import checking, choices, parts, problems, waiting
from ui.context import Context

TO = "A verified e-mail address, or the provider's address and the person's subject there: https://issuer|subject."
MASKS = (
    "Their values are neither shown nor given away. What the model makes of them still is, and tells something of "
    "them: leave out of the data what nobody may infer."
)
SEVERITIES = ("low", "medium", "high")


# --- frozen versions and grants --------------------------------------------------------------------------------------


def ask_beforehand(desk: Desk, subject: Subject) -> None:
    """Asks what the pages show first about each model, so that it is frozen too and costs nobody's budget."""
    example = subject.position(subject.example or subject.dataset.row_ids[0])
    asked = [Question(model, Predict(), prediction_query(subject, model, [example])) for model in subject.models]
    found = waiting.answers(desk, asked, "Asking what the pages show first")
    for model, said in zip(subject.models, found, strict=True):
        target = Target(default_class(subject, model, said.outputs), model.spec.natural_scale)
        questions = _shown_first(subject, model, example, target)
        waiting.answers(desk, questions, f"Asking {model.title} what the pages show first")


def freeze(desk: Desk, name: str, title: str) -> Snapshot:
    """Freezes a subject, with what the pages show first among its answers; waited for in place, with a way out."""
    ask_beforehand(desk, desk.subject(name))

    def run(progress: Callable[[float], None], cancelled: Callable[[], bool]) -> Snapshot:
        def copied(share: float) -> None:
            if cancelled():
                raise Cancelled  # the snapshot itself is written last, so there is none now
            progress(share)

        return exchange.freeze(desk, name, title, copied)

    return waiting.work(f"freeze-{name}", run, "Freezing")


def _shown_first(subject: Subject, model: ModelFile, example: int, target: Target) -> list[Question]:
    """The questions of the example's Decision, of Whole model and of the list of rows, as they stand there at first."""
    spec, reference = model.spec, subject.reference()
    why = explain_query(subject, model, [example], target, reference)
    asked = [
        Question(model, Predict(), population_query(model, reference)),
        Question(model, Predict(), prediction_query(subject, model, checking.listed(subject))),
        *(Question(model, kind(), why) for kind in default_pair(spec)),
    ]
    if spec.modality != "text":  # of texts each one explained is a question of its own
        usual = choices.SAMPLE_OF_IMAGES if spec.modality == "image" else choices.SAMPLE.default
        rows = subject.dataset.sample(min(usual, len(subject.dataset)), choices.SAMPLE_SEED.default)
        query = explain_query(subject, model, rows, target, reference)
        asked.append(Question(model, default_survey(spec)(), query, "long"))
    return asked


def version_name(version: Snapshot) -> str:
    """A frozen version in a list to choose from, where no two may read alike."""
    return f"{version.title}, {version.on} ({version.id[:8]})"


def headline(title: str, versions: Sequence[Snapshot], live: Sequence[Grant]) -> str:
    """How many frozen versions there are, and how many people see one."""
    if not versions:
        return f"{title} is not frozen yet, so it cannot be shared."
    people = len({each.to for each in live})
    see = "nobody sees one" if not people else "1 person sees one" if people == 1 else f"{people:,} people see one"
    return f"{title} has {counted(len(versions), 'frozen version')}; outside this house {see}."


def grant_line(grant: Grant, title: str, left: int, now: datetime) -> str:
    """A grant in one sentence."""
    state = grant.state(now)
    until = f"until {grant.last_day}"
    ends = {"live": until, "expired": f"{until}, which is over", "taken back": "taken back"}
    masks = f", {counted(len(grant.masks), 'column')} hidden" if grant.masks else ""
    return f"{grant.to} sees {title}: {ends[state]}{masks}, {left:,} of {grant.budget:,} rows left to compute."


# --- what is said ----------------------------------------------------------------------------------------------------


def say(ctx: Context) -> None:
    """A comment or a finding, about the row in view or the model as a whole."""
    with st.form("say", border=False, clear_on_submit=True):
        text = st.text_area("What you have to say", max_chars=4_000)
        left, middle, right = st.columns(3)
        kind = left.selectbox("As", ["comment", "finding"], key="say-kind")
        severity = middle.selectbox("Severity of a finding", SEVERITIES, index=1, key="say-severity")
        row = f"{ctx.subject.row_noun} {ctx.row_id}"
        about = right.selectbox("About", ["the model as a whole", row])
        sent = st.form_submit_button("Send")
    if sent:
        where = About("check", ctx.row_id if about == row else "")
        if kind == "finding":
            exchange.raise_finding(ctx.desk, ctx.subject_name, text, severity, where)
        else:
            exchange.comment(ctx.desk, ctx.subject_name, text, where)
        st.rerun()


def said_headline(threads: Sequence[Thread]) -> str:
    """How much was said, and how much of it is open."""
    findings = [each for each in threads if each.note.kind == "finding"]
    comments = counted(len(threads) - len(findings), "comment")
    if not threads:
        return "Nothing was said about this yet."
    if not findings:
        return f"{comments}, and no finding."
    still = sum(each.state != "closed" for each in findings)
    return f"{counted(len(findings), 'finding')}, {still} of them not closed, and {comments}."


def thread(desk: Desk, each: Thread, noun: str) -> None:
    """What was said and the answers to it, with a box for one more."""
    note = each.note
    mark = f"{words.capital(note.severity)} finding, {each.state}" if note.kind == "finding" else "Comment"
    about = f", about {noun} {note.about.row}" if note.about.row else ""
    with st.container(key=f"thread-{note.id}"):
        st.markdown(f"**{problems.literal(f'{mark}{about}')}**")
        _said(note)
        for answer in each.answers:
            _said(answer)
        with st.expander("Answer", type="compact"), st.form(f"answer-{note.id}", border=False, clear_on_submit=True):
            text = st.text_area("Your answer", max_chars=4_000, key=f"answer-text-{note.id}")
            close = note.kind == "finding" and desk.may("view") and st.checkbox("This closes the finding")
            if st.form_submit_button("Send"):
                with problems.shown():
                    exchange.answer(desk, each, text, bool(close))
                    st.rerun()


def _said(note: Note) -> None:
    when = note.when.astimezone(UTC)
    parts.quiet(f"{note.author}, {sharing.day(when)} at {when:%H:%M} UTC")
    parts.paragraphs(note.text.split("\n"))
