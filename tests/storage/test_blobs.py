"""Places for blobs: a folder, and any store of fsspec."""

import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import UserFacingError
from storage.blobs import Blobs, Bucket, Folder, blobs_at
from tests.backends import Outgrown

NAMES = ["0a" + "0" * 30, "0b" + "0" * 30, "ff" + "0" * 30]


@pytest.fixture(params=["folder", "memory", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Blobs:
    if request.param == "folder":
        return blobs_at(str(tmp_path / "vault"))
    if request.param == "memory":
        return blobs_at(f"memory:/{tmp_path}")
    outgrown: Outgrown = request.getfixturevalue("outgrown")
    environment = outgrown.environment()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return blobs_at(environment["ASSAY_STORE"])


def read(blobs: Blobs, name: str) -> bytes:
    with blobs.open(name) as file:
        return file.read(1 << 30)


def test_blobs_come_back_and_go(blobs: Blobs) -> None:
    assert list(blobs.listed()) == []
    for name in NAMES:
        blobs.write(name, [b"first ", b"", name.encode()])
    assert [read(blobs, name) for name in NAMES] == [b"first " + name.encode() for name in NAMES]
    found = dict(blobs.listed())
    assert sorted(found) == NAMES
    assert all(abs(time.time() - written) < 60 for written in found.values())
    blobs.remove(NAMES[0])
    blobs.remove(NAMES[0])
    assert sorted(name for name, _ in blobs.listed()) == NAMES[1:]
    with pytest.raises(FileNotFoundError):
        read(blobs, NAMES[0])


def test_large_blobs_are_read_part_by_part(blobs: Blobs) -> None:
    parts = [bytes([i]) * (1 << 20) for i in range(18)]
    blobs.write(NAMES[0], parts)
    with blobs.open(NAMES[0]) as file:
        assert all(file.read(1 << 20) == part for part in parts)
        assert file.read(1) == b""


def test_a_writer_that_fails_leaves_nothing(blobs: Blobs) -> None:
    def breaks() -> Iterator[bytes]:
        yield b"x" * (9 << 20)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        blobs.write(NAMES[0], breaks())
    assert list(blobs.listed()) == []


def test_addresses_lead_to_folders_and_stores(tmp_path: Path) -> None:
    for place in (str(tmp_path), f"file://{tmp_path}", f"local://{tmp_path}"):
        found = blobs_at(place)
        assert isinstance(found, Folder)
        found.write(NAMES[0], [place.encode()])
        assert (tmp_path / "0a" / NAMES[0]).read_bytes() == place.encode()
        found.remove(NAMES[0])
    assert isinstance(blobs_at("memory://x"), Bucket)


def test_a_folders_files_are_its_owners(tmp_path: Path) -> None:
    blobs_at(str(tmp_path / "vault")).write(NAMES[0], [b"x"])
    for place, mode in [("vault", 0o700), ("vault/0a", 0o700), (f"vault/0a/{NAMES[0]}", 0o600)]:
        assert stat.S_IMODE((tmp_path / place).stat().st_mode) == mode


def test_a_store_that_does_not_exist_is_told() -> None:
    with pytest.raises(UserFacingError, match="The store could not be used. nonsense://x says: "):
        blobs_at("nonsense://x")


def test_a_bucket_that_does_not_exist_is_told(outgrown: Outgrown, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in outgrown.environment().items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserFacingError, match="The store could not be used. s3://no-such-bucket/x says: "):
        blobs_at("s3://no-such-bucket/x").write(NAMES[0], [b"x"])


def test_a_server_that_does_not_answer_is_told(outgrown: Outgrown, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = outgrown.environment() | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    blobs = blobs_at("s3://assay/x")
    for act in (lambda: blobs.write(NAMES[0], [b"x"]), lambda: blobs.open(NAMES[0]), lambda: blobs.remove(NAMES[0])):
        with pytest.raises(UserFacingError, match="The store could not be used"):
            act()


def test_a_place_that_is_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    blobs = blobs_at(str(tmp_path / "file"))
    for act in (lambda: blobs.write(NAMES[0], [b"x"]), lambda: blobs.open(NAMES[0]), lambda: blobs.remove(NAMES[0])):
        with pytest.raises(UserFacingError, match="The store could not be used. .*Not a directory|File exists"):
            act()
