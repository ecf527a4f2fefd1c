"""`assay.py verify`: checks what Assay signed, without a database, a key file or a network."""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from access.chain import LONGEST_LINE, Verdict, verify
from core.errors import UserFacingError


def add_to(commands: argparse._SubParsersAction) -> None:
    """Adds `verify` to the command line."""
    about = "Checks an exported log: exit status 0 where it is whole, 1 where it is not."
    command = commands.add_parser("verify", help=about, description=about, allow_abbrev=False)
    command.add_argument("--log", type=Path, required=True, metavar="FILE", help="an exported log")
    command.add_argument("--trust", type=_key, metavar="KEY", help="the public key that must have signed it (any)")
    command.add_argument(
        "--head",
        type=_head,
        metavar="NUMBER:DIGEST",
        help="a head of the log that was noted earlier, which it must still hold (none)",
    )


def run(args: argparse.Namespace) -> int:
    """Prints one sentence. Returns the exit status: 0 verified, 1 not. Raises UserFacingError where it cannot tell."""
    verdict = _verdict(args.log, args.trust, args.head)
    print(verdict.sentence)
    return 0 if verdict.good else 1


def _verdict(place: Path, trust: str | None, head: tuple[int, str] | None) -> Verdict:
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


def _key(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise argparse.ArgumentTypeError("a key is 64 hexadecimal digits, in small letters")
    return text


def _head(text: str) -> tuple[int, str]:
    found = re.fullmatch(r"(\d{1,15}):([0-9a-f]{64})", text)
    if not found:
        raise argparse.ArgumentTypeError("a head is a number, a colon and 64 hexadecimal digits, in small letters")
    return int(found[1]), found[2]
