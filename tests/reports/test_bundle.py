"""A bundle: the same bytes from the same report, nothing in it that its reader may not see, hostile ones refused."""

import hashlib
import io
import json
import tomllib
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest
import tomli_w

from access.masks import masked
from core import codec
from core.errors import UserFacingError
from core.nouns import MethodId, Subject, Target
from core.results import Attacked, Attribution, Prediction
from engine.places import SAMPLES
from engine.questions import attack_query, explain_query, population_query, prediction_query, swap_query
from engine.subjects import load_subject
from reports import bundle
from reports.report import Exhibit, Report, Stamp, report_digest

MARGIN = Target(1, "margin")
STAMP = Stamp(date(2026, 11, 26), "A. Author", use="Second opinion")
ROW = 17


def report(subject: Subject, audience: str = "decision", stamp: Stamp = STAMP) -> Report:
    """A report on one row with results made up, of every kind and from every kind of row."""
    model, rng = subject.model("mlp"), np.random.default_rng(5)
    reference = subject.reference(20)
    asked = prediction_query(subject, model, [ROW])
    explained = explain_query(subject, model, [ROW, ROW + 1], MARGIN, reference)
    attacked = attack_query(subject, model, [ROW])
    swapped = swap_query(explained, 0, [(0,), (3, 4)])
    predict, row = MethodId("predict", "1"), asked.rows
    one, outputs = np.zeros(1), np.zeros((1, 1))
    results = {
        "decision": Prediction(asked, predict, outputs),
        "reference-scores": Prediction(population_query(model, reference), predict, rng.random((20, 1))),
        "explanation": Attribution(
            explained, MethodId("occlusion", "1"), rng.random((2, 30)), rng.random(2), rng.random(2)
        ),
        "swapped": Prediction(swapped, predict, rng.random((len(swapped), 1))),
        "attack": Attacked(
            attacked, MethodId("pgd", "1", (("size", 0.05),)), "linf", 0.05, row + 0.25, row - 0.5, one, one,
            outputs, outputs, outputs, one, one, one, 12,
        ),
    }  # fmt: skip
    exhibits = tuple(Exhibit(name, result) for name, result in results.items())
    row_id = asked.row_ids[0]
    return Report(audience, subject, model, (row_id,), exhibits, {"title": "A title", "rows": [1, 2.5]}, "asked", stamp)


@pytest.fixture(scope="module")
def subject() -> Subject:
    return load_subject("tumours")


@pytest.fixture(scope="module")
def whole(subject: Subject) -> bytes:
    return bundle.pack(report(subject))


