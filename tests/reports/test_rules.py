"""The rule file: dated, whole, and refused with the place that is wrong."""

import hashlib
from datetime import date

import pytest

from core.errors import UserFacingError
from reports.rules import FILE, SECTIONS, read, rules
from tests.reports.test_words import FORBIDDEN

GOOD = """
read = 2026-01-02
notice = "May serve."
[sources.a]
title = "A"
text = "The text of A"
[[rules]]
source = "a"
cites = "Article 1"
asks = "something"
sections = ["use", "limits"]
"""


def test_the_file_that_comes_with_assay_holds() -> None:
    found = rules()
    assert found.read <= date.today() and found.digest == hashlib.sha256(FILE.read_bytes()).hexdigest()
    assert {section for rule in found.rules for section in rule.sections} == set(SECTIONS)
    assert {rule.source for rule in found.rules} == set(found.sources)


def test_it_claims_nothing() -> None:
    said = FILE.read_text().lower()
    assert "may serve as evidence" in said and not FORBIDDEN.search(said)
    assert not any(word in said for word in ("complies", "compliant", "ensures", "satisfies"))


def test_a_section_names_its_sources_with_their_places() -> None:
    found = read(GOOD.encode())
    assert [(source.title, cites) for source, cites in found.asked_of("use")] == [("A", ["Article 1"])]
    assert found.asked_of("model") == [] and found.read == date(2026, 1, 2)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("read = 2026-01-02", 'read = "today"', "'read' of the file has to be a date"),
        ("[[rules]]", "[[rules", "no TOML"),
        ('source = "a"', 'source = "b"', "rule 1 is of the source 'b'"),
        ('"limits"', '"limit"', "rule 1 points to the section 'limit'"),
        ('["use", "limits"]', "[]", "'sections' of rule 1"),
        ('asks = "something"', 'asks = ""', "'asks' of rule 1"),
        ('asks = "something"', "", "rule 1 needs exactly: source, cites, asks, sections"),
        ('text = "The text of A"', 'text = "x"\nurl = "y"', "the source a needs exactly: title, text"),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, said: str) -> None:
    with pytest.raises(UserFacingError, match="rule file cannot be read") as refused:
        read(GOOD.replace(old, new).encode())
    assert said in str(refused.value)


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(UserFacingError, match="no TOML"):
        read(b"\xff\xfe\x00")
