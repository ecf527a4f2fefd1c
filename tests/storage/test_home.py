"""Where Assay keeps what it computes."""

from pathlib import Path

import pytest

from storage.home import home


def test_home_is_what_assay_home_says_else_beside_the_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path))
    assert home() == tmp_path
    monkeypatch.setenv("ASSAY_HOME", "")
    assert home() == Path(__file__).parents[2] / ".assay"
    monkeypatch.delenv("ASSAY_HOME")
    assert home() == Path(__file__).parents[2] / ".assay"
