"""The settings of a hosted Assay: the TOML file that ASSAY_CONFIG names. Without it nobody signs in.

The file is read again when it changes, so that a role taken away there is gone at the next request. What the web
server takes at its start ([auth]) counts from the next start.
"""

import ipaddress
import os
import re
import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from access.actions import ACTIONS, ROLES
from access.cookie_secret import MAKE, weakness
from access.section import Section, unusable
from core.errors import UserFacingError

CALLBACK = "/oauth2callback"
_MANUAL = "docs/access.md shows a whole file"
_TABLES = ("auth", "roles", "mfa", "sessions", "limits", "retention", "alerts", "signing")


_Numbers = TypeVar("_Numbers")


@dataclass(frozen=True)
class Provider:
    """One OpenID provider. `title` is what its button says; `authorize_params` go into the sign-in's address."""

    name: str
    title: str
    client_id: str
    client_secret: str = field(repr=False)
    server_metadata_url: str
    client_kwargs: Mapping[str, str] = field(default_factory=dict)
    authorize_params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Roles:
    """`values`: for each role the values of the claim `claim` that give it, compared exactly."""

    claim: str
    values: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Mfa:
    """Which values of `amr` or `acr` mean a second factor; `actions` need one beside those that always do."""

    amr: tuple[str, ...] = ()
    acr: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()


@dataclass(frozen=True)
class SessionRules:
    """How long a sign-in lasts at most, and how long without being used; seconds."""

    max_age: int = 8 * 3600
    idle: int = 1800


@dataclass(frozen=True)
class Limits:
    """Per person: bytes that may be uploaded and things exported within `seconds`, and bytes that may be kept."""

    upload_bytes: int = 4 << 30
    storage_bytes: int = 20 << 30
    exports: int = 60
    seconds: int = 3600


@dataclass(frozen=True)
class Retention:
    """After how many days what was computed, and what was brought, is deleted; None: it stays until it is removed."""

    results: int | None = None
    subjects: int | None = None


@dataclass(frozen=True)
class Alerts:
    """How many refusals, uploads and exports of one person within `seconds` are a burst, and whom to tell."""

    webhook: str = field(default="", repr=False)
    refusals: int = 10
    uploads: int = 20
    exports: int = 30
    seconds: int = 300


@dataclass(frozen=True)
class Signing:
    """What reports are signed with, where it is not a certificate of Assay's own: a PKCS#12 file, or a key in a token.

    `pkcs12` and `pkcs11` are paths, the latter that of the token's library, which knows `token` and `key` by these
    labels. `timestamp` is the address of an RFC 3161 service; it is sent a digest, and what it answers is signed.
    """

    pkcs12: str = ""
    password: str = field(default="", repr=False)
    pkcs11: str = ""
    token: str = ""
    key: str = ""
    pin: str = field(default="", repr=False)
    timestamp: str = ""

    def __post_init__(self) -> None:
        if self.pkcs12 and self.pkcs11:
            raise unusable("Reports would be signed by pkcs12 and by pkcs11", "Name one of the two")
        if self.pkcs11 and not (self.token and self.key):
            raise unusable("pkcs11 needs the labels of a token and of a key in it", "Name token and key too")
        if self.timestamp and not self.timestamp.startswith(("https://", "http://")):
            raise unusable("timestamp is not an address", "Write that of a service, with https:// or http:// before it")


@dataclass(frozen=True)
class Settings:
    """Everything that the file says."""

    redirect_uri: str
    cookie_secret: str = field(repr=False)
    providers: tuple[Provider, ...]
    roles: Roles
    mfa: Mfa = Mfa()
    sessions: SessionRules = SessionRules()
    limits: Limits = Limits()
    retention: Retention = Retention()
    alerts: Alerts = Alerts()
    signing: Signing = Signing()

    @property
    def secure(self) -> bool:
        """Whether people reach Assay by https, so that cookies may say so."""
        return self.origin.startswith("https://")

    @property
    def origin(self) -> str:
        """The address that people reach Assay at, without a path, as `plain_origin` writes it."""
        parts = urlsplit(self.redirect_uri)
        return plain_origin(f"{parts.scheme}://{parts.netloc}")

    def streamlit_auth(self) -> dict[str, Any]:
        """The `auth` section of Streamlit's secrets. Every sign-in is made with PKCE and asks for its age."""
        auth: dict[str, Any] = {"redirect_uri": self.redirect_uri, "cookie_secret": self.cookie_secret}
        return auth | {each.name: self._section(each) for each in self.providers}

    def _section(self, provider: Provider) -> dict[str, Any]:
        """One provider. Streamlit drops `max_age` and `acr_values` from client_kwargs without a word."""
        asked = {"max_age": str(self.sessions.max_age)}
        if self.mfa.acr:
            asked["acr_values"] = " ".join(self.mfa.acr)
        return {
            "client_id": provider.client_id,
            "client_secret": provider.client_secret,
            "server_metadata_url": provider.server_metadata_url,
            "client_kwargs": {**provider.client_kwargs, "code_challenge_method": "S256"},
            "authorize_params": asked | dict(provider.authorize_params),
        }


