"""kill -9 at fifty random points of puts, removals and rotations: the old or the new state, and nothing in the clear.

A process that has the libraries forks the ones that are killed, so that each of them begins at once.
"""

import multiprocessing
import os
import random
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from storage.sealing import CHUNK
from storage.stores import Stores, close_stores
from storage.stores import stores as open_stores
from tests.storage.crashing import GONE, MARKER, SUBJECTS, found, work

KILLS = 50
LONGEST = 0.08  # seconds from the first change to the kill
NAMES = ("ASSAY_", "AWS_")


def heard(said: Connection) -> list[tuple[object, int, bool]]:
    """Everything that a process said before it was killed."""
    messages = []
    try:
        while said.poll(0):
            messages.append(said.recv())
    except EOFError:
        pass
    return messages


def run_and_kill(context: multiprocessing.context.BaseContext, seed: int, wait: float) -> list:
    """Lets a process work for a while after its first word. Returns what it said."""
    ours, theirs = context.Pipe(duplex=False)
    environment = {name: value for name, value in os.environ.items() if name.startswith(NAMES)}
    process = context.Process(target=work, args=(environment, seed, theirs))
    process.start()
    theirs.close()
    assert ours.poll(60), "the process said nothing"
    time.sleep(wait)
    process.kill()
    process.join()
    said = heard(ours)
    assert process.exitcode == -9, said
    return said


def in_the_clear(places: list[Path], stores: Stores) -> list[str]:
    """The files and blobs that hold the marker."""
    files = [path for place in places for path in place.rglob("*") if path.is_file() and not path.is_symlink()]
    marked = [str(path) for path in files if MARKER.encode() in path.read_bytes()]
    for name, _ in stores.vault._blobs.listed():
        with stores.vault._blobs.open(name) as file:
            marked += [name] if MARKER.encode() in file.read(100 * CHUNK) else []
    return marked


def test_kill_9_leaves_the_old_or_the_new_state(stores: Stores, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.storage.crashing"])
    chance = random.Random(20261126)
    settled = dict.fromkeys(range(SUBJECTS), GONE)
    phases = {"within a change": 0, "within a rotation": 0, "between": 0}
    for kill in range(KILLS):
        said = run_and_kill(context, kill, chance.uniform(0, LONGEST))
        possible = {subject: {version} for subject, version in settled.items()}
        for subject, version, done in said:
            if subject != "rotate":
                possible[subject] = {version} if done else possible[subject] | {version}
        phase = "between" if said[-1][2] else "within a rotation" if said[-1][0] == "rotate" else "within a change"
        phases[phase] += 1
        close_stores()
        again = open_stores()
        settled = {subject: found(again.vault, subject) for subject in settled}
        assert all(settled[subject] in possible[subject] for subject in settled), (settled, possible)
        if again.database.embedded:
            assert in_the_clear([tmp_path], again) == []
    assert phases["within a change"] and phases["within a rotation"], phases
    again.vault.rotate()
    assert len((tmp_path / "home.keys").read_bytes().split()) == 1
    assert again.vault.check() == []
    assert {subject: found(again.vault, subject) for subject in settled} == settled
    again.vault.sweep(time.time() + 2 * 86400)
    there = sum(2 for version in settled.values() if version != GONE)
    assert len(list(again.vault._blobs.listed())) == there
    servers = [] if again.database.embedded else [request.getfixturevalue("outgrown").data]
    assert in_the_clear([tmp_path, *servers], again) == []
