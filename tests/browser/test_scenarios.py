"""Two of the ten scenarios, those that need pages: an auditor's own seed and rows, and what contains an auditor.

The other eight: tests/scenarios/test_reports.py.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from playwright.sync_api import expect

from access import sharing
from access.people import Person
from core.nouns import Target
from engine.engine import Engine, Question
from engine.questions import default_survey, explain_query
from engine.subjects import load_subject
from tests.backends import opened
from tests.browser.harness import visit
from tests.browser.screen import heading, reads
from tests.providers.hosted import Hosted, hosted
from tests.providers.providers import Somebody
from ui.checking import OWN_SIZE
from ui.choices import SAMPLE_SEED

PEOPLE = [Somebody("bob", ["assay-auditor"])]
ANN = Person("ann@example.org", "Ann", ("analyst",))
HELD = re.compile(r"Of the 5 features that move .+ most, [0-5] are the same in your sample")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    with hosted(tmp_path_factory.mktemp("audited"), PEOPLE) as running:
        yield running


@pytest.fixture(scope="module")
def frozen(house: Hosted) -> sharing.Snapshot:
    """The tumours, frozen with the explanation of the sample that the page Whole model draws."""
    subject = load_subject("tumours")
    model, size = subject.model(), OWN_SIZE.default
    drawn = subject.dataset.sample(size, SAMPLE_SEED.default)
    with pytest.MonkeyPatch.context() as patch, opened(house.env, house.home, patch) as stores:
        engine = Engine.open()
        try:
            query = explain_query(subject, model, drawn, Target(1, model.spec.natural_scale), subject.reference())
            engine.ask(Question(model, default_survey(model.spec)(), query, "long"))
            return sharing.freeze(stores.vault, engine.store, "tumours", ANN, "For the audit", datetime.now(UTC))
        finally:
            engine.close()


@pytest.fixture
def grant(house: Hosted, frozen: sharing.Snapshot) -> Iterator[sharing.Grant]:
    """What Bob may see for today, with a budget of 2,000 rows."""
    now = datetime.now(UTC)
    with pytest.MonkeyPatch.context() as patch, opened(house.env, house.home, patch) as stores:
        given = sharing.grant(stores.vault, frozen.id, "bob@example.org", now.date(), [], 2_000, ANN, now)
        yield given
        sharing.revoke(stores.vault, given.id, now)


def test_3_an_auditor_supplies_a_seed_and_rows_of_their_own(enter, frozen, grant, tmp_path) -> None:
    """The same sample says the same; another seed is compared with it; rows that are moved get other reasons."""
    page, said = enter("bob"), []
    for seed in ("11", "12"):
        visit(page, f"/check?subject={frozen.short}&check=sample&own-seed={seed}&own-sample=200")
        page.get_by_role("button", name="Explain them").click()
        reads(page, "moved most by")
        expect(page.get_by_text(HELD)).to_be_visible()
        expect(page.get_by_text(f"200 rows drawn with seed {seed}.").first).to_be_visible()
        said.append(heading(page).inner_text())
    assert said[0] != said[1]  # the figures are those of other rows
    visit(page, f"/check?subject={frozen.short}&check=own")
    page.locator("input[type=file]").set_input_files(_moved(tmp_path))
    page.get_by_role("button", name="Ask the model about them").click()
    reads(page, "^Of your 2 rows: 1 benign and 1 malignant")


def _moved(folder) -> str:
    """A patient as they are, and the same one with each value most of the way to a patient of the other kind."""
    subject = load_subject("tumours")
    rows, labels = subject.dataset.rows, subject.dataset.labels
    ill, well = rows[labels == 1][0], rows[labels == 0][0]
    frame = pd.DataFrame([ill, ill + 0.9 * (well - ill)], columns=[each.name for each in subject.model().spec.features])
    frame.insert(0, "row_id", ["as she is", "moved"])
    frame.to_csv(folder / "rows.csv", index=False)
    return str(folder / "rows.csv")


def test_10_an_auditor_is_contained_and_the_grant_expires(enter, house: Hosted, frozen, grant) -> None:
    page = enter("bob")
    visit(page, f"/check?subject={frozen.short}")
    reads(page, "patients")
    links = page.get_by_role("navigation").get_by_role("link").all_inner_texts()
    assert "Share" not in links and "People" not in links
    for place in ("/check?subject=tumours", "/?subject=loans", "/report?subject=digits"):
        visit(page, place)
        expect(page.get_by_text(re.compile("There is no subject|You may not see"))).to_be_visible()
    visit(page, "/share")
    expect(page.get_by_text(re.compile("^You may not"))).to_be_visible()
    visit(page, f"/check?subject={frozen.short}")
    reads(page, "patients")
    with pytest.MonkeyPatch.context() as patch, opened(house.env, house.home, patch) as stores:
        ended = replace(grant, until=datetime.now(UTC) - timedelta(seconds=1))
        sharing._keep(stores.vault, ended)  # its last day is over
    page.get_by_role("radio", name="Ask again").or_(page.get_by_text("Ask again", exact=True)).first.click()
    expect(page.get_by_text(re.compile("Nothing is granted to you|You may not see|has expired"))).to_be_visible()
    assert page.get_by_text("patients fit").count() == 0
