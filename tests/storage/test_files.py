"""Files that appear whole or not at all."""

import os
import stat
import threading
from pathlib import Path

import pytest

from storage.files import private_folder, write_whole


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_readers_never_see_half_a_file(tmp_path: Path) -> None:
    place = tmp_path / "file"
    bodies = [bytes([letter]) * 200_000 for letter in b"abcd"]
    write_whole(place, bodies[0])
    writers = [threading.Thread(target=_rewrite, args=(place, body)) for body in bodies]
    for thread in writers:
        thread.start()
    while any(thread.is_alive() for thread in writers):
        assert place.read_bytes() in bodies
    assert files(tmp_path) == ["file"]


def _rewrite(place: Path, body: bytes) -> None:
    for _ in range(20):
        write_whole(place, body)


def test_a_file_gets_the_rights_that_the_umask_leaves(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "shared", b"")
        write_whole(tmp_path / "private", b"", 0o600)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "shared").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "private").stat().st_mode) == 0o600


def test_an_interrupted_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "file"
    write_whole(place, b"old")

    def stop(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        write_whole(place, b"new")
    assert place.read_bytes() == b"old"
    assert files(tmp_path) == ["file"]


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device"):
        write_whole(tmp_path / "file", b"body")
    assert files(tmp_path) == []


def test_a_new_file_takes_the_place_of_none(tmp_path: Path) -> None:
    place = tmp_path / "file"
    write_whole(place, b"first", 0o400, new=True)
    with pytest.raises(FileExistsError):
        write_whole(place, b"second", 0o400, new=True)
    assert place.read_bytes() == b"first"
    assert stat.S_IMODE(place.stat().st_mode) == 0o400
    assert files(tmp_path) == ["file"]


def test_a_private_folder_is_its_owners_and_one_that_is_there_stays(tmp_path: Path) -> None:
    private_folder(tmp_path / "a" / "b")
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    (tmp_path / "a" / "b").chmod(0o755)
    private_folder(tmp_path / "a" / "b")
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o755
