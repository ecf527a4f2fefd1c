"""A subject, an engine, and questions to put to it."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.nouns import Subject, Target
from engine.engine import Engine, Job, Lane, Question
from engine.questions import explain_query
from engine.subjects import load_subject
from explainers.base import Explainer
from storage.blobs import blobs_at
from storage.database import Database
from storage.evidence import EvidenceStore
from storage.vault import Vault


@pytest.fixture(scope="session")
def tumours() -> Subject:
    return load_subject("tumours")


@pytest.fixture
def asking(tumours: Subject) -> Callable[..., Question]:
    """Builds a question by a method about some rows, of the quickest model to load."""

    def build(method: Explainer, rows: list[int] | None = None, lane: Lane = "quick", seed: int = 0) -> Question:
        query = explain_query(tumours, tumours.model(), rows or [0], Target(1, "margin"), tumours.reference(3), seed)
        return Question(tumours.model(), method, query, lane)

    return build


def evidence(folder: Path) -> EvidenceStore:
    """The evidence store in a folder, with a database of its own."""
    folder.mkdir(exist_ok=True)
    database = Database(f"sqlite:///{folder / 'assay.db'}")
    return EvidenceStore(Vault(database, blobs_at(str(folder / "vault")), folder.with_name(f"{folder.name}.keys")))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine with an empty store, its workers ended afterwards."""
    made = Engine(evidence(tmp_path / "home"))
    yield made
    made.close()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Replaces every worker by a process that sends certain bytes whatever it is asked, and stays or ends."""
    real = subprocess.Popen

    def install(answer: bytes, stays: bool = True) -> None:
        file = tmp_path / "answer"
        file.write_bytes(answer)
        script = (
            "import os, pathlib, sys, threading, time; "
            "threading.Thread(target=sys.stdin.buffer.read, daemon=True).start(); "
            f"sys.stdout.buffer.write(pathlib.Path({str(file)!r}).read_bytes()); sys.stdout.buffer.flush(); "
            f"time.sleep({60 if stays else 0}); os._exit(0)"
        )
        monkeypatch.setattr(
            "engine.pool.subprocess.Popen", lambda _, **rest: real([sys.executable, "-S", "-c", script], **rest)
        )

    return install


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine whose workers serve several tests."""
    made = Engine(evidence(tmp_path_factory.mktemp("shared") / "home"))
    yield made
    made.close()


def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    """Waits until something is so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.02)


def begun(job: Job) -> None:
    """Waits until a worker is at it."""
    until(lambda: job.progress > 0 or job.done)
    assert not job.done


def gone(pid: int) -> bool:
    """Whether a process has ended with all its threads, reaped by its parent or not."""
    try:
        ended = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        return ended and len(list(Path(f"/proc/{pid}/task").iterdir())) == 1
    except (FileNotFoundError, ProcessLookupError):
        return True