def plain_origin(origin: str) -> str:
    """An origin as browsers write it: in small letters, without the port that its scheme has anyway."""
    small = origin.lower()
    return small.removesuffix(":443" if small.startswith("https:") else ":80")


def settings() -> Settings | None:
    """What the file says now; None where ASSAY_CONFIG is not set. Raises UserFacingError where it cannot be used."""
    named = os.environ.get("ASSAY_CONFIG", "")
    if not named:
        return None
    path = Path(named)
    try:
        about = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from None
    if os.name == "posix" and about.st_mode & 0o077:
        raise unusable(
            f"Others on this machine may read {path}, and it holds the secrets of the sign-in",
            "Take that right away",
            f"chmod 600 {shlex.quote(str(path))}",
        )
    return _read(path, (about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns))


@lru_cache(maxsize=4)
def _read(path: Path, _stamp: tuple[int, ...]) -> Settings:
    """What `path` said when it had that stamp. Failures are not kept."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from None
    except tomllib.TOMLDecodeError as error:
        raise unusable(f"{path} is not TOML: {error}", _MANUAL) from None
    found = parsed(values)
    check(found)
    return found


def _unreadable(path: Path, error: Exception) -> UserFacingError:
    why = error.strerror if isinstance(error, OSError) and error.strerror else "it is not text in UTF-8"
    return unusable(f"ASSAY_CONFIG names {path}, which cannot be read: {why}", "Name a file that Assay may read")


def parsed(values: Mapping[str, Any]) -> Settings:
    """The settings of a file's tables. Refuses what is missing, of the wrong type or not known."""
    whole = Section("The file", values)
    whole.only(*_TABLES)
    auth = whole.section("auth", "[auth]")
    names = [key for key in auth.names() if key not in ("redirect_uri", "cookie_secret")]
    return Settings(
        redirect_uri=auth.text("redirect_uri"),
        cookie_secret=auth.text("cookie_secret"),
        providers=tuple(_provider(name, auth.section(name, f"[auth.{name}]")) for name in names),
        roles=_roles(whole.section("roles", "[roles]")),
        mfa=_mfa(whole.section("mfa", "[mfa]")),
        sessions=_numbers(SessionRules, whole.section("sessions", "[sessions]")),
        limits=_numbers(Limits, whole.section("limits", "[limits]")),
        retention=_retention(whole.section("retention", "[retention]")),
        alerts=_alerts(whole.section("alerts", "[alerts]")),
        signing=_signing(whole.section("signing", "[signing]")),
    )


def _provider(name: str, section: Section) -> Provider:
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        raise unusable(f"{name!r} is no name for a provider", "Call it by small letters, digits and hyphens")
    section.only(*(each.name for each in fields(Provider) if each.name != "name"))
    kwargs = section.pairs("client_kwargs")
    if dropped := {"max_age", "acr_values"} & kwargs.keys():
        raise unusable(
            f"{min(dropped)} in {section.place} client_kwargs would be ignored", "Write it under authorize_params"
        )
    return Provider(
        name=name,
        title=section.text("title", name.capitalize()),
        client_id=section.text("client_id"),
        client_secret=section.text("client_secret"),
        server_metadata_url=section.text("server_metadata_url"),
        client_kwargs=kwargs,
        authorize_params=section.pairs("authorize_params"),
    )


def _roles(section: Section) -> Roles:
    section.only("claim", *ROLES)
    return Roles(section.text("claim", "roles"), {role: section.texts(role) for role in ROLES})


