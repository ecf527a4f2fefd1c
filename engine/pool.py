"""Worker processes: started with a clean environment, one question each at a time, ended without mercy."""

import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import BinaryIO

from engine import wire

_log = logging.getLogger("assay.worker")
_ROOT = Path(__file__).resolve().parent.parent
_PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "SYSTEMROOT",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
    "NUMBA_CACHE_DIR",
)


class WorkerProcess:
    """One worker. `held` are the models, `skills` the methods that it has already loaded."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "engine.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=_ROOT,
            env=_environment(),
            start_new_session=True,
        )
        threading.Thread(target=_log_lines, args=(self.pid, self._process.stderr), daemon=True).start()
        self._ended = False
        self.held: set[str] = set()
        self.skills: set[str] = set()

    @property
    def pid(self) -> int:
        return self._process.pid

    def put(self, request: object, file: bytes) -> None:
        """Sends a file and what is asked about it; EOFError where the worker is gone."""
        try:
            wire.send(self._process.stdin, wire.FILE, file)
            wire.send(self._process.stdin, wire.REQUEST, pickle.dumps(request))
        except BrokenPipeError as error:
            raise EOFError("the worker is gone") from error

    def next_frame(self) -> tuple[bytes, bytes]:
        """Waits for the worker's next frame; EOFError where it died."""
        return wire.receive(self._process.stdout)

    @property
    def alive(self) -> bool:
        """Whether it can be asked: one that was ended may still be dying."""
        return not self._ended and self._process.poll() is None

    def end(self) -> None:
        """Ends the process at once. Safe to call more than once, and from another thread than the reader's."""
        self._ended = True
        self._process.kill()

    def why_ended(self) -> str:
        """Why the process ended, as a clause."""
        code = self._process.wait()
        if code == -signal.SIGKILL:
            return "its process was killed, by hand or for lack of memory"
        if code < 0:
            return f"its process crashed ({signal.Signals(-code).name})"
        return f"its process ended by itself (exit status {code})"


def _log_lines(pid: int, stream: BinaryIO) -> None:
    """What libraries print in a worker goes to the log, a bounded piece at a time."""
    while line := stream.readline(4096):
        _log.warning("worker %d: %s", pid, line.decode(errors="replace").rstrip())


def _environment() -> dict[str, str]:
    """Nothing secret reaches a worker: only what a Python process needs to run."""
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return passed | {"OMP_NUM_THREADS": str(os.cpu_count() or 1), "ORT_DISABLE_TELEMETRY": "1"}


class Deadline:
    """Ends a worker when its time is up and remembers that it did."""

    def __init__(self, worker: WorkerProcess, seconds: float) -> None:
        self.passed = False
        self._worker = worker
        self._timer = threading.Timer(seconds, self._strike)
        self._timer.daemon = True

    def _strike(self) -> None:
        self.passed = True
        self._worker.end()

    def __enter__(self) -> "Deadline":
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
