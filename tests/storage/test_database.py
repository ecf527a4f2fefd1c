"""The database: transactions lose nothing between processes, and its failures are sentences."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import func, insert, inspect, select, update
from sqlalchemy.exc import IntegrityError

from core.errors import UserFacingError
from storage.database import Database, lock
from storage.stores import Stores
from storage.tables import COUNTERS, LOG, METADATA

ROOT = Path(__file__).parents[2]
WRITERS, EVENTS = 4, 60


@pytest.fixture
def database(stores: Stores) -> Database:
    return stores.database


def embedded(folder: Path) -> Database:
    return Database(f"sqlite:///{folder / 'assay.db'}")


def count(database: Database) -> int:
    with database.reading() as connection:
        return connection.execute(select(func.count()).select_from(LOG)).scalar_one()


def entry(number: int) -> dict[str, object]:
    return {"number": number, "entry": "e", "digest": "d"}


def test_the_tables_are_there(database: Database) -> None:
    assert set(inspect(database._engine).get_table_names()) >= METADATA.tables.keys()


def test_a_transaction_is_done_whole_or_not_at_all(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(insert(LOG).values(entry(1)))
    with pytest.raises(ZeroDivisionError), database.writing() as connection:
        connection.execute(insert(LOG).values(entry(2)))
        raise ZeroDivisionError
    with pytest.raises(IntegrityError), database.writing() as connection:
        connection.execute(insert(LOG).values(entry(3)))
        connection.execute(insert(LOG).values(entry(1)))
    assert count(database) == 1


_WRITER = """
import sys
from sqlalchemy import func, insert, select
from storage.database import lock
from storage.stores import stores
from storage.tables import LOG
database = stores().database
print("open", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[1])):
    with database.writing() as connection:
        lock(connection, "log")
        last = connection.execute(select(func.max(LOG.c.number))).scalar_one() or 0
        connection.execute(insert(LOG).values(number=last + 1, entry="e", digest="d"))
"""


def test_processes_that_start_and_write_at_once_lose_nothing(database: Database) -> None:
    """Each reads the last number and writes the next; without the lock they would write the same one."""
    line = [sys.executable, "-c", _WRITER, str(EVENTS)]
    running = [subprocess.Popen(line, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(WRITERS)]
    for each in running:
        assert each.stdout.readline() == b"open\n"
    for each in running:
        each.stdin.write(b"go\n")
        each.stdin.flush()
    for each in running:
        each.communicate()
        assert each.returncode == 0
    with database.reading() as connection:
        numbers = list(connection.execute(select(LOG.c.number).order_by(LOG.c.number)).scalars())
    assert numbers == list(range(1, WRITERS * EVENTS + 1))


def test_processes_that_open_a_new_store_at_once_share_one_key(tmp_path: Path) -> None:
    line = "from storage.stores import stores; import sys; sys.stdout.write(stores().vault._index.hex())"
    environment = {"ASSAY_HOME": str(tmp_path / "home"), "PATH": ""}
    running = [
        subprocess.Popen([sys.executable, "-c", line], cwd=ROOT, env=environment, stdout=subprocess.PIPE)
        for _ in range(WRITERS)
    ]
    found = {each.communicate()[0] for each in running}
    assert [each.returncode for each in running] == [0] * WRITERS
    assert len(found) == 1
    assert len((tmp_path / "home.keys").read_text().split()) == 1


def test_threads_count_without_losing_one(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(insert(COUNTERS).values(name="n", amount=0, since=0.0))

    def add() -> None:
        for _ in range(20):
            with database.writing() as connection:
                lock(connection, "n")
                amount = connection.execute(select(COUNTERS.c.amount)).scalar_one()
                connection.execute(update(COUNTERS).values(amount=amount + 1))

    threads = [threading.Thread(target=add) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.reading() as connection:
        assert connection.execute(select(COUNTERS.c.amount)).scalar_one() == 100


def test_a_writer_within_a_writer_is_a_defect_and_not_a_wait(database: Database) -> None:
    with database.writing(), pytest.raises(RuntimeError, match="wait for itself"), database.writing():
        pass
    with database.writing(), database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(LOG)).scalar_one() == 0
    with database.writing():
        pass


def test_readers_go_on_while_one_writes(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(insert(LOG).values(entry(1)))
        assert count(database) == 0
    assert count(database) == 1


# --- failures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://host/name", "sqlite://", "postgresql+nodriver://h/n"])
def test_an_address_that_is_none_is_told(url: str) -> None:
    with pytest.raises(UserFacingError, match="The database cannot be opened. ASSAY_DATABASE is no address"):
        Database(url)


def test_an_unreachable_server_is_told_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(UserFacingError, match="The database cannot be used. It says: ") as caught:
        Database(f"postgresql+psycopg://user:s3cret@/name?host={tmp_path}")
    assert "s3cret" not in str(caught.value)


def test_a_place_that_is_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserFacingError, match="There is no place for the evidence. .*Not a directory|File exists"):
        embedded(tmp_path / "file")


def test_a_damaged_file_is_told_and_left_as_it_is(tmp_path: Path) -> None:
    place = tmp_path / "assay.db"
    place.write_bytes(b"this is no database" * 100)
    with pytest.raises(UserFacingError, match="The database cannot be read. Its file is damaged"):
        embedded(tmp_path)
    assert place.read_bytes() == b"this is no database" * 100


def test_a_full_disk_is_told_and_nothing_is_written(tmp_path: Path) -> None:
    """SQLite's own limit to a file's size gives its own error for a full disk."""
    database = embedded(tmp_path)
    told = pytest.raises(UserFacingError, match="Nothing could be written. The database's disk is full")
    with told, database.writing() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        connection.execute(insert(LOG).values(number=1, entry="e" * 200_000, digest="d"))
    assert count(database) == 0


def test_a_database_that_others_keep_busy_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.database._BUSY_MS", 50)
    one, other = embedded(tmp_path), embedded(tmp_path)
    told = pytest.raises(UserFacingError, match="did not answer in time. Others keep it busy")
    with one.writing(), told, other.writing():
        pass
    with other.writing() as connection:
        connection.execute(insert(LOG).values(entry(1)))
    assert count(one) == 1


def test_settling_empties_the_log_and_waits_for_no_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.database._SETTLE_MS", 20)
    database = embedded(tmp_path)
    log = tmp_path / "assay.db-wal"
    with database.writing() as connection:
        connection.execute(insert(LOG).values(entry(1)))
    with database.reading() as connection:
        connection.execute(select(LOG)).all()
        with database.writing() as writer:
            writer.execute(insert(LOG).values(entry(2)))
        started = time.monotonic()
        database.settle()
        assert time.monotonic() - started < 10
        assert log.stat().st_size > 0
    database.settle()
    assert log.stat().st_size == 0
    assert count(database) == 2


def test_deleted_content_is_overwritten(tmp_path: Path) -> None:
    database = embedded(tmp_path)
    with database.writing() as connection:
        connection.execute(insert(LOG).values(number=1, entry="once-written", digest="d"))
    database.settle()
    assert b"once-written" in (tmp_path / "assay.db").read_bytes()
    with database.writing() as connection:
        connection.execute(LOG.delete())
    database.settle()
    assert not [path for path in tmp_path.iterdir() if b"once-written" in path.read_bytes()]
