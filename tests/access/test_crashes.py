"""The house is killed fifty times while it saves, asks, rotates its keys and writes its log: nothing is half done."""

import multiprocessing
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from access.log import Log
from engine.subjects import load_subject, subject_names
from storage.evidence import EvidenceStore
from storage.stores import Stores, close_stores, stores
from tests.access.wrecked import ACTS, MARKER, live

FIFTHS = 5
KILLS = 50
PATIENCE = 60.0


@pytest.fixture(scope="module")
def children():
    """Children that are there at once: one process has imported everything and is copied."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.access.wrecked"])
    return context


def killed(children, home: Path, seed: int, act: str, seconds: float) -> tuple[Counter, set[str]]:
    """How often a child finished each act before it was killed, so long after its first `act`, and what it was at."""
    ours, theirs = children.Pipe(duplex=False)
    child = children.Process(target=live, args=(theirs, seed, str(home)))
    child.start()
    theirs.close()
    finished, under_way = Counter(), set()
    end = time.monotonic() + PATIENCE
    while (left := end - time.monotonic()) > 0:
        if ours.poll(left):
            name, what = ours.recv()
            (under_way.add if what == "begun" else under_way.discard)(name)
            finished[name] += what == "done"
            if name == act and what == "done" and finished[name] == 1:
                end = time.monotonic() + seconds
    child.kill()
    child.join()
    ours.close()
    return finished, under_way


def whole(opened: Stores) -> None:
    """Everything that is there can be read and is what its name says."""
    for name in subject_names():
        subject = load_subject(name)
        assert len(subject.dataset) and subject.model().spec.digest
    evidence = EvidenceStore(opened.vault)
    for key in evidence.questions(load_subject("tumours").model().spec.digest):
        assert evidence.answer(key) is not None
    assert Log(opened.database, opened.vault).check() == []


def in_the_clear(home: Path) -> list[str]:
    """The files in which what a person brought can be read."""
    marks = [MARKER.encode(), MARKER.encode("utf-16-le")]
    files = [path for path in home.parent.rglob("*") if path.is_file()]
    return [str(path) for path in files if any(mark in path.read_bytes() for mark in marks)]


@pytest.mark.parametrize("fifth", range(FIFTHS))
def test_a_kill_at_any_point_leaves_the_old_or_the_new(fifth: int, children, tmp_path, monkeypatch) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("ASSAY_HOME", str(home))
    rng = np.random.default_rng(fifth)
    done, broken_off = Counter(), Counter()
    for number in range(KILLS // FIFTHS):
        finished, under_way = killed(children, home, number, ACTS[number % len(ACTS)], float(rng.uniform(0.0, 0.2)))
        done += finished
        broken_off.update(under_way)
        whole(stores())
        close_stores()
        assert in_the_clear(home) == []
    assert all(done[act] for act in ACTS), done
    assert len(broken_off) > 1, "no kill hit anything that was under way"
