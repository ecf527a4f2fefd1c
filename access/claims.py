"""From what a provider says about somebody to a person with roles.

Claims are compared exactly: never a part of a value, never in another case. What is missing or of an unexpected type
gives nothing.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from access.actions import ROLES
from access.people import Person
from access.settings import Settings
from core.errors import UserFacingError

_LONGEST_NAME = 80


def person(claims: Mapping[str, Any], settings: Settings, session: str = "") -> Person:
    """Who `claims` are about, with the roles that the settings give them now.

    Raises UserFacingError where the claims do not say who it is.
    """
    issuer, subject = claims.get("iss"), claims.get("sub")
    if not _is_text(issuer) or not _is_text(subject):
        raise UserFacingError(
            "You are not signed in",
            "Your provider did not say who you are: its answer has no issuer or no subject",
            "Ask whoever keeps the provider to send iss and sub",
        )
    email = _email(claims)
    known = person_id(issuer, subject)
    return Person(
        id=known,
        name=_name(claims) or email or f"Person {known[:8]}",
        roles=_roles(claims, settings),
        email=email,
        issuer=issuer,
        subject=subject,
        mfa=_second_factor(claims, settings),
        session=session,
    )


def person_id(issuer: str, subject: str) -> str:
    """What the log calls a person: 32 hexadecimal digits of SHA-256 over issuer and subject."""
    return hashlib.sha256(json.dumps([issuer, subject]).encode()).hexdigest()[:32]


def signed_in_at(claims: Mapping[str, Any], now: float) -> float:
    """When the person last showed their provider who they are, in seconds since 1970.

    `auth_time`, else when the token was issued, else `now`. A time to come, or none at all, counts as `now`.
    """
    said = next((claims[name] for name in ("auth_time", "iat") if name in claims), now)
    number = isinstance(said, int | float) and not isinstance(said, bool)
    return float(said) if number and 0 < said <= now else now


def _roles(claims: Mapping[str, Any], settings: Settings) -> tuple[str, ...]:
    """In the order of ROLES."""
    said = set(_texts(_claim(claims, settings.roles.claim)))
    return tuple(role for role in ROLES if not said.isdisjoint(settings.roles.values.get(role, ())))


def _second_factor(claims: Mapping[str, Any], settings: Settings) -> bool:
    """Whether the provider says so in a word that the settings know."""
    amr, acr = _texts(claims.get("amr")), _texts(claims.get("acr"))
    return not set(amr).isdisjoint(settings.mfa.amr) or not set(acr).isdisjoint(settings.mfa.acr)


def _claim(claims: Mapping[str, Any], name: str) -> object:
    """The claim of that name, else the one that its dots lead to: `realm_access.roles`."""
    if name in claims:
        return claims[name]
    found: object = claims
    for step in name.split("."):
        found = found.get(step) if isinstance(found, Mapping) else None
    return found


def _texts(value: object) -> tuple[str, ...]:
    """A text as one, a list's texts; nothing of anything else."""
    if isinstance(value, str):
        return (value,)
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list | tuple) else ()


def _email(claims: Mapping[str, Any]) -> str:
    """In small letters; "" unless the provider says that it was verified.

    Beyond ASCII nothing counts: there are letters whose small ones are those of another address.
    """
    email = claims.get("email")
    verified = claims.get("email_verified") is True
    plain = isinstance(email, str) and email.isascii() and "@" in email
    return email.strip().lower() if verified and plain else ""


def _name(claims: Mapping[str, Any]) -> str:
    """What people call them, on one line."""
    for key in ("name", "preferred_username"):
        if _is_text(claims.get(key)):
            printable = "".join(each if each.isprintable() else " " for each in claims[key])
            return " ".join(printable.split())[:_LONGEST_NAME]
    return ""


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
