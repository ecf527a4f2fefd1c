"""The commands on the log: export it, check it where it lies, and say its head to be noted elsewhere."""

import argparse
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from access.log import Log
from access.people import LOCAL
from core.errors import UserFacingError
from storage.stores import stores


def add_to(commands: argparse._SubParsersAction) -> None:
    """Adds `log` with its three commands to the command line."""
    about = "Exports and checks the log of who did what."
    log = commands.add_parser("log", help=about, description=about, allow_abbrev=False)
    actions = log.add_subparsers(title="commands", dest="action", metavar="COMMAND", required=True)
    export = _action(actions, "export", "Writes the whole log into a file that verify --log checks.")
    export.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file")
    _action(actions, "check", "Checks the log in the database: exit status 0 where it is whole, 1 where it is not.")
    _action(actions, "head", "Says the log's head and its public key, to be noted elsewhere.")


def run(args: argparse.Namespace) -> int:
    """Runs the one that was asked for. Returns the exit status. Raises UserFacingError."""
    opened = stores()
    log = Log(opened.database, opened.vault)
    return {"export": _export, "check": _check, "head": _head}[args.action](log, args)


def _export(log: Log, args: argparse.Namespace) -> int:
    """Writes the file. That it was exported is in the log, and in the file too."""
    log.record(LOCAL, "export", kind="log")
    try:
        _write(args.out, log.export())
    except OSError as error:
        raise UserFacingError(
            f"{args.out} could not be written",
            f"The folder refused it ({error.strerror})",
            "Make room, or choose another folder",
        ) from error
    return 0


def _check(log: Log, _args: argparse.Namespace) -> int:
    """Prints a sentence for everything that is wrong, or that nothing is."""
    found = log.check()
    for sentence in found:
        print(sentence)
    if not found:
        number, digest = log.head()
        print(f"The log is whole: {number:,} {'entry' if number == 1 else 'entries'}, head {number}:{digest}.")
    return 1 if found else 0


def _head(log: Log, _args: argparse.Namespace) -> int:
    """Prints the head and the key as verify takes them."""
    number, digest = log.head()
    print(f"--head {number}:{digest} --trust {log.public_key()}")
    return 0


def _write(out: Path, lines: Iterable[bytes]) -> None:
    """A line at a time, beside `out` and then in its place, so that half a log never bears its name."""
    temporary = out.with_name(f".part-{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.writelines(lines)
        temporary.replace(out)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _action(actions: argparse._SubParsersAction, name: str, about: str) -> argparse.ArgumentParser:
    return actions.add_parser(name, help=about, description=about, allow_abbrev=False)
