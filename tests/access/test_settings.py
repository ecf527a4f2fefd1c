"""The settings file: what it may say, who may read it, and under what Assay does not start."""

import os
import re
import secrets
import tomllib
import uuid
from dataclasses import fields, replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from access.cookie_secret import MAKE, weakness
from access.settings import (
    Alerts,
    Limits,
    Provider,
    Roles,
    SessionRules,
    Signing,
    check,
    check_start,
    parsed,
    settings,
    signing,
)
from core.errors import UserFacingError
from tests.access.house import COMPANY, SETTINGS, with_roles

MANUAL = Path(__file__).parents[2] / "docs" / "access.md"
FILE = """
[auth]
redirect_uri = "https://assay.house.example/oauth2callback"
cookie_secret = "Zk3u-9TfQ1xW7nLb0pRvY5eHs2MaGdKc"
[auth.company]
client_id = "assay"
client_secret = "s3cr3t"
server_metadata_url = "https://login.house.example/.well-known/openid-configuration"
[roles]
analyst = ["asks"]
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A settings file that Assay takes, named in ASSAY_CONFIG."""
    path = tmp_path / "assay.toml"
    path.write_text(FILE)
    path.chmod(0o600)
    monkeypatch.setenv("ASSAY_CONFIG", str(path))
    return path


def said(text: str) -> str:
    """The sentence about a file with that text; "" where it is taken."""
    try:
        check(parsed(tomllib.loads(text)))
    except UserFacingError as error:
        return error.sentence
    return ""


def test_nobody_signs_in_where_no_file_is_named(monkeypatch):
    monkeypatch.delenv("ASSAY_CONFIG", raising=False)
    assert settings() is None
    monkeypatch.setenv("ASSAY_CONFIG", "")
    assert settings() is None


def test_the_smallest_file(file):
    found = settings()
    assert found.providers == (replace(COMPANY, client_kwargs={}, authorize_params={}),)
    assert found.roles == Roles("roles", {"viewer": (), "auditor": (), "analyst": ("asks",), "admin": ()})
    assert (found.sessions, found.limits, found.alerts) == (SessionRules(), Limits(), Alerts())
    assert (found.sessions.max_age, found.sessions.idle) == (28800, 1800)
    assert found.secure and found.origin == "https://assay.house.example"


def test_the_file_in_the_documentation_is_taken_and_says_everything_there_is():
    (block,) = re.findall(r"^```toml\n(.*?)^```", MANUAL.read_text(), re.MULTILINE | re.DOTALL)
    values = tomllib.loads(block)
    assert weakness(values["auth"]["cookie_secret"])
    values["auth"]["cookie_secret"] = secrets.token_urlsafe(48)
    found = parsed(values)
    check(found)
    for table in ("sessions", "limits", "retention", "alerts", "mfa"):
        assert list(values[table]) == [each.name for each in fields(getattr(found, table))], table
    assert (found.sessions, found.limits) == (SessionRules(), Limits())
    assert found.alerts == Alerts(webhook=values["alerts"]["webhook"])
    assert MAKE in MANUAL.read_text()


def test_what_reports_are_signed_with(file, monkeypatch):
    """As docs/signing.md shows it in the file, and by the same names in the environment where there is none."""
    assert signing() == Signing()
    page = (MANUAL.parent / "signing.md").read_text()
    for block in re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        file.write_text(FILE + block)
        values = tomllib.loads(block)["signing"]
        assert signing() == Signing(**values) and "..." not in repr(signing())
        with monkeypatch.context() as patch:
            patch.delenv("ASSAY_CONFIG")
            for name, value in values.items():
                assert f"ASSAY_SIGN_{name.upper()}" in page
                patch.setenv(f"ASSAY_SIGN_{name.upper()}", value)
            assert signing() == Signing(**values)


def test_the_file_is_read_again_when_it_changes(file):
    before = settings()
    assert settings() is before
    file.write_text(FILE.replace('"asks"', '"asks-now"'))
    assert settings().roles.values["analyst"] == ("asks-now",)
    about = file.stat()
    file.write_text(FILE.replace('"asks"', '"asks-wow"'))
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert settings().roles.values["analyst"] == ("asks-wow",), "the same size and date, another text"


