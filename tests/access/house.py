"""Settings of a made-up house, and what its provider says of people."""

from dataclasses import replace
from typing import Any

from access.settings import Mfa, Provider, Roles, SessionRules, Settings

ISSUER = "https://login.house.example"
COMPANY = Provider("company", "Company", "assay", "s3cr3t", f"{ISSUER}/.well-known/openid-configuration")
SETTINGS = Settings(
    redirect_uri="https://assay.house.example/oauth2callback",
    cookie_secret="Zk3u-9TfQ1xW7nLb0pRvY5eHs2MaGdKc",
    providers=(COMPANY,),
    roles=Roles(
        "roles", {"viewer": ("looks",), "auditor": ("audits",), "analyst": ("asks", "asks-too"), "admin": ("keeps",)}
    ),
    mfa=Mfa(amr=("mfa", "otp"), acr=("gold",)),
    sessions=SessionRules(max_age=3600, idle=600),
)


def with_roles(**values: tuple[str, ...]) -> Settings:
    """The same house, where other values of the claim give roles."""
    return replace(SETTINGS, roles=Roles("roles", values))


def claims(subject: str = "ada", **more: Any) -> dict[str, Any]:
    """What the provider says of somebody."""
    return {"iss": ISSUER, "sub": subject, "name": subject.capitalize(), "roles": ["asks"]} | more