def _mfa(section: Section) -> Mfa:
    section.only("amr", "acr", "actions")
    found = Mfa(section.texts("amr"), section.texts("acr"), section.texts("actions"))
    for action in found.actions:
        if action not in ACTIONS:
            raise unusable(f"{section.place} names the action {action!r}", f"Actions are: {', '.join(ACTIONS)}")
    return found


def _retention(section: Section) -> Retention:
    section.only("results", "subjects")
    return Retention(section.whole_or_none("results"), section.whole_or_none("subjects"))


def _alerts(section: Section) -> Alerts:
    known = [each.name for each in fields(Alerts)]
    section.only(*known)
    numbers = {name: section.whole(name, getattr(Alerts, name)) for name in known if name != "webhook"}
    return Alerts(webhook=section.text("webhook", ""), **numbers)


def _signing(section: Section) -> Signing:
    known = [each.name for each in fields(Signing)]
    section.only(*known)
    return Signing(**{name: section.text(name, "") for name in known})


def signing() -> Signing:
    """What reports are signed with: as the file says, without one as ASSAY_SIGN_PKCS12 and so on do."""
    found = settings()
    if found is not None:
        return found.signing
    return Signing(**{each.name: os.environ.get(f"ASSAY_SIGN_{each.name.upper()}", "") for each in fields(Signing)})


def _numbers(kind: type[_Numbers], section: Section) -> _Numbers:
    """A dataclass whose fields are all whole numbers with a default."""
    known = [each.name for each in fields(kind)]
    section.only(*known)
    return kind(**{name: section.whole(name, getattr(kind, name)) for name in known})


def check_start(found: Settings | None, address: str, trusted_headers: bool) -> None:
    """Refuses to start where people could get in who should not.

    `address` is what the server listens on ("" is everywhere), `trusted_headers` whether it takes who somebody is from
    headers of their request. Raises UserFacingError.
    """
    if trusted_headers:
        raise _refused(
            "server.trustedUserHeaders is set, and with it whoever reaches this port can say who they are",
            "Take server.trustedUserHeaders out of Streamlit's settings",
        )
    if found is not None:
        check(found)
    elif not is_loopback(address):
        raise _refused(
            f"It would listen on {address or 'every address'}, beyond this machine, and nobody would have to sign in",
            f"Listen on 127.0.0.1, or name a file with [auth] and [roles] in ASSAY_CONFIG ({_MANUAL})",
            "streamlit run app.py --server.address 127.0.0.1",
        )


def check(found: Settings) -> None:
    """Refuses settings under which a sign-in would be weak or lead nowhere. Raises UserFacingError."""
    if weak := weakness(found.cookie_secret):
        raise _refused(f"cookie_secret in [auth] can be guessed: it {weak}", "Make one at random", MAKE)
    if not _is_callback(found.redirect_uri):
        raise _refused(
            f"redirect_uri in [auth] is {found.redirect_uri!r}",
            f"Write the https address that people open, with {CALLBACK} at its end; http is only for localhost",
        )
    if not found.providers:
        raise _refused(
            "[auth] names no provider, so nobody could sign in", f"Add a table such as [auth.company]; {_MANUAL}"
        )
    for provider in found.providers:
        _check_address(provider.server_metadata_url, f"server_metadata_url in [auth.{provider.name}]")
    if unknown := found.roles.values.keys() - ROLES.keys():
        raise _refused(f"[roles] names the role {min(unknown)!r}", f"Roles are: {', '.join(ROLES)}")
    if not any(found.roles.values.values()):
        raise _refused(
            "[roles] gives no role to anybody, so whoever signs in could see nothing",
            f'Write which values of the claim give a role, such as analyst = ["assay-analyst"]; {_MANUAL}',
        )
    if found.alerts.webhook:
        _check_address(found.alerts.webhook, "webhook in [alerts]")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`, as far as its name says."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _is_callback(address: str) -> bool:
    return _is_safe(address) and urlsplit(address).path.endswith(CALLBACK) and not set("?#") & set(address)


def _check_address(address: str, name: str) -> None:
    if not _is_safe(address):
        raise _refused(f"{name} is not an https address", "Write one; http is only for localhost")


def _is_safe(address: str) -> bool:
    """Whether it is a whole address whose traffic nobody on the way can read."""
    try:
        parts = urlsplit(address)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)))


def _refused(why: str, remedy: str, code: str = "") -> UserFacingError:
    return UserFacingError("Assay does not run like this", why, remedy, code)