def test_a_file_that_becomes_unusable_is_not_passed_over(file):
    assert settings()
    file.write_text(FILE.replace("[roles]", "[roles"))
    for _ in range(2):
        with pytest.raises(UserFacingError, match="is not TOML"):
            settings()
    file.write_text(FILE)
    assert settings()


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o601])
def test_a_file_that_others_reach_is_refused_with_the_line_that_mends_it(file, mode):
    assert settings()
    file.chmod(mode)
    with pytest.raises(UserFacingError, match="Others on this machine") as caught:
        settings()
    assert caught.value.code == f"chmod 600 {file}"
    file.chmod(0o400)
    assert settings()


def test_a_file_that_is_not_there_or_no_text_is_named(file):
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(UserFacingError, match="not text"):
        settings()
    file.unlink()
    with pytest.raises(UserFacingError, match=re.escape(str(file))):
        settings()
    file.mkdir(mode=0o700)
    with pytest.raises(UserFacingError, match="directory"):
        settings()


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("[roles]", "[rules]", "'rules'"),
        ("[roles]", "[roles]\nboss = ['x']", "[roles] does not know the key 'boss'"),
        ('["asks"]', '["asks", 3]', "analyst in [roles]"),
        ('["asks"]', '[""]', "analyst in [roles]"),
        ('["asks"]', "[]", "gives no role to anybody"),
        ('["asks"]', "true", "analyst in [roles]"),
        ("[roles]\nanalyst", "[roles]\nclaim", "claim in [roles]"),
        ("client_id", "client_ID", "[auth.company] does not know the key 'client_ID'"),
        ('client_secret = "s3cr3t"\n', "", "[auth.company] has no client_secret"),
        ('"s3cr3t"', '" "', "client_secret in [auth.company]"),
        ("[auth.company]", "[auth.com_pany]", "'com_pany'"),
        ("[auth.company]", "[auth.Company]", "'Company'"),
        ("[auth.company]", "[auth.company]\nclient_kwargs = { acr_values = 'gold' }", "acr_values in [auth.company]"),
        ("[auth.company]", "[auth.company]\nclient_kwargs = 3", "[auth.company] client_kwargs is not a table"),
        ("[auth.company]", "[auth.company]\nauthorize_params = { a = [1] }", "a in [auth.company] authorize_params"),
        ("cookie_secret", "typo = 3\ncookie_secret", "[auth.typo] is not a table"),
        ("[roles]", "[sessions]\nidle = 0\n[roles]", "idle in [sessions]"),
        ("[roles]", "[sessions]\nidle = true\n[roles]", "idle in [sessions]"),
        ("[roles]", "[sessions]\nidle = 1.5\n[roles]", "idle in [sessions]"),
        ("[roles]", "[limits]\nexports = -1\n[roles]", "exports in [limits]"),
        ("[roles]", "[limits]\nupload = 1\n[roles]", "'upload'"),
        ("[roles]", "[retention]\nresults = 0\n[roles]", "results in [retention]"),
        ("[roles]", "[mfa]\nactions = ['fly']\n[roles]", "'fly'"),
        ("[roles]", "[alerts]\nwebhook = 'http://chat.house.example'\n[roles]", "webhook in [alerts]"),
        ("[roles]", "[signing]\npkcs12 = 'a'\npkcs11 = 'b'\n[roles]", "by pkcs12 and by pkcs11"),
        ("[roles]", "[signing]\npkcs11 = 'b'\ntoken = 'c'\n[roles]", "pkcs11 needs the labels"),
        ("[roles]", "[signing]\ntimestamp = 'ftp://clock'\n[roles]", "timestamp is not an address"),
        ("[roles]", "[signing]\nkeys = 'a'\n[roles]", "'keys'"),
        ("https://login", "http://login", "server_metadata_url in [auth.company]"),
        ("https://login", "login", "server_metadata_url in [auth.company]"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_file_is_said_with_its_place(old, new, sentence):
    assert not said(FILE)
    assert sentence in said(FILE.replace(old, new, 1))


def test_no_sentence_and_no_text_of_the_settings_holds_a_secret(file):
    assert "s3cr3t" not in repr(settings()) and SETTINGS.cookie_secret not in repr(settings())
    assert "hooks/1" not in repr(Alerts(webhook="https://chat.house.example/hooks/1"))
    weak = "Passw0rdPassw0rdPassw0rdPassw0rd"
    assert weak not in said(FILE.replace(SETTINGS.cookie_secret, weak))
    assert "tok" not in said(FILE + "[alerts]\nwebhook = 'http://chat.house.example/tok'")


@pytest.mark.parametrize(
    "redirect",
    [
        "https://assay.house.example/", "https://assay.house.example/oauth2callback/", "/oauth2callback",
        "http://assay.house.example/oauth2callback", "http://192.168.0.4/oauth2callback", "ftp://localhost/oauth2callback",
        "https:///oauth2callback", "https://assay.house.example/oauth2callback?x=1", "http://localhost.evil/oauth2callback",
        "https://assay.house.example:port/oauth2callback", "http://localhost:{port}/oauth2callback",
        "https://assay.house.example/x#/oauth2callback",
    ],
)  # fmt: skip
def test_a_redirect_that_leads_nowhere_or_can_be_read_on_the_way_is_refused(redirect):
    with pytest.raises(UserFacingError, match="redirect_uri"):
        check_start(replace(SETTINGS, redirect_uri=redirect), "127.0.0.1", False)


@pytest.mark.parametrize("host", ["localhost:8501", "127.0.0.1:8501", "[::1]:8501", "localhost"])
def test_http_is_enough_on_this_machine(host):
    local = replace(SETTINGS, redirect_uri=f"http://{host}/oauth2callback")
    check_start(local, "127.0.0.1", False)
    assert not local.secure and local.origin == f"http://{host}"


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("https://Assay.House.example", "https://assay.house.example"),
        ("HTTPS://assay.house.example:443", "https://assay.house.example"),
        ("https://assay.house.example:80", "https://assay.house.example:80"),
        ("https://assay.house.example:4430", "https://assay.house.example:4430"),
        ("http://LOCALHOST:80", "http://localhost"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://[::1]:443", "http://[::1]:443"),
    ],
)
def test_the_address_is_as_browsers_write_it(host, origin):
    found = replace(SETTINGS, redirect_uri=f"{host}/oauth2callback")
    check_start(found, "", False)
    assert found.origin == origin and found.secure == origin.startswith("https://")


