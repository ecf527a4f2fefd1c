"""The report on a whole model on one page."""

from reports import blocks, measured, words
from reports.blocks import Block
from reports.dossier import Dossier
from reports.full import unexamined
from reports.report import Report, Stamp
from reports.whole import Whole

_MOST_BARS = 8
_HEIGHT = 42


def report(dossier: Dossier, stamp: Stamp, command: str = "") -> Report:
    """The one page on the dossier's model."""
    whole = Whole(dossier)
    subject, model = dossier.subject, dossier.model
    printed = {
        "kind": "A whole model on one page",
        "title": whole.title,
        "subject": subject.title,
        "conclusion": whole.conclusion,
        "findings": _findings(whole),
        "drawn": _drawn(whole),
        "missing": unexamined(whole),
        "limits": words.limits_paragraph(subject),
        "command": command,
        "running": f"{subject.title}, {model.title}",
    }
    return Report("summary", subject, model, (), whole.exhibits, printed, command, stamp)


def _findings(whole: Whole) -> Block:
    rows = [[each.what, each.figure, each.sure] for each in whole.findings()]
    return blocks.table(["Finding", "figure", "how sure, or beside what"], rows, folded=False, widths=(5, 3, 3.6))


def _drawn(whole: Whole) -> list[Block]:
    """At most two pictures: what moves the score, and what turns decisions."""
    shown: list[Block] = []
    if whole.dossier.surveyed is not None:
        shown.append(measured.importance(whole, whole.dossier.surveyed, _MOST_BARS))
    if whole.dossier.attacked:
        shown.append(blocks.charts([measured.curve(whole, _HEIGHT)]))
    return shown
