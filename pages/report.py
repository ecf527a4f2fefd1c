"""Report: pick what goes in, see it as it will be, take it away."""

from datetime import date

import streamlit as st

from attacks.base import Attack
from core.nouns import Reference
from engine.questions import ATTACK_SIZES, attacks_for, default_pair
from explainers.base import Explainer
from reports import decision, words
from reports.case import SECTIONS
from reports.gather import gather
from reports.pdf import build, preview
from reports.report import Stamp
from ui import address, choices, forms, parts
from ui.context import Context
from ui.page import Page

PAGE = Page("Report", "report", "report", 4)


def render(ctx: Context) -> None:
    """What goes in on the left, the pages on the right."""
    decided = words.decision_headline(ctx.subject, ctx.model, ctx.row_id, ctx.outputs).split(":")[0]
    parts.headline(f"{decided.rstrip('.')}: a report to take away.")
    left, right = st.columns([1, 2], gap="large")
    with left:
        sections = tuple(name for name in SECTIONS if _offered(ctx, name) and _wanted(name))
        explainers, reference, attack = _methods(ctx)
    with right:
        bar = st.progress(0.0, text="Gathering the evidence")
        case = gather(
            ctx.desk,
            ctx.subject,
            ctx.model,
            ctx.row,
            ctx.target,
            reference,
            explainers,
            attack if "attack" in sections else None,
            sections,
            bar.progress,
        )
        report = decision.report(case, Stamp(date.today()))
        pdf = build(report)
        bar.empty()
        pages = _leaf(preview(report))
    with left:
        name = f"assay-{ctx.subject.name}-{ctx.row_id}.pdf"
        st.download_button(
            "Download the PDF",
            lambda: ctx.desk.export("report", ctx.subject_name, lambda: pdf, report=report.id),
            name,
            "application/pdf",
            on_click="ignore",
            icon=":material/download:",
        )
        parts.paragraphs(
            [
                f"{pages} pages, PDF/A-2a and PDF/UA-1. The same evidence gives the same bytes: {report.id}.",
                "This is an unsigned draft.",
            ]
        )


def _leaf(pages: list[bytes]) -> int:
    """Shows the page that is turned to; returns how many there are."""
    numbers = [str(number) for number in range(1, len(pages) + 1)]
    turned = forms.choice("page", "Page", numbers, "1", small=True)
    with st.container(border=True, key="paper"):
        st.image(pages[int(turned) - 1], alt=f"Page {turned} of {len(pages)} of the report", width="stretch")
    return len(pages)


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
