"""Methods that misbehave in one known way each, for the engine's tests. Workers import them by name."""

import os
import re
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import UserFacingError
from core.models import Model
from core.nouns import ModelSpec, Query
from core.options import option
from explainers.base import Explainer, Progress, RawAttribution


@dataclass(frozen=True)
class _Double(Explainer):
    title = "A double"
    version = "1"
    family = "captum"
    summary = source = ""
    tolerance = None
    needs_reference = False

    def refusal(self, spec: ModelSpec) -> str | None:
        return None


@dataclass(frozen=True)
class Ones(_Double):
    """Answers at once with ones, after printing what must not disturb anything."""

    name = "ones"
    mark: int = option(0, "Mark", "Makes another question of it.")

    def _run(self, model: Model, query: Query, progress: Progress) -> RawAttribution:
        print("a library that prints", flush=True)
        os.write(1, b"a library that writes\n")
        return RawAttribution(np.ones(query.rows.shape), facts={"pid": os.getpid()})


@dataclass(frozen=True)
class Sleeping(_Double):
    """Says that it has begun and then takes its time."""

    name = "sleeping"
    seconds: float = option(600.0, "Seconds", "How long it takes.")

    def _run(self, model: Model, query: Query, progress: Progress) -> RawAttribution:
        progress(0.5)
        time.sleep(self.seconds)
        return RawAttribution(np.zeros(query.rows.shape))


@dataclass(frozen=True)
class Failing(_Double):
    """Has a defect."""

    name = "failing"

    def _run(self, model: Model, query: Query, progress: Progress) -> RawAttribution:
        raise RuntimeError("a planted defect")


@dataclass(frozen=True)
class Refusing(_Double):
    """Finds out late that it cannot."""

    name = "refusing"

    def _run(self, model: Model, query: Query, progress: Progress) -> RawAttribution:
        raise UserFacingError("This cannot be done", "It was planted", "Take it out")


@dataclass(frozen=True)
class Crashing(_Double):
    """Takes its process with it."""

    name = "crashing"
    way: str = option("SIGSEGV", "Way", "How it ends.", choices=("SIGSEGV", "SIGKILL", "exit"))

    def _run(self, model: Model, query: Query, progress: Progress) -> RawAttribution:
        if self.way == "exit":
            os._exit(3)
        os.kill(os.getpid(), signal.Signals[self.way])
        time.sleep(60)
        raise AssertionError


@dataclass(frozen=True)
class Holding(_Double):
    """Says that it has begun, and then lets no other thread of Python run."""

    name = "holding"

    def _run(self, model: Model, query: Query, progress: Progress) -> RawAttribution:
        progress(0.5)
        re.match("(a+)+$", "a" * 60 + "b")
        raise AssertionError


@dataclass(frozen=True)
class Inside(_Double):
    """Says how the process is fenced in which it answers."""

    name = "inside"
    mark: int = option(0, "Mark", "Makes another question of it.")

    def _run(self, model: Model, query: Query, progress: Progress) -> RawAttribution:
        import resource

        threads = [(task / "status").read_text() for task in Path("/proc/self/task").iterdir()]
        try:
            reads = Path("/etc/passwd").read_text()[:4]
        except OSError as error:
            reads = type(error).__name__
        facts = {
            "seccomp": re.search(r"Seccomp:\s+(\d)", threads[0])[1],
            "threads_fenced": all("Seccomp:\t2" in each for each in threads),
            "reads_passwd": reads,
            "address_space": resource.getrlimit(resource.RLIMIT_AS)[0] >> 20,
        }
        return RawAttribution(np.ones(query.rows.shape), facts=facts)