@pytest.mark.parametrize(
    "address", ["", "0.0.0.0", "::", "192.168.0.4", "assay.house.example", "localhost.evil", "unix:///x"]
)
def test_beyond_this_machine_people_sign_in(address):
    with pytest.raises(UserFacingError, match="ASSAY_CONFIG") as caught:
        check_start(None, address, False)
    assert "127.0.0.1" in caught.value.code
    check_start(SETTINGS, address, False)


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "LOCALHOST", "127.8.9.1", "::1", "[::1]"])
def test_at_ones_own_machine_nothing_is_needed(address):
    check_start(None, address, False)


@pytest.mark.parametrize("found", [None, SETTINGS], ids=["local", "hosted"])
def test_headers_that_say_who_somebody_is_are_never_trusted(found):
    with pytest.raises(UserFacingError, match="trustedUserHeaders"):
        check_start(found, "127.0.0.1", True)


def test_nobody_could_sign_in():
    with pytest.raises(UserFacingError, match="names no provider"):
        check_start(replace(SETTINGS, providers=()), "", False)
    with pytest.raises(UserFacingError, match="gives no role"):
        check_start(with_roles(analyst=()), "", False)
    with pytest.raises(UserFacingError, match="'boss'"):
        check_start(with_roles(analyst=("asks",), boss=("rules",)), "", False)


