"""Keys: a wrong file is named and nothing overwritten; a rotation goes on beside others and after every stop."""

import hashlib
import os
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import select, update

from core.errors import UserFacingError
from storage import keys
from storage.database import Database
from storage.keys import KeyFile, Keyring
from storage.stores import Stores, close_stores
from storage.stores import stores as open_stores
from storage.tables import VAULT_KEYS, VAULT_OBJECTS, VAULT_SECRETS
from storage.vault import Vault


def key_file(stores: Stores) -> Path:
    return stores.vault._keys._file.path


def again() -> Stores:
    """The stores as a new process opens them."""
    close_stores()
    return open_stores()


def other(stores: Stores) -> Vault:
    """The vault as another process holds it."""
    return Vault(stores.database, stores.vault._blobs, key_file(stores))


def replace(path: Path, body: bytes) -> None:
    path.unlink()
    path.write_bytes(body)


def states(stores: Stores) -> dict[str, str]:
    with stores.database.reading() as connection:
        return dict(connection.execute(select(VAULT_KEYS.c.id, VAULT_KEYS.c.state)).tuples().all())


def used(stores: Stores) -> set[str]:
    """The ids of the keys that rows are wrapped by."""
    with stores.database.reading() as connection:
        found = connection.execute(select(VAULT_OBJECTS.c.key).union(select(VAULT_SECRETS.c.key)))
        return set(found.scalars())


def content(stores: Stores) -> object:
    """Everything that is kept, to see that nothing was overwritten."""
    with stores.database.reading() as connection:
        rows = [connection.execute(select(table)).all() for table in (VAULT_KEYS, VAULT_SECRETS, VAULT_OBJECTS)]
    return rows, sorted(stores.vault._blobs.listed())


# --- the file --------------------------------------------------------------------------------------------------------


def test_a_new_store_gets_one_key_that_its_owner_reads(stores: Stores, tmp_path: Path) -> None:
    path = key_file(stores)
    assert path == tmp_path / "home.keys"
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    (line,) = path.read_bytes().splitlines()
    assert states(stores) == {hashlib.sha256(line).hexdigest()[:16]: "current"}
    assert used(stores) == set(states(stores))


def test_a_key_file_that_is_there_already_is_used(stores: Stores, tmp_path: Path) -> None:
    """A home folder that was removed starts anew with the key that lies beside it."""
    mine = Fernet.generate_key()
    path = tmp_path / "mine.keys"
    path.write_bytes(mine + b"\n\n")
    Vault(Database(f"sqlite:///{tmp_path / 'new.db'}"), _NoBlobs(), path)
    assert path.read_bytes() == mine + b"\n\n"


class _NoBlobs:
    """A place without blobs."""

    def listed(self) -> list[tuple[str, float]]:
        return []


def test_a_key_file_is_never_put_over_another(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    KeyFile(path).create()
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        KeyFile(path).create()
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["keys"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda path: path.unlink(), "The key file is missing. There is no key in "),
        (lambda path: replace(path, b""), "The key file is missing. There is no key in "),
        (lambda path: replace(path, Fernet.generate_key()), "The key file is the wrong one. No key in "),
        (lambda path: replace(path, b"garbage\n"), "The key file cannot be read. .* holds a line that is no key"),
        (lambda path: replace(path, path.read_bytes()[:20]), "The key file cannot be read. .* a line that is no key"),
        (lambda path: (path.unlink(), path.mkdir()), "The key file cannot be read. .*Is a directory"),
    ],
    ids=["missing", "empty", "wrong", "garbage", "cut", "folder"],
)
def test_a_wrong_key_file_is_named_and_nothing_overwritten(
    stores: Stores, change: Callable[[Path], object], says: str
) -> None:
    stores.vault.put("note", "a", b"text")
    path, before = key_file(stores), content(stores)
    whole = path.read_bytes()
    change(path)
    left = path.read_bytes() if path.is_file() else None
    with pytest.raises(UserFacingError, match=says):
        again()
    assert (path.read_bytes() if path.is_file() else None) == left
    assert content(stores) == before
    path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
    path.write_bytes(whole)
    assert again().vault.get("note", "a") == b"text"


def test_an_older_key_file_is_named(stores: Stores) -> None:
    path = key_file(stores)
    old = path.read_bytes()
    stores.vault.put("note", "a", b"text")
    stores.vault.rotate()
    new = path.read_bytes()
    replace(path, old)
    before = content(stores)
    with pytest.raises(UserFacingError, match="The key file is an older one. .* lacks the newest key of this store"):
        again()
    assert content(stores) == before
    assert path.read_bytes() == old
    replace(path, new + old)
    assert again().vault.get("note", "a") == b"text"


