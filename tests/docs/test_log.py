"""docs/log.md lists what is recorded, and its check, which knows nothing of the product, agrees with the product's."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from access.actions import ACTIONS
from access.chain import verify
from access.log import EVENTS, Log
from access.people import LOCAL
from access.telemetry import KINDS
from storage.stores import close_stores, stores
from tests.test_readme import ROOT, blocks

PAGE = ROOT / "docs" / "log.md"


def test_the_table_is_complete():
    rows = re.findall(
        r"^\| `([\w-]+)` \| (.+) \|$", PAGE.read_text("utf-8").split("## How to check it")[0], re.MULTILINE
    )
    assert dict(rows[-len(ACTIONS) - len(EVENTS) :]) == {each.name: each.title for each in ACTIONS.values()} | EVENTS


def test_every_field_of_an_entry_is_described(exported):
    (row,) = [json.loads(line)["entry"] for line in exported.read_bytes().splitlines()[1:2]]
    table = PAGE.read_text("utf-8").split("| field |")[1].split("\n\n")[0]
    assert {name for line in table.splitlines() for name in re.findall(r"`(\w+)`", line.split("|")[1])} == set(row)


def test_every_figure_is_described():
    named = set(re.findall(r"`(assay\.[\w.]+)`", PAGE.read_text("utf-8").split("## OpenTelemetry")[1]))
    counted = {f"assay.{kind.replace('-', '_')}" for kind in KINDS}
    assert named == counted | {f"assay.questions.{each}" for each in ("asked", "ended", "seconds")} | {
        "assay.sessions.open"
    }


@pytest.fixture
def exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("ASSAY_DATABASE", "ASSAY_STORE", "ASSAY_KEYS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "home"))
    log = Log(stores().database, stores().vault)
    for turn in range(103):
        log.record(LOCAL, "view", turn=turn, subject="r\u00f6ntgen")
    (tmp_path / "log.jsonl").write_bytes(b"".join(log.export()))
    close_stores()
    return tmp_path / "log.jsonl"


def checked(folder: Path) -> bool:
    """Whether the page's own lines find the file in a folder whole."""
    (script,) = blocks(PAGE, "python")
    lines = [line for line in script.splitlines() if not line.startswith("subprocess.run(")]
    return subprocess.run([sys.executable, "-c", "\n".join(lines)], cwd=folder, capture_output=True).returncode == 0


def test_the_check_on_the_page_agrees(exported):
    assert checked(exported.parent)
    whole = exported.read_bytes()
    lines = whole.splitlines(keepends=True)
    for bad in (
        whole.replace(b'"turn":70', b'"turn":71'),
        b"".join(lines[:50] + lines[51:]),
        b"".join(lines[:-2]),
        whole.replace(b'"signature":"', b'"signature":"0', 1),
    ):
        exported.write_bytes(bad)
        assert not checked(exported.parent)
    assert verify(lines).good
