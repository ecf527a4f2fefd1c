"""`assay.py diff`: what differs between two reports, from the evidence that each of them carries."""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from command import files
from command.formats import as_json
from engine.wire import shown
from reports.diff import changes, opened
from storage.files import read_named


def add_to(commands: argparse._SubParsersAction) -> None:
    """Adds `diff` to the command line."""
    about = "Says what differs between two reports on one subject, from the evidence that each of them carries."
    command = commands.add_parser("diff", help=about, description=about, allow_abbrev=False)
    for name in ("old", "new"):
        command.add_argument(name, type=Path, metavar=name.upper(), help="a report's .pdf or .assay")
    command.add_argument(
        "--out",
        type=lambda text: files.place(text, (".json",)),
        metavar="FILE",
        help="FILE.json; standard output, as text, if left out",
    )


def run(args: argparse.Namespace) -> None:
    """Writes a line a change. Raises UserFacingError."""
    old, new = (opened(read_named(place)) for place in (args.old, args.new))
    found = changes(old, new)
    if args.out is not None:
        reports = {name: each.manifest["id"] for name, each in (("old", old), ("new", new))}
        files.write(args.out, as_json({**reports, "changes": [asdict(each) for each in found]}))
        return
    lines = [f"{each.topic}: {each.sentence}" for each in found] or ["Nothing differs."]
    sys.stdout.write("".join(f"{shown(' '.join(line.split()))}\n" for line in lines))
