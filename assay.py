"""The command door: takes in a model, explains and attacks its decisions and writes the report, without a page.

`python assay.py --help` says how; docs/command-line.md describes what comes out.
"""

import argparse
import logging
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from access.desk import Desk
from access.log import Log
from access.people import LOCAL
from attacks import attack
from attacks.base import Attack
from command import contract, keys, log, verify
from command.bar import bar
from command.check import check
from command.flags import parser
from command.formats import FORMATS, as_json
from core.errors import UserFacingError
from core.nouns import ModelFile, ModelSpec, Reference, Subject, Target
from engine.engine import Engine, Lane, Question
from engine.predict import Predict
from engine.questions import (
    ATTACK_SIZES,
    attack_query,
    attack_refusals,
    attacks_for,
    default_class,
    default_pair,
    explain_query,
    prediction_query,
)
from engine.shelf import adopt
from engine.subjects import load_subject
from engine.wire import shown
from explainers import explainer
from explainers.base import Explainer
from reports import decision
from reports.case import SECTIONS
from reports.gather import gather
from reports.pdf import build
from reports.report import Stamp
from storage.files import write_whole
from storage.home import home
from storage.stores import stores

_SLICE = re.compile(r"(-?\d+)?:(-?\d+)?")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns the exit status: 0 done, 1 what was checked is not whole, 2 refused with one line, 130 called off.
    """
    logging.raiseExceptions = False
    try:
        args = parser().parse_args(arguments)
        status = _COMMANDS[args.command](args)
        sys.stdout.flush()
    except UserFacingError as error:
        return _fail(str(error), 2)
    except KeyboardInterrupt:
        return _fail("Stopped. You called it off. Run the command again to start over.", 130)
    except BrokenPipeError:  # the reader of the pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return status or 0


# --- the commands -----------------------------------------------------------------------------------------------


def _list(args: argparse.Namespace) -> None:
    _take_over()
    _deliver(contract.catalogue(), args.out)


def _explain(args: argparse.Namespace) -> None:
    method = explainer(args.method, **_options(args.option))
    subject, model = _subject(args)
    rows = _positions(subject, args.rows)
    reference = _reference(args, subject, model.spec)
    method.check(model.spec, Target(0, method.scales(model.spec)[0]))
    with _desk() as desk:
        target = _target(desk, subject, model, rows[0], args.target, method, "long")
        query = explain_query(subject, model, rows, target, reference, args.seed)
        with bar(method.title) as progress:
            found = desk.ask(Question(model, method, query, "long"), progress)
    _deliver(contract.explained(subject, model, found, method.needs_reference), args.out)


def _attack(args: argparse.Namespace) -> None:
    method = attack(args.attack, **_options([f"norm={args.norm}", f"size={args.eps}", *args.option]))
    subject, model = _subject(args)
    query = attack_query(subject, model, _positions(subject, args.rows), args.seed)
    with _desk() as desk, bar(method.title) as progress:
        found = desk.ask(Question(model, method, query, "long"), progress)
    _deliver(contract.attacked(subject, model, found), args.out)


def _report(args: argparse.Namespace) -> None:
    subject, model = _subject(args)
    row = subject.position(args.row)
    reference = _reference(args, subject, model.spec)
    explainers = tuple(kind() for kind in default_pair(model.spec))
    sections = args.sections or tuple(each for each in SECTIONS if each != "attack" or attacks_for(model.spec))
    method = _attack_shown(args, model.spec) if "attack" in sections else None
    with _desk() as desk:
        target = _target(desk, subject, model, row, args.target, explainers[0], "quick")
        with bar("Report") as progress:
            case = gather(desk, subject, model, row, target, reference, explainers, method, sections, progress)
    _write(args.out, build(decision.report(case, Stamp(date.today()))))


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


def _check(args: argparse.Namespace) -> None:
    _open_log()
    _deliver(check(args), args.out)


_COMMANDS = {
    "list": _list,
    "check": _check,
    "explain": _explain,
    "attack": _attack,
    "report": _report,
    "verify": verify.run,
    "log": log.run,
    "keys": keys.run,
}


# --- what is asked ---------------------------------------------------------------------------------------------------


def _subject(args: argparse.Namespace) -> tuple[Subject, ModelFile]:
    _take_over()
    subject = load_subject(args.subject)
    return subject, subject.model(args.model)


def _reference(args: argparse.Namespace, subject: Subject, spec: ModelSpec) -> Reference:
    """The rows to compare with; a text is compared with itself, so that none can be asked for."""
    if spec.modality == "text" and (args.reference is not None or args.reference_seed is not None):
        raise UserFacingError(
            "The reference cannot be chosen",
            "A text is compared with itself, every word hidden",
            "Leave --reference and --reference-seed out",
        )
    return subject.reference(args.reference, args.reference_seed)


def _positions(subject: Subject, text: str) -> list[int]:
    """The rows named by a slice of positions ("0:100") or by their ids ("17,42")."""
    if not _SLICE.fullmatch(text):
        return [subject.position(row_id.strip()) for row_id in text.split(",")]
    rows = len(subject.dataset)
    ends = [int(end) if end else None for end in text.split(":")]
    if any(end is not None and abs(end) > rows for end in ends):
        raise UserFacingError(
            f"The rows {text} cannot be taken",
            f"This data set has {rows:,} rows, at positions 0 to {rows - 1}",
            f"Stay within 0:{rows}, or leave an end out to go as far as there are rows",
        )
    chosen = list(range(rows)[slice(*ends)])
    if not chosen:
        raise UserFacingError(
            f"The rows {text} are none", "The first position is not before the last", "Ask for one row or more"
        )
    return chosen


def _target(
    desk: Desk, subject: Subject, model: ModelFile, row: int, name: str | None, method: Explainer, lane: Lane
) -> Target:
    """The class called `name`; where none is named, the one that the page shows first for this row."""
    spec = model.spec
    scale = method.scales(spec)[0]
    if name is not None:
        return Target(spec.class_index(name), scale)
    if len(spec.classes) <= 2:
        return Target(max(len(spec.classes) - 1, 0), scale)
    found = desk.ask(Question(model, Predict(), prediction_query(subject, model, [row]), lane))
    return Target(default_class(subject, model, found.outputs), scale)


def _options(pairs: Sequence[str]) -> dict[str, str]:
    """NAME=VALUE pairs as a mapping."""
    options: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or name in options:
            why = f"{name!r} is given twice" if equals else f"{pair!r} has no ="
            raise UserFacingError("The options cannot be read", why, "Give each once, as NAME=VALUE")
        options[name] = value
    return options


@contextmanager
def _desk() -> Iterator[Desk]:
    """The desk of whoever runs the command; the engine's workers end with it."""
    _open_log()
    engine, opened = Engine.open(), stores()
    try:
        yield Desk(LOCAL, engine, opened, Log(opened.database, opened.vault))
    finally:
        engine.close()


