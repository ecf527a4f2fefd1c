"""Letters in a batch: gone on with after a stop, one safe name each, and nothing of anybody else's in any."""

import io
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from access.desk import Desk
from core import codec
from core.errors import UserFacingError
from engine.subjects import load_subject
from reports import batch
from reports.batch import Mailing, file_name, letters, write
from reports.bundle import read
from reports.letter import report
from reports.report import Stamp
from tests.reports.signed import house

ROWS = 5


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with house(tmp_path_factory.mktemp("batch") / "home") as found:
        yield found


@pytest.fixture
def mailing(desk: Desk) -> Mailing:
    loans = load_subject("loans")
    rows, ids = loans.dataset.rows[:ROWS], loans.dataset.row_ids[:ROWS]
    return Mailing(loans, loans.model(), rows, ids, loans.reference(20), Stamp(date(2026, 11, 23)))


def done(_count: int) -> None:
    """Progress that nobody watches."""


def bodies(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_letter_a_row_and_the_same_bytes_again(desk, mailing, tmp_path) -> None:
    heard: list[int] = []
    assert write(desk, mailing, tmp_path, heard.append) == 0
    assert heard == list(range(ROWS + 1))
    assert {path.name for path in tmp_path.iterdir()} == {
        f"letter-{row_id}.{ending}" for row_id in mailing.row_ids for ending in ("pdf", "assay")
    }
    first = bodies(tmp_path)
    for path in tmp_path.iterdir():
        path.unlink()
    write(desk, mailing, tmp_path, done)
    assert bodies(tmp_path) == first


def test_a_letter_of_a_batch_is_the_one_asked_for_alone(desk, mailing) -> None:
    together = letters(desk, mailing, range(ROWS))
    for place, each in enumerate(together):
        (alone,) = letters(desk, mailing, [place])
        assert report(alone, mailing.stamp).digest == report(each, mailing.stamp).digest
        for exhibit in each.exhibits():
            assert desk.engine.store.named(exhibit.question) == exhibit.result.digest, "as signing will look it up"


class Killed(BaseException):
    """The end of the process, as far as a test can have it."""


def test_what_was_stopped_in_the_middle_goes_on(desk, mailing, tmp_path, monkeypatch) -> None:
    write(desk, mailing, tmp_path, done)
    whole = bodies(tmp_path)
    for path in tmp_path.iterdir():
        path.unlink()
    written = batch.write_whole
    count = 0

    def dying(place: Path, body: bytes) -> None:
        nonlocal count
        count += 1
        if count == 6:  # the third letter has its evidence and no PDF
            raise Killed
        written(place, body)

    monkeypatch.setattr(batch, "write_whole", dying)
    heard: list[int] = []
    with pytest.raises(Killed):
        write(desk, mailing, tmp_path, heard.append)
    assert heard[-1] == 2
    monkeypatch.setattr(batch, "write_whole", written)
    assert write(desk, mailing, tmp_path, done) == 2
    assert bodies(tmp_path) == whole


@pytest.mark.parametrize("damage", ["pdf cut off", "pdf gone", "evidence gone", "evidence cut off", "of another row"])
def test_what_is_half_there_is_written_anew(desk, mailing, tmp_path, damage: str) -> None:
    write(desk, mailing, tmp_path, done)
    whole, (first, second) = bodies(tmp_path), mailing.row_ids[:2]
    place = tmp_path / f"letter-{first}.{'pdf' if 'pdf' in damage else 'assay'}"
    if "cut off" in damage:
        place.write_bytes(place.read_bytes()[:-400])
    elif "gone" in damage:
        place.unlink()
    else:
        place.write_bytes((tmp_path / f"letter-{second}.assay").read_bytes())
    assert write(desk, mailing, tmp_path, done) == ROWS - 1
    assert bodies(tmp_path) == whole


def test_what_was_asked_otherwise_is_written_anew_and_another_day_is_not(desk, mailing, tmp_path) -> None:
    write(desk, mailing, tmp_path, done)
    assert write(desk, replace(mailing, stamp=replace(mailing.stamp, as_of=date(2027, 1, 1))), tmp_path, done) == ROWS
    changed = mailing.rows.copy()
    changed[0, 0] += 1
    for other, kept in (
        (replace(mailing, stamp=replace(mailing.stamp, reviewer="R. Reviewer")), 0),
        (replace(mailing, reference=mailing.subject.reference(20, 8)), 0),
        (replace(mailing, rows=changed), ROWS - 1),
        (replace(mailing, subject=replace(mailing.subject, verdicts=("was granted", "was refused"))), 0),
        (replace(mailing, target=0), 0),
    ):
        whole = bodies(tmp_path)
        assert sum(batch._is_whole(other, place, tmp_path) for place in range(ROWS)) == kept
        assert bodies(tmp_path) == whole


def test_a_final_letter_is_whole_with_its_signature_alone(desk, mailing, tmp_path) -> None:
    final = replace(mailing, rows=mailing.rows[:2], row_ids=mailing.row_ids[:2])
    final = replace(final, stamp=replace(final.stamp, final=True))
    assert write(desk, final, tmp_path, done) == 0
    assert len(list(tmp_path.glob("*.sig"))) == 2
    assert write(desk, final, tmp_path, done) == 2
    (tmp_path / f"letter-{final.row_ids[1]}.assay.sig").unlink()
    assert write(desk, final, tmp_path, done) == 1


def test_nothing_of_anybody_else_is_in_a_letter(desk, mailing, tmp_path) -> None:
    """Every number of other people in the batch and of the reference, sought in all arrays and all words."""
    own = mailing.rows.copy()
    amount = [feature.name for feature in mailing.model.spec.features].index("amount")
    own[:, amount] = 41_003 + np.arange(ROWS) * 7  # what nobody else has, in every row
    mailing = replace(mailing, rows=own, row_ids=tuple(f"own {place}" for place in range(ROWS)))
    write(desk, mailing, tmp_path, done)
    others = {float(value) for value in mailing.reference.rows.ravel() if value > 1_000}
    for place, row_id in enumerate(mailing.row_ids):
        stem, theirs = file_name(row_id), np.delete(own[:, amount], place)
        held = read((tmp_path / f"{stem}.assay").read_bytes())
        seen = np.concatenate([array.ravel() for each in held.exhibits for array in _numbers(each.body)])
        assert float(own[place, amount]) in seen, "the search finds what is there"
        assert not np.isin(theirs, seen).any()
        assert not np.isin(sorted(others - set(own[place])), seen).any(), "the reference's rows are other people's"
        words = b"".join(body for name, body in held.files.items() if not name.endswith(".npz"))
        for value in theirs:
            assert f"{value:,.0f}".encode() not in words and f"{value:.0f}".encode() not in words
        for other in set(mailing.row_ids) - {row_id}:
            assert other.encode() not in (tmp_path / f"{stem}.assay").read_bytes()


def _numbers(body: bytes) -> list[np.ndarray]:
    _, arrays = codec.unpack(body)
    assert zipfile.is_zipfile(io.BytesIO(body))
    return [array for array in arrays.values() if array.dtype.kind == "f"]


def test_too_few_rows_to_compare_with_are_refused_before_anything_is_asked(mailing) -> None:
    with pytest.raises(UserFacingError, match="It would compare with 19 rows"):
        replace(mailing, reference=mailing.subject.reference(19))


HOSTILE = [
    "../../etc/passwd",
    "/root",
    "a/b",
    "a\\b",
    "..",
    "",
    " ",
    "A",
    "a",
    "a ",
    "con",
    "x" * 300,
    "\0",
    "café",
    "a.b",
]


def test_every_id_has_a_name_of_its_own_in_the_folder(tmp_path) -> None:
    names = [file_name(row_id) for row_id in HOSTILE]
    assert len({name.lower() for name in names}) == len(names)
    for name in names:
        place = (tmp_path / f"{name}.assay.sig").resolve()
        assert place.parent == tmp_path.resolve() and len(place.name) < 100
        place.write_bytes(b"")


def test_two_rows_of_one_id_are_refused(mailing) -> None:
    with pytest.raises(UserFacingError, match="two letters of one name"):
        replace(mailing, row_ids=("7",) * ROWS)


def test_many_classes_are_each_explained_for_what_was_decided(desk) -> None:
    digits = load_subject("digits")
    rows, ids = digits.dataset.rows[:2], digits.dataset.row_ids[:2]
    mailing = Mailing(digits, digits.model(), rows, ids, digits.reference(3), Stamp(date(2026, 11, 23)))
    for each in letters(desk, mailing, range(2)):
        decided = int(each.outputs[0].argmax())
        assert each.grounds.explained.query.target.output == decided
        assert f"was read as {digits.model().spec.classes[decided]}." in report(each, mailing.stamp).printed["title"]
