"""The command door: takes in a model, explains and attacks its decisions and writes the report, without a page.

`python assay.py --help` says how; docs/command-line.md describes what comes out.
"""

import argparse
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from access.desk import Desk
from access.log import Log
from access.people import LOCAL
from attacks import attack
from command import asking, contract, diff, files, keys, log, report, verify
from command.bar import bar
from command.check import check
from command.flags import parser
from command.formats import FORMATS, as_json
from core.errors import UserFacingError
from core.nouns import ModelFile, Subject, Target
from engine.engine import Engine, Question
from engine.questions import (
    attack_query,
    explain_query,
)
from engine.shelf import adopt
from engine.subjects import load_subject
from engine.wire import shown
from explainers import explainer
from storage.home import home
from storage.stores import stores


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns the exit status: 0 done, 1 what was checked is not whole, 2 refused with one line, 130 called off.
    """
    logging.raiseExceptions = False
    try:
        args = parser().parse_args(arguments)
        args.words = sys.argv[1:] if arguments is None else list(arguments)
        status = _COMMANDS[args.command](args)
        sys.stdout.flush()
    except UserFacingError as error:
        return _fail(str(error), 2)
    except KeyboardInterrupt as stop:
        return _fail(str(stop) or "Stopped. You called it off. Run the command again to start over.", 130)
    except BrokenPipeError:  # the reader of the pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return status or 0


# --- the commands -----------------------------------------------------------------------------------------------


def _list(args: argparse.Namespace) -> None:
    _take_over()
    _deliver(contract.catalogue(), args.out)


def _explain(args: argparse.Namespace) -> None:
    method = explainer(args.method, **asking.options(args.option))
    subject, model = _subject(args)
    rows = asking.positions(subject, args.rows)
    reference = asking.reference(subject, model.spec, args.reference, args.reference_seed)
    method.check(model.spec, Target(0, method.scales(model.spec)[0]))
    with _desk() as desk:
        target = asking.target(desk, subject, model, rows[0], args.target, method, "long")
        query = explain_query(subject, model, rows, target, reference, args.seed)
        with bar(method.title) as progress:
            found = desk.ask(Question(model, method, query, "long"), progress)
    _deliver(contract.explained(subject, model, found, method.needs_reference), args.out)


def _attack(args: argparse.Namespace) -> None:
    method = attack(args.attack, **asking.options([f"norm={args.norm}", f"size={args.eps}", *args.option]))
    subject, model = _subject(args)
    query = attack_query(subject, model, asking.positions(subject, args.rows), args.seed)
    with _desk() as desk, bar(method.title) as progress:
        found = desk.ask(Question(model, method, query, "long"), progress)
    _deliver(contract.attacked(subject, model, found), args.out)


def _report(args: argparse.Namespace) -> None:
    report.check(args)
    subject, model = _subject(args)
    with _desk() as desk:
        said = report.run(args, desk, subject, model)
    if said:
        print(said)


def _check(args: argparse.Namespace) -> None:
    _open_log()
    _deliver(check(args), args.out)


_COMMANDS = {
    "list": _list,
    "check": _check,
    "explain": _explain,
    "attack": _attack,
    "report": _report,
    "diff": diff.run,
    "verify": verify.run,
    "log": log.run,
    "keys": keys.run,
}


# --- what is asked ---------------------------------------------------------------------------------------------------


def _subject(args: argparse.Namespace) -> tuple[Subject, ModelFile]:
    _take_over()
    subject = load_subject(args.subject)
    return subject, subject.model(args.model)


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
        files.write(out, FORMATS[out.suffix](answer))


def _fail(sentence: str, status: int) -> int:
    print(f"error: {shown(sentence)}", file=sys.stderr)
    return status


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    os._exit(status)  # libraries' threads do not always end in order, and everything is written by now
