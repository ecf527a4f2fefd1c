"""A process that does everything at once, for a test that kills it: it saves, asks, rotates keys, writes the log."""

import itertools
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection

import pyarrow.parquet  # noqa: F401 - what a child would import at its first act
import tomli_w  # noqa: F401

from access.desk import Desk
from access.log import Log
from access.people import LOCAL
from core.facts import Extracted
from engine.engine import Engine, Question
from engine.intake import Brought
from engine.predict import Predict
from engine.questions import prediction_query
from engine.subject_files import About
from engine.subjects import load_subject
from storage.stores import stores
from tests.engine.test_subject_files import taken_apart

MARKER = "zebra-crossing-4711"
PAUSE = 0.01  # lets the others have the database too
ACTS = ("save", "ask", "rotate", "look")


def live(pipe: Connection, seed: int, home: str) -> None:
    """Works in `home` until it is killed, and says on `pipe` what it begins and what it has done."""
    os.environ["ASSAY_HOME"] = home
    opened = stores()
    desk = Desk(LOCAL, Engine.open(), opened, Log(opened.database, opened.vault))
    told = threading.Lock()

    @contextmanager
    def act(name: str) -> Iterator[None]:
        with told:
            pipe.send((name, "begun"))
        yield
        with told:
            pipe.send((name, "done"))

    def forever(name: str, do) -> None:
        for number in itertools.count(seed * 1000):
            with act(name):
                do(number)
            time.sleep(PAUSE)

    doing = {"save": lambda n: _save(desk, n), "ask": lambda n: _ask(desk, n), "rotate": lambda _: _rotate(desk)}
    for name, do in doing.items():
        threading.Thread(target=forever, args=(name, do), daemon=True).start()
    forever("look", lambda n: desk.looked("decision", "view", MARKER, f"{MARKER}-{n}"))


def _save(desk: Desk, number: int) -> None:
    facts, file, agreed = taken_apart(load_subject("tumours"))
    taken = agreed.extracted
    few = Extracted(
        taken.rows[:120], tuple(f"{MARKER}-{i}" for i in range(120)), taken.labels[:120], taken.held_out[:120]
    )
    features = tuple(replace(each, label=f"{MARKER} {each.title}") for each in agreed.proposal.features)
    agreed = replace(agreed, extracted=few, proposal=replace(agreed.proposal, features=features))
    brought = Brought(facts, file, _Data(), b"")
    desk.save(brought, agreed, About(f"{MARKER}-{number}", f"The {MARKER}"))


class _Data:
    digest = "0" * 64


def _ask(desk: Desk, number: int) -> None:
    subject = desk.subject("tumours")
    model = subject.model()
    rows = [number % len(subject.dataset), (number // 7) % len(subject.dataset)]
    query = replace(prediction_query(subject, model, rows), row_ids=(f"{MARKER}-a", f"{MARKER}-b"))
    desk.ask(Question(model, Predict(), query))


def _rotate(desk: Desk) -> None:
    desk.log.record(desk.person, "keys")
    desk.vault.rotate()
