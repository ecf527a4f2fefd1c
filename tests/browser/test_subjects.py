"""A person brings a model and data: from two files to the first explanation; and files that mean harm."""

import pickle
import re
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Page, expect

from tests.browser.harness import PHONE, ROOT, at_rest, axe, too_wide, visit
from tests.browser.screen import LONGEST, charts, heading, reads, refusal
from tests.hostile.files import models, tables
from tests.test_readme import blocks


@pytest.fixture(scope="module")
def brought(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a scikit-learn pipeline, its data, and the same model as a pickle."""
    import skops.io
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "income": rng.lognormal(8, 0.4, 400).round(),
            "age": rng.integers(18, 76, 400),
            "home": rng.choice(["owns", "rents", "shares"], 400),
        }
    )
    answer = np.where(frame["income"] / 3000 - frame["home"].eq("owns") > 0.7, "declined", "approved")
    columns = make_column_transformer((StandardScaler(), ["income", "age"]), (OneHotEncoder(), ["home"]))
    model = make_pipeline(columns, LogisticRegression()).fit(frame, answer)
    folder = tmp_path_factory.mktemp("brought")
    skops.io.dump(model, folder / "model.skops")
    (folder / "model.pkl").write_bytes(pickle.dumps(model))
    frame.assign(decision=answer).to_csv(folder / "table.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the page of the documentation on scikit-learn leaves in a newcomer's folder."""
    folder = tmp_path_factory.mktemp("example")
    lines = "\n".join(blocks(ROOT / "docs" / "bring" / "scikit-learn.md", "python"))
    subprocess.run([sys.executable, "-c", lines], cwd=folder, check=True)
    return folder


def upload(page: Page, label: str, *place: Path) -> None:
    """Gives a file to the uploader called `label`."""
    box = page.locator("[data-testid=stFileUploader]").filter(has_text=label)
    box.locator("input[type=file]").set_input_files(place[0])
    page.wait_for_timeout(300)
    at_rest(page)


def bring(page: Page, model: Path, data: Path) -> None:
    visit(page, "/subjects")
    upload(page, "Model", model)
    upload(page, "Data", data)
    expect(page.get_by_role("heading", name="Do they fit together?")).to_be_visible()
    at_rest(page)


def save(page: Page, title: str, name: str) -> None:
    page.get_by_label("Title").fill(title)
    page.get_by_label("Name in addresses").fill(name)
    page.get_by_role("button", name="Save and explain").click()


def test_from_two_files_to_the_first_explanation(page: Page, example: Path) -> None:
    begun = time.monotonic()
    bring(page, example / "model.skops", example / "data.csv")
    expect(page.get_by_text("scikit-learn pipeline: ColumnTransformer, RandomForestClassifier.")).to_be_visible()
    expect(page.get_by_text("400 rows of 4 columns")).to_be_visible()
    expect(page.get_by_text(re.compile(r"right about label in \d+\.\d% of 400 rows"))).to_be_visible()
    expect(page.get_by_text("Whether the model was trained on these rows is not known")).to_be_visible()
    save(page, "Brought loans", "brought-loans")
    reads(page, r"^Row 1 was read as (paid|defaulted): score 0\.\d\d")
    expect(charts(page).first).to_be_visible()
    at_rest(page)
    assert "subject=brought-loans" in page.url
    assert refusal(page).count() == 0
    assert time.monotonic() - begun < 60
    visit(page, "/subjects")
    expect(page.get_by_role("link", name="Brought loans")).to_be_visible()


def test_a_column_is_corrected_in_the_table(page: Page, brought: Path) -> None:
    bring(page, brought / "model.skops", brought / "table.csv")
    again = page.get_by_role("button", name="Check again with these corrections")
    expect(again).to_be_disabled()
    grid = page.locator("[data-testid=stDataFrame]").first
    grid.scroll_into_view_if_needed()
    box = grid.bounding_box()
    page.mouse.dblclick(box["x"] + 90, box["y"] + 50)  # the plain name of the first column
    page.locator("#portal textarea").fill("Net income")
    page.keyboard.press("Enter")
    expect(again).to_be_enabled()
    again.click()
    page.wait_for_timeout(300)
    at_rest(page)
    expect(again).to_be_disabled()
    save(page, "Corrected", "corrected")
    reads(page, r"^Row 1 was read as")
    expect(page.locator("[data-testid=stSlider]").filter(has_text="Net income")).to_be_visible()


def test_a_pickle_is_refused_with_the_lines_that_help(page: Page, brought: Path) -> None:
    visit(page, "/subjects")
    upload(page, "Model", brought / "model.pkl")
    expect(refusal(page)).to_contain_text("Opening a pickle runs whatever code is in it")
    expect(page.get_by_text('skops.io.dump(model, "model.skops")')).to_be_visible()
    upload(page, "Data", brought / "table.csv")
    expect(page.get_by_text("400 rows of 4 columns")).to_be_visible()
    upload(page, "Model", brought / "model.skops")
    expect(page.get_by_role("heading", name="Do they fit together?")).to_be_visible()


HOSTILE_MODELS = (
    "pickle that runs code", "skops file that calls os.system", "skops tree with a child that is not there",
    "XGBoost tree with a child that is not there", "CatBoost file with smashed offsets", "ONNX constant of 4 TiB",
    "ONNX loop without end", "safetensors that claims a trillion numbers",
)  # fmt: skip
HOSTILE_TABLES = (
    "CSV of ten million rows in 20 KB", "Parquet of 54 million values in a few KB", "NPY of objects",
    "NPY that claims a trillion numbers", "pictures that climb out",
)  # fmt: skip


def web_process(app_url: str) -> tuple[int, int]:
    """The process that serves the pages, and the bytes of memory that it holds."""
    port = str(urlsplit(app_url).port).encode()
    for folder in Path("/proc").glob("[0-9]*"):
        words = (folder / "cmdline").read_bytes().split(b"\0") if (folder / "cmdline").exists() else []
        if b"streamlit" in words and port in words:
            held = re.search(r"VmRSS:\s+(\d+) kB", (folder / "status").read_text())
            return int(folder.name), int(held[1]) * 1024
    raise AssertionError("nobody serves the pages")


def test_hostile_files_leave_the_web_process_as_it_was(page: Page, app_url: str, brought: Path, tmp_path: Path) -> None:
    marker = tmp_path / "code-ran"
    files = {**models(marker), **tables(marker)}
    visit(page, "/subjects")
    before, held = web_process(app_url)
    for label, names in (("Model", HOSTILE_MODELS), ("Data", HOSTILE_TABLES)):
        for number, name in enumerate(names):
            place = tmp_path / f"{label}-{number}"
            place.write_bytes(files[name][0])
            upload(page, label, place)
            expect(page.get_by_text(place.name, exact=True)).to_be_visible()
            expect(refusal(page).last).to_have_text(re.compile(files[name][1], re.IGNORECASE))
            assert not marker.exists(), f"{name}: it ran code"
    after, holds = web_process(app_url)
    assert after == before
    assert holds - held < 300 * 2**20
    bring(page, brought / "model.skops", brought / "table.csv")
    save(page, "After harm", "after-harm")
    reads(page, r"^Row 1 was read as")


def test_files_stay_while_one_looks_elsewhere(page: Page, brought: Path) -> None:
    bring(page, brought / "model.skops", brought / "table.csv")
    page.get_by_role("navigation").get_by_role("link", name="Decision").click()
    reads(page, "was ")
    page.get_by_role("navigation").get_by_role("link", name="Subjects").click()
    expect(page.get_by_text("Still here: table.csv")).to_be_visible()
    expect(page.get_by_role("heading", name="Do they fit together?")).to_be_visible()


def test_two_people_with_files_of_one_name_never_see_each_others(open_page, brought: Path, tmp_path: Path) -> None:
    frame = pd.read_csv(brought / "table.csv")
    folders = {}
    for person, rows in (("first", 120), ("second", 250)):
        folders[person] = tmp_path / person
        folders[person].mkdir()
        part = frame.tail(rows) if person == "second" else frame.head(rows)
        part.to_csv(folders[person] / "table.csv", index=False)
    pages = {person: open_page() for person in folders}
    for page in pages.values():
        visit(page, "/subjects")
    for person, page in pages.items():  # both under way before either is done
        for label, place in (("Model", brought / "model.skops"), ("Data", folders[person] / "table.csv")):
            box = page.locator("[data-testid=stFileUploader]").filter(has_text=label)
            box.locator("input[type=file]").set_input_files(place)
    for person, rows in (("first", 120), ("second", 250)):
        at_rest(pages[person])
        expect(pages[person].get_by_text(f"{rows} rows of 4 columns")).to_be_visible()
        expect(pages[person].get_by_text(re.compile(rf"% of {rows} rows"))).to_be_visible()
    for page in pages.values():
        save(page, "Same name", "same-name")
    said = [wait_for_verdict(page) for page in pages.values()]
    assert sorted(said) == ["explained", "refused"]


def wait_for_verdict(page: Page) -> str:
    """Whether saving led to an explanation or was refused because the name is taken."""
    page.wait_for_function(
        "() => location.search.includes('subject=same-name') || document.body.innerText.includes('called same-name')"
    )
    return "explained" if "subject=same-name" in page.url else "refused"


def test_a_subject_is_removed_when_asked_twice(page: Page, brought: Path) -> None:
    bring(page, brought / "model.skops", brought / "table.csv")
    save(page, "Short lived", "short-lived")
    reads(page, r"^Row 1 was read as")
    visit(page, "/subjects")
    page.locator(".st-key-removal-short-lived button").click()
    page.get_by_role("button", name="Remove it").click()
    expect(page.get_by_role("link", name="Short lived")).to_have_count(0)


def faulted(page: Page) -> list[str]:
    """What axe finds wrong, but for the part of Streamlit's own uploader on which nobody can act."""
    return [each for each in axe(page) if "stFileUploaderDropzone" not in each]


@pytest.mark.parametrize("tone", ["light", "dark"])
def test_the_page_reads_well_empty_and_full(open_page, brought: Path, tone: str) -> None:
    page = open_page(shade=tone)
    visit(page, "/subjects")
    expect(heading(page)).to_have_text(re.compile(r"samples are here"))
    assert faulted(page) == []
    bring(page, brought / "model.skops", brought / "table.csv")
    assert faulted(page) == []
    height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    assert height <= LONGEST, "longer than three screens"


def test_the_page_fits_a_phone(open_page, brought: Path) -> None:
    page = open_page(size=PHONE)
    bring(page, brought / "model.skops", brought / "table.csv")
    assert too_wide(page) == 0
