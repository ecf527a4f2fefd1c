"""A report that is signed, for tests of what is signed and of its check."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from access.desk import Desk
from access.log import Log
from access.people import LOCAL
from core.nouns import Target
from engine.engine import Engine
from engine.subjects import load_subject
from explainers import explainer
from reports import decision
from reports.gather import gather
from reports.report import Report, Stamp
from storage.stores import close_stores, stores


@contextmanager
def house(home: Path) -> Iterator[Desk]:
    """The desk of one person at their own machine, with a home of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASSAY_HOME", str(home))
        engine, opened = Engine.open(), stores()
        try:
            yield Desk(LOCAL, engine, opened, Log(opened.database, opened.vault))
        finally:
            engine.close()
            close_stores()


def made(desk: Desk) -> Report:
    """A report on one row of a sample, by one quick method."""
    subject = load_subject("tumours")
    model = subject.model("mlp")
    row, reference = subject.position(subject.example), subject.reference(10)
    methods = (explainer("permutation_shap", pairs=64),)
    case = gather(desk, subject, model, row, Target(1, "margin"), reference, methods, None, ("decision", "ledger"))
    return decision.report(case, Stamp(date(2026, 11, 26), author="A. Uditor"), "python assay.py report tumours")


def drafted(report: Report, **fields: object) -> Report:
    """The same report with another stamp."""
    return replace(report, stamp=replace(report.stamp, **fields))
