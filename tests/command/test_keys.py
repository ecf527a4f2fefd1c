"""The commands on keys, as they are run."""

import argparse
import time
from pathlib import Path

import pytest
from sqlalchemy import update

from command import keys
from core.errors import UserFacingError
from reports.verifying import Trust, fingerprint
from storage.stores import Stores
from storage.tables import VAULT_OBJECTS


def run(*words: str) -> None:
    door = argparse.ArgumentParser()
    keys.add_to(door.add_subparsers(dest="command"))
    keys.run(door.parse_args(["keys", *words]))


def test_a_rotation_says_what_it_did(stores: Stores, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stores.vault.put("note", "a", b"text")
    before = (tmp_path / "home.keys").read_bytes()
    run("rotate")
    assert capsys.readouterr().out == "There is a new key. It took the old one's place over 4 keys of the store.\n"
    assert (tmp_path / "home.keys").read_bytes() != before
    assert stores.vault.get("note", "a") == b"text"


def test_a_check_names_what_is_damaged(stores: Stores, capsys: pytest.CaptureFixture[str]) -> None:
    for name in "ab":
        stores.vault.put("note", name, b"text")
    run("check")
    assert capsys.readouterr().out == "The key file is the right one, and every object can be read.\n"
    stores.vault._blobs.remove(stores.vault._row("note", "a").blob)
    with pytest.raises(UserFacingError, match="Objects are damaged: 1. They are named above"):
        run("check")
    assert capsys.readouterr().out == "The note a cannot be read. Its file is no longer in the store.\n"
    run("check", "--remove")
    assert "Damaged objects removed: 1. Those under legal hold stay." in capsys.readouterr().out
    run("check")
    assert stores.vault.names("note") == ["b"]


def test_a_check_tells_of_an_object_whose_name_is_damaged(stores: Stores, capsys: pytest.CaptureFixture[str]) -> None:
    stores.vault.put("note", "a", b"text")
    with stores.database.writing() as connection:
        connection.execute(update(VAULT_OBJECTS).values(label=b"no name"))
    with pytest.raises(UserFacingError, match="Objects are damaged: 1"):
        run("check")
    assert capsys.readouterr().out == "The note of unknown name cannot be read. Its name was changed or damaged.\n"


def test_a_sweep_says_how_many(stores: Stores, capsys: pytest.CaptureFixture[str]) -> None:
    stores.vault.put("note", "a", b"text", expires=time.time() - 1)
    stores.vault.put("note", "b", b"text", expires=time.time() + 60)
    run("sweep")
    assert capsys.readouterr().out == "Objects that had expired and were removed: 1.\n"
    assert stores.vault.names("note") == ["b"]


def test_a_command_must_be_named() -> None:
    with pytest.raises(SystemExit):
        run()


def test_the_certificate_is_handed_out(stores: Stores, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same one each time, with the fingerprint that people compare, and without a secret."""
    for name in ("first.pem", "second.pem"):
        run("certificate", "--out", str(tmp_path / name))
    said, body = capsys.readouterr().out.splitlines(), (tmp_path / "first.pem").read_bytes()
    assert said[0] == said[1] == f"SHA-256 fingerprint: {fingerprint(Trust.read(body).ders[0])}"
    assert body == (tmp_path / "second.pem").read_bytes()
    assert len(Trust.read(body).keys) == 2 and b"PRIVATE" not in body
    with pytest.raises(UserFacingError, match="could not be written"):
        run("certificate", "--out", str(tmp_path / "nowhere" / "signer.pem"))
