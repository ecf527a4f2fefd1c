"""The flags of the command door, each with its help."""

import argparse
import re
from datetime import date
from pathlib import Path
from typing import NoReturn

from command import diff, files, keys, log, verify
from command.formats import FORMATS
from core.errors import UserFacingError
from reports.case import SECTIONS
from reports.report import AUDIENCES


class _Parser(argparse.ArgumentParser):
    """A parser that refuses in the one form that every command uses."""

    def error(self, message: str) -> NoReturn:
        why = message[:1].upper() + message[1:]
        raise UserFacingError("This command cannot be read", why, f"Run {self.prog} --help")


def parser() -> argparse.ArgumentParser:
    """The whole command line. Refuses with a UserFacingError what it cannot read."""
    door = _Parser(
        prog="python assay.py",
        description="Explains a model's decisions, attacks them, and reports on them.",
        epilog="docs/command-line.md describes what comes out.",
        allow_abbrev=False,
    )
    commands = door.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)

    command = _command(commands, "list", "Lists subjects, explainers and attacks with their options, as JSON.")
    _out(command, (".json",))

    command = _command(commands, "check", "Takes in a model and data that you bring, and says what they are, as JSON.")
    command.add_argument("--model", type=Path, required=True, metavar="FILE", help="the model's file, or its folder")
    command.add_argument(
        "--data", type=Path, required=True, metavar="FILE", help="the data's file, or a folder of pictures"
    )
    command.add_argument("--target", default="", metavar="COLUMN", help="the column with the true answer (none)")
    command.add_argument(
        "--subject", type=Path, metavar="TOML", help="a subject.toml with what you correct; all of it may be left out"
    )
    command.add_argument("--save", type=Path, metavar="FOLDER", help="also writes the subject into this new folder")
    _out(command, (".json",))

    command = _command(commands, "explain", "Attributes the score of one class to the features, row by row.")
    _flags_of_subject(command)
    command.add_argument("--method", required=True, metavar="M", help="an explainer, by its name in the list")
    _flag_rows(command)
    _flags_of_explanation(command, "the first row asked about")
    _flags_of_run(command)
    _out(command, tuple(FORMATS))

    command = _command(
        commands,
        "attack",
        "Tries to change decisions by small moves of the input, with random noise of equal size as the control.",
    )
    _flags_of_subject(command)
    command.add_argument("--attack", required=True, metavar="A", help="an attack, by its name in the list")
    _flags_of_size(command, required=True)
    _flag_rows(command)
    _flags_of_run(command)
    _out(command, tuple(FORMATS))

    command = _command(commands, "report", "Writes a report as a PDF, and its evidence beside it as NAME.assay.")
    _flags_of_subject(command)
    _flags_of_report(command)
    _flags_of_explanation(command, "the row")
    command.add_argument(
        "--attack", metavar="A", help="an attack, by its name in the list (the strongest that applies)"
    )
    _flags_of_size(command, required=False)
    command.add_argument(
        "--sections",
        type=_sections,
        metavar="S,S",
        help=f"what goes in, of {','.join(SECTIONS)} (all that there are for the model; without attack none is run)",
    )
    command.add_argument("--out", required=True, metavar="FILE", help="FILE.pdf; for --rows a folder")

    for module in (diff, verify, log, keys):
        module.add_to(commands)
    return door


def _command(commands: argparse._SubParsersAction, name: str, about: str) -> argparse.ArgumentParser:
    return commands.add_parser(name, help=about, description=about, allow_abbrev=False)


def _flags_of_subject(command: argparse.ArgumentParser) -> None:
    command.add_argument("subject", metavar="SUBJECT", help="a sample's name, or a folder with a subject.toml")
    command.add_argument("--model", metavar="NAME", help="one of the subject's models (its first)")


def _flag_rows(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--rows",
        required=True,
        metavar="ROWS",
        help="a slice of positions in the data, counted from 0 and without its end, as in 0:100, 500: or --rows=-20: ; "
        "or row ids separated by commas, as in 17,42",
    )


def _flags_of_explanation(command: argparse.ArgumentParser, row: str) -> None:
    command.add_argument(
        "--target",
        metavar="CLASS",
        help=f"the class whose score is explained (of two classes the second; of more the one decided for {row})",
    )
    command.add_argument(
        "--reference", type=_whole, metavar="N", help="how many reference rows (the subject's own number)"
    )
    command.add_argument(
        "--reference-seed", type=_seed, metavar="S", help="which rows they are (the subject's own seed)"
    )


def _flags_of_report(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--audience",
        choices=AUDIENCES,
        default="decision",
        help=f"{'; '.join(f'{name}: {about[0].lower()}{about[1:]}' for name, about in AUDIENCES.items())} (decision)",
    )
    command.add_argument("--row", metavar="ID", help="the row's id, as the page shows it: for a decision or a letter")
    command.add_argument(
        "--rows",
        metavar="FILE|ROWS",
        help="a letter for each: a file with the model's columns, row ids separated by commas, or a slice as in 0:100",
    )
    command.add_argument("--final", action="store_true", help="signs it (a draft, with a watermark and no signature)")
    command.add_argument("--author", default="", metavar="NAME", help="who answers for it (not named)")
    command.add_argument("--reviewer", default="", metavar="NAME", help="who has looked it over (not named)")
    command.add_argument("--use", default="", metavar="TEXT", help="what the model is used for (not stated)")
    command.add_argument("--as-of", type=_day, default=None, metavar="DATE", help="its date, as in 2026-11-23 (today)")


def _flags_of_size(command: argparse.ArgumentParser, required: bool) -> None:
    usual = "" if required else " (what the page starts with)"
    command.add_argument("--norm", default="linf", metavar="NORM", help="linf or l2 (linf)")
    command.add_argument(
        "--eps",
        required=required,
        metavar="E",
        help=f"how far a row may move, with each feature's range as unit{usual}",
    )


def _flags_of_run(command: argparse.ArgumentParser) -> None:
    command.add_argument("--seed", type=_seed, default=0, metavar="S", help="feeds every random draw of the method (0)")
    command.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of the method, by its name in the list; may be given several times",
    )


def _out(
    command: argparse.ArgumentParser, endings: tuple[str, ...], usual: str = "standard output, as JSON, if left out"
) -> None:
    command.add_argument(
        "--out",
        type=lambda text: files.place(text, endings),
        metavar="FILE",
        help=f"FILE{'|'.join(endings)}; {usual}",
    )


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date as in 2026-11-23") from None


def _whole(text: str) -> int:
    if not re.fullmatch(r"-?\d{1,18}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def _seed(text: str) -> int:
    number = _whole(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"a seed is a whole number from 0, not {text}")
    return number


def _sections(text: str) -> tuple[str, ...]:
    chosen = tuple(text.split(","))
    for name in chosen:
        if name not in SECTIONS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(SECTIONS)}")
    return chosen
