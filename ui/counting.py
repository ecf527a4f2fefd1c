"""What the door counts in memory: refusals, so that nobody fills the log with them, and starts of a sign-in."""

import time
from collections import OrderedDict
from ipaddress import ip_address, ip_network

_QUIET = 10.0  # seconds between two entries in the log about the same refusals
_MINUTE = 60.0
_MOST = 10_000


class Refusals:
    """How often each was refused something since that was last written."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()

    def add(self, who: str, action: str) -> int:
        """Counts one more; how many an entry stands for that is to be written now, 0 where it is too early for one."""
        now = time.monotonic()
        many, earliest = self._waiting.pop((who, action), (0, now))
        write = now >= earliest
        self._waiting[who, action] = (0, now + _QUIET) if write else (many + 1, earliest)
        if len(self._waiting) > _MOST:
            self._waiting.popitem(last=False)
        return many + 1 if write else 0


class Starts:
    """At most so many sign-ins a minute are begun from one address; of IPv6 from one network of 64 bits."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._counts: dict[str, int] = {}
        self._until = 0.0

    def take(self, address: str) -> bool:
        """Counts one more from `address`; whether it is not too many. Beyond 10,000 addresses all count anew."""
        now = time.monotonic()
        if now >= self._until or len(self._counts) >= _MOST:
            self._counts, self._until = {}, now + _MINUTE
        place = _place(address)
        self._counts[place] = self._counts.get(place, 0) + 1
        return self._counts[place] <= self._most


def _place(address: str) -> str:
    try:
        return str(ip_network((address, 64), strict=False)) if ip_address(address).version == 6 else address
    except ValueError:
        return address
