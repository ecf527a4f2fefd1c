"""`assay.py report`: writes a report with its evidence beside it, or a letter for each of many rows."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

from access.desk import Desk
from attacks import attack
from attacks.base import Attack
from command import asking, files, letters
from command.bar import bar
from core.errors import UserFacingError
from core.nouns import ModelFile, ModelSpec, Reference, Subject
from engine.questions import ATTACK_SIZES, attack_refusals, attacks_for, default_pair
from reports import batch, decision, full, letter, summary
from reports.case import SECTIONS
from reports.dossier import Dossier
from reports.gather import gather, gather_dossier
from reports.report import Report, Stamp
from reports.signing import draft, publish

_OF_ROWS = ("decision", "letter")
Progress = Callable[[float], None] | None


def check(args: argparse.Namespace) -> None:
    """Refuses what does not go together, before anything is computed, and makes `args.out` a place to write to."""
    of_rows = args.audience in _OF_ROWS
    if args.row is not None and (args.rows is not None or not of_rows):
        raise _unread("--row names the one row of a decision or of a letter", "Leave it out")
    if args.rows is not None and args.audience != "letter":
        raise _unread("--rows asks for letters", "Add --audience letter, or name one row by --row")
    if of_rows and args.row is None and args.rows is None:
        raise _unread(f"A {args.audience} is about a row, and none is named", "Name it by --row")
    given = [f"--{name}" for name in ("attack", "eps", "sections") if getattr(args, name) is not None]
    if given and args.audience != "decision":
        raise _unread(f"{given[0]} is for the report on one decision", "Leave it out")
    args.out = files.place(args.out, (".pdf",)) if args.rows is None else files.folder(args.out)


def _unread(why: str, remedy: str) -> UserFacingError:
    return UserFacingError("This command cannot be read", why, remedy)


def run(args: argparse.Namespace, desk: Desk, subject: Subject, model: ModelFile) -> str:
    """Writes what was asked for; what there is to say of it, "" where nothing. Raises UserFacingError."""
    stamp = Stamp(args.as_of or date.today(), args.author, args.reviewer, args.use)
    if args.rows is not None:
        return letters.run(args, desk, subject, model, stamp)
    with bar("Report") as progress:
        command = asking.line(args.words, stamp.as_of, args.out.name, args.row)
        made = _MADE[args.audience](_Wanted(args, desk, subject, model, stamp, command, progress))
    published = publish(desk, made) if args.final else draft(made)
    for ending, body in ((".assay", published.bundle), (".assay.sig", published.signature), (".pdf", published.pdf)):
        if body is not None:
            files.write(args.out.with_suffix(ending), body)
    return ""


# --- the audiences ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Wanted:
    """A report that is asked for: by which flags, at whose desk, of what, and the command that asks for it again."""

    args: argparse.Namespace
    desk: Desk
    subject: Subject
    model: ModelFile
    stamp: Stamp
    command: str
    progress: Progress

    def reference(self) -> Reference:
        return asking.reference(self.subject, self.model.spec, self.args.reference, self.args.reference_seed)


def _decision(wanted: _Wanted) -> Report:
    args, subject, model, spec = wanted.args, wanted.subject, wanted.model, wanted.model.spec
    row, reference = subject.position(args.row), wanted.reference()
    explainers = tuple(kind() for kind in default_pair(spec))
    sections = args.sections or tuple(each for each in SECTIONS if each != "attack" or attacks_for(spec))
    method = _attack_shown(args, spec) if "attack" in sections else None
    target = asking.target(wanted.desk, subject, model, row, args.target, explainers[0], "quick")
    case = gather(wanted.desk, subject, model, row, target, reference, explainers, method, sections, wanted.progress)
    return decision.report(case, wanted.stamp, wanted.command)


def _attack_shown(args: argparse.Namespace, spec: ModelSpec) -> Attack:
    """The attack that a report shows: the page's, unless another is asked for."""
    fitting = [kind.name for kind in attacks_for(spec)]
    if not fitting:
        title, why = attack_refusals(spec)[0]
        raise UserFacingError(
            "The report cannot show an attack", f"None applies; {title}: {why}", "Leave attack out of --sections"
        )
    name = args.attack or fitting[0]
    size = ATTACK_SIZES[spec.modality] if args.eps is None else args.eps
    method = attack(name, norm=args.norm, size=size)
    method.check(spec)
    return method


def _letter(wanted: _Wanted) -> Report:
    args, subject, model = wanted.args, wanted.subject, wanted.model
    rows = subject.dataset.rows[[subject.position(args.row)]]
    target = None if args.target is None else model.spec.class_index(args.target)
    mailing = batch.Mailing(subject, model, rows, (args.row,), wanted.reference(), wanted.stamp, target=target)
    (found,) = batch.letters(wanted.desk, mailing, [0])
    return letter.report(found, wanted.stamp, wanted.command)


def _dossier(wanted: _Wanted) -> Dossier:
    """The whole model, its cases explained for the class called `--target` or the one that the cut-off is about."""
    method = default_pair(wanted.model.spec)[0]()
    row = wanted.subject.position(wanted.subject.example)
    target = asking.target(wanted.desk, wanted.subject, wanted.model, row, wanted.args.target, method, "quick")
    return gather_dossier(wanted.desk, wanted.subject, wanted.model, target, wanted.reference(), wanted.progress)


_MADE: Mapping[str, Callable[[_Wanted], Report]] = {
    "decision": _decision,
    "letter": _letter,
    "full": lambda wanted: full.report(_dossier(wanted), wanted.stamp, wanted.command),
    "summary": lambda wanted: summary.report(_dossier(wanted), wanted.stamp, wanted.command),
}
