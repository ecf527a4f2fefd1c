"""The app as it runs on a server, for measurements: with people who sign in at a provider beside it."""

import contextlib
import json
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.visitor import begin, sign_in

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class App:
    """A running app: its process and address. `signed_in`: whether people sign in."""

    process: subprocess.Popen[bytes]
    address: str
    signed_in: bool

    def cookies(self, name: str) -> dict[str, str]:
        """The cookies of `name`'s browser, signed in where people do."""
        return sign_in(self.address, "mock", name) if self.signed_in else begin(self.address)

    def memory(self) -> float:
        """The resident memory of the web process alone, in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def processor(self) -> float:
        """Seconds of processor time that the web process alone has used."""
        return sum(self._ticks()[:2]) / os.sysconf("SC_CLK_TCK")

    def others(self) -> float:
        """Seconds of processor time that this machine has used for anything but this app and this measurement."""
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
        busy = sum(map(int, fields[1:9])) - int(fields[4]) - int(fields[5])  # all but idle and waiting for a disk
        own = sum(self._ticks()) + sum(self.workers().values())
        return (busy - own) / os.sysconf("SC_CLK_TCK") - time.process_time()

    def _ticks(self) -> list[int]:
        """Clock ticks of the web process, in its code and in the kernel, then those of its workers that have ended."""
        return list(map(int, Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[11:15]))

    def workers(self) -> dict[int, int]:
        """Its workers: process id, and the processor time that each has used, in clock ticks."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == self.process.pid:
                    found[int(folder.name)] = int(fields[11]) + int(fields[12])
        return found


@contextlib.contextmanager
def running(people: Sequence[str]) -> Iterator[App]:
    """The app with an empty store and, where there are `people` to sign in, a provider who says they are analysts."""
    signed_in = bool(people)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        port = _free_port()
        host = "localhost" if signed_in else "127.0.0.1"
        address = f"http://{host}:{port}"
        settings = {"ASSAY_HOME": f"{folder}/home", "STREAMLIT_SERVER_PORT": str(port)}
        if signed_in:
            from oidc_provider_mock import run_server_in_thread

            logging.getLogger("werkzeug").setLevel(logging.WARNING)  # else it tells of every request
            provider = stack.enter_context(run_server_in_thread(user_claims=_people(people)))
            config = Path(folder, "assay.toml")
            config.touch(mode=0o600)
            config.write_text(_config(address, f"http://localhost:{provider.server_port}"), encoding="utf-8")
            settings["ASSAY_CONFIG"] = str(config)
        log = stack.enter_context(Path(folder, "log").open("wb"))
        process = stack.enter_context(_started(settings, log))
        _wait_for(address, process, Path(folder, "log"))
        yield App(process, address, signed_in)


def _people(names: Sequence[str]) -> list[object]:
    from oidc_provider_mock import User

    return [User(sub=name, claims={"email": name, "roles": ["analyst"]}) for name in names]


def _config(address: str, provider: str) -> str:
    """Settings with one provider; whoever signs in has the claim `roles: [analyst]`."""
    return f"""
[auth]
redirect_uri = {json.dumps(address + "/oauth2callback")}
cookie_secret = {json.dumps(secrets.token_urlsafe(48))}

[auth.mock]
title = "Mock"
client_id = "assay"
client_secret = "unused"
server_metadata_url = {json.dumps(provider + "/.well-known/openid-configuration")}

[roles]
claim = "roles"
analyst = ["analyst"]
"""


@contextlib.contextmanager
def _started(settings: dict[str, str], log: object) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true"],
        cwd=ROOT,
        env=os.environ | settings,
        start_new_session=True,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    import requests

    for _ in range(600):
        if process.poll() is not None:
            break
        with contextlib.suppress(requests.ConnectionError):
            if requests.get(f"{address}/_stcore/health", timeout=30).ok:
                return
        time.sleep(0.1)
    raise RuntimeError(f"the app did not start:\n{log.read_text()[-4000:]}")
