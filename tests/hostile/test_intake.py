"""Hostile files go through the same steps as a person's: each ends in one sentence and touches nothing."""

import os
import re
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import UserFacingError
from engine.intake import look_at_data, look_at_model
from tests.hostile.files import Hostile, models, tables

MIB = 2**20


def resident() -> int:
    """Bytes of memory that this process holds, the highest it has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.fixture(scope="module")
def marker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("harm") / "code-ran"


def refused(files: Hostile, look: Callable[[bytes], object], marker: Path) -> list[str]:
    """What went otherwise than it should, a line each."""
    wrong = []
    for name, (data, phrase) in files.items():
        try:
            look(data)
            wrong.append(f"{name}: taken")
        except UserFacingError as error:
            sentence = str(error)
            if not re.search(phrase, sentence, re.IGNORECASE) or "\n" in sentence or "Traceback" in sentence:
                wrong.append(f"{name}: {sentence}")
            if "internal error" in sentence:
                wrong.append(f"{name}: {sentence}")
        if marker.exists():
            wrong.append(f"{name}: it ran code")
            marker.unlink()
    return wrong


def test_there_are_at_least_forty(marker: Path) -> None:
    assert len(models(marker)) + len(tables(marker)) >= 40


def test_no_hostile_model_is_taken_or_does_harm(marker: Path) -> None:
    files = models(marker)
    process, before = os.getpid(), resident()
    assert refused(files, look_at_model, marker) == []
    assert os.getpid() == process
    assert resident() - before < 300 * MIB


def test_no_hostile_table_is_taken_or_does_harm(marker: Path) -> None:
    files = tables(marker)
    process, before = os.getpid(), resident()
    assert refused(files, look_at_data, marker) == []
    assert os.getpid() == process
    assert resident() - before < 300 * MIB


def test_the_next_file_is_read_as_ever(marker: Path) -> None:
    samples = Path(__file__).parents[2] / "sample_models"
    assert look_at_model((samples / "tumours" / "xgboost.json").read_bytes()).format == "xgboost"
    assert look_at_data((samples / "tumours" / "data.parquet").read_bytes()).rows == 569
