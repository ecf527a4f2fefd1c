"""What is kept no longer than the settings say: answers and subjects after so many days, sign-ins that are over."""

import time

from access import sharing
from access.log import Log
from access.sessions import Sessions
from access.settings import Settings
from storage.stores import Stores

DAY = 86_400.0
EVERY = 3600.0  # seconds between two rounds


def lasting(days: int | None) -> float | None:
    """Days of retention in seconds; None: for ever."""
    return None if days is None else days * DAY


def sweep(stores: Stores, log: Log, rules: Settings | None, now: float | None = None) -> int:
    """Removes what has expired and is not held, which is written into the log first; how many objects that were."""
    now = time.time() if now is None else now
    due = stores.vault.due(now)
    if due:
        log.record(None, "expire", objects=due)
    if rules is not None:
        Sessions(stores.database, stores.vault, rules, log).sweep(now)
    sharing.drop_remnants(stores.vault, now)
    return stores.vault.sweep(now)
