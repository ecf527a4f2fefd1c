"""A view lives in its address: it comes back from it, changes write it, and nothing is lost on the way."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.harness import at_rest, visit
from tests.browser.screen import combobox, go_to, heading, holds, pick, press, reads, refusal, said


def test_everything_chosen_comes_back_from_the_address(page):
    visit(page, "/attack?subject=tumours&model=mlp&row=100&class=benign&attack=fgsm&norm=l2&size=10&attack-rows=5")
    reads(page, "decision on this patient")
    expect(combobox(page, "Subject")).to_have_value("Breast tumours")
    expect(combobox(page, "Model")).to_have_value("Neural network (PyTorch)")
    expect(page.get_by_role("textbox", name="Patient")).to_have_value("100")
    expect(combobox(page, "Explained class")).to_have_value("benign")
    expect(combobox(page, "Attack")).to_have_value(re.compile("FGSM"))
    expect(page.get_by_role("radio").nth(1)).to_be_checked()
    expect(page.get_by_role("slider", name=re.compile("^(Size|Length)"))).to_have_value("10")
    expect(page.get_by_role("spinbutton", name="Rows attacked")).to_have_value("5")
    chosen = {"model": "mlp", "row": "100", "class": "benign", "attack": "fgsm", "norm": "l2", "size": "10"}
    assert chosen.items() <= said(page).items()


def test_the_view_of_the_model_comes_back_and_is_written(page):
    visit(page, "/model?subject=tumours&view=decides&cutoff=0.7")
    expect(page.get_by_role("radio", name="How well it decides")).to_be_checked()
    expect(page.get_by_role("slider", name=re.compile("^Cut-off"))).to_have_value("0.7")
    before = heading(page).inner_text()
    page.get_by_role("slider", name=re.compile("^Cut-off")).press("Home")
    holds(page, cutoff="0.01")
    expect(heading(page)).not_to_have_text(before)
    page.get_by_role("radio", name="What matters").click()
    holds(page, view=None)
    reads(page, "score for ")


def test_choices_write_the_address(page):
    visit(page, "/?subject=tumours&row=275")
    reads(page, "^Patient 275 ")
    pick(page, "Model", "Neural network (PyTorch)")
    holds(page, model="mlp")
    pick(page, "Explained class", "benign")
    holds(page, **{"class": "benign"})
    page.get_by_role("textbox", name="Patient").fill("12")
    page.get_by_role("textbox", name="Patient").press("Enter")
    holds(page, row="12", model="mlp")
    reads(page, "^Patient 12 ")
    pick(page, "Subject", "Handwritten digits")
    holds(page, subject="digits", model=None, row="923")
    reads(page, "^Scan 923 ")
    assert refusal(page).count() == 0


@pytest.mark.parametrize(("row", "key"), [("1", "row-before"), ("569", "row-after")])
def test_the_first_and_the_last_row_have_no_neighbour_beyond(page, row, key):
    visit(page, f"/?subject=tumours&row={row}")
    reads(page, f"^Patient {row} ")
    press(page, key)
    at_rest(page)
    reads(page, f"^Patient {row} ")
    assert refusal(page).count() == 0


def test_the_navigation_keeps_the_subject_the_model_and_the_row(page):
    visit(page, "/?subject=digits&model=cnn&row=5")
    reads(page, "^Scan 5 ")
    for title, answer in [
        ("Report", "scan 5|Scan 5"),
        ("Whole model", "score for "),
        ("Decision", "^Scan 5 "),
    ]:
        go_to(page, title)
        reads(page, answer)
        assert refusal(page).count() == 0
        assert {"subject": "digits", "model": "cnn", "row": "5"}.items() <= said(page).items()


def test_the_way_back_leads_to_the_view_before(page):
    visit(page, "/?subject=tumours&row=275")
    reads(page, "^Patient 275 ")
    press(page, "row-after")
    reads(page, "^Patient 276 ")
    holds(page, row="276")
    page.go_back()
    reads(page, "^Patient 275 ")
    expect(page.get_by_role("textbox", name="Patient")).to_have_value("275")
    page.go_forward()
    reads(page, "^Patient 276 ")
    holds(page, row="276")


def test_the_way_back_leads_to_the_page_before(page):
    visit(page, "/?subject=tumours&row=276")
    reads(page, "^Patient 276 ")
    go_to(page, "Report")
    reads(page, "atient 276")
    expect(page.get_by_role("button", name="Download the draft")).to_be_visible()
    holds(page, row="276")
    page.go_back()
    page.wait_for_function("location.pathname === '/'")
    reads(page, "^Patient 276 was ")


@pytest.mark.parametrize(
    ("address", "remedy"),
    [
        ("/?subject=nope", "Breast tumours"),
        ("/?model=zz", "Neural network"),
        ("/?subject=digits&model=xgboost", "Dense network"),
        ("/?row=99999", "from 1 to 569"),
        ("/?row=%3Cb%3Ebold", "<b>bold"),
        ("/?row=https://example.org/x", "example.org/x"),
        ("/?class=zz", "benign, malignant"),
        ("/?shap=foo", "Exact tree SHAP"),
        ("/?captum=foo", "Occlusion"),
        ("/?reference=0", "from 1 to 569"),
        ("/?reference=abc", "whole number"),
        ("/?reference-seed=x", "whole number"),
        ("/attack?size=-1", "from 0.5 to 100"),
        ("/attack?size=nan", "not a number"),
        ("/attack?norm=l7", "each value"),
        ("/attack?attack=pgd", "Random search"),
        ("/attack?random_search.queries=0", "from 1 to"),
        ("/model?view=zz", "What matters"),
        ("/model?sample=1e9", "whole number"),
        ("/model?view=decides&cutoff=2", "from 0.01 to 0.99"),
        ("/report?page=9", "from 1 to 6"),
        ("/report?attack=zz", "Random search"),
    ],
)
def test_what_an_address_cannot_mean_is_refused_in_one_sentence_with_a_way_on(page, address, remedy):
    visit(page, address)
    expect(refusal(page)).to_have_count(1)
    expect(refusal(page)).to_contain_text(remedy)
    assert refusal(page).get_by_role("link").count() == 0, "what somebody wrote into an address is no link"
    assert "Traceback" not in page.content() and "redacted" not in refusal(page).inner_text()
    assert re.fullmatch(r"(.+[.?]) (.+[.?]) (.+[.?])", refusal(page).inner_text().replace("\n", " "))
    row = page.get_by_role("textbox", name=re.compile("^(Patient|Scan)$"))
    row.fill("7")
    row.press("Enter")
    holds(page, row="7")
    expect(refusal(page)).to_have_count(0)
    expect(heading(page)).to_be_visible()


@pytest.mark.parametrize(
    "name", ["row.before", "row-before", "waiting.cancelled", "edit-top", "address.seen", "header"]
)
def test_an_address_reaches_nothing_but_the_choices(page, name):
    visit(page, f"/?subject=tumours&row=275&{name}=1")
    reads(page, "^Patient 275 ")
    assert refusal(page).count() == 0
