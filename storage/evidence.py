"""The evidence store: an answer once computed is kept under its digest and never computed again."""

import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from core import codec
from core.digest import digest
from core.errors import UserFacingError
from core.nouns import MethodId, Query
from core.results import Result
from storage.vault import Damaged, Held, Item, Vault

_RESULT = "result"
_QUESTION = "question"
_MANY, _SMALL = 128, 1 << 17  # so many answers are kept unpacked, each to a question of at most so many bytes
_REMEDY = "Run python assay.py keys check --remove, then ask again"


def question_key(query: Query, method: MethodId) -> str:
    """The digest of a question: what is asked and how."""
    return digest(query.digest, method.digest)


class EvidenceStore:
    """Two kinds of objects in the vault: results by their digest, and questions, each naming its result."""

    def __init__(self, vault: Vault, lasting: float | None = None) -> None:
        """`lasting`: seconds after which an answer expires; None: it stays."""
        self._vault = vault
        self._lasting = lasting
        self._recent: OrderedDict[str, Result] = OrderedDict()
        self._lock = threading.Lock()

    def has(self, key: str) -> bool:
        """Whether the question `key` was answered and the answer is still there."""
        if key in self._recent:
            return self._vault.has(_QUESTION, _question(key))
        named = self.named(key)
        return named is not None and self.keeps(named)

    def named(self, key: str) -> str | None:
        """The digest of the result to the question `key`, which may have been removed; None: it was never computed."""
        body = self._vault.find(_QUESTION, _question(key))
        return None if body is None else body.decode(errors="replace")

    def keeps(self, result_digest: str) -> bool:
        """Whether the result of that digest is still there."""
        return self._vault.has(_RESULT, result_digest)

    def size(self, result_digest: str) -> int:
        """How many bytes that result takes. Raises Missing where there is none."""
        return self._vault.about(_RESULT, result_digest).size

    def answer(self, key: str) -> Result | None:
        """The stored answer to the question `key`; None: it was never computed, or its result was removed."""
        recent = self._recent.get(key)
        if recent is not None and self._vault.has(_QUESTION, _question(key)):
            return recent
        named = self.named(key)
        if named is None:
            return None
        result = self._found(named)
        if result is not None and question_key(result.query, result.method) != key:
            raise _mislabelled(_QUESTION, key)
        self._remember(key, result)
        return result

    def _remember(self, key: str, result: Result | None) -> None:
        """Keeps a small answer unpacked: a page that is drawn anew asks for the same few again and again."""
        with self._lock:
            self._recent.pop(key, None)
            if result is None or _weight(result.query) > _SMALL:
                return
            self._recent[key] = result
            while len(self._recent) > _MANY:
                self._recent.popitem(last=False)

    def result(self, result_digest: str) -> Result:
        """The result whose digest this is. Raises Missing where there is none, Damaged where it is not what it was."""
        return self._read(self._vault.get(_RESULT, result_digest), result_digest)

    def keep(self, key: str, result: Result) -> None:
        """Stores the answer to the question `key`, both at once or neither; what is under legal hold stays as it is."""
        self.keep_all({key: result})

    def keep_all(self, answers: Mapping[str, Result]) -> None:
        """Stores answers by their questions' keys, all at once or none; what is under legal hold stays as it is."""
        end = None if self._lasting is None else time.time() + self._lasting
        items = []
        for key, result in answers.items():
            named = result.digest.encode()
            items.append(Item(_RESULT, result.digest, codec.dump(result), expires=end))
            items.append(Item(_QUESTION, _question(key), named, team=result.query.model, expires=end))
        try:
            self._vault.put_all(items)
        except Held:
            self._vault.put_all(each for each in items if not self._is_held(each))

    def questions(self, model_digest: str) -> list[str]:
        """The keys of the questions that were asked about a model."""
        names = self._vault.names(_QUESTION, model_digest)
        return [name.removeprefix(_question("")) for name in names if name.startswith(_question(""))]

    def _is_held(self, item: Item) -> bool:
        return self._vault.has(item.kind, item.name) and self._vault.about(item.kind, item.name).held

    def _found(self, result_digest: str) -> Result | None:
        body = self._vault.find(_RESULT, result_digest)
        return None if body is None else self._read(body, result_digest)

    @staticmethod
    def _read(body: bytes, result_digest: str) -> Result:
        try:
            result = codec.load(body)
        except Exception as error:  # damage shows itself in more ways than can be listed
            raise Damaged(
                "A stored answer cannot be read", f"The result {result_digest} cannot be decoded", _REMEDY
            ) from error
        if result.digest != result_digest:
            raise _mislabelled(_RESULT, result_digest)
        return result


def move_old(folder: Path, store: EvidenceStore) -> int:
    """Moves the answers that version 0.2 kept in the clear in `folder` into the store. Returns how many.

    Those that cannot be read are dropped: what is asked again is computed again.
    """
    moved, shelves = 0, folder / codec.FORMAT
    for question in shelves.glob("questions/*/*"):
        with suppress(OSError, ValueError, UserFacingError):
            named = question.read_text()
            body = (shelves / "results" / named[:2] / named).read_bytes()
            store.keep(question.name, EvidenceStore._read(body, named))
            moved += 1
    shutil.rmtree(folder, ignore_errors=True)
    return moved


def _weight(query: Query) -> int:
    """The bytes of the rows that are asked about and compared with."""
    return query.rows.nbytes + (query.reference.rows.nbytes if query.reference else 0)


def _question(key: str) -> str:
    """A question's name; after a change of the format it is computed again."""
    return f"{codec.FORMAT}/{key}"


def _mislabelled(kind: str, name: str) -> Damaged:
    return Damaged("A stored answer is not what its name says", f"The {kind} {name} leads to another result", _REMEDY)
