"""What every test may ask for."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from storage.stores import Stores
from tests.backends import BACKENDS, Outgrown, opened, outgrown_servers

# No test leaves anything beside the code; those that care name a home of their own.
os.environ.setdefault("ASSAY_HOME", tempfile.mkdtemp(prefix="assay-tests-") + "/home")


@pytest.fixture
def rng() -> np.random.Generator:
    """The same random numbers for every test that asks."""
    return np.random.default_rng(20261123)


@pytest.fixture(scope="session")
def outgrown() -> Iterator[Outgrown]:
    """PostgreSQL and S3, started when the first test asks for them."""
    with outgrown_servers() as servers:
        yield servers


@pytest.fixture(params=BACKENDS)
def stores(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stores]:
    """Empty stores of both kinds, named by the environment so that `storage.stores.stores()` gives the same ones."""
    environment = request.getfixturevalue("outgrown").environment() if request.param == "outgrown" else {}
    with opened(environment, tmp_path / "home", monkeypatch) as found:
        yield found
