"""The vault: what goes in comes out, damage is named and never passed on, and nothing is removed that may not be."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update

from core.errors import UserFacingError
from storage.database import Database
from storage.keys import LackingKey
from storage.sealing import CHUNK
from storage.stores import Stores, close_stores
from storage.stores import stores as open_stores
from storage.tables import VAULT_OBJECTS
from storage.vault import Damaged, Held, Item, Missing, Taken, Vault

ROOT = Path(__file__).parents[2]
MARKER = b"known-plaintext-7f3a"
DAY = 86400.0


@pytest.fixture
def vault(stores: Stores) -> Vault:
    return stores.vault


def rows(stores: Stores) -> list[tuple]:
    with stores.database.reading() as connection:
        return list(connection.execute(select(VAULT_OBJECTS).order_by(VAULT_OBJECTS.c.slot)).tuples())


def blob(stores: Stores, kind: str, name: str) -> str:
    """The name of an object's blob."""
    return stores.vault._row(kind, name).blob


def raw(stores: Stores, name: str) -> bytes:
    with stores.vault._blobs.open(name) as file:
        return file.read(1 << 30)


def rewrite(stores: Stores, name: str, body: bytes) -> None:
    stores.vault._blobs.remove(name)
    stores.vault._blobs.write(name, [body])


def blobs(stores: Stores) -> list[str]:
    return sorted(name for name, _ in stores.vault._blobs.listed())


# --- putting and getting ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, CHUNK, 2 * CHUNK + 1])
def test_what_is_put_comes_out(vault: Vault, size: int) -> None:
    body = os.urandom(size)
    vault.put("note", "whole", body)
    vault.put("note", "pieces", (body[start : start + 70_000] for start in range(0, size, 70_000)))
    assert vault.get("note", "whole") == vault.find("note", "pieces") == body
    assert vault.about("note", "pieces").size == size
    assert vault.check() == []


def test_another_process_sees_it(stores: Stores) -> None:
    stores.vault.put("note", "é / ü", b"text", team="t")
    close_stores()
    again = open_stores()
    assert again.vault is not stores.vault
    assert again.vault.get("note", "é / ü") == b"text"
    assert again.vault.names("note", "t") == ["é / ü"]


def test_what_is_not_there_is_told(vault: Vault) -> None:
    assert vault.find("note", "a") is None
    assert not vault.has("note", "a")
    for ask in (vault.get, vault.about, lambda kind, name: vault.hold(kind, name, True)):
        with pytest.raises(Missing, match="There is no note a"):
            ask("note", "a")


def test_kinds_do_not_meet(vault: Vault) -> None:
    vault.put("note", "a", b"note")
    vault.put("grant", "a", b"grant")
    assert (vault.get("note", "a"), vault.get("grant", "a")) == (b"note", b"grant")
    vault.remove("note", "a")
    assert not vault.has("note", "a")
    assert vault.names("grant") == ["a"]


def test_names_are_sorted_and_told_by_team(vault: Vault) -> None:
    for name, team in [("b", "x"), ("a", "x"), ("c", "y"), ("d", "")]:
        vault.put("note", name, b"", team=team)
    assert vault.names("note") == ["a", "b", "c", "d"]
    assert vault.names("note", "x") == ["a", "b"]
    assert vault.names("note", "") == ["d"]
    assert vault.names("note", "z") == vault.names("grant") == []


def test_what_is_known_of_an_object(vault: Vault) -> None:
    before = time.time()
    vault.put("note", "a", b"12345", owner="somebody", expires=9e9)
    about = vault.about("note", "a")
    assert (about.name, about.size, about.owner, about.expires, about.held) == ("a", 5, "somebody", 9e9, False)
    assert before <= about.created <= time.time()


def test_usage_is_the_sum_of_a_persons_bytes(vault: Vault) -> None:
    vault.put_all([Item("note", "a", b"123", owner="p"), Item("grant", "b", b"4567", owner="p")])
    vault.put("note", "c", b"8" * 100, owner="q")
    assert vault.usage("p") == 7
    vault.put("note", "a", b"1", owner="p")
    assert vault.usage("p") == 5
    vault.remove("grant", "b")
    assert (vault.usage("p"), vault.usage("q"), vault.usage("nobody")) == (1, 100, 0)


def test_putting_again_replaces_and_leaves_no_blob(stores: Stores) -> None:
    stores.vault.put("note", "a", b"old")
    stores.vault.put("note", "a", b"new", team="t", owner="p")
    assert stores.vault.get("note", "a") == b"new"
    assert stores.vault.names("note", "t") == ["a"]
    assert blobs(stores) == [blob(stores, "note", "a")]


