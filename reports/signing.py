"""Signs a report, once every answer it rests on is found in the evidence store as it is printed."""

from dataclasses import dataclass, replace

from access.desk import Desk
from core.errors import UserFacingError
from reports import bundle
from reports.pdf import build
from reports.report import Report
from reports.signer import signer


@dataclass(frozen=True)
class Published:
    """A report as it was published, and its three files; a draft has no signature."""

    report: Report
    pdf: bytes
    bundle: bytes
    signature: bytes | None = None


def draft(report: Report) -> Published:
    """The report as a draft, with a watermark; its evidence lies beside."""
    return Published(report, build(report), bundle.pack(report))


def publish(desk: Desk, report: Report) -> Published:
    """Signs the report, once every answer it rests on is found in the evidence store as it is printed.

    That it is signed is in the log before it is, and the log's head in the report. Raises UserFacingError where the
    person may not sign, where an answer is another or gone, and where nothing can sign.
    """
    desk.demand("sign", report=report.id)
    _compare(desk, report)
    with signer(desk.vault) as found:
        entry = desk.sign(report.subject.name, report=report.id, digest=report.digest)
        final = replace(report, stamp=replace(report.stamp, final=True, log=(entry.number, entry.digest)))
        evidence = bundle.pack(final)
        signature = found.detached(evidence)
        pdf = found.sign(build(final), evidence, signature)
    return Published(final, pdf, evidence, signature)


def _compare(desk: Desk, report: Report) -> None:
    """Reads every answer again from the store, which checks its digest, and compares it with the one printed."""
    store = desk.engine.store
    for exhibit in report.exhibits:
        kept = store.named(exhibit.question)
        if kept is None or not store.keeps(kept):
            raise _unsigned(f"The evidence store no longer has {exhibit.name}")
        if kept != exhibit.result.digest or store.result(kept).digest != kept:
            raise _unsigned(f"The answer kept for {exhibit.name} is not the one in the report")


def _unsigned(why: str) -> UserFacingError:
    return UserFacingError("The report was not signed", why, "Make the report again, then sign that")
