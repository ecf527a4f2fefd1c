"""The stores of a process: opened once for each configuration, and found where the settings say."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import UserFacingError
from storage.database import Database
from storage.stores import Stores, close_stores
from storage.stores import stores as open_stores

ROOT = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in ("ASSAY_DATABASE", "ASSAY_STORE", "ASSAY_KEYS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "home"))
    yield tmp_path / "home"
    close_stores()


def test_without_settings_everything_is_at_home_but_the_keys(home: Path) -> None:
    open_stores().vault.put("note", "a", b"text")
    assert (home / "assay.db").is_file()
    assert len(list((home / "vault").glob("*/*"))) == 1
    assert [path.name for path in home.parent.iterdir() if path != home] == ["home.keys"]


def test_each_setting_moves_its_part(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_DATABASE", f"sqlite:///{tmp_path / 'other.db'}")
    monkeypatch.setenv("ASSAY_STORE", str(tmp_path / "blobs"))
    monkeypatch.setenv("ASSAY_KEYS", str(tmp_path / "secrets" / "keys"))
    open_stores().vault.put("note", "a", b"text")
    assert not home.exists()
    assert {path.name for path in tmp_path.iterdir()} >= {"other.db", "blobs", "secrets"}
    assert (tmp_path / "secrets" / "keys").stat().st_mode & 0o777 == 0o400


@pytest.mark.parametrize("place", ["home/keys", "home/vault/keys", "blobs/a/../keys"])
def test_a_key_file_among_the_data_is_refused(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("ASSAY_STORE", str(tmp_path / "blobs"))
    monkeypatch.setenv("ASSAY_KEYS", str(tmp_path / place))
    with pytest.raises(UserFacingError, match="The key file lies among what it is to protect"):
        open_stores()
    assert list(tmp_path.iterdir()) == []


def test_a_home_with_odd_letters_in_its_name_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "a b?c=d#é%20"))
    open_stores().vault.put("note", "a", b"text")
    close_stores()
    assert open_stores().vault.get("note", "a") == b"text"
    close_stores()


def test_one_is_opened_for_a_configuration(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Stores] = []
    threads = [threading.Thread(target=lambda: found.append(open_stores())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len({id(each) for each in found}) == 1
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "other"))
    assert open_stores() is not found[0]
    monkeypatch.setenv("ASSAY_HOME", str(home))
    assert open_stores() is found[0]


def test_what_could_not_be_opened_is_tried_again(home: Path) -> None:
    home.parent.joinpath("home").write_text("a file in its place")
    with pytest.raises(UserFacingError, match="There is no place for the evidence"):
        open_stores()
    home.unlink()
    assert open_stores().vault.names("note") == []


def test_both_backends_are_what_the_tests_think(stores: Stores, request: pytest.FixtureRequest) -> None:
    assert stores is open_stores()
    assert stores.database.embedded == ("embedded" in request.node.name)
    assert isinstance(stores.database, Database)


def test_no_server_library_is_loaded_for_the_embedded_store(home: Path) -> None:
    """Start-up stays fast: PostgreSQL's driver, fsspec and S3 wait until a setting asks for them."""
    heavy = ("psycopg", "fsspec", "s3fs", "boto3", "aiobotocore")
    script = f"import sys; from storage.stores import stores; stores(); print([n for n in {heavy} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
