"""Widgets of the page Verify: the file and whom its reader trusts, what was found, its answers computed again."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import streamlit as st

from access import exchange
from access.desk import Desk
from core.digest import short
from core.errors import UserFacingError
from core.nouns import Subject
from reports.bundle import Bundle
from reports.manifest import unstamped
from reports.numbers import counted
from reports.recompute import Difference, recompute
from reports.remade import pages
from reports.report import AUDIENCES
from reports.verifying import LARGEST, Line, Trust, Verdict, printed_again, verify
from ui import forms, parts, waiting
from ui.checking import frame
from ui.problems import literal
from ui.state import the_certificate

_FOUND = "verify.found"
_AGAIN = "verify.again"
_TRUST = {"own": "The certificate of this Assay", "other": "A certificate that I have"}
_MARKS = {True: (":material/check_circle:", "Holds"), False: (":material/cancel:", "Fails")}
_TOLD = (":material/info:", "Note")
_MOST = 10  # answers that came out otherwise, of which each gets a sentence


@dataclass(frozen=True)
class Given:
    """A file to be checked, as it is called on its reader's machine, the signature beside it, and whom they trust."""

    name: str
    body: bytes
    beside: bytes | None
    trust: bytes

    @property
    def key(self) -> str:
        sha = hashlib.sha256()
        for part in (self.body, self.beside or b"", self.trust):
            sha.update(hashlib.sha256(part).digest())
        return sha.hexdigest()


# --- what is given ---------------------------------------------------------------------------------------------------


def given(desk: Desk) -> Given | None:
    """The file with all that it is checked by; None until that is there."""
    largest = min(LARGEST >> 20, st.get_option("server.maxUploadSize"))
    left, right = st.columns(2, gap="large")
    with left:
        file = st.file_uploader("A signed report", key="verify-file", max_upload_size=largest)
        body = file.getvalue() if file else b""
        beside = _small("Its signature, the file that ends in .sig") if file and not _is_pdf(body) else None
    with right:
        whom = forms.choice("trust", "Whom you trust", list(_TRUST), "own", _TRUST.__getitem__, small=True)
        trust = certificate(desk) if whom == "own" else _small("The signer's certificate, a .pem file")
    if not file or trust is None:
        return None
    return Given(file.name, body, beside, trust)


def certificate(desk: Desk) -> bytes:
    """What those who check what is signed here are given to check it by (PEM)."""
    try:
        return the_certificate()
    except UserFacingError:
        if desk.may("sign"):
            raise
        raise UserFacingError(
            "The certificate of this Assay cannot be had now",
            "What it signs with is out of reach",
            "Give the signer's certificate as a file, or tell an administrator",
        ) from None


def _is_pdf(body: bytes) -> bool:
    return body.startswith(b"%PDF-")


def _small(label: str) -> bytes | None:
    file = st.file_uploader(label, key=f"verify-{label[:8]}", max_upload_size=1)
    return file.getvalue() if file else None


# --- what was found --------------------------------------------------------------------------------------------------


def verdict(desk: Desk, given: Given) -> Verdict:
    """What was found out about the file, once while it lies here."""
    key, found = st.session_state.get(_FOUND, ("", None))
    if key != given.key:
        exchange.bring_report(desk, given.body)

        def run(_progress: Callable[[float], None], _cancelled: Callable[[], bool]) -> Verdict:
            return verify(given.body, Trust.read(given.trust), given.beside)

        found = waiting.work(f"verify-{given.key}", run, f"Checking {given.name}")
        st.session_state[_FOUND] = (given.key, found)
    return found


def forget() -> None:
    """Lets go of what was found out about a file that was taken back."""
    for name in (_FOUND, _AGAIN):
        st.session_state.pop(name, None)


def headline(name: str, found: Sequence[Line]) -> str:
    """Whether it holds, as a sentence."""
    checks = [line for line in found if line.good is not None]
    failed = sum(line.good is False for line in checks)
    if not failed:
        return f"{name} holds: {counted(len(checks), 'check')}, none failed."
    return f"{name} does not hold: {counted(failed, 'check')} failed."


def lines(found: Sequence[Line]) -> None:
    """Every finding with a mark and a word, what failed first."""
    with st.container(gap="xxsmall"):
        for line in sorted(found, key=lambda line: line.good is not False):
            mark, word = _TOLD if line.good is None else _MARKS[line.good]
            st.markdown(f"{mark} **{word}.** {literal(line.sentence)}")


