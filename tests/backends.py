"""The two places to keep things that tests run on: embedded, and PostgreSQL with an S3 store of the tests' own."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from urllib.parse import quote

import pytest

from storage.stores import Stores, close_stores, stores

BACKENDS = ("embedded", "outgrown")
_NUMBERS = count()
_SECONDS = 30
_BUCKET = "assay"


class Outgrown:
    """A PostgreSQL and an S3 server of this test process; `data` is PostgreSQL's folder."""

    def __init__(self, data: Path, endpoint: str) -> None:
        self.data = data
        self._reach = {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        self._make_bucket()

    def environment(self) -> dict[str, str]:
        """The settings for a fresh schema and a fresh prefix; a child process that has them shares both."""
        import psycopg

        name = f"test{next(_NUMBERS)}"
        with psycopg.connect(f"host={self.data.parent} user=assay dbname=postgres") as connection:
            connection.execute(f"CREATE SCHEMA {name}")
        where = f"host={quote(str(self.data.parent))}&options={quote(f'-csearch_path={name}')}"
        database = f"postgresql+psycopg://assay@/postgres?{where}"
        return self._reach | {"ASSAY_DATABASE": database, "ASSAY_STORE": f"s3://{_BUCKET}/{name}"}

    def _make_bucket(self) -> None:
        import boto3

        client = boto3.client(
            "s3",
            endpoint_url=self._reach["AWS_ENDPOINT_URL"],
            aws_access_key_id=self._reach["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self._reach["AWS_SECRET_ACCESS_KEY"],
            region_name=self._reach["AWS_DEFAULT_REGION"],
        )
        client.create_bucket(Bucket=_BUCKET)


@contextmanager
def outgrown_servers() -> Iterator[Outgrown]:
    """Starts both servers, and ends them."""
    from moto.server import ThreadedMotoServer

    with _postgresql() as data:
        moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        moto.start()
        host, port = moto.get_host_and_port()
        try:
            yield Outgrown(data, f"http://{host}:{port}")
        finally:
            moto.stop()


@contextmanager
def opened(environment: dict[str, str], home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stores]:
    """The stores that these settings name, with their home in a folder; closed afterwards."""
    for name in ("ASSAY_DATABASE", "ASSAY_STORE", "ASSAY_KEYS", "ASSAY_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"ASSAY_HOME": str(home), **environment}.items():
        monkeypatch.setenv(name, value)
    try:
        yield stores()
    finally:
        close_stores()


@contextmanager
def _postgresql() -> Iterator[Path]:
    """A PostgreSQL server that keeps nothing; its data's folder, beside which its socket lies."""
    folder = Path(tempfile.mkdtemp(prefix="assay-pg-"))
    who = _who(folder)
    try:
        data = folder / "data"
        made = [_program("initdb"), "-D", data, "-U", "assay", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"]
        subprocess.run(made, check=True, capture_output=True, cwd=folder, **who)
        quiet = [f"unix_socket_directories={folder}", "listen_addresses=", "fsync=off", "max_connections=200"]
        options = [word for each in quiet for word in ("-c", each)]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                [_program("postgres"), "-D", data, *options], cwd=folder, stdout=log, stderr=log, **who
            )
        try:
            _wait_for(folder / ".s.PGSQL.5432", server)
            yield data
        finally:
            server.terminate()  # it would wait for clients that are still connected; the tests are over
            try:
                server.wait(5)
            except subprocess.TimeoutExpired:
                server.send_signal(3)  # SIGQUIT: at once
                server.wait(_SECONDS)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _who(folder: Path) -> dict[str, object]:
    """PostgreSQL refuses to run as root; then it runs as the user that its package made, else as nobody."""
    import pwd

    if os.getuid() != 0:
        return {}
    known = {each.pw_name: each for each in pwd.getpwall()}
    user = known.get("postgres") or known["nobody"]
    os.chown(folder, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _program(name: str) -> str:
    """PostgreSQL's own programs; Debian keeps them out of the path."""
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda each: int(each.parts[-3]))
    found = str(versions[-1]) if versions else shutil.which(name)
    if found is None:
        pytest.fail(f"{name} of PostgreSQL is not installed; install Debian's package postgresql", pytrace=False)
    return found


def _wait_for(place: Path, server: subprocess.Popen) -> None:
    until = time.monotonic() + _SECONDS
    while time.monotonic() < until and server.poll() is None:
        with socket.socket(socket.AF_UNIX) as probe:
            if place.exists() and probe.connect_ex(str(place)) == 0 and _answers(place.parent):
                return
        time.sleep(0.05)
    pytest.fail(f"PostgreSQL did not start: {(place.parent / 'log').read_text()}", pytrace=False)


def _answers(folder: Path) -> bool:
    import psycopg

    try:
        psycopg.connect(f"host={folder} user=assay dbname=postgres").close()
    except psycopg.OperationalError:
        return False
    return True
