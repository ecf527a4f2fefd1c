"""Reports: the full one from stored evidence, letters in a batch, and checking one: `python -m benchmarks.reports`.

Seconds are the processor's, as the machine may be busy, those of the worker that explains among them; the wall's stand
beside them. With them shapash's report on the same model and rows, where SHAPASH names a Python that has shapash,
pandas and xgboost (`SHAPASH=venv/bin/python`; version 2.10 runs with current libraries). It is one HTML file of charts,
without reasons that are tested, attacks, evidence or signature.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

FULL, LETTER, CHECK = 2.0, 0.150, 0.200
LETTERS, ROUNDS = 200, 5
ROOT = Path(__file__).parents[1]

SHAPASH_SCRIPT = """
import sys, time
import pandas as pd
from shapash import SmartExplainer
from xgboost import XGBClassifier
rows, label = pd.read_csv(sys.argv[1]), pd.Series([int(float(each)) for each in open(sys.argv[2])])
model = XGBClassifier()
model.load_model(sys.argv[3])
start = time.perf_counter()
explainer = SmartExplainer(model=model)
explainer.compile(x=rows, y_target=label)
explainer.generate_report(output_file=sys.argv[4], x_train=rows, y_train=label, y_test=label)
print("seconds", time.perf_counter() - start)
"""


def main() -> int:
    with tempfile.TemporaryDirectory() as home:
        os.environ["ASSAY_HOME"] = f"{home}/home"
        full, letter, check = _measured(Path(home))
        print(f"{'':44}{'seconds':>9}{'wall':>9}")
        results = [
            _told("full report from stored evidence, tumours", full, FULL),
            _told(f"a letter of {LETTERS}, loans, asked anew", letter, LETTER),
            _told("checking a signed full report", check, CHECK),
        ]
        _shapash(Path(home))
    return 0 if all(results) else 1


def _told(what: str, taken: tuple[float, float], most: float) -> bool:
    print(f"{what:44}{taken[0]:9.3f}{taken[1]:9.3f}   {'PASS' if taken[0] < most else 'FAIL'}: under {most:g} s")
    return taken[0] < most


def _measured(folder: Path) -> tuple[tuple[float, float], ...]:
    """Seconds of the processor and the wall for a full report, a letter and a check."""
    from access.desk import Desk
    from access.log import Log
    from access.people import LOCAL
    from core.nouns import Target
    from engine.engine import Engine
    from engine.subjects import load_subject
    from reports import full
    from reports.batch import Mailing, write
    from reports.gather import gather_dossier
    from reports.report import Stamp
    from reports.signer import signer
    from reports.signing import draft, publish
    from reports.verifying import Trust, verify
    from storage.stores import stores

    engine, opened = Engine.open(), stores()
    desk = Desk(LOCAL, engine, opened, Log(opened.database, opened.vault))
    stamp = Stamp(date(2026, 11, 23))
    try:
        tumours, loans = load_subject("tumours"), load_subject("loans")
        asked = (desk, tumours, tumours.model(), Target(1, "margin"), tumours.reference())
        signed = publish(desk, full.report(gather_dossier(*asked), stamp))
        reported = _median(lambda: draft(full.report(gather_dossier(*asked), stamp)))
        with signer(desk.vault) as found:
            trust = Trust.read(found.pem())
        assert verify(signed.pdf, trust).ok
        checked = _median(lambda: verify(signed.pdf, trust))

        def mailing(start: int, count: int) -> Mailing:
            rows = slice(start, start + count)
            data = loans.dataset
            return Mailing(loans, loans.model(), data.rows[rows], data.row_ids[rows], loans.reference(), stamp)

        def lettered() -> None:
            """To the end of the worker, whose time counts then."""
            write(desk, mailing(100, LETTERS), _new(folder, "letters"), _silent)
            engine.close()

        write(desk, mailing(0, 1), _new(folder, "first"), _silent)
        processor, wall = _seconds(lettered)
        return reported, (processor / LETTERS, wall / LETTERS), checked
    finally:
        engine.close()


def _new(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


def _silent(_count: int) -> None:
    """Progress that nobody watches."""


def _median(work: Callable[[], object]) -> tuple[float, float]:
    rounds = [_seconds(work) for _ in range(ROUNDS)]
    return statistics.median(taken for taken, _ in rounds), statistics.median(wall for _, wall in rounds)


def _seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Of the processor, processes that ended meanwhile included, and of the wall."""
    before, start = sum(os.times()[:4]), time.perf_counter()
    work()
    return sum(os.times()[:4]) - before, time.perf_counter() - start


def _shapash(folder: Path) -> None:
    """Says how long shapash takes over the same model and rows, where it can be asked."""
    import numpy as np

    from engine.subjects import load_subject

    python = os.environ.get("SHAPASH")
    if python is None:
        print("shapash: not asked, as SHAPASH names no Python that has it")
        return
    tumours = load_subject("tumours")
    names = ",".join(feature.name for feature in tumours.model().spec.features)
    np.savetxt(folder / "rows.csv", tumours.dataset.rows, delimiter=",", header=names, comments="")
    np.savetxt(folder / "labels.csv", tumours.dataset.labels)
    model = ROOT / "sample_models/tumours/xgboost.json"
    given = [str(folder / "rows.csv"), str(folder / "labels.csv"), str(model), str(folder / "report.html")]
    done = subprocess.run([python, "-c", SHAPASH_SCRIPT, *given], capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"shapash: did not run: {done.stderr.strip().splitlines()[-1]}")
        return
    seconds = float(done.stdout.rsplit("seconds", 1)[1])
    size = (folder / "report.html").stat().st_size / 2**20
    print(f"{'shapash, tumours, one HTML file':44}{'':9}{seconds:9.1f}   {size:.1f} MiB")


if __name__ == "__main__":
    sys.exit(main())
