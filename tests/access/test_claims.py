"""Claims become roles by exact comparison, and nothing by accident."""

import json
from dataclasses import replace

import pytest

from access.claims import person, person_id, signed_in_at
from access.settings import Mfa, Roles
from core.errors import UserFacingError
from tests.access.house import ISSUER, SETTINGS, claims

NOW = 1_700_000_000.0
NESTED = replace(SETTINGS, roles=Roles("realm_access.roles", SETTINGS.roles.values))


def roles(value: object) -> tuple[str, ...]:
    return person(claims(roles=value), SETTINGS).roles


def test_values_of_the_claim_give_their_roles_in_the_order_of_the_table():
    assert roles(["keeps", "asks-too", "audits", "nothing"]) == ("auditor", "analyst", "admin")
    assert roles("looks") == ("viewer",)


@pytest.mark.parametrize(
    "value",
    [
        "Asks", "ask", "asks ", " asks", "asksx", "asks,keeps", "asks keeps", "asks\n", ["ASKS"], ["as", "ks"],
        "analyst", "a\u0455ks", [["asks"]], [{"asks": True}], {"asks": True}, {"roles": "asks"}, 7, True, None, 0.5, [],
        "", [None, 3],
    ],
    ids=repr,
)  # fmt: skip
def test_nothing_but_an_equal_text_gives_a_role(value):
    assert roles(value) == ()


def test_the_claim_missing_gives_no_role():
    said = claims()
    del said["roles"]
    assert person(said, SETTINGS).roles == ()


def test_one_right_value_among_odd_ones_counts():
    assert roles([None, 3, ["keeps"], "asks", {"keeps": 1}]) == ("analyst",)


def test_three_hundred_groups():
    groups = [f"CN=Group {number},OU=Groups,DC=house,DC=example" for number in range(300)]
    assert roles(groups) == ()
    assert roles([*groups[:150], "looks", *groups[150:]]) == ("viewer",)


def test_a_nested_claim_is_found_by_dots_and_a_flat_one_first():
    assert person(claims(realm_access={"roles": ["audits"]}), NESTED).roles == ("auditor",)
    flat = {"realm_access.roles": "keeps"}
    assert person(claims(realm_access={"roles": ["audits"]}, **flat), NESTED).roles == ("admin",)


@pytest.mark.parametrize("odd", [None, 3, "roles", ["roles"], {"roles": None}, {"Roles": ["asks"]}], ids=repr)
def test_a_nested_claim_of_another_shape_gives_no_role(odd):
    assert person(claims(realm_access=odd), NESTED).roles == ()


def test_a_claim_may_be_called_by_an_address():
    settings = replace(SETTINGS, roles=Roles("https://house.example/roles", SETTINGS.roles.values))
    assert person(claims(**{"https://house.example/roles": ["asks"]}), settings).roles == ("analyst",)


def test_a_person_is_their_issuer_and_subject():
    first = person(claims("ada", name="Ada"), SETTINGS)
    assert first.id == person(claims("ada", name="Countess", roles=[]), SETTINGS).id == person_id(ISSUER, "ada")
    assert len(first.id) == 32 and "ada" not in first.id
    others = {person_id(ISSUER, "Ada"), person_id(ISSUER, "ada "), person_id(f"{ISSUER}/", "ada"), first.id}
    assert len(others) == 4
    assert person_id("a|b", "c") != person_id("a", "b|c")
    assert person_id('a", "b', "c") != person_id("a", 'b", "c')


@pytest.mark.parametrize("missing", ["iss", "sub"])
@pytest.mark.parametrize("value", [None, "", "  ", 3, ["ada"], {}], ids=repr)
def test_claims_that_do_not_say_who_it_is_are_refused(missing, value):
    with pytest.raises(UserFacingError, match="did not say who you are"):
        person(claims(**{missing: value}), SETTINGS)


@pytest.mark.parametrize("verified", [False, None, "true", 1, "yes", [True]], ids=repr)
def test_an_e_mail_address_that_was_not_verified_does_not_count(verified):
    assert person(claims(email="ada@house.example", email_verified=verified), SETTINGS).email == ""


def test_a_verified_e_mail_address_is_in_small_letters():
    assert person(claims(email=" Ada@House.Example ", email_verified=True), SETTINGS).email == "ada@house.example"
    assert person(claims(email="ada@house.example"), SETTINGS).email == ""
    assert person(claims(email=["ada@house.example"], email_verified=True), SETTINGS).email == ""


@pytest.mark.parametrize("email", ["\u212aate@x.org", "a\u017fh@x.org", "kat\u00e9@x.org", "kate@\u2139.org", "kate"])
def test_an_address_with_letters_that_become_others_is_none(email):
    assert person(claims(email=email, email_verified=True), SETTINGS).email == ""


@pytest.mark.parametrize(
    ("said", "there"),
    [
        ({}, False), ({"amr": ["pwd", "otp"]}, True), ({"amr": "mfa"}, True), ({"amr": ["pwd"]}, False),
        ({"amr": "mfa otp"}, False), ({"amr": ["MFA"]}, False), ({"amr": 5}, False), ({"amr": {"mfa": True}}, False),
        ({"amr": [["mfa"]]}, False), ({"amr": []}, False), ({"amr": None}, False), ({"amr": True}, False),
        ({"acr": "gold"}, True), ({"acr": "golden"}, False), ({"acr": 1}, False), ({"acr": "mfa"}, False),
        ({"amr": ["gold"]}, False), ({"mfa": True}, False),
    ],
    ids=repr,
)  # fmt: skip
def test_a_second_factor_is_what_the_settings_know(said, there):
    assert person(claims(**said), SETTINGS).mfa is there


def test_without_settings_for_it_nobody_has_a_second_factor():
    bare = replace(SETTINGS, mfa=Mfa())
    assert not person(claims(amr=["mfa", "otp", ""], acr="gold"), bare).mfa


def test_a_name_is_one_line_of_printable_characters():
    assert person(claims(name="Ada\u202e\n\x1b[31m  Lovelace"), SETTINGS).name == "Ada [31m Lovelace"
    assert len(person(claims(name="a" * 5000), SETTINGS).name) == 80
    assert person(claims(name=3, preferred_username="ada"), SETTINGS).name == "ada"
    nameless = person(claims(name=None), SETTINGS)
    assert nameless.name == f"Person {nameless.id[:8]}"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"auth_time": NOW - 50, "iat": NOW - 5}, NOW - 50),
        ({"auth_time": int(NOW) - 50}, NOW - 50),
        ({"iat": NOW - 5}, NOW - 5),
        ({}, NOW),
        ({"auth_time": NOW + 1}, NOW),
        ({"auth_time": "1699999000"}, NOW),
        ({"auth_time": None, "iat": NOW - 5}, NOW),
        ({"auth_time": True}, NOW),
        ({"auth_time": 0}, NOW),
        ({"auth_time": -1}, NOW),
        ({"auth_time": float("nan")}, NOW),
        ({"auth_time": float("-inf")}, NOW),
        ({"auth_time": 10**400}, NOW),
        ({"auth_time": [NOW - 50]}, NOW),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_the_age_of_a_sign_in_counts_from_when_it_was_made(said, expected):
    assert signed_in_at(said, NOW) == expected


def test_claims_survive_the_way_through_the_cookie():
    said = claims(roles=["asks", "keeps"], amr=["mfa"], realm_access={"roles": ["audits"]})
    assert person(json.loads(json.dumps(said)), SETTINGS) == person(said, SETTINGS)
