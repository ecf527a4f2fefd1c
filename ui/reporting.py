"""Widgets of the page Report: for whom it is, what goes in, its pages, signing it, taking it away."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

import streamlit as st

from access.actions import refusal
from access.masks import hidden
from attacks.base import Attack
from core.digest import digest
from core.nouns import Reference
from engine.engine import Cancelled
from engine.questions import ATTACK_SIZES, attacks_for, default_pair
from explainers.base import Explainer
from reports import decision, full, letter, summary, words
from reports.batch import Mailing, letters
from reports.bundle import pack
from reports.case import SECTIONS
from reports.gather import gather, gather_dossier
from reports.numbers import counted
from reports.pdf import build, preview
from reports.report import AUDIENCES, Report, Stamp
from reports.signing import Published, publish
from ui import address, choices, forms, parts, problems, waiting
from ui.context import Context
from ui.verifying import certificate

Progress = Callable[[float], None]
Stamped = Callable[[Stamp], Report]

_ABOUT_ROW = ("decision", "letter")
_MADE = "report.made"
_TO_SIGN = "report.to-sign"
_MIME = {
    ".pdf": "application/pdf",
    ".assay": "application/zip",
    ".assay.sig": "application/json",
    ".pem": "application/x-pem-file",
}


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
    """A report with its pages as pictures, and its files once it is signed; `key` is that of the wish."""

    key: str
    report: Report
    pages: list[bytes]
    published: Published | None = None


# --- what is wanted --------------------------------------------------------------------------------------------------


def audience() -> str:
    """What kind of report it is: for whom, and on what."""
    return forms.choice(
        "audience", "Kind of report", list(AUDIENCES), "decision", choices.AUDIENCES.__getitem__, small=True
    )


def wish(ctx: Context, audience: str) -> Wish:
    """What goes into the report for that audience."""
    if audience == "decision":
        return _decision(ctx)
    with st.expander("Methods", type="compact"):
        reference = parts.reference(ctx)
    made = _letter(ctx, reference) if audience == "letter" else _whole(ctx, audience, reference)
    return Wish(audience, (ctx.row_id if audience in _ABOUT_ROW else "", ctx.target, reference.digest), made)


def _decision(ctx: Context) -> Wish:
    sections = tuple(name for name in SECTIONS if _offered(ctx, name) and _wanted(name))
    explainers, reference, attack = _methods(ctx)
    shown = attack if "attack" in sections else None

    def ask(progress: Progress) -> Stamped:
        wanted = (ctx.row, ctx.target, reference, explainers, shown, sections)
        case = gather(ctx.desk, ctx.subject, ctx.model, *wanted, progress)
        return lambda stamp: decision.report(case, stamp, command(stamp))

    def command(stamp: Stamp) -> str:
        if [type(each) for each in explainers] != list(default_pair(ctx.spec)):
            return ""  # no flag names them
        flags = ["--sections", ",".join(sections), *(["--attack", shown.name] if shown else [])]
        return _command(ctx, "decision", stamp, reference, flags)

    methods = [each.method for each in (*explainers, *([shown] if shown else []))]
    return Wish("decision", (ctx.row_id, ctx.target, reference.digest, methods, sections), ask)


def _letter(ctx: Context, reference: Reference) -> Callable[[Progress], Stamped]:
    def ask(progress: Progress) -> Stamped:
        target = ctx.target.output if ctx.spec.classes else None
        rows, ids = ctx.values[None], (ctx.row_id,)
        mailing = Mailing(ctx.subject, ctx.model, rows, ids, reference, Stamp(_today()), target=target)
        (found,) = letters(ctx.desk, mailing, [0], lambda _share: progress(0.0))
        return lambda stamp: letter.report(found, stamp, _command(ctx, "letter", stamp, reference))

    return ask


def _whole(ctx: Context, audience: str, reference: Reference) -> Callable[[Progress], Stamped]:
    make = full.report if audience == "full" else summary.report

    def ask(progress: Progress) -> Stamped:
        dossier = gather_dossier(ctx.desk, ctx.subject, ctx.model, ctx.target, reference, progress)
        return lambda stamp: make(dossier, stamp, _command(ctx, audience, stamp, reference))

    return ask


def _command(ctx: Context, audience: str, stamp: Stamp, reference: Reference, flags: Sequence[str] = ()) -> str:
    """The command line that asks for the same report; "" for a frozen version, which has no folder."""
    if ctx.desk.snapshot(ctx.subject_name) is not None:
        return ""
    asked = ["--model", ctx.model.name, "--audience", audience]
    asked += ["--row", ctx.row_id] if audience in _ABOUT_ROW else []
    asked += ["--target", words.class_name(ctx.spec, ctx.target)] if ctx.spec.classes else []
    if ctx.spec.modality != "text":
        asked += ["--reference", str(len(reference)), "--reference-seed", str(reference.seed)]
    asked += [*flags, "--as-of", stamp.as_of.isoformat(), "--out", f"{audience}.pdf"]
    return shlex.join(["python", "assay.py", "report", ctx.subject_name, *asked])


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
    stamp = Stamp(_today())
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


def _today() -> date:
    return datetime.now(UTC).date()


def headline(ctx: Context, audience: str, made: Made | None = None) -> str:
    """What the report is about; once it is made, how long it is and how much it rests on."""
    noun = "letter" if audience == "letter" else "report"
    if made is None:
        return f"{_matter(ctx, audience)}: a {noun} to take away."
    matter = str(made.report.printed["title"]).split(":")[0].rstrip(".")
    pages, answers = counted(len(made.pages), "page"), counted(len(made.report.exhibits), "answer")
    return f"{matter}: a {noun} of {pages}, resting on {answers}."


def _matter(ctx: Context, audience: str) -> str:
    if audience not in _ABOUT_ROW:
        return f"{ctx.subject.title}, {ctx.model.title}"
    return words.decision_headline(ctx.subject, ctx.model, ctx.row_id, ctx.outputs).split(":")[0].rstrip(".")


# --- signing ---------------------------------------------------------------------------------------------------------


def signed(ctx: Context, made: Made) -> Made:
    """The report signed, where the person said so; else the draft, with the sentence why, where that failed."""
    stamp = st.session_state.pop(_TO_SIGN, {}).get(made.key)
    if stamp is not None:
        with problems.shown(), st.spinner("Signing"):
            st.session_state.pop(_MADE, None)  # where the evidence is another by now, the next draft is made of that
            published = publish(ctx.desk, replace(made.report, stamp=stamp))
            made = Made(made.key, published.report, preview(published.report), published)
            st.session_state[_MADE] = made
    return made


def offer_to_sign(ctx: Context, made: Made) -> None:
    """The button that asks once more before it signs; for those who may not, one sentence why."""
    if not ctx.desk.may("sign"):
        parts.quiet(refusal(ctx.desk.person, "sign").sentence)
    elif st.button("Sign as final", icon=":material/signature:"):
        _ask_once_more(ctx, made)


@st.dialog("Sign this report as final")
def _ask_once_more(ctx: Context, made: Made) -> None:
    pages = counted(len(made.pages), "page")
    parts.paragraphs(
        [
            f"Report {made.report.id}, {pages}. Its watermark goes, and what is signed cannot be changed afterwards.",
            "That you signed it enters the log and stays there.",
        ]
    )
    with st.form("sign", border=False):
        hosted = ctx.desk.hosted  # there, the author is who signs
        author = st.text_input("Author", ctx.desk.person.name if hosted else "", max_chars=80, disabled=hosted)
        reviewer = st.text_input("Reviewer", placeholder="Nobody", max_chars=80)
        use = st.text_area("What the model is used for", placeholder="Not stated", max_chars=300, height=80)
        sure = st.form_submit_button("Sign it for good")
    if sure and not author.strip():
        st.error("The author is not named. A signed report says who answers for it. Name the author.")
    elif sure:
        said = {"author": author.strip(), "reviewer": reviewer.strip(), "use": use.strip()}
        st.session_state[_TO_SIGN] = {made.key: replace(made.report.stamp, **said)}
        st.rerun()


# --- taking it away --------------------------------------------------------------------------------------------------


def take_away(ctx: Context, made: Made) -> None:
    """The draft and its evidence; of a signed report its files and the certificate."""
    report, published = made.report, made.published
    if published is None:
        with st.container(horizontal=True):
            _download(ctx, "Download the draft", report, lambda: build(report), ".pdf")
            _download(ctx, "Evidence", report, lambda: pack(report), ".assay")
        parts.quiet(f"A draft, not signed: report {report.id}.")
        return
    said = report.stamp.said
    parts.paragraphs([f"Signed as final on {said['as_of']} by {said['author']}: report {report.id}."])
    with st.container(horizontal=True):
        _download(ctx, "Signed report", report, lambda: published.pdf, ".pdf")
        _download(ctx, "Evidence", report, lambda: published.bundle, ".assay")
        _download(ctx, "Signature of the evidence", report, lambda: published.signature, ".assay.sig")
        _download(ctx, "Certificate", report, lambda: certificate(ctx.desk), ".pem")
    parts.quiet(
        "The evidence and its signature lie in the report too. None of these files is kept here: take them now. "
        "Whoever gets them checks them on Verify, or with python assay.py verify."
    )


def _download(ctx: Context, label: str, report: Report, make: Callable[[], bytes], ending: str) -> None:
    name = "-".join(["assay", report.subject.name, *(report.row_ids or (report.audience,))])
    kind = "report" if ending == ".pdf" else "evidence"
    st.download_button(
        label,
        lambda: ctx.desk.export(kind, ctx.subject_name, make, report=report.id),
        f"{name}{ending}",
        _MIME[ending],
        on_click="ignore",
        icon=":material/download:",
    )
