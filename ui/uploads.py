"""Uploads as they come to the door: how large they may be, how many one person, and how much of them lies in memory.

Streamlit reads an upload whole and keeps it in memory as long as its page is open, before anything of ours sees it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from streamlit import config, runtime

from access.actions import allowed
from access.people import Person
from access.settings import Settings
from core.errors import UserFacingError

_MIB = 1 << 20
_ROWS = 21 * _MIB  # bytes that somebody who only asks about their own rows may send at once: 20 MiB and its wrapping


class Refusal(UserFacingError):
    """An upload that is not passed on; `status` is the answer's."""

    def __init__(self, status: int, what: str, why: str, remedy: str) -> None:
        super().__init__(what, why, remedy)
        self.status = status


def length(headers: Mapping[str, str]) -> int:
    """How many bytes an upload has. Raises Refusal where it does not say so.

    With Transfer-Encoding a web server passes over what Content-Length says.
    """
    said = headers.get("content-length", "")
    if "transfer-encoding" in headers or not (said.isascii() and said.isdigit() and len(said) < 16):
        raise Refusal(411, "This file was not taken", "Its size was not said before it", "Send it with Content-Length")
    return int(said)


def check(person: Person, rules: Settings, size: int) -> None:
    """Raises Refusal for an upload of `size` bytes that is too large for the person at any time."""
    largest = min(_largest(), rules.limits.upload_bytes)
    most = largest if allowed(person, "bring", rules.mfa.actions) else min(_ROWS, largest)
    if size > most:
        why = f"It has {_mib(size)}, and you may send {_mib(most)} at once"
        raise Refusal(413, "This file is too large", why, "Send a smaller one")


class Uploads:
    """The uploads of each person that are on their way or lie in memory, in this process."""

    def __init__(self) -> None:
        self._on_the_way: Counter[str] = Counter()
        self._pages: dict[str, str] = {}

    @contextmanager
    def room(self, person: Person, page: str, size: int) -> Iterator[None]:
        """Keeps room for an upload to `page` while it is passed on. Raises Refusal where the person's is used up."""
        most = 2 * _largest()
        if self._on_the_way[person.id] + self._lying(person) + size > most:
            why = f"With it your open pages would hold more than {_mib(most)}"
            raise Refusal(429, "This file was not taken", why, "Close pages that you have open, then send it again")
        self._pages[page] = person.id
        self._on_the_way[person.id] += size
        try:
            yield
        finally:
            self._on_the_way[person.id] -= size
            if not self._on_the_way[person.id]:
                del self._on_the_way[person.id]

    def _lying(self, person: Person) -> int:
        """The bytes of the person's files that open pages hold."""
        held = _held()
        self._pages = {page: who for page, who in self._pages.items() if page in held or who in self._on_the_way}
        return sum(held.get(page, 0) for page, who in self._pages.items() if who == person.id)


def _largest() -> int:
    """The largest file that Streamlit takes, in bytes."""
    return config.get_option("server.maxUploadSize") * _MIB


def _held() -> Mapping[str, int]:
    """The bytes of uploads that Streamlit holds, by the page session that they were sent to."""
    if not runtime.exists():
        return {}
    pages = list(runtime.get_instance().uploaded_file_mgr.file_storage.items())  # a copy: other threads change it
    return {page: sum(len(file.data) for file in list(files.values())) for page, files in pages}


def _mib(size: int) -> str:
    return f"{-(-size // _MIB):,} MiB"
