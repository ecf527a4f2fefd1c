"""`assay.py verify`: checks what Assay signed, without a database, a key file or a network."""

import argparse
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING

from access.chain import LONGEST_LINE, Verdict, verify
from core.errors import UserFacingError

if TYPE_CHECKING:
    from reports.bundle import Bundle
    from reports.verifying import Line

_OF_REPORTS = ("signature", "model", "data")


def add_to(commands: argparse._SubParsersAction) -> None:
    """Adds `verify` to the command line."""
    about = (
        "Checks a signed report, its evidence, or an exported log: exit status 0 where everything is in order, "
        "1 where something is not, 2 where it cannot be read."
    )
    command = commands.add_parser("verify", help=about, description=about, allow_abbrev=False)
    command.add_argument("file", nargs="?", type=Path, metavar="FILE", help="a signed report.pdf, or its report.assay")
    command.add_argument(
        "--trust",
        type=_trust,
        metavar="CERTIFICATE|KEY",
        help="the file with the certificate that must have signed the report; of a log, its public key (any)",
    )
    command.add_argument(
        "--signature", type=Path, metavar="FILE", help="the signature file of a report.assay (report.assay.sig)"
    )
    command.add_argument("--model", type=Path, metavar="FILE", help="a file that must be the report's model")
    command.add_argument("--data", type=Path, metavar="FILE", help="a file that must be the report's data")
    command.add_argument(
        "--recompute",
        action="store_true",
        help="also prints the report and asks its questions again, of --model and --data, else of the subject here",
    )
    command.add_argument(
        "--log", type=Path, metavar="FILE", help="an exported log, which must hold the head that the report notes"
    )
    command.add_argument(
        "--head",
        type=_head,
        metavar="NUMBER:DIGEST",
        help="a head of the log that was noted earlier, which it must still hold (none)",
    )


def run(args: argparse.Namespace) -> int:
    """Prints a sentence for each finding. Returns the exit status: 0 all is in order, 1 not.

    Raises UserFacingError where it cannot tell.
    """
    _check(args)
    if args.file is None:
        verdict = _logged(args.log, args.trust, args.head)
        print(verdict.sentence)
        return 0 if verdict.good else 1
    return _report(args)


def _check(args: argparse.Namespace) -> None:
    """Refuses flags that do not go together."""
    if args.file is None and args.log is None:
        raise _unread("There is nothing to check", "Name a signed report, or an exported log by --log")
    if args.file is None:
        given = [f"--{name}" for name in (*_OF_REPORTS, "recompute") if getattr(args, name)]
        if given:
            raise _unread(f"{given[0]} is for reports", "Name the report")
        if isinstance(args.trust, Path):
            raise _unread("A log is signed by a key, and --trust names a file", "Give the key in hexadecimal digits")
    elif isinstance(args.trust, str):
        raise _unread("A report is signed by a certificate, and --trust is a key", "Name the file of the certificate")
    elif args.head is not None:
        raise _unread("--head is for logs, and a report notes the head itself", "Leave it out")


def _unread(why: str, remedy: str) -> UserFacingError:
    return UserFacingError("This command cannot be read", why, remedy)


# --- reports ---------------------------------------------------------------------------------------------------------


def _report(args: argparse.Namespace) -> int:
    """Prints what is found of a report, each as soon as it is; the exit status."""
    from engine.wire import shown
    from reports.verifying import LARGEST, LARGEST_BESIDE, Trust
    from reports.verifying import verify as verify_report

    trust = None if args.trust is None else Trust.read(_read(args.trust, LARGEST_BESIDE))
    body = _read(args.file, LARGEST)
    verdict = verify_report(body, trust, _beside(args, LARGEST_BESIDE))
    good = True
    for line in chain(verdict.lines, _further(args, body, verdict.bundle) if verdict.bundle else ()):
        good = good and line.good is not False
        print(shown(line.sentence if line.good is not False else f"Not verified: {line.sentence}"), flush=True)
    if good:
        print("Verified.")
    return 0 if good else 1


def _beside(args: argparse.Namespace, most: int) -> bytes | None:
    """The signature file: the one that is named, else the one beside the evidence."""
    place = args.signature or args.file.with_name(f"{args.file.name}.sig")
    return _read(place, most) if args.signature or place.is_file() else None


