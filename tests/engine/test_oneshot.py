"""One file, one worker: every end of it is a finding or one sentence, and no worker is left or used twice."""

import json
import logging
import os
import signal
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from core import codec
from core.errors import UserFacingError
from engine import oneshot, wire
from engine.engine import Cancelled
from engine.oneshot import run_task
from engine.pool import WorkerProcess
from engine.subjects import SAMPLES
from tests.engine.conftest import gone, until
from tests.engine.test_pool import frame

BOOSTER = SAMPLES / "tumours" / "xgboost.json"
FOUND = codec.pack({"format": "a", "rows": [1, 2]}, {"x": np.arange(6.0).reshape(2, 3)})
PUT_ASIDE = "The file was put aside. "


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[WorkerProcess]:
    """The workers that were started, in order."""
    workers: list[WorkerProcess] = []

    def start(one_file: bool) -> WorkerProcess:
        workers.append(WorkerProcess(one_file))
        return workers[-1]

    monkeypatch.setattr("engine.oneshot.WorkerProcess", start)
    return workers


@pytest.fixture(autouse=True)
def no_reserve() -> Iterator[None]:
    yield
    while oneshot._reserve:
        oneshot._reserve.pop().end()


def sentence(**options: object) -> str:
    with pytest.raises(UserFacingError) as caught:
        run_task("inspect_model", {}, b"a file", **{"seconds": 20.0} | options)
    return str(caught.value)


def test_a_model_is_inspected_in_a_worker_of_its_own(started: list[WorkerProcess]) -> None:
    for _ in range(2):
        found, arrays = run_task("inspect_model", {}, BOOSTER.read_bytes(), 60.0)
        assert found["format"] == "xgboost" and arrays == {}
    assert len({worker.pid for worker in started}) == 2
    until(lambda: all(gone(worker.pid) for worker in started))


def test_a_refusal_arrives_as_it_was_said() -> None:
    with pytest.raises(UserFacingError) as caught:
        run_task("inspect_model", {}, b"\x80\x04\x95garbage", 60.0)
    assert "internal error" not in str(caught.value)


def test_the_worker_in_reserve_is_used_once(started: list[WorkerProcess]) -> None:
    oneshot.warm()
    oneshot.warm()
    assert len(started) == 1
    for count in (1, 2):
        run_task("inspect_model", {}, BOOSTER.read_bytes(), 60.0)
        assert len(started) == count
    started[0].end()
    oneshot.warm()
    os.kill(started[-1].pid, signal.SIGKILL)
    until(lambda: not started[-1].alive)
    oneshot.warm()
    assert len(started) == 4, "a dead one is replaced"


def test_a_finding_and_its_progress_arrive(fake: Callable[..., None]) -> None:
    shares = [0.25, float("nan"), float("-inf"), 0.5, 7.0]
    fake(b"".join(frame(wire.PROGRESS, struct.pack("<d", share)) for share in shares) + frame(wire.FOUND, FOUND))
    heard: list[float] = []
    found, arrays = run_task("inspect_model", {}, b"a file", 20.0, heard.append)
    assert found == {"format": "a", "rows": [1, 2]} and heard == [0.25, 0.0, 0.0, 0.5, 1.0]
    np.testing.assert_array_equal(arrays["x"], [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize(
    "answer",
    [
        b"\xff" * 200, frame(b"Z", b"what"), frame(wire.FOUND, b"no zip"), frame(wire.FOUND, b""),
        frame(wire.RESULT, FOUND), frame(wire.PROGRESS, b"abc"), frame(wire.REFUSED, b"{"),
        frame(wire.REFUSED, json.dumps({"what": "a"}).encode()), frame(wire.REFUSED, b"[" * 60_000),
        frame(wire.FOUND, codec.pack({}, {})[:-30]),
        struct.pack("<cQ", wire.FOUND, codec.LARGEST + 1), struct.pack("<cQ", wire.BROKEN, 1 << 40),
    ],
)  # fmt: skip
def test_nonsense_is_one_sentence(fake: Callable[..., None], answer: bytes, started: list[WorkerProcess]) -> None:
    fake(answer)
    assert sentence() == (
        PUT_ASIDE + "The process that read it sent something else than was asked. "
        "Do not trust this file; export it again."
    )
    assert not started[0].alive


def test_a_refusal_cannot_draw_on_a_terminal(fake: Callable[..., None]) -> None:
    fake(frame(wire.REFUSED, json.dumps(["\x1b[2Ja", "b\u202e", "c", "import x\nx()"]).encode()))
    with pytest.raises(UserFacingError) as caught:
        run_task("inspect_model", {}, b"a file", 20.0)
    error = caught.value
    assert (error.what, error.why, error.code) == ("\ufffd[2Ja", "b\ufffd", "import x\nx()")


def test_a_defect_goes_to_the_log(fake: Callable[..., None], caplog: pytest.LogCaptureFixture) -> None:
    fake(frame(wire.BROKEN, b"Traceback: a planted defect"))
    with caplog.at_level(logging.ERROR, "assay.intake"):
        text = sentence()
    assert "internal error" in text and "planted" not in text
    assert "a planted defect" in caplog.text


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (signal.SIGSEGV, "its process crashed (SIGSEGV)"),
        (signal.SIGKILL, "its process was killed, by hand or for lack of memory"),
        (signal.SIGXCPU, "its process used up its processor time"),
    ],
)
def test_a_death_is_one_sentence(
    fake: Callable[..., None], started: list[WorkerProcess], number: signal.Signals, why: str
) -> None:
    fake(b"")

    def kill() -> bool:
        if started:
            os.kill(started[0].pid, number)
        return False

    text = sentence(cancelled=kill)
    assert text == f"{PUT_ASIDE}While it was read, {why}. Do not trust this file; export it again."


def test_a_time_limit_is_one_sentence(fake: Callable[..., None], started: list[WorkerProcess]) -> None:
    fake(frame(wire.FOUND, FOUND)[:20])
    begin = time.monotonic()
    assert sentence(seconds=0.5).startswith(PUT_ASIDE + "Reading it took longer than 0.5 seconds. ")
    assert time.monotonic() - begin < 10 and not started[0].alive


def test_it_can_be_called_off(fake: Callable[..., None], started: list[WorkerProcess]) -> None:
    fake(b"")
    begin = time.monotonic()
    with pytest.raises(Cancelled):
        run_task("inspect_model", {}, b"a file", 60.0, cancelled=lambda: True)
    assert time.monotonic() - begin < 10 and not started[0].alive


def test_a_file_that_leaves_no_memory_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_WORKER_MEMORY", "1024")
    with pytest.raises(UserFacingError) as caught:
        run_task("inspect_model", {}, bytes(900 << 20), 60.0)
    assert "no memory left for the file" in str(caught.value)


@pytest.mark.parametrize("value", ["0", "much", "-5"])
def test_a_setting_that_is_no_number_is_a_sentence(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("ASSAY_WORKER_MEMORY", value)
    with pytest.raises(UserFacingError, match="ASSAY_WORKER_MEMORY"):
        run_task("inspect_model", {}, b"a file", 60.0)


def test_no_worker_to_be_had_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(one_file: bool) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("engine.oneshot.WorkerProcess", refuse)
    assert "No worker could be started" in sentence()


def test_a_file_reaches_no_other_files_worker(tmp_path: Path, started: list[WorkerProcess]) -> None:
    run_task("inspect_model", {}, BOOSTER.read_bytes(), 60.0)
    assert started[0].held == set() and not started[0].alive