def test_all_are_put_or_none(stores: Stores) -> None:
    stores.vault.put("note", "b", b"old")
    before = rows(stores), blobs(stores)

    def breaks() -> Iterator[bytes]:
        yield b"x" * CHUNK
        raise ValueError("the reader failed")

    with pytest.raises(ValueError, match="the reader failed"):
        stores.vault.put_all([Item("note", "a", b"new"), Item("note", "b", breaks())])
    with pytest.raises(Taken, match="The note b is there already"):
        stores.vault.put_all([Item("note", "a", b"new"), Item("note", "b", b"new")], create=True)
    assert (rows(stores), blobs(stores)) == before
    stores.vault.put_all([Item("note", "a", b"new"), Item("note", "c", b"new")], create=True)
    assert stores.vault.names("note") == ["a", "b", "c"]


def test_of_many_who_create_one_name_one_succeeds(stores: Stores) -> None:
    outcomes: list[str] = []

    def create(number: int) -> None:
        try:
            stores.vault.put_all([Item("note", "only", b"%d" % number), Item("note", f"{number}", b"")], create=True)
            outcomes.append(str(number))
        except Taken:
            outcomes.append("taken")

    run_all([lambda number=number: create(number) for number in range(6)])
    assert outcomes.count("taken") == 5
    (winner,) = set(outcomes) - {"taken"}
    assert stores.vault.get("note", "only") == winner.encode()
    assert stores.vault.names("note") == sorted(["only", winner])


def test_readers_see_the_old_or_the_new_state(stores: Stores) -> None:
    bodies = {bytes([letter]) * (CHUNK + 1) for letter in b"abc"}
    stores.vault.put("note", "a", min(bodies))
    over = threading.Event()

    def write() -> None:
        for _ in range(4):
            for body in bodies:
                stores.vault.put("note", "a", body)
        over.set()

    def read() -> None:
        while not over.is_set():
            assert stores.vault.get("note", "a") in bodies

    run_all([write, read, read])
    assert len(blobs(stores)) == 1


