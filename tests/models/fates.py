"""What becomes of files that are opened: each in a process of its own, since a malformed one may end it.

`python -m tests.models.fates FOLDER` opens every file of the folder as an intake does, reads a spec from what it says
of itself, loads it and predicts; it prints a JSON object from name to fate: "taken", the sentence, or what went wrong.
"""

import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from core.errors import UserFacingError
from core.facts import ModelFacts
from core.nouns import Feature, ModelSpec, Output

ROOT = Path(__file__).parents[2]
TIMEOUT = 20


def spec_of(
    facts: ModelFacts, categories: Mapping[str, tuple[str, ...]] | None = None, output: Output | None = None
) -> ModelSpec:
    """The specification that a model's file asks for; `categories` by feature where the file leaves them open."""
    output = output or facts.outputs[0]
    features = tuple(
        Feature(
            each.name or f"feature {i}",
            each.kind or "real",
            lower=0 if each.kind else -3,
            upper=1 if each.kind else 3,
            categories=each.categories
            or (categories or {}).get(each.name, ("a", "b") if each.kind == "category" else ()),
        )
        for i, each in enumerate(facts.inputs)
    ) or tuple(Feature(f"pixel {i}", "pixel") for i in range(int(np.prod(facts.shape))))
    named = facts.classes or tuple(str(i) for i in range(max(2, facts.columns)))
    classes = () if output == "value" else named
    return ModelSpec(facts.modality, facts.shape, features, classes, output, "0" * 64, facts.capabilities)


def fates(folder: Path, files: Mapping[str, bytes]) -> dict[str, str]:
    """What becomes of each of the files, written to `folder`."""
    for name, data in files.items():
        (folder / name).write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-m", "tests.models.fates", str(folder)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def _open(data: bytes) -> str:
    from models import inspect_model, load_model

    try:
        facts = inspect_model(data)
        model = load_model(facts.format, data, spec_of(facts), facts.settings)
        model.predict(np.zeros((3, *facts.shape)))
    except UserFacingError as error:
        return str(error)
    return "taken"


def _fate(path: Path) -> str:
    """The fate of one file, opened in a child process."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        signal.alarm(TIMEOUT)
        try:
            answer = _open(path.read_bytes())
        except BaseException:
            answer = "FAULT " + traceback.format_exc()
        os.write(writer, answer.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        answer = stream.read()
    _, status = os.waitpid(child, 0)
    return f"CRASH {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else answer


if __name__ == "__main__":
    import catboost  # noqa: F401  loaded once, before the children
    import lightgbm  # noqa: F401
    import torch  # noqa: F401
    import xgboost  # noqa: F401

    print(json.dumps({path.name: _fate(path) for path in sorted(Path(sys.argv[1]).iterdir())}))