def _further(args: argparse.Namespace, body: bytes, bundle: "Bundle") -> "Iterator[Line]":
    """What is asked for beside the signatures."""
    from reports.verifying import Line

    log = bundle.manifest["stamp"]["log"]
    if args.log is not None:
        yield _in_log(args.log, bundle)
    elif log:
        yield Line(None, f"When it was signed the log had the head {log[0]}:{log[1]}; --log compares it with one.")
    yield from _files(args, bundle)
    if args.recompute:
        yield from _again(args, body, bundle)


def _in_log(place: Path, bundle: "Bundle") -> "Line":
    """Whether an exported log holds the entry that the report notes, and that says that this report was signed."""
    from reports.verifying import Line

    log, digest = bundle.manifest["stamp"]["log"], bundle.manifest["digest"]
    if log is None:
        return Line(False, "The log: the report notes no entry of one.")
    found = _logged(place, None, tuple(log))
    entry = found.noted
    said = entry and (entry.action, entry.outcome, entry.what.get("digest"))
    if found.good and said != ("sign", "allowed", digest):
        return Line(False, f"The log: entry {log[0]}, which is noted, does not say that this report was signed.")
    return Line(found.good, f"The log: {found.sentence}")


def _files(args: argparse.Namespace, bundle: "Bundle") -> "Iterator[Line]":
    """Whether model and data are the files that the report names."""
    from reports.manifest import sha256
    from reports.verifying import Line

    for what in ("model", "data"):
        place = getattr(args, what)
        if place is None:
            continue
        digest, told = sha256(_read(place)), bundle.manifest[what]["sha256"]
        if digest == told:
            yield Line(True, f"{place.name} is the {what} of the report, byte for byte.")
        elif what == "data" and args.model is not None and _same_data(args, bundle):
            yield Line(True, f"{place.name} is another file than the report's data, with the same content.")
        else:
            yield Line(
                False, f"{place.name} is not the {what} of the report: its SHA-256 is {digest}, and that one's {told}."
            )


def _same_data(args: argparse.Namespace, bundle: "Bundle") -> bool:
    """Whether the data have the report's canonical digest."""
    from reports.recompute import subject_from

    try:
        subject_from(bundle, args.model, args.data)
    except UserFacingError:
        return False
    return True


def _again(args: argparse.Namespace, body: bytes, bundle: "Bundle") -> "Iterator[Line]":
    """The report printed and its questions asked once more. That they cannot be asked is a finding too."""
    from reports.verifying import PDF, Line, printed_again

    if body.startswith(PDF):
        yield printed_again(body, bundle)
    try:
        yield from _asked_again(args, bundle)
    except UserFacingError as error:
        yield Line(False, f"It was not computed again. {error}")


def _asked_again(args: argparse.Namespace, bundle: "Bundle") -> "Iterator[Line]":
    from command.bar import bar
    from engine.engine import Engine
    from reports.recompute import recompute, subject_from, subject_here, taken_on_trust
    from reports.remade import pages
    from reports.verifying import Line

    files = args.model is not None and args.data is not None
    subject = subject_from(bundle, args.model, args.data) if files else subject_here(bundle)
    if files:
        yield Line(None, taken_on_trust(subject))
    engine = Engine.open()
    try:
        with bar("Computing again") as progress:
            found = recompute(engine, bundle, subject, progress)
    finally:
        engine.close()
    for each in found:
        yield Line(each.ok, each.sentence)
    yield pages(bundle, subject, found)


def _read(place: Path, most: int | None = None) -> bytes:
    from storage.files import read_named  # a log is checked without anything of the store

    return read_named(place, most)


# --- logs ------------------------------------------------------------------------------------------------------------


def _logged(place: Path, trust: str | None, head: tuple[int, str] | None) -> Verdict:
    try:
        with place.open("rb") as file:
            return verify(_lines(file), trust, head)
    except OSError as error:
        raise UserFacingError(
            f"{place} cannot be read", f"The system refuses it ({error.strerror})", "Name the file of an exported log"
        ) from error


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """The lines of a file; one that is too long comes in pieces, none of which is a line of a log."""
    while line := file.readline(LONGEST_LINE):
        yield line


def _trust(text: str) -> str | Path:
    if re.fullmatch(r"[0-9a-f]{64}", text):
        return text
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError("it is neither a file nor a key of 64 hexadecimal digits, in small letters")
    return Path(text)


def _head(text: str) -> tuple[int, str]:
    found = re.fullmatch(r"(\d{1,15}):([0-9a-f]{64})", text)
    if not found:
        raise argparse.ArgumentTypeError("a head is a number, a colon and 64 hexadecimal digits, in small letters")
    return int(found[1]), found[2]