def run_all(works: list[Callable[[], None]]) -> None:
    """Runs functions at once; the first failure is raised."""
    failures: list[BaseException] = []

    def run(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


_MEASURE = """
import resource, sys
from storage.stores import stores
vault = stores().vault
vault.put("note", "small", b"x")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
vault.put("note", "large", (bytes([i]) * (1 << 20) for i in range(96)))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.parametrize("stores", ["embedded"], indirect=True)
def test_a_stream_is_never_held_whole(stores: Stores) -> None:
    """96 MiB in pieces: the peak of memory grows by a few chunks."""
    done = subprocess.run([sys.executable, "-c", _MEASURE], cwd=ROOT, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 16
    assert stores.vault.about("note", "large").size == 96 << 20


# --- what lies on the disk -------------------------------------------------------------------------------------------


def test_nothing_lies_in_the_clear(stores: Stores, tmp_path: Path) -> None:
    word = MARKER.decode()
    stores.vault.put("note", f"name {word}", b"body " + MARKER, team=f"team {word}")
    sealed = stores.vault.seal(MARKER, "about")
    stores.vault.secret("test", lambda: MARKER)
    places = [path for path in tmp_path.rglob("*") if path.is_file()]
    kept = [path.read_bytes() for path in places] + [raw(stores, name) for name in blobs(stores)]
    kept += [sealed, repr(rows(stores)).encode()]
    assert len(places) > 1 or not stores.database.embedded
    assert not [body for body in kept if MARKER in body]


def test_equal_names_and_bodies_leave_nothing_equal(stores: Stores) -> None:
    stores.vault.put("note", "same", b"same", team="same")
    stores.vault.put("grant", "same", b"same")
    (first, second) = rows(stores)
    assert first[0] != second[0]
    assert first[2][8:] != second[2][8:]
    assert raw(stores, first[3])[64:] != raw(stores, second[3])[64:]


@pytest.mark.parametrize("stores", ["embedded"], indirect=True)
def test_folders_and_files_are_their_owners_alone(stores: Stores, tmp_path: Path) -> None:
    stores.vault.put("note", "a", b"text")
    home = tmp_path / "home"
    for path in [home, *home.rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
    assert (tmp_path / "home.keys").stat().st_mode & 0o777 == 0o400


@pytest.mark.parametrize("stores", ["embedded"], indirect=True)
def test_a_removed_objects_key_is_nowhere(stores: Stores, tmp_path: Path) -> None:
    stores.vault.put("note", "a", b"text")
    wrapped = stores.vault._row("note", "a").wrapped
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in files if wrapped in path.read_bytes()]
    stores.vault.remove("note", "a")
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and wrapped in path.read_bytes()]
    assert blobs(stores) == []


# --- damage ----------------------------------------------------------------------------------------------------------


def flip(body: bytes, position: int) -> bytes:
    return body[:position] + bytes([body[position] ^ 0x40]) + body[position + 1 :]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda body: flip(body, len(body) - 1), "Its file was changed or damaged"),
        (lambda body: flip(body, 100), "Its file was changed or damaged"),
        (lambda body: flip(body, 20), "Its file was changed or damaged"),
        (lambda body: body[:-1], "Its file is cut short"),
        (lambda body: body[: 88 + CHUNK + 17], "Its file is cut short"),
        (lambda body: b"", "Its file is cut short"),
        (lambda body: body + b"x", "Its file has more in it than was written"),
    ],
    ids=["last byte", "first chunk", "header", "cut", "cut at a chunk", "empty", "longer"],
)
def test_a_damaged_blob_is_named_and_left_as_it_is(stores: Stores, change: Callable[[bytes], bytes], says: str) -> None:
    stores.vault.put("note", "a", os.urandom(CHUNK + 100))
    stores.vault.put("note", "b", b"whole")
    name = blob(stores, "note", "a")
    damaged = change(raw(stores, name))
    rewrite(stores, name, damaged)
    before = rows(stores)
    with pytest.raises(Damaged) as caught:
        stores.vault.get("note", "a")
    assert str(caught.value) == (
        f"The note a cannot be read. {says}. "
        "Put back the store's last copy, or run python assay.py keys check --remove to remove what is damaged."
    )
    assert raw(stores, name) == damaged
    assert rows(stores) == before
    assert stores.vault.get("note", "b") == b"whole"
    assert [(kind, name) for kind, name, _ in stores.vault.check()] == [("note", "a")]


def swap_files(stores: Stores) -> None:
    names = blob(stores, "note", "a"), blob(stores, "note", "b")
    bodies = [raw(stores, name) for name in names]
    rewrite(stores, names[0], bodies[1])
    rewrite(stores, names[1], bodies[0])


def swap_columns(*columns: str) -> Callable[[Stores], None]:
    def swap(stores: Stores) -> None:
        places = [stores.vault._slot("note", name) for name in "ab"]
        found = [stores.vault._row("note", name)._mapping for name in "ab"]
        with stores.database.writing() as connection:
            table = VAULT_OBJECTS
            connection.execute(update(table).where(table.c.slot == places[0]).values(blob="none for a moment"))
            for place, other in ((places[1], found[0]), (places[0], found[1])):
                values = {column: other[column] for column in columns}
                connection.execute(update(table).where(table.c.slot == place).values(values))

    return swap


@pytest.mark.parametrize(
    ("swap", "says"),
    [
        (swap_files, "Its file belongs to another object"),
        (swap_columns("blob"), "Its file belongs to another object"),
        (swap_columns("blob", "wrapped"), "Its file belongs to another object"),
        (swap_columns("blob", "wrapped", "label", "size"), "Its file belongs to another object"),
    ],
    ids=["files", "blob names", "blob names and keys", "all but the slots"],
)
def test_swapped_objects_are_named(stores: Stores, swap: Callable[[Stores], None], says: str) -> None:
    stores.vault.put("note", "a", b"text of a")
    stores.vault.put("note", "b", b"text of b")
    swap(stores)
    for name in "ab":
        with pytest.raises(Damaged, match=f"The note {name} cannot be read. {says}"):
            stores.vault.get("note", name)
    assert len(stores.vault.check()) == 2


def test_swapped_keys_and_labels_are_named(stores: Stores) -> None:
    stores.vault.put("note", "a", b"text of a")
    stores.vault.put("note", "b", b"text of b")
    with stores.database.writing() as connection:
        label = stores.vault._row("note", "a").label
        connection.execute(update(VAULT_OBJECTS).values(label=label))
    assert stores.vault.names("note") == ["a"]
    with stores.database.writing() as connection:
        connection.execute(update(VAULT_OBJECTS).values(wrapped=stores.vault._row("note", "a").wrapped))
    assert stores.vault.get("note", "a") == b"text of a"
    with pytest.raises(Damaged, match="The note b cannot be read"):
        stores.vault.get("note", "b")
    with stores.database.writing() as connection:
        connection.execute(update(VAULT_OBJECTS).values(wrapped=b"no token"))
    with pytest.raises(Damaged, match="Its key was changed or damaged"):
        stores.vault.get("note", "a")


def spoil_name(stores: Stores, kind: str, name: str) -> None:
    here = VAULT_OBJECTS.c.slot == stores.vault._slot(kind, name)
    with stores.database.writing() as connection:
        connection.execute(update(VAULT_OBJECTS).where(here).values(label=b"no name"))


def test_a_damaged_name_hides_no_other_and_is_counted(stores: Stores) -> None:
    for name in "abc":
        stores.vault.put("note", name, b"text", team="ab" if name in "ab" else "c")
    assert stores.vault.nameless("note") == 0
    spoil_name(stores, "note", "a")
    assert stores.vault.names("note") == ["b", "c"]
    assert stores.vault.names("note", team="ab") == ["b"]
    assert [stores.vault.nameless("note", team) for team in (None, "ab", "c")] == [1, 1, 0]
    assert stores.vault.nameless("grant") == 0
    ((kind, name, error),) = stores.vault.check()
    assert (kind, name, error.what) == ("note", "", "The note of unknown name cannot be read")
    assert error.why == "Its name was changed or damaged"
    stores.vault.check(remove=True)
    assert (stores.vault.names("note"), stores.vault.nameless("note")) == (["b", "c"], 0)


def test_names_are_not_left_out_where_it_is_the_key_file_that_lacks_a_key(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(*_: object) -> None:
        raise LackingKey("The key file lacks a key", "It was taken out", "Put it back")

    stores.vault.put("note", "a", b"text")
    monkeypatch.setattr(stores.vault._keys, "sealing", lacking)
    for look in (stores.vault.names, stores.vault.nameless):
        with pytest.raises(LackingKey):
            look("note")


def test_a_missing_blob_is_named(stores: Stores) -> None:
    stores.vault.put("note", "a", b"text")
    stores.vault.put("note", "b", b"text")
    stores.vault._blobs.remove(blob(stores, "note", "a"))
    with pytest.raises(Damaged, match="Its file is no longer in the store"):
        stores.vault.get("note", "a")
    assert len(stores.vault.check()) == 1


def test_damaged_objects_are_removed_on_demand_but_not_held_ones(stores: Stores) -> None:
    for name in "abc":
        stores.vault.put("note", name, b"text")
    stores.vault.hold("note", "b", True)
    for name in "ab":
        rewrite(stores, blob(stores, "note", name), b"garbage")
    assert len(stores.vault.check(remove=True)) == 2
    assert stores.vault.names("note") == ["b", "c"]
    assert len(stores.vault.check()) == 1


def test_a_store_that_is_not_there_is_no_reason_to_remove(stores: Stores) -> None:
    """Settings that name another, empty store must not cost the database its rows."""
    stores.vault.put("note", "a", b"text")
    name = blob(stores, "note", "a")
    body = raw(stores, name)
    stores.vault._blobs.remove(name)
    with pytest.raises(UserFacingError, match="The store is empty. Its database knows of 1 objects"):
        stores.vault.check(remove=True)
    stores.vault._blobs.write(name, [body])
    assert stores.vault.get("note", "a") == b"text"


def test_a_full_disk_leaves_nothing_behind(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    stores.vault.put("note", "a", b"old")
    before = rows(stores), blobs(stores)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    if stores.database.embedded:
        monkeypatch.setattr(os, "fsync", full)
    else:
        monkeypatch.setattr("s3fs.core.S3File._upload_chunk", full)
    with pytest.raises(UserFacingError, match="Nothing could be kept. .* is full. Make room, then try again."):
        stores.vault.put("note", "a", b"new" * CHUNK)
    monkeypatch.undo()
    assert (rows(stores), blobs(stores)) == before
    assert stores.vault.get("note", "a") == b"old"


# --- removing, holding, expiring -------------------------------------------------------------------------------------


def test_removing_takes_rows_and_blobs_and_is_no_error_twice(stores: Stores) -> None:
    for name in "abc":
        stores.vault.put("note", name, b"text")
    stores.vault.remove("note", "a", "b", "never there")
    stores.vault.remove("note", "a")
    stores.vault.remove("note")
    assert stores.vault.names("note") == ["c"]
    assert blobs(stores) == [blob(stores, "note", "c")]


def test_what_is_held_is_neither_removed_nor_replaced_nor_swept(stores: Stores) -> None:
    stores.vault.put("note", "a", b"evidence", expires=1.0)
    stores.vault.put("note", "b", b"other")
    stores.vault.hold("note", "a", True)
    assert stores.vault.about("note", "a").held
    with pytest.raises(Held, match="The note a stays as it is. It is under legal hold"):
        stores.vault.remove("note", "b", "a")
    with pytest.raises(Held):
        stores.vault.put_all([Item("note", "b", b"new"), Item("note", "a", b"new")])
    assert stores.vault.sweep(time.time()) == 0
    assert (stores.vault.get("note", "a"), stores.vault.get("note", "b")) == (b"evidence", b"other")
    assert len(blobs(stores)) == 2
    stores.vault.hold("note", "a", False)
    assert stores.vault.sweep(time.time()) == 1
    assert stores.vault.names("note") == ["b"]


def test_a_sweep_takes_what_has_expired(stores: Stores) -> None:
    for name, expires in [("past", 99.0), ("now", 100.0), ("later", 100.5), ("never", None)]:
        stores.vault.put("note", name, b"", expires=expires)
    assert stores.vault.sweep(100.0) == 2
    assert stores.vault.names("note") == ["later", "never"]
    assert len(blobs(stores)) == 2


def test_a_sweep_takes_orphans_older_than_a_day(stores: Stores) -> None:
    stores.vault.put("note", "a", b"text")
    stores.vault._blobs.write("0" * 32, [b"left by a crash"])
    assert stores.vault.sweep(time.time()) == 0
    assert "0" * 32 in blobs(stores)
    stores.vault.sweep(time.time() + DAY + 60)
    assert blobs(stores) == [blob(stores, "note", "a")]
    assert stores.vault.get("note", "a") == b"text"


def test_a_row_that_is_gone_takes_the_object_with_it(stores: Stores) -> None:
    stores.vault.put("note", "a", b"text")
    with stores.database.writing() as connection:
        connection.execute(delete(VAULT_OBJECTS))
    assert stores.vault.find("note", "a") is None
    assert stores.vault.names("note") == []


# --- small values and secrets ----------------------------------------------------------------------------------------


def test_small_values_come_back_in_every_process(stores: Stores) -> None:
    sealed = stores.vault.seal(b"value", "session 1")
    close_stores()
    vault = open_stores().vault
    assert vault.unseal(sealed, "session 1") == b"value"
    for text, about in [
        (sealed, "session 2"),
        (flip(sealed, 3), "session 1"),
        (flip(sealed, 40), "session 1"),
        (b"", ""),
    ]:
        with pytest.raises(Damaged, match="A value in the database cannot be read"):
            vault.unseal(text, about)


def test_values_can_be_sealed_within_a_transaction(stores: Stores) -> None:
    close_stores()
    again = open_stores()
    with again.database.writing():
        assert again.vault.unseal(again.vault.seal(b"value", "x"), "x") == b"value"


def test_a_secret_is_made_once(stores: Stores) -> None:
    made: list[bytes] = []

    def make() -> bytes:
        made.append(os.urandom(16))
        return made[-1]

    found: list[bytes] = []
    others = [Vault(stores.database, stores.vault._blobs, stores.vault._keys._file.path) for _ in range(4)]
    run_all([lambda vault=vault: found.append(vault.secret("test", make)) for vault in others])
    assert len(made) == 1
    assert set(found) == set(made)
    close_stores()
    assert open_stores().vault.secret("test", make) == made[0]


def test_messages_of_a_vault_name_no_content(stores: Stores) -> None:
    stores.vault.put("note", "a", MARKER)
    rewrite(stores, blob(stores, "note", "a"), b"garbage")
    with pytest.raises(Damaged) as caught:
        stores.vault.get("note", "a")
    assert not re.search(MARKER.decode(), repr(caught.value) + repr(caught.value.__cause__))


def test_a_vault_over_foreign_blobs_is_refused(stores: Stores, tmp_path: Path) -> None:
    """A new database beside a vault that has objects: nothing is written."""
    stores.vault.put("note", "a", b"text")
    new = Database(f"sqlite:///{tmp_path / 'new.db'}")
    before = blobs(stores)
    with pytest.raises(UserFacingError, match="There are objects in it that its database knows nothing of"):
        Vault(new, stores.vault._blobs, tmp_path / "new.keys")
    assert not (tmp_path / "new.keys").exists()
    assert blobs(stores) == before
