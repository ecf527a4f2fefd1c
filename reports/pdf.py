"""A report as a PDF: PDF/A-3a and PDF/UA-1, the same bytes from the same evidence."""

import json
import unicodedata
from functools import cache
from pathlib import Path
from textwrap import wrap
from typing import Any

from reports.palette import LIGHT
from reports.report import Report

_HERE = Path(__file__).parent
_FONTS = _HERE / "fonts"
_STANDARDS = ["a-3a", "ua-1"]
_TEMPLATES = {"letter": "letter.typ", "summary": "summary.typ"}
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn"}
_LONGEST_WORD = 12
_BREAK = "\u200b"
_FIXED_SPACE = "\u00a0"


def build(report: Report) -> bytes:
    """The report. Everything it says goes in as data, so names print as they are spelled."""
    import typst

    pdf = typst.compile(_sources(report), font_paths=_type(), pdf_standards=_STANDARDS)
    return pdf + b"\n"  # what a signature appends begins on a line of its own, as PDF/A asks


def preview(report: Report) -> list[bytes]:
    """The report's pages as PNG pictures."""
    import typst

    pages = typst.compile(_sources(report), font_paths=_type(), format="png", ppi=110)
    return pages if isinstance(pages, list) else [pages]


def _sources(report: Report) -> dict[str, bytes]:
    """The template of its audience and what it is to print: no other file is read."""
    marked: set[str] = set()
    data = _printable({**report.sheet, "palette": vars(LIGHT)}, marked)
    data["replaced"] = sorted(marked)
    return {
        "main.typ": (_HERE / _TEMPLATES.get(report.audience, "template.typ")).read_bytes(),
        "style.typ": (_HERE / "style.typ").read_bytes(),
        "report.json": json.dumps(data, ensure_ascii=False, sort_keys=True).encode(),
    }


def _printable(value: Any, marked: set[str]) -> Any:
    """Nested data with every string printable in the bundled typeface; `marked` collects what had to be replaced."""
    if isinstance(value, str):
        return _breakable("".join(_glyph(character, marked) for character in value))
    if isinstance(value, dict):
        return {key: _printable(each, marked) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_printable(each, marked) for each in value]
    return value


def _glyph(character: str, marked: set[str]) -> str:
    """The character, or its code point in brackets: nothing is left out, nothing reorders the line unseen."""
    if character.isspace() and character != _FIXED_SPACE:
        return " "
    if ord(character) in _covered() and unicodedata.category(character) not in _UNSEEN:
        return character
    code = f"[U+{ord(character):04X}]"
    marked.add(code)
    return code


def _breakable(text: str) -> str:
    """Long words may break here and there, so that nothing runs off the page. A digest stays whole: its column fits."""
    return " ".join(
        _BREAK.join(wrap(word, _LONGEST_WORD)) if len(word) > 2 * _LONGEST_WORD and not _is_digest(word) else word
        for word in text.split(" ")
    )


def _is_digest(word: str) -> bool:
    return len(word) == 64 and all(character in "0123456789abcdef" for character in word)


@cache
def _type() -> Any:
    """The bundled fonts and no others, read once."""
    import typst

    return typst.Fonts(include_system_fonts=False, font_paths=[str(_FONTS)])


@cache
def _covered() -> frozenset[int]:
    """Code points that every font of the family has."""
    from fontTools.ttLib import TTFont

    maps = [frozenset(TTFont(path, lazy=True).getBestCmap()) for path in sorted(_FONTS.glob("*.ttf"))]
    return frozenset.intersection(*maps)
