"""Worker processes: what they are given, what they may send, how they end."""

import io
import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core import codec
from core.errors import UserFacingError
from core.results import Attribution
from engine import wire
from engine.engine import Engine, Question
from tests.engine.conftest import gone, until
from tests.engine.doubles import Ones

ROOT = Path(__file__).parents[2]
DISTRUST = (
    "The worker's answer makes no sense. The process that holds the model sent something else than was asked. "
    "Ask again; if it happens again, do not trust this model file."
)


def frame(kind: bytes, body: bytes) -> bytes:
    stream = io.BytesIO()
    wire.send(stream, kind, body)
    return stream.getvalue()


def sentence(engine: Engine, question: Question, seconds: float = 5.0) -> str:
    with pytest.raises(UserFacingError) as caught:
        engine.submit(question, seconds).result()
    return str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        b"\xff" * 200,
        np.random.default_rng(3).bytes(5000)[:8] + b"\xff" * 5000,
        frame(b"Z", b"what"),
        frame(wire.RESULT, b"no zip at all"),
        frame(wire.RESULT, b""),
        frame(wire.PROGRESS, b"abc"),
        frame(wire.REFUSED, b"{"),
        frame(wire.REFUSED, json.dumps(["one part"]).encode()),
        frame(wire.REFUSED, json.dumps(7).encode()),
        frame(wire.REFUSED, json.dumps(["a", "b", 3]).encode()),
        frame(wire.REFUSED, json.dumps(["a", "b", "c" * 5000]).encode()),
        frame(wire.REFUSED, b" " * (wire.ANSWERS[wire.REFUSED] + 1)),
        frame(wire.FILE, b"a file"),
    ],
    ids=[
        "noise",
        "huge",
        "kind",
        "no-zip",
        "empty",
        "progress",
        "no-json",
        "short",
        "number",
        "mixed",
        "long-text",
        "long-frame",
        "file",
    ],  # fmt: skip
)
def test_nonsense_from_a_worker_is_one_sentence(
    engine: Engine, asking: Callable[..., Question], fake: Callable[..., None], answer: bytes
) -> None:
    fake(answer)
    assert sentence(engine, asking(Ones())) == DISTRUST


def test_an_answer_to_another_question_is_refused(
    engine: Engine, asking: Callable[..., Question], fake: Callable[..., None]
) -> None:
    other = asking(Ones(), [5])
    found = Attribution(other.query, Ones().method, np.ones((1, 30)), np.zeros(1), np.zeros(1))
    fake(frame(wire.RESULT, codec.dump(found)))
    assert sentence(engine, asking(Ones())) == DISTRUST
    assert engine.store.answer(asking(Ones()).key) is None
    assert engine.store.answer(other.key) is None


def test_a_pickle_from_a_worker_is_never_opened(
    engine: Engine, asking: Callable[..., Question], fake: Callable[..., None], tmp_path: Path
) -> None:
    marker = tmp_path / "opened"
    evil = b"cos\nmkdir\n(V" + str(marker).encode() + b"\ntR."
    for kind in (wire.RESULT, wire.REFUSED, wire.PROGRESS, wire.REQUEST):
        fake(frame(kind, evil))
        assert sentence(engine, asking(Ones())) == DISTRUST
    assert not marker.exists()


def test_half_an_answer_ends_with_its_worker(
    engine: Engine, asking: Callable[..., Question], fake: Callable[..., None]
) -> None:
    fake(frame(wire.RESULT, b"x" * 100)[:50], stays=False)
    assert "its process ended by itself (exit status 0)" in sentence(engine, asking(Ones()))


def test_a_worker_that_stops_answering_ends_at_its_time_limit(
    engine: Engine, asking: Callable[..., Question], fake: Callable[..., None]
) -> None:
    fake(frame(wire.RESULT, b"x" * 100)[:50])
    begin = time.monotonic()
    assert "reached its time limit" in sentence(engine, asking(Ones()), seconds=0.5)
    assert time.monotonic() - begin < 20


@pytest.mark.parametrize("share", [float("nan"), float("inf"), -1.0, 7.0])
def test_progress_stays_between_none_and_all(
    engine: Engine, asking: Callable[..., Question], fake: Callable[..., None], share: float
) -> None:
    fake(frame(wire.PROGRESS, struct.pack("<d", share)) + frame(wire.REFUSED, b'["a", "b", "c"]'))
    job = engine.submit(asking(Ones()))
    with pytest.raises(UserFacingError):
        job.result()
    assert 0.0 <= job.progress <= 1.0


_ASKS = """
from engine.engine import Engine, Question
from engine.questions import attack_query
from engine.subjects import load_subject
from attacks import attack

engine, subject = Engine.open(), load_subject("tumours")
query = attack_query(subject, subject.model(), range(200))
job = engine.submit(Question(subject.model(), attack("random_search", size=1e-9, queries=1_000_000), query, "long"))
while not job.progress:
    job.wait(0.05)
print(job.worker.pid, flush=True)
job.wait()
"""


def test_a_worker_ends_when_the_process_that_asked_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _ASKS],
        cwd=ROOT,
        env=os.environ | {"ASSAY_HOME": str(tmp_path / "home")},
        stdout=subprocess.PIPE,
        text=True,
    ) as asker:
        pid = int(asker.stdout.readline())
        assert not gone(pid)
        asker.kill()
    until(lambda: gone(pid))
