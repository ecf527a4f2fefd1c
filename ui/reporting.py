"""Widgets of the page Report: for whom it is, what goes in, its pages, signing it, taking it away."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from access.masks import hidden
from attacks.base import Attack
from core.digest import digest, short
from core.nouns import Reference
from engine.engine import Cancelled
from engine.questions import ATTACK_SIZES, attacks_for, default_pair
from explainers.base import Explainer
from reports import decision, words
from reports.case import SECTIONS
from reports.gather import gather
from reports.numbers import counted
from reports.pdf import build, preview
from reports.report import AUDIENCES, Report, Stamp
from ui import address, choices, forms, parts, waiting
from ui.context import Context

Progress = Callable[[float], None]
Stamped = Callable[[Stamp], Report]

_MADE = "report.made"


@dataclass(frozen=True)
class Wish:
    """A report that somebody wants. `parts` tell its evidence from any other's; `gather` asks for that evidence and
    gives what makes the report once its stamp is known.
    """

    audience: str
    parts: tuple[Any, ...]
    gather: Callable[[Progress], Stamped]


@dataclass(frozen=True)
class Made:
    """A report with its pages as pictures; `key` is that of the wish."""

    key: str
    report: Report
    pages: list[bytes]


# --- what is wanted --------------------------------------------------------------------------------------------------


def audience() -> str:
    """What kind of report it is: for whom, and on what."""
    return forms.choice(
        "audience", "Kind of report", list(AUDIENCES), "decision", choices.AUDIENCES.__getitem__, small=True
    )


def wish(ctx: Context, audience: str) -> Wish:
    """What goes into the report for that audience."""
    return {"decision": _decision}[audience](ctx)


def _decision(ctx: Context) -> Wish:
    sections = tuple(name for name in SECTIONS if _offered(ctx, name) and _wanted(name))
    explainers, reference, attack = _methods(ctx)
    shown = attack if "attack" in sections else None

    def ask(progress: Progress) -> Stamped:
        wanted = (ctx.row, ctx.target, reference, explainers, shown, sections)
        case = gather(ctx.desk, ctx.subject, ctx.model, *wanted, progress)
        return lambda stamp: decision.report(case, stamp)

    methods = [each.method for each in (*explainers, *([shown] if shown else []))]
    return Wish("decision", (ctx.row_id, ctx.target, reference.digest, methods, sections), ask)


def _offered(ctx: Context, name: str) -> bool:
    """Whether there is such a section for this model: one under attack needs an attack that applies."""
    if name != "attack" or attacks_for(ctx.spec):
        return True
    parts.quiet("No attack applies to this model, so there is no section on one.")
    return False


def _wanted(name: str) -> bool:
    """Whether a section goes in; the address names those that do not."""
    key = f"section.{name}"
    with forms.started(key, key, True, choices.SECTION.parse):
        wanted = st.checkbox(choices.REPORT_SECTIONS[name], key=key)
    if not wanted:
        address.keep(key, "no")
    return wanted


def _methods(ctx: Context) -> tuple[tuple[Explainer, Explainer], Reference, Attack | None]:
    """The two methods, the reference and the attack, if there is one, that the report shows."""
    usual = default_pair(ctx.spec)
    fitting = {kind.name: kind for kind in attacks_for(ctx.spec)}
    with st.expander("Methods", type="compact"):
        shap = parts.explainer(ctx, "shap", "By SHAP", usual[0], "shap")
        captum = parts.explainer(ctx, "captum", "By Captum", usual[1], "captum")
        reference = parts.reference(ctx)
        if not fitting:
            return (shap(), captum()), reference, None
        name = forms.choice("attack", "Attack", list(fitting), next(iter(fitting)), lambda each: fitting[each].title)
    return (shap(), captum()), reference, fitting[name](size=ATTACK_SIZES[ctx.spec.modality])


# --- the draft -------------------------------------------------------------------------------------------------------


def made(ctx: Context, wish: Wish) -> Made:
    """The draft, made anew where something else is wanted than before; waited for in place."""
    stamp = Stamp(as_of=datetime.now(UTC).date())
    seen = (ctx.subject_name, ctx.subject.dataset.digest, ctx.spec.digest, hidden(ctx.spec))
    key = digest("wish", seen, wish.audience, wish.parts, stamp.as_of.isoformat())
    kept: Made | None = st.session_state.get(_MADE)
    if kept is None or kept.key != key:

        def run(progress: Progress, cancelled: Callable[[], bool]) -> Made:
            def told(share: float) -> None:
                if cancelled():
                    raise Cancelled
                progress(share)

            report = wish.gather(told)(stamp)
            return Made(key, report, preview(report))

        kept = st.session_state[_MADE] = waiting.work(key, run, "Gathering the evidence")
    return kept


def headline(ctx: Context, audience: str, made: Made | None = None) -> str:
    """What the report is about; once it is made, how long it is and how much it rests on."""
    noun = "letter" if audience == "letter" else "report"
    if made is None:
        return f"{_matter(ctx, audience)}: a {noun} to take away."
    pages, answers = counted(len(made.pages), "page"), counted(len(made.report.exhibits), "answer")
    return f"{_matter(ctx, audience)}: a {noun} of {pages}, resting on {answers}."


def _matter(ctx: Context, audience: str) -> str:
    if audience in ("full", "summary"):
        return f"{ctx.subject.title}, {ctx.model.title}"
    return words.decision_headline(ctx.subject, ctx.model, ctx.row_id, ctx.outputs).split(":")[0].rstrip(".")


# --- taking it away --------------------------------------------------------------------------------------------------


def take_away(ctx: Context, made: Made) -> None:
    """The draft as a PDF."""
    report = made.report
    _download(ctx, "Download the draft", "report", lambda: build(report), f"{_name(report)}.pdf", "application/pdf")
    parts.quiet(f"A draft, not signed. The same evidence gives the same report: {short(report.digest)}.")


def _download(ctx: Context, label: str, kind: str, make: Callable[[], bytes], name: str, mime: str) -> None:
    st.download_button(
        label,
        lambda: ctx.desk.export(kind, ctx.subject_name, make),
        name,
        mime,
        on_click="ignore",
        icon=":material/download:",
    )


def _name(report: Report) -> str:
    """What its files are called, the ending apart."""
    return "-".join(["assay", report.subject.name, *report.row_ids, *([] if report.row_ids else [report.audience])])
