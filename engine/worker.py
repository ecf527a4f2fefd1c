"""A worker process: holds models, answers one question at a time, knows nothing else.

Started by `engine.pool` inside the fence of `engine.sandbox`; talks in frames (`engine.wire`) on its standard
input and output.
"""

import logging
import os
import pickle
import queue
import struct
import sys
import threading
import traceback
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from attacks.base import Attack
from core import codec
from core.errors import UserFacingError
from core.models import Model
from core.nouns import ModelSpec, Query
from core.results import Result
from engine import wire
from engine.predict import Predict
from engine.tasks import TASKS
from explainers.base import Explainer
from models import load_model

Method = Explainer | Attack | Predict
MODELS_HELD = 4
NO_MEMORY = 71
"""The exit status of a worker that had no room for the file it was sent."""
_TRACE = 16_000  # bytes of a defect's trace


@dataclass(frozen=True)
class Request:
    """One question and how the model that it is put to is read."""

    format: str
    spec: ModelSpec
    settings: Mapping[str, Any]
    method: Method
    query: Query


@dataclass(frozen=True)
class Task:
    """Something to find out about a file: one of `engine.tasks.TASKS`, by its name."""

    name: str
    options: Mapping[str, Any]


class Worker:
    """Answers requests from one stream on another."""

    def __init__(self, answers: BinaryIO) -> None:
        self._answers = answers
        self._held: OrderedDict[str, Model] = OrderedDict()

    def answer(self, request: Request | Task, file: bytes) -> None:
        """Answers `request`, about `file`, with its result, a refusal in words, or the trace of a defect."""
        try:
            if isinstance(request, Task):
                kind, body = wire.FOUND, codec.pack(*TASKS[request.name](file, self._progress, **request.options))
            else:
                kind, body = wire.RESULT, codec.dump(self._result(request, file))
            if len(body) > wire.ANSWERS[kind]:
                raise _too_large()
        except UserFacingError as error:
            wire.send(self._answers, wire.REFUSED, wire.refused(error))
        except MemoryError:
            wire.send(self._answers, wire.REFUSED, wire.refused(_out_of_memory()))
        except Exception:  # noqa: BLE001 - a defect ends this question, not the worker
            wire.send(self._answers, wire.BROKEN, traceback.format_exc().encode()[-_TRACE:])
        else:
            wire.send(self._answers, kind, body)

    def _result(self, request: Request, file: bytes) -> Result:
        model = self._model(request, file)
        method = request.method
        if isinstance(method, Explainer):
            return method.explain(model, request.query, self._progress)
        if isinstance(method, Attack):
            return method.attack(model, request.query, self._progress)
        return method.predict(model, request.query)

    def _model(self, request: Request, file: bytes) -> Model:
        digest = request.spec.digest
        if digest not in self._held:
            self._held[digest] = load_model(request.format, file, request.spec, request.settings)
            if len(self._held) > MODELS_HELD:
                self._held.popitem(last=False)
        self._held.move_to_end(digest)
        return self._held[digest]

    def _progress(self, share: float) -> None:
        wire.send(self._answers, wire.PROGRESS, struct.pack("<d", share))


def _out_of_memory() -> UserFacingError:
    return UserFacingError(
        "This takes more memory than a worker may have",
        "It reached its limit, which is there so that no file can take the whole machine",
        "Ask about less at a time, or raise the limit and start Assay again",
        "export ASSAY_WORKER_MEMORY=16384  # MiB",
    )


def _too_large() -> UserFacingError:
    return UserFacingError(
        "The answer is too large", "It holds more numbers than one answer may", "Ask about fewer rows at once"
    )


def main() -> None:
    """Answers until the engine goes away, which ends this process even in the middle of a question."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # that it cannot write here is meant
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not mix with the frames
    frames: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, frames), daemon=True).start()
    worker = Worker(answers)
    while True:
        file = frames.get()
        worker.answer(pickle.loads(frames.get()), file)


def _listen(stream: BinaryIO, frames: "queue.SimpleQueue[bytes]") -> None:
    """Frames come in pairs: a file, then what is asked about it."""
    while True:
        try:
            _, body = wire.receive(stream, wire.QUESTIONS)
        except EOFError:
            os._exit(0)
        except MemoryError:
            os._exit(NO_MEMORY)
        frames.put(body)