@pytest.mark.parametrize(
    "weak",
    [
        "", "x" * 31, "Zk3u-9TfQ1xW7nLb0pRvY5eHs2MaGdK", "x" * 64, "abcabcabc" * 6, "0123456789abcdef" * 2,
        "changeme" * 8,
        "abcdefghijklmnopqrstuvwxyz0123456789", "9876543210zyxwvutsrqponmlkjihgfedcba", "Passw0rd" * 4,
        "correct-horse-battery-staple-once-more", "CorrectHorseBatteryStapleOnceMore",
        "CAPITAL-LETTERS-WITHOUT-ANY-CHANCE",
        "replace-me-X8f2kQ91nB37xZ55pL0aW2", "YOUR_COOKIE_SECRET_8f2kQ91nB37xZ55pL0aW2", "..." * 20,
    ],
    ids=lambda text: text[:20] or "empty",
)  # fmt: skip
def test_a_cookie_secret_that_can_be_guessed_is_refused_with_the_line_that_makes_one(weak):
    with pytest.raises(UserFacingError, match="cookie_secret") as caught:
        check_start(replace(SETTINGS, cookie_secret=weak), "", False)
    assert caught.value.code == MAKE


def test_secrets_drawn_at_random_are_taken():
    makers = (lambda: secrets.token_urlsafe(48), lambda: secrets.token_urlsafe(32), lambda: secrets.token_hex(32))
    for make in (*makers, lambda: str(uuid.uuid4())):
        refused = [secret for secret in (make() for _ in range(500)) if weakness(secret)]
        assert len(refused) <= 2, refused


def address(auth: dict, provider: str = "company", listed: tuple[str, ...] = ()) -> dict[str, str]:
    """The parameters of the sign-in's address that Streamlit makes of these settings, without asking the provider."""
    import asyncio

    from streamlit.runtime.secrets import AttrDict
    from streamlit.web.server.starlette import starlette_auth_routes as routes

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(routes, "get_secrets_auth_section", lambda: AttrDict(auth))
        client, redirect = routes._create_oauth_client(provider)
    metadata = {"authorization_endpoint": "https://login.house.example/authorize", "_loaded_at": 1}
    client.server_metadata.update(metadata, code_challenge_methods_supported=list(listed))
    made = asyncio.run(client.create_authorization_url(redirect))
    assert len(made["code_verifier"]) >= 43
    return {name: value for name, (value,) in parse_qs(urlsplit(made["url"]).query).items()}


@pytest.mark.parametrize("listed", [(), ("plain",), ("S256",)])
def test_every_sign_in_uses_pkce_whatever_the_provider_lists(listed):
    sent = address(SETTINGS.streamlit_auth(), listed=listed)
    assert sent["code_challenge_method"] == "S256" and len(sent["code_challenge"]) == 43
    assert (sent["max_age"], sent["acr_values"]) == ("3600", "gold")
    assert sent["scope"] == "openid email profile" and sent["nonce"] and sent["state"]
    assert sent["redirect_uri"] == SETTINGS.redirect_uri


def test_a_provider_may_be_asked_for_more_but_not_for_less():
    asked = {"acr_values": "silver", "domain_hint": "house"}
    kwargs = {"scope": "openid groups", "code_challenge_method": "plain"}
    provider: Provider = replace(COMPANY, name="other-house", client_kwargs=kwargs, authorize_params=asked)
    auth = replace(SETTINGS, providers=(COMPANY, provider)).streamlit_auth()
    sent = address(auth, "other-house")
    assert (sent["acr_values"], sent["domain_hint"], sent["scope"]) == ("silver", "house", "openid groups")
    assert sent["code_challenge_method"] == "S256" and sent["max_age"] == "3600"
    assert address(auth)["scope"] == "openid email profile"


def test_the_auth_section_is_what_streamlit_takes():
    from streamlit.runtime.secrets import _validate_secrets_value

    auth = SETTINGS.streamlit_auth()
    _validate_secrets_value({"auth": auth})
    assert auth["cookie_secret"] == SETTINGS.cookie_secret and auth["company"]["client_secret"] == "s3cr3t"
