"""What the tests of the log do in processes of their own."""

import os
import time
from multiprocessing.connection import Connection

from access.log import Log
from access.people import LOCAL
from storage.stores import close_stores, stores


def write(environment: dict[str, str], writer: str, count: int) -> None:
    """Writes `count` entries into the log of a home that the environment names."""
    os.environ.update(environment)
    log = _log()
    for number in range(count):
        log.record(LOCAL, "question", writer=writer, turn=number)
    close_stores()


def write_for_ever(environment: dict[str, str], said: Connection) -> None:
    """Writes entries until the process is killed, and says after each which it was."""
    os.environ.update(environment)
    log = _log()
    while True:
        entry = log.record(LOCAL, "question", turn=time.monotonic_ns() % 1000)
        said.send(entry.number)


def _log() -> Log:
    opened = stores()
    return Log(opened.database, opened.vault)
