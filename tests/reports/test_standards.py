"""Every report is PDF/A-3a and PDF/UA-1, as a draft and signed, and others than pyHanko accept its signature.

The validator is page (page-validation), which stands up to veraPDF's corpus; ADR 0015 says why it is not veraPDF.
"""

import io
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import page
import pytest
from cryptography.hazmat.primitives.serialization import NoEncryption, pkcs12
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.signers import PdfSignatureMetadata, sign_pdf

from core.nouns import Target
from reports import full, letter, pades, summary
from reports.pdf import build
from reports.report import Report, Stamp
from reports.signer import Signer, signer
from reports.signing import publish
from tests.reports.conftest import LOAN_EFFECTS, LOAN_ROW
from tests.reports.dossiers import dossier
from tests.reports.signed import house, issued, made
from tests.reports.test_letter import letter as loan_letter

STAMP = Stamp(date(2026, 11, 26), author="A. Author", use="to try out reports")
ROOT = Path(__file__).parents[2]
AUDIENCES = ("full", "summary")
WORLDS = ("loans", "scans", "houses", "reviews")


def failures(pdf: bytes) -> list[str]:
    """What either standard finds wrong."""
    found = [page.validate_pdf_bytes(pdf, profile=profile) for profile in ("3a", "ua1")]
    assert all(each.rules.total > 100 for each in found)
    all_failures = [failure for each in found for failure in each.failures]
    return [f"{each.rule_id}: {each.message}" for each in all_failures if not _misread(each.rule_id, pdf)]


def _misread(rule: str, pdf: bytes) -> bool:
    """page takes a carriage return that ends a stream for the line end after it; we look at the lengths ourselves."""
    if rule != "PDFA3A-STREAM-LENGTH-001" or b"\r\nendstream" not in pdf:
        return False
    streams = list(re.finditer(rb"/Length (\d+)[^>]*>>\s*stream\r?\n", pdf))
    return bool(streams) and all(pdf[each.end() + int(each[1]) :].startswith(b"\nendstream") for each in streams)


@pytest.fixture(scope="module")
def somebody(tmp_path_factory) -> Iterator[Signer]:
    with house(tmp_path_factory.mktemp("signer") / "home") as desk, signer(desk.vault) as found:
        yield found


@pytest.fixture(params=[f"{audience} {world}" for audience in AUDIENCES for world in WORLDS])
def whole(request) -> Report:
    audience, world = request.param.split()
    return {"full": full, "summary": summary}[audience].report(dossier(request.getfixturevalue(world)), STAMP, "")


def test_reports_on_a_whole_model_hold_both_standards(whole, somebody) -> None:
    assert failures(build(whole)) == []
    final = build(replace(whole, stamp=replace(STAMP, final=True, log=(7, "a" * 64))))
    assert failures(somebody.sign(final, b"PK\x03\x04\xff" * 100, b"{}\n")) == []


def test_a_letter_holds_both_standards(loans, somebody) -> None:
    found = loan_letter(loans, LOAN_ROW, LOAN_EFFECTS, Target(1, "margin"), np.array([1.18]))
    written = build(letter.report(found, STAMP))
    assert failures(written) == []
    assert failures(somebody.sign(written, b"PK\x03\x04", b"{}\n")) == []


def test_a_signed_report_on_a_decision_holds_them_and_others_accept_it(tmp_path: Path) -> None:
    """poppler checks the PDF and takes out what is inside, openssl checks the endorsement of the keys."""
    with house(tmp_path / "home") as desk:
        report = made(desk)
        with signer(desk.vault) as found:
            handed_out = found.pem()
        published = publish(desk, report)
    assert failures(build(report)) == failures(published.pdf) == []
    (tmp_path / "report.pdf").write_bytes(published.pdf)
    said = subprocess.run(["pdfsig", "-nocert", tmp_path / "report.pdf"], capture_output=True, text=True, check=True)
    for words in ("Signature is Valid.", "Total document signed", "ETSI.CAdES.detached"):
        assert words in said.stdout
    (tmp_path / "signer.pem").write_bytes(handed_out)
    _as_the_page_says(tmp_path)
    assert (tmp_path / "evidence.assay").read_bytes() == published.bundle
    assert (tmp_path / "evidence.assay.sig").read_bytes() == published.signature


def _as_the_page_says(folder: Path) -> None:
    """Runs what docs/verifying.md says under "Without Assay", in a folder with report.pdf and signer.pem."""
    page = (ROOT / "docs" / "verifying.md").read_text(encoding="utf-8").split("## Without Assay")[1]
    for kind, block in re.findall(r"^```(bash|python)\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        command = ["sh", "-e", "-c", block] if kind == "bash" else [sys.executable, "-c", block]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)


def test_the_validator_sees_what_a_signature_usually_breaks(loans) -> None:
    """Metadata written anew, and a field on the page without a tag."""
    certificate, key = issued("Signing desk")
    data = pkcs12.serialize_key_and_certificates(None, key, certificate, None, NoEncryption())
    written = build(summary.report(dossier(loans), STAMP, ""))
    usual = sign_pdf(
        IncrementalPdfFileWriter(io.BytesIO(written)), PdfSignatureMetadata("Signature"), pades.from_pkcs12(data, "")
    )
    found = " ".join(failures(usual.getvalue()))
    assert "XMP" in found and "PDFUA1-WIDGET-FORM-TAG" in found
