"""The commands on the log, each run as a person would; `verify` in a process that has nothing but the file."""

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from access.log import Log
from access.people import LOCAL
from command import log as log_command
from command import verify as verify_command
from core.errors import UserFacingError
from storage.stores import Stores, close_stores, stores

ROOT = Path(__file__).parents[2]
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stores:
    for name in ("ASSAY_DATABASE", "ASSAY_STORE", "ASSAY_KEYS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "home"))
    yield stores()
    close_stores()


@pytest.fixture
def door(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command; its exit status and what it printed."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    commands = parser.add_subparsers(dest="command")
    for each in (log_command, verify_command):
        each.add_to(commands)

    def run(*words: object) -> tuple[int, str]:
        args = parser.parse_args([str(word) for word in words])
        status = {"log": log_command, "verify": verify_command}[args.command].run(args)
        return status, capsys.readouterr().out

    return run


@pytest.fixture
def exported(home: Stores, door: Run, tmp_path: Path) -> Path:
    log = Log(home.database, home.vault)
    for turn in range(3):
        log.record(LOCAL, "question", turn=turn)
    assert door("log", "export", "--out", tmp_path / "log.jsonl") == (0, "")
    return tmp_path / "log.jsonl"


def test_an_export_verifies_and_says_that_it_was_made(exported, door):
    status, said = door("verify", "--log", exported)
    assert status == 0
    assert re.fullmatch(r"Verified: 4 entries from \S+ to \S+, head 4:\w{64}, signed at \S+ by the key .*\n", said)
    assert json.loads(exported.read_bytes().splitlines()[4])["entry"]["action"] == "export"
    assert exported.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in exported.parent.glob(".part-*")] == []


def test_the_head_and_the_key_are_as_verify_takes_them(exported, door):
    status, said = door("log", "head")
    assert status == 0
    status, verified = door("verify", "--log", exported, *said.split())
    assert status == 0
    assert "was not asked" not in verified
    other = said.split()
    other[3] = "ab" * 32
    assert door("verify", "--log", exported, *other)[0] == 1


def test_an_older_file_in_the_place_of_the_newer(exported, door, home):
    Log(home.database, home.vault).record(LOCAL, "view")
    noted = door("log", "head")[1].split()
    assert door("verify", "--log", exported)[0] == 0
    status, said = door("verify", "--log", exported, *noted)
    assert (status, "the end is cut off before entry 5" in said) == (1, True)


def test_a_changed_file_is_told_in_one_line(exported, door):
    exported.write_bytes(exported.read_bytes().replace(b'"turn":1', b'"turn":2'))
    status, said = door("verify", "--log", exported)
    assert (status, said) == (1, "Not verified: entry 2 was changed: its digest does not fit.\n")


@pytest.mark.parametrize("body", [b"", b"hello\n", b"\x00" * 100_000, b"{" * 100_000])
def test_a_file_that_is_no_log(door, tmp_path, body):
    (tmp_path / "no.jsonl").write_bytes(body)
    with pytest.raises(UserFacingError, match="This is no exported log"):
        door("verify", "--log", tmp_path / "no.jsonl")


def test_a_file_that_cannot_be_read(door, tmp_path):
    for place in (tmp_path / "missing.jsonl", tmp_path):
        with pytest.raises(UserFacingError, match="cannot be read"):
            door("verify", "--log", place)


@pytest.mark.parametrize(
    "words",
    [["--trust", "abc"], ["--trust", "AB" * 32], ["--head", "3"], ["--head", "-1:" + "a" * 64], ["--head", "3:abc"]],
)
def test_flags_that_cannot_be_read(door, exported, words):
    with pytest.raises(SystemExit):
        door("verify", "--log", exported, *words)


def test_the_log_is_checked_where_it_lies(exported, door, home):
    status, said = door("log", "check")
    assert (status, said.startswith("The log is whole: 4 entries, head 4:")) == (0, True)
    from sqlalchemy import text

    with home.database.writing() as connection:
        connection.execute(text("UPDATE log SET entry = replace(entry, 'local', 'elsie') WHERE number = 3"))
    assert door("log", "check") == (1, "Not verified: entry 3 was changed: its digest does not fit.\n")


def test_a_file_that_cannot_be_written(home, door, tmp_path):
    for place in (tmp_path / "nowhere" / "log.jsonl", tmp_path):
        with pytest.raises(UserFacingError, match="could not be written"):
            door("log", "export", "--out", place)
    assert [path.name for path in tmp_path.rglob(".part-*")] == []


SCRIPT = """
import argparse, socket, sys
from command import verify

def never(*_given, **_named):
    raise AssertionError("a connection was made")

socket.socket = never
parser = argparse.ArgumentParser()
verify.add_to(parser.add_subparsers())
status = verify.run(parser.parse_args(["verify", "--log", sys.argv[1]]))
heavy = {"sqlalchemy", "storage", "engine", "numpy", "streamlit", "fsspec", "cryptography", "opentelemetry"}
print(status, sorted(heavy & {name.split(".")[0] for name in sys.modules}))
"""


def test_verify_needs_nothing_but_the_file(exported, tmp_path):
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "ASSAY_HOME": "/nowhere"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, exported], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[1:] == ["0 []"], done.stderr