def test_a_key_that_others_lack_is_told_and_nothing_written(stores: Stores) -> None:
    """A replica whose own copy of the key file did not get the new key."""
    path = key_file(stores)
    stores.vault.put("note", "a", b"text")
    replica = other(stores)
    old = path.read_bytes()
    stores.vault.rotate()
    replace(path, old)
    before = content(stores)[0]
    for ask in (lambda: replica.get("note", "a"), lambda: replica.put("note", "b", b""), lambda: replica.check(True)):
        with pytest.raises(UserFacingError, match="The key file lacks a key. .* Put back the key file"):
            ask()
    assert content(stores)[0] == before


def test_a_proof_that_was_changed_is_told(stores: Stores) -> None:
    with stores.database.writing() as connection:
        connection.execute(update(VAULT_KEYS).values(proof=Fernet(Fernet.generate_key()).encrypt(b"")))
    with pytest.raises(UserFacingError, match="The key file is the wrong one"):
        again()


# --- rotation --------------------------------------------------------------------------------------------------------


def test_a_rotation_leaves_one_new_key_and_everything_readable(stores: Stores) -> None:
    for name in "abc":
        stores.vault.put("note", name, name.encode())
    sealed, secret = stores.vault.seal(b"value", "x"), stores.vault.secret("test", lambda: b"secret")
    before, old = key_file(stores).read_bytes(), states(stores)
    shares: list[float] = []
    assert stores.vault.rotate(shares.append) >= 3
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    after = key_file(stores).read_bytes()
    assert len(after.split()) == 1
    assert after != before
    assert stat.S_IMODE(key_file(stores).stat().st_mode) == 0o400
    assert [states(stores)[key] for key in old] == ["retired"]
    assert used(stores) == {key for key, state in states(stores).items() if state == "current"}
    for vault in (stores.vault, again().vault):
        assert [vault.get("note", name) for name in "abc"] == [b"a", b"b", b"c"]
        assert vault.unseal(sealed, "x") == b"value"
        assert vault.secret("test", lambda: b"other") == secret
        assert vault.names("note") == ["a", "b", "c"]


def test_only_wrapped_keys_are_written_anew(stores: Stores) -> None:
    stores.vault.put("note", "a", b"text")
    before = sorted(stores.vault._blobs.listed())
    stores.vault.rotate()
    assert sorted(stores.vault._blobs.listed()) == before


def test_what_the_old_key_sealed_is_no_use_to_who_finds_it(stores: Stores) -> None:
    """After a rotation the old key opens neither an object's key nor a secret, and what is sealed has a new secret."""
    stores.vault.put("note", "a", b"text")
    old = Fernet(key_file(stores).read_bytes().strip())
    before = stores.vault.seal(b"", "")[:8]
    stores.vault.rotate()
    with stores.database.reading() as connection:
        wrapped = [row.wrapped for table in (VAULT_OBJECTS, VAULT_SECRETS) for row in connection.execute(select(table))]
    for token in wrapped:
        with pytest.raises(InvalidToken):
            old.decrypt(token)
    stores.vault.put("note", "b", b"")
    assert stores.vault.seal(b"", "")[:8] != before


def test_more_rows_than_a_batch_are_wrapped_anew(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_BATCH", 3)
    for number in range(10):
        stores.vault.put("note", f"{number}", b"%d" % number)
    assert stores.vault.rotate() >= 10
    assert [stores.vault.get("note", f"{number}") for number in range(10)] == [b"%d" % number for number in range(10)]


def test_who_holds_old_keys_goes_on(stores: Stores) -> None:
    stores.vault.put("note", "a", b"text")
    elsewhere = other(stores)
    for number in range(3):
        stores.vault.rotate()
        assert elsewhere.get("note", "a") == b"text"
        elsewhere.put("note", f"{number}", b"new")
        assert stores.vault.get("note", f"{number}") == b"new"
        assert stores.vault.unseal(elsewhere.seal(b"v", "x"), "x") == b"v"
        assert elsewhere.unseal(stores.vault.seal(b"v", "x"), "x") == b"v"
        assert elsewhere.secret(f"s{number}", lambda: b"s") == stores.vault.secret(f"s{number}", lambda: b"t")
    assert used(stores) == {key for key, state in states(stores).items() if state == "current"}


def test_puts_during_rotations_lose_nothing(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_BATCH", 4)
    over = threading.Event()
    kept: dict[str, bytes] = {}
    failures: list[BaseException] = []

    def put(vault: Vault, who: int) -> None:
        number = 0
        try:
            while not over.is_set() or number < 5:
                name, body = f"{who}-{number % 7}", os.urandom(30)
                vault.put("note", name, body)
                kept[name] = body
                assert vault.get("note", name) == body
                number += 1
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=put, args=(other(stores), who)) for who in range(3)]
    for thread in threads:
        thread.start()
    rotating = other(stores)
    for _ in range(5):
        rotating.rotate()
    over.set()
    for thread in threads:
        thread.join()
    assert failures == []
    vault = again().vault
    assert {name: vault.get("note", name) for name in vault.names("note")} == kept
    assert vault.check() == []


