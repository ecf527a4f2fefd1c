"""What every model format keeps to; a new one joins by a line in `EXPORTED`."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from core.errors import UserFacingError
from core.facts import as_json, model_facts
from engine.intake import look_at_model
from models import FORMATS
from tests import test_round_trips as round_trips

EXPORTED = {
    "xgboost": round_trips.xgboost_json,
    "lightgbm": round_trips.lightgbm_text,
    "catboost": round_trips.catboost_numbers,
    "onnx": round_trips.torch_dense,
    "sklearn": round_trips.logistic,
    "torch_network": round_trips.torch_weights,
    "hugging_face": round_trips.hugging_face,
}
EACH = pytest.mark.parametrize("name", FORMATS)
NONSENSE = (b"", b"\0" * 64, b"{}", b"PK\x03\x04", b"tree\n", b"CBM1", bytes(range(256)) * 8, "ß".encode() * 100)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """One exported file of each format."""
    found = {}
    for name, export in EXPORTED.items():
        place = export(tmp_path_factory.mktemp(name)).model
        found[name] = zipped(place) if place.is_dir() else place.read_bytes()
    return found


def zipped(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for each in sorted(folder.iterdir()):
            archive.write(each, each.name)
    return buffer.getvalue()


def test_every_format_is_held_to_this() -> None:
    assert set(EXPORTED) == set(FORMATS)


@EACH
def test_a_format_says_what_it_is(name: str) -> None:
    module = FORMATS[name]
    assert module.TITLE
    assert set(module.CAPABILITIES) <= {"gradients", "trees", "linear"}


@EACH
def test_telling_a_format_never_fails(name: str) -> None:
    assert not any(FORMATS[name].recognises(data) for data in NONSENSE if data not in (b"tree\n", b"CBM1", b"{}"))


@EACH
def test_a_file_is_of_one_format_only(name: str, files: dict[str, bytes]) -> None:
    assert [each for each, module in FORMATS.items() if module.recognises(files[name])] == [name]


@EACH
def test_what_a_file_says_survives_the_way_from_the_worker(name: str, files: dict[str, bytes]) -> None:
    facts = look_at_model(files[name])
    assert facts.format == name
    assert facts.title and facts.told_by and facts.outputs
    assert model_facts(as_json(facts)) == facts
    assert len(facts.inputs) == (facts.shape[0] if facts.modality == "table" else 0)


@EACH
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_file_cut_short_is_refused_in_words(name: str, share: float, files: dict[str, bytes]) -> None:
    with pytest.raises(UserFacingError) as refused:
        look_at_model(files[name][: int(share * len(files[name]))])
    assert "internal error" not in str(refused.value)


@EACH
def test_a_file_with_changed_bytes_is_read_or_refused_and_nothing_else(name: str, files: dict[str, bytes]) -> None:
    rng = np.random.default_rng(0)
    for _ in range(3):
        changed = bytearray(files[name])
        for place in rng.integers(0, len(changed), 8):
            changed[place] ^= int(rng.integers(1, 256))
        try:
            look_at_model(bytes(changed))
        except UserFacingError as error:
            assert "internal error" not in str(error)
