"""`assay.py report --rows`: a letter for each of many rows, to be gone on with where it was stopped."""

import argparse
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from access.desk import Desk
from access.exchange import bring_rows
from command import asking, files
from command.bar import bar
from core.nouns import ModelFile, Subject
from engine.own_rows import OWN
from reports.batch import Mailing, file_name, write
from reports.numbers import counted
from reports.report import Stamp
from storage.files import read_named

_FILE = re.compile(r".*\.(csv|parquet|pq|arrow|feather)(\.gz)?", re.IGNORECASE)


def run(args: argparse.Namespace, desk: Desk, subject: Subject, model: ModelFile, stamp: Stamp) -> str:
    """Writes the letters into `args.out`; a sentence that says how many.

    Stopped by Ctrl-C it raises KeyboardInterrupt with a sentence that says how many are done.
    """
    rows, row_ids, from_file = _rows(args, desk, subject, model)

    def again(row_id: str) -> str:
        if from_file:
            return asking.line(args.words, stamp.as_of, args.out.name, rows=Path(args.rows).name)
        return asking.line(args.words, stamp.as_of, f"{file_name(row_id)}.pdf", row_id)

    reference = asking.reference(subject, model.spec, args.reference, args.reference_seed)
    target = None if args.target is None else model.spec.class_index(args.target)
    mailing = Mailing(subject, model, rows, row_ids, reference, replace(stamp, final=args.final), again, target)
    files.make(args.out)
    done = 0
    with bar("Letters") as progress:

        def told(count: int) -> None:
            nonlocal done
            done = count
            if progress is not None:
                progress(count / len(mailing))

        try:
            kept = write(desk, mailing, args.out, told)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"Stopped. You called it off after {done:,} of {counted(len(mailing), 'letter')}. Run the same command "
                "again to go on."
            ) from None
    before = f", and {kept:,} {'was' if kept == 1 else 'were'} there already" if kept else ""
    return f"{counted(done - kept, 'letter')} {'was' if done - kept == 1 else 'were'} written{before}."


def _rows(
    args: argparse.Namespace, desk: Desk, subject: Subject, model: ModelFile
) -> tuple[np.ndarray, tuple[str, ...], bool]:
    """The rows that the letters are about, their ids, and whether they come from a file.

    Those of a file go by their own ids, unless one is also that of a row in the data.
    """
    data = subject.dataset
    if _FILE.fullmatch(args.rows) or Path(args.rows).is_file():
        rows, named = bring_rows(desk, args.subject, model.spec, read_named(Path(args.rows)))
        bare = tuple(each.removeprefix(OWN) for each in named)
        return rows, named if set(bare) & set(data.row_ids) else bare, True
    places = asking.positions(subject, args.rows)
    return data.rows[places], tuple(data.row_ids[place] for place in places), False
