"""Assay as people share it: behind sign-in, with providers of the tests, and signing in without a browser."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from access.sessions import COOKIE
from tests.browser.harness import ROOT, free_port, running_app
from tests.providers.providers import SECRET, Somebody, mock

ROLES = {role: (f"assay-{role}",) for role in ("viewer", "auditor", "analyst", "admin")}
COOKIE_SECRET = "kN3vQ8zR1tY6wB4mX9cL2pH7sD5fG0jA"


@dataclass
class Hosted:
    """A running Assay. `providers` are the addresses of OpenID providers by name; `write` changes its settings file."""

    origin: str
    config: Path
    home: Path
    providers: Mapping[str, str]
    roles: Mapping[str, Sequence[str]] = field(default_factory=lambda: ROLES)

    @property
    def env(self) -> dict[str, str]:
        """What another process needs to open the same stores."""
        keys = str(self.home.with_name("assay.keys"))
        return {"ASSAY_HOME": str(self.home), "ASSAY_CONFIG": str(self.config), "ASSAY_KEYS": keys}

    def write(self, roles: Mapping[str, Sequence[str]] | None = None, sessions: str = "") -> None:
        """Writes the settings file; `sessions` are the lines of its [sessions]."""
        auth = [f'[auth]\nredirect_uri = "{self.origin}/oauth2callback"\ncookie_secret = "{COOKIE_SECRET}"']
        auth += [_provider(name, address) for name, address in self.providers.items()]
        given = "\n".join(f"{role} = {list(values)!r}" for role, values in (roles or self.roles).items())
        rest = f'[roles]\n{given}\n[mfa]\namr = ["mfa"]\nacr = ["urn:two"]\n[sessions]\n{sessions}\n'
        draft = self.config.with_suffix(".new")
        draft.write_text("\n".join([*auth, rest]), encoding="utf-8")
        draft.chmod(0o600)
        draft.replace(self.config)

    def signed_in(self, sub: str, provider: str = "mock") -> httpx.Client:
        """A client that signed in as that person at oidc-provider-mock."""
        client = httpx.Client(base_url=self.origin, timeout=30)
        sent = client.get("/auth/login", params={"provider": provider})
        back = client.post(sent.headers["location"], data={"sub": sub})
        done = client.get(back.headers["location"])
        assert done.status_code == 303 and COOKIE in client.cookies, done.text
        return client


@contextmanager
def hosted(
    folder: Path, people: Sequence[Somebody], others: Mapping[str, str] | None = None, port: int | None = None
) -> Iterator[Hosted]:
    """Assay on a port of this machine, with its home and log under `folder`, and oidc-provider-mock for `people`.

    `others` are further providers' addresses by name.
    """
    port = port or free_port()
    with mock(people) as address:
        providers = {"mock": address, **(others or {})}
        house = Hosted(f"http://localhost:{port}", folder / "assay.toml", folder / "home", providers)
        house.write()
        with running_app(ROOT / "app.py", house.home, folder / "app.log", house.env, port):
            yield house


def _provider(name: str, address: str) -> str:
    return (
        f'[auth.{name}]\ntitle = "{name.capitalize()}"\nclient_id = "assay"\nclient_secret = "{SECRET}"\n'
        f'server_metadata_url = "{address}/.well-known/openid-configuration"\nclient_kwargs = {{ prompt = "login" }}'
    )