def _take_over() -> None:
    """Moves what version 0.2 kept in the clear into the vault; what cannot be moved is said and stays where it is."""
    try:
        adopt()
    except UserFacingError as error:
        print(f"warning: {shown(str(error))}", file=sys.stderr)


def _open_log() -> None:
    """What libraries print and defects leave behind goes to a log beside the evidence."""
    try:
        home().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserFacingError(
            "There is no place for the evidence",
            f"{home()} cannot be made a folder ({error.strerror})",
            "Name another one in ASSAY_HOME",
        ) from error
    place = logging.FileHandler(home() / "assay.log", delay=True)
    logging.basicConfig(handlers=[place], format="%(asctime)s %(message)s")


# --- what comes out --------------------------------------------------------------------------------------------------


def _deliver(answer: contract.Contract, out: Path | None) -> None:
    """Writes an answer to its file, else as JSON to standard output."""
    if out is None:
        sys.stdout.write(as_json(answer).decode())
    else:
        _write(out, FORMATS[out.suffix](answer))


def _write(out: Path, body: bytes) -> None:
    try:
        write_whole(out, body)
    except OSError as error:
        raise UserFacingError(
            f"{out.name} could not be written",
            f"The folder refused it ({error.strerror})",
            "Make room, or choose another folder",
        ) from error


def _fail(sentence: str, status: int) -> int:
    print(f"error: {shown(sentence)}", file=sys.stderr)
    return status


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    os._exit(status)  # libraries' threads do not always end in order, and everything is written by now