def test_a_rotation_waits_for_a_put_that_has_its_key(stores: Stores) -> None:
    """Between wrapping and its commit a put holds the key current; else it would end under a key that is gone."""
    wrap, wrapped = Keyring.wrap, threading.Event()

    def slow(ring: Keyring, *arguments: object) -> tuple[str, bytes]:
        done = wrap(ring, *arguments)
        wrapped.set()
        time.sleep(0.5)
        return done

    putting, rotating = other(stores), other(stores)
    putting._keys.wrap = slow.__get__(putting._keys)
    thread = threading.Thread(target=putting.put, args=("note", "a", b"text"))
    thread.start()
    wrapped.wait()
    rotating.rotate()
    thread.join()
    assert used(stores) == {key for key, state in states(stores).items() if state == "current"}
    assert again().vault.get("note", "a") == b"text"


def test_a_value_is_sealed_while_the_same_process_brings_a_new_key(stores: Stores, monkeypatch) -> None:
    """Before its commit a new key is nobody's: what is sealed meanwhile goes under the one before."""
    introduce, sealed = Keyring._introduce, []

    def introduced(ring: Keyring, *arguments: object) -> None:
        introduce(ring, *arguments)
        thread = threading.Thread(target=lambda: sealed.append(stores.vault.seal(b"value", "x")))
        thread.start()
        thread.join(20)

    monkeypatch.setattr(Keyring, "_introduce", introduced)
    stores.vault.rotate()
    assert [stores.vault.unseal(each, "x") for each in sealed] == [b"value"]


def test_two_rotations_at_once_end_with_one_key(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_BATCH", 2)
    for number in range(12):
        stores.vault.put("note", f"{number}", b"text")
    failures: list[BaseException] = []

    def rotate() -> None:
        try:
            other(stores).rotate()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=rotate) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(key_file(stores).read_bytes().split()) == 1
    assert list(states(stores).values()).count("current") == 1
    assert "retiring" not in states(stores).values()
    assert again().vault.check() == []


class Stop(BaseException):
    """What stands for kill -9 here."""


@pytest.mark.parametrize("after", ["add", "_introduce", "_rewrap", "_retire", "settle", "drop"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_rotation_stopped_at_any_step_is_taken_up_again(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, after: str, when: str
) -> None:
    monkeypatch.setattr(keys, "_BATCH", 1)
    for name in "abc":
        stores.vault.put("note", name, name.encode())
    where = KeyFile if after in ("add", "drop") else Keyring if after.startswith("_") else type(stores.database)
    step, first = getattr(where, after), key_file(stores).read_bytes()

    def stopped(*arguments: object) -> object:
        if when == "after":
            step(*arguments)
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(where, after, stopped)
        with pytest.raises(Stop):
            other(stores).rotate()
    vault = again().vault
    assert [vault.get("note", name) for name in "abc"] == [b"a", b"b", b"c"]
    vault.put("note", "d", b"d")
    vault.rotate()
    lines = key_file(open_stores()).read_bytes().split()
    assert len(lines) == 1
    assert lines[0] not in first
    assert [again().vault.get("note", name) for name in "abcd"] == [b"a", b"b", b"c", b"d"]
    assert "retiring" not in states(open_stores()).values()


def test_a_key_file_that_cannot_be_written_stops_the_rotation_before_it_begins(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores.vault.put("note", "a", b"text")
    before = content(stores)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(keys, "write_whole", full)
        with pytest.raises(UserFacingError, match="The key file cannot be written. .*No space left on device"):
            stores.vault.rotate()
    assert content(stores) == before
    assert again().vault.get("note", "a") == b"text"


def test_a_damaged_key_of_an_object_stops_the_rotation_and_can_be_removed(stores: Stores) -> None:
    for name in "ab":
        stores.vault.put("note", name, b"text")
    with stores.database.writing() as connection:
        place = VAULT_OBJECTS.c.slot == stores.vault._slot("note", "a")
        connection.execute(update(VAULT_OBJECTS).where(place).values(wrapped=b"damaged"))
    with pytest.raises(UserFacingError, match="The rotation stopped. An object's key was changed or damaged"):
        stores.vault.rotate()
    assert stores.vault.get("note", "b") == b"text"
    assert len(again().vault.check(remove=True)) == 1
    open_stores().vault.rotate()
    assert open_stores().vault.names("note") == ["b"]
    assert len(key_file(open_stores()).read_bytes().split()) == 1


def test_a_file_without_a_key_that_is_still_used_is_told_at_opening(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a rotation, and somebody takes the old key out of the file by hand."""
    stores.vault.put("note", "a", b"text")
    with monkeypatch.context() as patch:
        patch.setattr(Keyring, "_rewrap", lambda *_: (_ for _ in ()).throw(Stop))
        with pytest.raises(Stop):
            stores.vault.rotate()
    both = key_file(stores).read_bytes()
    replace(key_file(stores), both.splitlines()[0])
    with pytest.raises(UserFacingError, match="The key file lacks a key"):
        again()
    replace(key_file(stores), both)
    assert again().vault.get("note", "a") == b"text"
