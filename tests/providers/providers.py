"""Two OpenID providers without the internet: PyPI's oidc-provider-mock, and npm's certified oidc-provider."""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.browser.harness import free_port

_HERE = Path(__file__).parent
SECRET = "a secret of the tests"


@dataclass(frozen=True)
class Somebody:
    """A person at a provider: what a token says of them, and `since`, how many seconds ago they showed who they are."""

    sub: str
    roles: Sequence[str] = ()
    amr: Sequence[str] = ()
    acr: str = ""
    since: int = 0
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def claims(self) -> dict[str, Any]:
        """Those that every provider passes on; without roles there is no such claim."""
        name = {"name": self.sub.capitalize(), "email": f"{self.sub}@example.org", "email_verified": True}
        return name | ({"roles": list(self.roles)} if self.roles else {}) | self.more


@contextmanager
def mock(people: Sequence[Somebody]) -> Iterator[str]:
    """oidc-provider-mock in a thread; its address. It knows neither PKCE nor `auth_time`."""
    os.environ.setdefault("AUTHLIB_INSECURE_TRANSPORT", "1")
    from oidc_provider_mock import User, run_server_in_thread

    users = [User(sub=each.sub, claims={**each.claims, **_factors(each)}) for each in people]
    with run_server_in_thread(user_claims=users) as server:
        yield f"http://localhost:{server.server_port}"


@contextmanager
def certified(people: Sequence[Somebody], callback: str) -> Iterator[str]:
    """oidc-provider in a process of its own, sending people back to `callback`; its address. It insists on PKCE."""
    port = free_port()
    known = {each.sub: {"claims": each.claims, "since": each.since, **_factors(each)} for each in people}
    told = json.dumps({"port": port, "callback": callback, "people": known})
    if not (_HERE / "node_modules").is_dir():
        raise RuntimeError("The certified OpenID provider is not installed. Run `make browser`.")
    process = subprocess.Popen(["node", "provider.mjs", told], cwd=_HERE, stdout=subprocess.PIPE, text=True)
    try:
        if process.stdout is None or process.stdout.readline().strip() != "ready":
            raise RuntimeError("the certified OpenID provider did not start")
        yield f"http://localhost:{port}"
    finally:
        process.kill()
        process.wait()


def _factors(person: Somebody) -> dict[str, Any]:
    amr = {"amr": list(person.amr)} if person.amr else {}
    return amr | ({"acr": person.acr} if person.acr else {})