def opened(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def unpacked(data: bytes) -> bytes:
    """Every byte that is in a bundle, its exhibits unpacked."""
    files = opened(data)
    return b"".join(b"".join(opened(body).values()) if name.endswith("npz") else body for name, body in files.items())


def test_the_same_report_gives_the_same_bytes_and_reads_as_it_was(subject: Subject, whole: bytes) -> None:
    made = report(subject)
    assert bundle.pack(made) == whole == bundle.pack(report(load_subject("tumours")))
    found = bundle.read(whole)
    assert found.sheet == json.loads(json.dumps(made.sheet))
    assert (found.audience, found.manifest["digest"]) == ("decision", made.digest)
    for filed, exhibit in zip(found.exhibits, made.exhibits, strict=True):
        assert codec.load(filed.body).digest == filed.digest == exhibit.result.digest
        assert (filed.whole, filed.question) == (True, exhibit.question)
        assert found.exhibit(filed.name) == filed
    assert found.exhibit("another") is None


def test_another_stamp_gives_other_bytes_of_a_report_with_the_same_digest(subject: Subject, whole: bytes) -> None:
    final = bundle.read(bundle.pack(report(subject, stamp=replace(STAMP, final=True, log=(12, "ab" * 32)))))
    draft = bundle.read(whole)
    assert final.manifest["stamp"]["log"] == [12, "ab" * 32]
    assert (draft.sheet["draft"], final.sheet["draft"]) == (True, False)
    assert draft.manifest["digest"] == final.manifest["digest"]


def test_the_manifest_names_the_files_of_model_and_data_and_what_computed(whole: bytes) -> None:
    told = bundle.read(whole).manifest
    sample = load_subject("tumours")
    for what, file in (("model", "mlp.safetensors"), ("data", "data.parquet")):
        assert told[what]["sha256"] == hashlib.sha256((SAMPLES / "tumours" / file).read_bytes()).hexdigest()
    assert told["data"]["digest"] == sample.dataset.digest
    assert told["model"]["digest"] == sample.model("mlp").spec.digest
    assert told["environment"]["libraries"]["numpy"] == np.__version__
    assert len(told["environment"]["lock"]) == 64
    assert told["exhibits"][2]["reference"]["seed"] == 7
    assert told["exhibits"][4]["method"] == {"name": "pgd", "version": "1", "options": {"size": 0.05}}


def test_the_schema_has_the_one_model_and_names_no_row(whole: bytes) -> None:
    tables = tomllib.loads(bundle.read(whole).files["subject.toml"].decode())
    assert [each["name"] for each in tables["model"]] == ["mlp"]
    assert "example" not in tables["subject"]
    assert len(tables["feature"]) == 30


def test_masked_columns_are_nowhere_in_it(subject: Subject) -> None:
    names = [each.name for each in subject.model().spec.features[:4]]
    limited = masked(subject, names[:1])
    data = bundle.pack(report(limited))
    found, everything = bundle.read(data), unpacked(data)
    assert found.manifest["masked"] == names[:1]
    tables = tomllib.loads(found.files["subject.toml"].decode())["feature"]
    assert "lower" not in tables[0] and "upper" not in tables[0] and "lower" in tables[1]
    told = found.exhibit("explanation")
    assert not told.whole and told.withheld == 0
    assert np.isnan(told.result.query.rows[:, 0]).all() and not np.isnan(told.result.values).any()
    attack = found.exhibit("attack").result
    for moved in (attack.perturbed, attack.noise):
        assert np.isnan(moved[:, 0]).all()
    column = subject.dataset.rows[:, 0]
    reached = [*column, *(column[ROW] + [0.25, -0.5])]
    others = subject.dataset.rows[:, 1:]
    assert not [each for each in reached if each not in others and np.float64(each).tobytes() in everything]
    assert np.float64(subject.dataset.rows[ROW, 1]).tobytes() in everything


def test_a_letter_holds_nothing_of_other_people(subject: Subject) -> None:
    made = report(subject, "letter")
    data = bundle.pack(made)
    found, everything = bundle.read(data), unpacked(data)
    assert {each.name: (each.whole, each.withheld) for each in found.exhibits} == {
        "decision": (True, 0),
        "reference-scores": (False, 20),
        "explanation": (False, 1),
        "swapped": (False, 40),
        "attack": (True, 0),
    }
    for each, exhibit in zip(found.exhibits, made.exhibits, strict=True):
        assert each.digest == exhibit.result.digest
        assert each.result.query.row_ids == exhibit.result.query.row_ids
    explained = found.exhibit("explanation").result
    assert np.isnan(explained.values[1]).all() and not np.isnan(explained.values[0]).any()
    assert np.isnan(explained.query.reference.rows).all()
    rows = subject.dataset.rows
    theirs = np.setdiff1d(rows[rows != 0], [rows[ROW], rows[ROW] + 0.25, rows[ROW] - 0.5])
    assert not [each for each in theirs if each.tobytes() in everything]
    scores = made.exhibits[1].result.outputs, made.exhibits[3].result.outputs[1:]
    assert not [each for each in np.concatenate(scores) if each.tobytes() in everything]
    assert rows[ROW].tobytes() in everything


def test_a_report_rests_on_answers_about_its_own_rows(subject: Subject) -> None:
    made = report(subject)
    for other in (
        {"exhibits": ()},
        {"row_ids": ("275",)},
        {"exhibits": made.exhibits[1:2]},  # the scores of a reference that no answer names
    ):
        with pytest.raises(ValueError, match="other rows than the report"):
            replace(made, **other)
    assert replace(made, audience="full", row_ids=()).digest != made.digest


def test_a_subject_that_has_changed_is_not_packed(subject: Subject) -> None:
    dataset = subject.dataset
    other = replace(subject, dataset=replace(dataset, labels=1 - dataset.labels))
    with pytest.raises(UserFacingError, match="no longer those that were explained"):
        bundle.pack(report(other))


def test_what_is_too_large_is_not_packed(subject: Subject, monkeypatch) -> None:
    monkeypatch.setattr(bundle, "MOST", 2)
    with pytest.raises(UserFacingError, match="5 exhibits"):
        bundle.pack(report(subject))


# --- hostile ones ----------------------------------------------------------------------------------------------------

Files = dict[str, bytes]
FIRST = "exhibits/001.npz"
BESIDE = ("id", "digest", "draft", "stamp")


def zipped(files: Files, **settings: Any) -> bytes:
    """A zip of the form in which bundles are, or with other settings of its entries."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, body in sorted(files.items()):
            info = zipfile.ZipInfo(name)
            info.create_system = 3
            for key, value in settings.items():
                setattr(info, key, value)
            archive.writestr(info, body)
    return buffer.getvalue()


def told(files: Files, change: Callable[[dict[str, Any]], Any]) -> bytes:
    """The bundle with another manifest, in which every other file is named as it is."""
    manifest = json.loads(files["manifest.json"])
    manifest["files"] = {name: hashlib.sha256(body).hexdigest() for name, body in files.items() if name[0] != "m"}
    manifest["rules"]["digest"] = manifest["files"]["rules.toml"]
    change(manifest)
    return zipped(files | {"manifest.json": json.dumps(manifest, ensure_ascii=False, indent=1).encode()})


def exhibit(files: Files, change: Callable[[dict[str, Any], dict[str, np.ndarray]], Any]) -> bytes:
    """The bundle with another first exhibit."""
    header, arrays = codec.unpack(files[FIRST])
    change(header, arrays)
    return told(files | {FIRST: codec.pack(header, arrays)}, lambda manifest: None)


def printed(files: Files, change: Callable[[dict[str, Any]], Any]) -> bytes:
    sheet = json.loads(files["printed.json"])
    change(sheet)
    return told(files | {"printed.json": json.dumps(sheet).encode()}, lambda manifest: None)


def sealed(files: Files, change: Callable[[dict[str, Any]], Any]) -> bytes:
    """The bundle with another manifest, whose every digest is right, as whoever makes it can have it."""
    manifest = json.loads(files["manifest.json"])
    change(manifest)
    whole = report_digest(
        (manifest["audience"], manifest["subject"]["name"], manifest["data"]["digest"], manifest["model"]["digest"]),
        manifest["row_ids"],
        [(each["name"], each["question"], each["digest"]) for each in manifest["exhibits"]],
        {name: each for name, each in json.loads(files["printed.json"]).items() if name not in BESIDE},
        manifest["masked"],
    )
    manifest |= {"digest": whole, "id": whole[:12]}
    sheet = json.loads(files["printed.json"]) | {"digest": whole, "id": whole[:12]}
    kept = {"printed.json", "subject.toml", "rules.toml", *(each["file"] for each in manifest["exhibits"])}
    held = {name: body for name, body in files.items() if name in kept} | {"printed.json": json.dumps(sheet).encode()}
    return told(held | {"manifest.json": json.dumps(manifest).encode()}, lambda manifest: None)


def schema(files: Files, change: Callable[[dict[str, Any]], Any]) -> bytes:
    """The bundle with another schema, named as it is."""
    tables = tomllib.loads(files["subject.toml"].decode())
    change(tables)
    return told(files | {"subject.toml": tomli_w.dumps(tables).encode()}, lambda manifest: None)


def deep(depth: int) -> bytes:
    return b'{"a": ' + b"[" * depth + b"]" * depth + b"}"


def bomb() -> bytes:
    """A packed result that claims to unpack to more than may be unpacked."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(5):
            archive.writestr(f"{number}.npy", bytes(1 << 20))
    body = buffer.getvalue()
    size = (1 << 20).to_bytes(4, "little")
    return body.replace(size, (0x7FFFFFFF).to_bytes(4, "little"))


def entries(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    return manifest["exhibits"]


HOSTILE: dict[str, Callable[[bytes, Files], bytes]] = {
    "empty": lambda data, files: b"",
    "text": lambda data, files: b"evidence",
    "a PDF": lambda data, files: b"%PDF-1.7" + bytes(200),
    "cut off": lambda data, files: data[:-1],
    "its end alone": lambda data, files: data[-22:],
    "a byte in front": lambda data, files: b"x" + data,
    "a byte behind": lambda data, files: data + b"x",
    "a comment": lambda data, files: data[:-2] + b"\x05\x00hello",
    "a flipped byte": lambda data, files: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:],
    "deflated": lambda data, files: zipped(files, compress_type=zipfile.ZIP_DEFLATED),
    "dated": lambda data, files: zipped(files, date_time=(2026, 1, 1, 0, 0, 0)),
    "a symbolic link": lambda data, files: zipped(files, external_attr=0o120777 << 16),
    "extra fields": lambda data, files: zipped(files, extra=b"\x99\x99\x04\x00abcd"),
    "a file beside": lambda data, files: zipped(files | {"more.txt": b"x"}),
    "a path out of it": lambda data, files: zipped(files | {"../more.txt": b"x"}),
    "a file less": lambda data, files: zipped({name: body for name, body in files.items() if name != FIRST}),
    "no manifest": lambda data, files: zipped({name: body for name, body in files.items() if name[0] != "m"}),
    "another form": lambda data, files: told(files, lambda told: told.update(format="2")),
    "a manifest that is a list": lambda data, files: zipped(files | {"manifest.json": b"[1]"}),
    "a manifest that is none": lambda data, files: zipped(files | {"manifest.json": b"{"}),
    "a manifest in depth": lambda data, files: zipped(files | {"manifest.json": deep(100)}),
    "a manifest without a bottom": lambda data, files: zipped(files | {"manifest.json": deep(100_000)}),
    "a key twice": lambda data, files: zipped(files | {"manifest.json": b'{"format": "1", "format": "1"}'}),
    "no number": lambda data, files: zipped(files | {"manifest.json": b'{"format": NaN}'}),
    "a key more": lambda data, files: told(files, lambda told: told.update(more=1)),
    "a key less": lambda data, files: told(files, lambda told: told.pop("command")),
    "a number for a name": lambda data, files: told(files, lambda told: told["subject"].update(name=1)),
    "another audience": lambda data, files: told(files, lambda told: told.update(audience="everybody")),
    "no date": lambda data, files: told(files, lambda told: told["stamp"].update(as_of="yesterday")),
    "another date": lambda data, files: told(files, lambda told: told["stamp"].update(as_of="2026-11-27")),
    "a head that is none": lambda data, files: told(files, lambda told: told["stamp"].update(log=["a"])),
    "another id": lambda data, files: told(files, lambda told: told.update(id="0" * 12)),
    "another digest": lambda data, files: told(files, lambda told: told.update(digest="0" * 64)),
    "another data set": lambda data, files: told(files, lambda told: told["data"].update(digest="0" * 64)),
    "another rule file": lambda data, files: told(files, lambda told: told["rules"].update(digest="0" * 64)),
    "another file's digest": lambda data, files: told(files, lambda told: told["files"].update({FIRST: "0" * 64})),
    "an exhibit less": lambda data, files: told(files, lambda told: entries(told).pop()),
    "an exhibit twice": lambda data, files: told(files, lambda told: entries(told).append(entries(told)[0])),
    "another name": lambda data, files: told(files, lambda told: entries(told)[0].update(name="acquittal")),
    "another seed": lambda data, files: told(files, lambda told: entries(told)[0].update(seed=1)),
    "another method": lambda data, files: told(files, lambda told: entries(told)[0]["method"].update(version="2")),
    "another reference": lambda data, files: told(files, lambda told: entries(told)[2]["reference"].update(seed=8)),
    "another result": lambda data, files: told(files, lambda told: entries(told)[0].update(digest="0" * 64)),
    "secretly not whole": lambda data, files: told(files, lambda told: entries(told)[0].update(whole=False)),
    "other words": lambda data, files: printed(files, lambda sheet: sheet.update(title="Another title")),
    "no longer a draft": lambda data, files: printed(files, lambda sheet: sheet.update(draft=False)),
    "a changed number": lambda data, files: exhibit(
        files, lambda header, arrays: arrays.update(outputs=np.ones((1, 1)))
    ),
    "numbers of another form": lambda data, files: exhibit(
        files, lambda header, arrays: arrays.update(outputs=np.zeros((3, 1)))
    ),
    "an unknown kind": lambda data, files: exhibit(files, lambda header, arrays: header.update(kind="Report")),
    "a header that is none": lambda data, files: exhibit(files, lambda header, arrays: header.clear()),
    "an exhibit that is no zip": lambda data, files: told(files | {FIRST: b"PK"}, lambda told: None),
    "no exhibits": lambda data, files: sealed(files, lambda told: told.update(exhibits=[])),
    "another row than its exhibits": lambda data, files: sealed(files, lambda told: told.update(row_ids=["275"])),
    "a schema that is none": lambda data, files: told(files | {"subject.toml": b"[[["}, lambda told: None),
    "a schema in depth": lambda data, files: told(files | {"subject.toml": b"a=" + b"[" * 100_000}, lambda told: None),
    "a schema without its subject": lambda data, files: schema(files, lambda tables: tables.pop("subject")),
    "a schema without its data": lambda data, files: schema(files, lambda tables: tables.pop("data")),
    "a schema of two models": lambda data, files: schema(
        files, lambda tables: tables["model"].append(tables["model"][0])
    ),
    "a schema of another model": lambda data, files: schema(files, lambda tables: tables["model"][0].update(name="x")),
    "a schema of another subject": lambda data, files: schema(
        files, lambda tables: tables["subject"].update(title="x")
    ),
    "a schema with less features": lambda data, files: schema(files, lambda tables: tables["feature"].pop()),
    "a schema with a number for a label": lambda data, files: schema(
        files, lambda tables: tables["feature"][0].update(label=1)
    ),
    "a cut-off that is no number": lambda data, files: schema(
        files, lambda tables: tables["subject"].update(cutoff="high")
    ),
    "one file for model and data": lambda data, files: schema(
        files, lambda tables: tables["model"][0].update(file=tables["data"]["file"])
    ),
    "a bomb": lambda data, files: told(files | {FIRST: bomb()}, lambda told: None),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_bundle_is_refused_in_one_sentence(whole: bytes, name: str) -> None:
    data = HOSTILE[name](whole, opened(whole))
    assert data != whole
    with pytest.raises(UserFacingError) as refused:
        bundle.read(data)
    assert refused.value.what == "This is no evidence of Assay's"
    assert len(refused.value.why) < 120 and "\n" not in refused.value.why


def test_the_helpers_above_make_what_is_read(whole: bytes) -> None:
    """So that what is refused is refused for what was changed."""
    files = opened(whole)
    assert zipped(files) == whole
    assert bundle.read(told(files, lambda manifest: None)).files.keys() == files.keys()
    assert bundle.read(exhibit(files, lambda header, arrays: None))
    assert bundle.read(printed(files, lambda sheet: None))
    assert bundle.read(sealed(files, lambda manifest: None))
    assert bundle.read(schema(files, lambda tables: None))


def test_more_bytes_than_are_read_are_refused(whole: bytes, monkeypatch) -> None:
    monkeypatch.setattr(bundle, "LARGEST", len(whole) - 1)
    with pytest.raises(UserFacingError, match="at most are read"):
        bundle.read(whole)


def test_every_flipped_byte_is_noticed(whole: bytes, rng: np.random.Generator) -> None:
    for place in rng.integers(0, len(whole), 200):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(rng.integers(8))
        with pytest.raises(UserFacingError):
            bundle.read(bytes(flipped))
