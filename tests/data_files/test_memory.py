"""A large table is read in bounded memory, measured in a process of its own."""

import subprocess
import sys
from pathlib import Path

from benchmarks.intake import SCRIPT, written

ROOT = Path(__file__).parents[2]
ROWS, MORE = 50_000, 150_000
MIB = 1 << 20


def peak(folder: Path, rows: int) -> tuple[float, float]:
    """The most memory, in MiB beyond the file's own, that inspecting and extracting `rows` rows takes."""
    path = written(folder, rows)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    _, inspected, _, extracted = map(float, done.stdout.split())
    return inspected, extracted


def test_a_million_rows_take_less_than_two_gibibytes(tmp_path):
    """Two sizes give the slope; a million rows of 30 columns is what `python -m benchmarks.intake` measures."""
    few, many = peak(tmp_path, ROWS), peak(tmp_path, MORE)
    for less, more in zip(few, many, strict=True):
        a_million = more + (more - less) / (MORE - ROWS) * (1_000_000 - MORE)
        assert a_million < 2048
    assert many[1] > 8 * 28 * MORE / MIB  # the rows themselves at least: something was measured
