"""Taking in a large table: time and memory for a million rows of 30 columns, `python -m benchmarks.intake`.

The file (about 270 MB) is inspected and extracted in a process of its own, whose greatest resident memory counts
from after the file was read. Seconds are the processor's, as the machine may be busy.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROWS = 1_000_000
SECONDS, MIB = 20, 2048
ROOT = Path(__file__).parents[1]

SCRIPT = """
import resource, sys, time
from pathlib import Path
from core.facts import Wanted
from core.nouns import Feature
from data_files import extract_data, inspect_data
status = Path("/proc/self/status")
def peak():
    if status.exists():  # resource's figure begins with that of the process which started this one
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
data = Path(sys.argv[1]).read_bytes()
before = peak()
start = time.process_time()
facts = inspect_data(data)
print(time.process_time() - start, peak() - before)
features = tuple(
    Feature(each.name, each.kind, lower=each.lower or 0, upper=each.upper or 1, categories=each.categories)
    for each in facts.columns if each.name not in ("id", "y")
)
start = time.process_time()
found = extract_data(data, facts.format, facts.dialect, Wanted(features, label="y", classes=("no", "yes"), id="id"))
print(time.process_time() - start, peak() - before)
assert found.rows.shape == (facts.rows, 28) and len(set(found.row_ids)) == facts.rows
"""


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), ROWS)
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(path)], cwd=ROOT, capture_output=True, text=True, check=True
        )
        size = path.stat().st_size / 2**20
    figures = list(map(float, done.stdout.split()))
    print(f"{ROWS:,} rows of 30 columns, {size:,.0f} MiB as CSV\n{'':12}{'seconds':>10}{'MiB beyond the file':>22}")
    for name, seconds, memory in zip(("inspect", "extract"), figures[::2], figures[1::2], strict=True):
        print(f"{name:12}{seconds:10.1f}{memory:22,.0f}")
    return 0 if max(figures[::2]) < SECONDS and max(figures[1::2]) < MIB else 1


def written(folder: Path, rows: int) -> Path:
    """A CSV of `rows` rows: 20 columns of numbers with decimals, 5 of whole ones, 3 categories, an id, a label."""
    import pyarrow
    from pyarrow import csv

    rng = np.random.default_rng(0)
    path = folder / f"{rows}.csv"
    schema, start = None, 0
    with path.open("wb") as stream:
        while start < rows:
            size = min(100_000, rows - start)
            columns = {f"real{i}": np.round(rng.normal(size=size) * 100, 6) for i in range(20)}
            columns |= {f"whole{i}": rng.integers(0, 10**6, size) for i in range(5)}
            columns |= {f"name{i}": np.array(["alpha", "beta", "NA"])[rng.integers(0, 3, size)] for i in range(3)}
            columns |= {"id": np.char.add("row-", np.arange(start, start + size).astype(str))}
            columns |= {"y": np.array(["no", "yes"])[rng.integers(0, 2, size)]}
            table = pyarrow.table(columns)
            csv.write_csv(table, stream, csv.WriteOptions(include_header=schema is None))
            schema, start = table.schema, start + size
    return path


if __name__ == "__main__":
    sys.exit(main())
