"""A house that makes reports, and a stranger elsewhere who checks them. They share nothing but files."""

import pytest

from tests.scenarios.places import Place


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Where reports are made, with the certificate that is handed out."""
    place = Place(tmp_path_factory.mktemp("house"))
    place.assay("keys", "certificate", "--out", "signer.pem")
    return place


@pytest.fixture
def stranger(tmp_path, house: Place) -> Place:
    """Somebody elsewhere, who got the certificate by another way."""
    place = Place(tmp_path)
    place.take(house.folder / "signer.pem")
    return place