def about(bundle: Bundle) -> None:
    """What the report is, as its evidence says: in a sentence, and all of it on demand."""
    told, stamp = bundle.manifest, unstamped(bundle.manifest["stamp"]).said
    noun = told["subject"]["row_noun"]
    rows = ", ".join(f"{noun} {each}" for each in told["row_ids"]) or f"every {noun}"
    parts.paragraphs(
        [
            f"{AUDIENCES[told['audience']]}: {told['subject']['title']}, {rows}. As of {stamp['as_of']}, by "
            f"{stamp['author']}; reviewer: {stamp['reviewer']}."
        ]
    )
    with st.expander("All that it says of itself", type="compact"):
        parts.ledger(
            [
                ("Report", told["digest"]),
                ("Model", f"{told['model']['title']}, {told['model']['digest']}"),
                ("Data", f"{told['data']['rows']:,} rows, {told['data']['digest']}"),
                ("What the model is used for", stamp["use"]),
                ("Log when it was signed", stamp["log"]),
                ("Computed by", f"Assay {told['environment']['assay']}, Python {told['environment']['python']}"),
                ("Asked for by", told["command"] or "the page"),
            ]
        )


# --- computed again --------------------------------------------------------------------------------------------------


def again(desk: Desk, given: Given, bundle: Bundle) -> tuple[list[Difference], list[Line]] | None:
    """Every answer computed anew and compared, and what else came out; None before a person has said to."""
    subject = _subject(desk, bundle)
    done = st.session_state.setdefault(_AGAIN, {})
    job = f"recompute-{given.key}"
    if st.button("Compute it again", key="verify-again") or waiting.was_cancelled(job):
        done.clear()
        what = f"Asking for {counted(len(bundle.exhibits), 'answer')} again"
        done[job] = waiting.work(job, lambda *ways: _computed(desk, given.body, bundle, subject, *ways), what)
    return done.get(job)


def _computed(
    desk: Desk, body: bytes, bundle: Bundle, subject: Subject, *ways: Callable
) -> tuple[list[Difference], list[Line]]:
    """What was found of the answers, without these themselves, which are large; then of the print and its pages."""
    found = recompute(desk, bundle, subject, *ways)
    printed = [printed_again(body, bundle)] if _is_pdf(body) else []
    notes = [Line(None, each) for each in dict.fromkeys(each.note for each in found if each.note)]
    return [replace(each, answer=None) for each in found], [*printed, pages(bundle, subject, found), *notes]


def _subject(desk: Desk, bundle: Bundle) -> Subject:
    """The subject that the report is about, among those that the person sees."""
    told = bundle.manifest
    for name in desk.names():
        subject = desk.subject(name)
        models = {model.spec.digest for model in subject.models}
        if subject.dataset.digest == told["data"]["digest"] and told["model"]["digest"] in models:
            return subject
    raise UserFacingError(
        "This report cannot be computed again here",
        f"No subject that you see has its model ({short(told['model']['digest'])}) and its data",
        "Run python assay.py verify with --recompute where both are",
    )


def told(found: list[Difference], others: list[Line]) -> list[Line]:
    """The same as findings, which count like those before."""
    return [*(Line(each.ok, each.sentence) for each in found), *others]


def differences(found: list[Difference], others: list[Line]) -> None:
    """What came out otherwise, a sentence each, and what `others` say; then a line an answer."""
    same = sum(each.ok for each in found)
    said = f"{same} of {counted(len(found), 'answer')} came out as the report has them."
    parts.paragraphs([said])
    failed = [Line(False, each.sentence) for each in found if not each.ok]
    lines([*failed[:_MOST], *others])
    columns = {
        "answer": [each.name for each in found],
        "method": [each.method for each in found],
        "verdict": [_verdict(each) for each in found],
        "largest difference": [f"{each.largest:.1e}" if each.largest else "none" for each in found],
        "allowed": [f"{each.tolerance:g}" for each in found],
        "numbers": [f"{each.numbers:,}" for each in found],
    }
    frame(columns, said, "differences")


def _verdict(each: Difference) -> str:
    if not each.ok:
        return "ANOTHER"
    return "within what is allowed" if each.largest else "the same"
