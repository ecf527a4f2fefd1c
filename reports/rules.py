"""Which rules ask for what a report says: read from a dated file, never written in code."""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from core.errors import UserFacingError

SECTIONS = (
    "use",
    "model",
    "data",
    "performance",
    "methods",
    "accuracy",
    "behaviour",
    "cases",
    "reasons",
    "groups",
    "attacks",
    "limits",
    "oversight",
    "log",
    "reproduction",
)
"""The sections of the report on a whole model that a rule can point to, in their order."""
FILE = Path(__file__).with_name("rules.toml")


@dataclass(frozen=True)
class Source:
    """A law, a standard or a framework: its short title, and the text that was read."""

    title: str
    text: str


@dataclass(frozen=True)
class Rule:
    """Where in a source (`cites`) something is asked for (`asks`), and the `sections` that may be evidence of it."""

    source: Source
    cites: str
    asks: str
    sections: tuple[str, ...]


@dataclass(frozen=True)
class Rules:
    """A rule file: the day on which it was last read beside the texts, its notice, and its SHA-256."""

    read: date
    notice: str
    sources: tuple[Source, ...]
    rules: tuple[Rule, ...]
    digest: str

    def asked_of(self, section: str) -> list[tuple[Source, list[str]]]:
        """What may be served by a section: each source with the places cited, in the order of the file."""
        found = [
            (source, [rule.cites for rule in self.rules if rule.source is source and section in rule.sections])
            for source in self.sources
        ]
        return [(source, cites) for source, cites in found if cites]


@cache
def rules() -> Rules:
    """The rule file that comes with Assay."""
    return read(FILE.read_bytes())


def read(body: bytes) -> Rules:
    """The rule file with that content. Raises UserFacingError that names the line that is wrong."""
    try:
        told = tomllib.loads(body.decode("utf-8"))
    except ValueError as error:
        raise _refusal(f"It is no TOML: {error}") from error
    _check("the file", told, {"read": date, "notice": str, "sources": dict, "rules": list})
    sources = {name: _source(name, each) for name, each in told["sources"].items()}
    listed = tuple(_rule(place, each, sources) for place, each in enumerate(told["rules"], 1))
    return Rules(told["read"], told["notice"], tuple(sources.values()), listed, hashlib.sha256(body).hexdigest())


def _source(name: str, told: Any) -> Source:
    _check(f"the source {name}", told, {"title": str, "text": str})
    return Source(**told)


def _rule(place: int, told: Any, sources: Mapping[str, Source]) -> Rule:
    _check(f"rule {place}", told, {"source": str, "cites": str, "asks": str, "sections": list})
    if told["source"] not in sources:
        raise _refusal(f"rule {place} is of the source {told['source']!r}, and there are {', '.join(sources)}")
    unknown = [each for each in told["sections"] if each not in SECTIONS]
    if unknown or not told["sections"]:
        named = f"the section {unknown[0]!r}" if unknown else "no section"
        raise _refusal(f"rule {place} points to {named}, and there are {', '.join(SECTIONS)}")
    return Rule(sources[told["source"]], told["cites"], told["asks"], tuple(told["sections"]))


def _check(where: str, told: Any, kinds: Mapping[str, type]) -> None:
    """Refuses a table that has not exactly these keys, each of its kind and none empty."""
    if not isinstance(told, dict) or set(told) != set(kinds):
        raise _refusal(f"{where} needs exactly: {', '.join(kinds)}")
    for name, kind in kinds.items():
        if type(told[name]) is not kind or not told[name]:
            raise _refusal(f"{name!r} of {where} has to be a {kind.__name__} and not empty")


def _refusal(why: str) -> UserFacingError:
    return UserFacingError(
        "The rule file cannot be read", why, "Mend reports/rules.toml; its first lines say what it holds"
    )
