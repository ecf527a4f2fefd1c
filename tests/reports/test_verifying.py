"""What was signed is checked: whatever is changed is seen, and each kind of change has a sentence of its own."""

import io
import json
import random
import re
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, pkcs12
from pyhanko.pdf_utils.embed import EmbeddedFileObject, FileSpec, embed_file
from pyhanko.pdf_utils.generic import ArrayObject, DictionaryObject, NameObject, StreamObject, TextStringObject
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from core.errors import UserFacingError
from reports import pades
from reports.pdf import build
from reports.signer import Signer, signer
from reports.signing import Published, draft, publish
from reports.verifying import Trust, Verdict, fingerprint, printed_again, verify
from tests.reports.signed import house, issued, made, restamped


@dataclass(frozen=True)
class Signed:
    """A published report, the draft of it, who signed it, and whom its reader trusts."""

    published: Published
    draft: Published
    signer: Signer
    pem: bytes

    @property
    def trust(self) -> Trust:
        return Trust.read(self.pem)


@pytest.fixture(scope="module")
def signed(tmp_path_factory) -> Signed:
    with house(tmp_path_factory.mktemp("signed") / "home") as desk:
        report = made(desk)
        with signer(desk.vault) as found:
            return Signed(publish(desk, report), draft(report), found, found.pem())


@pytest.fixture(scope="module")
def other(tmp_path_factory) -> Signer:
    """Somebody else, whose certificate has the same name."""
    with house(tmp_path_factory.mktemp("other") / "home") as desk, signer(desk.vault) as found:
        return found


def failures(verdict: Verdict) -> list[str]:
    assert verdict.ok is not any(line.good is False for line in verdict.lines)
    return [line.sentence for line in verdict.lines if line.good is False]


def failure(file: bytes, trust: Trust | None, beside: bytes | None = None) -> str:
    """The one sentence that says what is wrong."""
    (sentence,) = failures(verify(file, trust, beside))
    return sentence


def flipped(data: bytes, place: int, bit: int = 1) -> bytes:
    return data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :]


def room(pdf: bytes) -> tuple[int, int]:
    """Where the signature's room begins and ends."""
    found = list(re.finditer(rb"/ByteRange \[0 (\d+) (\d+) \d+\]", pdf))[-1]
    return int(found[1]), int(found[2])


# --- in order --------------------------------------------------------------------------------------------------------


def test_what_was_signed_verifies(signed) -> None:
    verdict = verify(signed.published.pdf, signed.trust)
    assert verdict.ok and verdict.bundle.manifest["id"] == signed.published.report.id
    told = " ".join(line.sentence for line in verdict.lines)
    assert f"certificate is trusted ({fingerprint(signed.signer.by.signing_cert.dump())})" in told
    assert "The Ed25519 signature of the evidence fits." in told
    assert "The ML-DSA-65 signature of the evidence fits." in told
    assert verdict.bundle.manifest["stamp"]["final"] is True


def test_evidence_verifies_without_the_pdf(signed) -> None:
    verdict = verify(signed.published.bundle, signed.trust, signed.published.signature)
    assert verdict.ok and len(verdict.bundle.exhibits) == len(signed.published.report.exhibits)


def test_the_pdf_is_that_of_its_evidence(signed) -> None:
    verdict = verify(signed.published.pdf, signed.trust)
    assert printed_again(signed.published.pdf, verdict.bundle).good is True
    another = build(restamped(signed.published.report, author="Somebody else"))
    with_signature = signed.signer.sign(another, signed.published.bundle, signed.published.signature)
    verdict = verify(with_signature, signed.trust)
    assert verdict.ok, "whoever signs may sign anything"
    assert printed_again(with_signature, verdict.bundle).good is False


def _other_content(writer: IncrementalPdfFileWriter) -> None:
    page = writer.root["/Pages"]["/Kids"][0].get_object()
    page[NameObject("/Contents")] = writer.add_object(StreamObject(stream_data=b"0 0 600 800 re f"))
    writer.update_container(page)


def _other_content_in_place(writer: IncrementalPdfFileWriter) -> None:
    writer.mark_update(writer.root["/Pages"]["/Kids"][0].get_object().raw_get("/Contents"))


def _other_catalog(writer: IncrementalPdfFileWriter) -> None:
    writer.root[NameObject("/OpenAction")] = DictionaryObject({NameObject("/S"): NameObject("/Named")})
    writer.update_root()


def _another_page(writer: IncrementalPdfFileWriter) -> None:
    writer.root["/Pages"]["/Kids"].pop()
    writer.update_container(writer.root["/Pages"]["/Kids"])


def _another_form(writer: IncrementalPdfFileWriter) -> None:
    form = {NameObject("/Fields"): ArrayObject(), NameObject("/XFA"): TextStringObject("a form of its own")}
    writer.root[NameObject("/AcroForm")] = DictionaryObject(form)
    writer.update_root()


def _another_file(writer: IncrementalPdfFileWriter) -> None:
    stream = EmbeddedFileObject.from_file_data(writer, b"other evidence", mime_type="application/zip")
    embed_file(writer, FileSpec("evidence.assay", "evidence.assay", stream))


@pytest.mark.parametrize(
    "meddle",
    [_other_content, _other_content_in_place, _other_catalog, _another_page, _another_form, _another_file],
)
def test_nothing_is_appended_to_the_print_but_a_signature(signed, monkeypatch, meddle) -> None:
    """Whoever signs could lay something over what is printed: before they sign it, or as they do."""
    print_, evidence, signature = build(signed.published.report), signed.published.bundle, signed.published.signature
    before = pades._Writer(io.BytesIO(print_))
    meddle(before)
    before.write(apart := io.BytesIO())
    apart = signed.signer.sign(apart.getvalue() + b"\n", evidence, signature)

    def embed(writer: IncrementalPdfFileWriter, spec: FileSpec) -> None:
        if spec.file_spec_string == "evidence.assay":
            meddle(writer)
        embed_file(writer, spec)

    monkeypatch.setattr(pades, "embed_file", embed)
    within = signed.signer.sign(print_, evidence, signature)
    for pdf in (apart, within):
        verdict = verify(pdf, signed.trust)
        (sentence,) = failures(verdict)
        assert sentence.startswith("The PDF is signed, and is no report of Assay's: ") and verdict.bundle is None


def test_more_before_the_signature_is_not_the_print(signed) -> None:
    """A PDF of its own behind what the evidence prints, with no revision between it and the signature."""
    print_ = build(signed.published.report)
    place = print_.rindex(b"xref\n", 0, print_.rindex(b"startxref"))
    behind = print_ + print_[place:].replace(b"startxref\n%d\n" % place, b"startxref\n%d\n" % len(print_))
    pdf = signed.signer.sign(behind, signed.published.bundle, signed.published.signature)
    assert pdf.startswith(print_) and verify(pdf, signed.trust).ok
    assert printed_again(pdf, verify(pdf, signed.trust).bundle).good is False


def test_without_a_certificate_to_trust_nothing_verifies(signed) -> None:
    sentence = failure(signed.published.pdf, None)
    assert fingerprint(signed.signer.by.signing_cert.dump()) in sentence and "--trust" in sentence
    assert verify(signed.published.pdf).bundle is None, "what nobody stands for is not opened"


# --- changed ---------------------------------------------------------------------------------------------------------


def test_every_kind_of_change_has_its_own_sentence(signed, other) -> None:
    pdf, evidence, signature = signed.published.pdf, signed.published.bundle, signed.published.signature
    trust = signed.trust
    start, end = room(pdf)
    update = pdf + b"9 0 obj\n<< >>\nendobj\nxref\n0 0\ntrailer\n<< >>\nstartxref\n1\n%%EOF\n"
    told = json.loads(signature)
    swapped = other.detached(evidence)
    found = {
        "a byte of what is printed": failure(flipped(pdf, 2000), trust),
        "a byte of the signature": failure(flipped(pdf, start + 100), trust),
        "a byte beside the signature": failure(flipped(pdf, end - 10), trust),
        "the range": failure(pdf.replace(b"/ByteRange [0 ", b"/ByteRange [1 "), trust),
        "appended": failure(pdf + b"\n", trust),
        "an update": failure(update, trust),
        "stripped": failure(signed.draft.pdf, trust),
        "another's certificate": failure(other.sign(build(signed.published.report), evidence, signature), trust),
        "nobody's certificate": failure(pdf, Trust((_authority()[0],))),
        "a byte of the evidence": failures(verify(flipped(evidence, 2000), trust, signature))[0],
        "no signature": failure(evidence, trust),
        "a damaged signature file": failure(evidence, trust, flipped(signature, len(signature) - 3)),
        "another list of keys": failure(evidence, trust, _with(told, keys=json.loads(swapped)["keys"])),
        "another's keys": failure(evidence, trust, swapped),
    }
    expected = {
        "a byte of what is printed": "The PDF was changed: it is not what was signed.",
        "a byte beside the signature": "bytes beside its signature",
        "the range": "does not say which bytes it covers",
        "appended": "1 bytes follow its end",
        "an update": "a later revision",
        "stripped": "There is no signature in the PDF",
        "another's certificate": "another certificate than the one trusted: it has the same name",
        "nobody's certificate": "leads to none that is trusted",
        "a byte of the evidence": "The evidence was changed: its Ed25519 signature does not fit.",
        "no signature": "The evidence has no signature",
        "a damaged signature file": "The signature file of the evidence is damaged",
        "another list of keys": "The list of keys was changed",
        "another's keys": "The list of keys is signed by another certificate than the one trusted",
    }
    for change, words in expected.items():
        assert words in found[change], change
    assert "signature of the PDF" in found["a byte of the signature"]
    assert len(set(found.values())) == len(found)


def _with(told: dict, **parts: object) -> bytes:
    return json.dumps({**told, **parts}, indent=1, sort_keys=True).encode() + b"\n"


def test_a_flip_anywhere_in_the_pdf_is_seen(signed) -> None:
    pdf, draw = signed.published.pdf, random.Random(20261126)
    start, end = room(pdf)
    inside = [draw.randrange(start, end) for _ in range(150)]
    for place in (*(draw.randrange(5, len(pdf)) for _ in range(300)), *inside, start, end - 1):
        verdict = verify(flipped(pdf, place, 1 << draw.randrange(8)), signed.trust)
        assert not verdict.ok, f"a flip at {place} of {len(pdf)} went unseen"


def test_every_byte_of_the_room_is_looked_at(signed) -> None:
    """Another way to write the same signature is no way: small letters, other padding, other lists beside it."""
    pdf = signed.published.pdf
    start, end = room(pdf)
    for again in (pdf[start:end].lower(), b"<" + pdf[start + 1 : end - 1][:-2] + b"01>"):
        assert "was changed" in failure(pdf[:start] + again + pdf[end:], signed.trust)


def test_the_room_is_where_the_signature_stands(signed) -> None:
    """Words in the print that say where the room is, and the room moved there: no signed byte is another."""
    evidence, signature = signed.published.bundle, signed.published.signature
    found, moved = b"/ByteRange [0 000000 000000 0000]", b""
    while found not in moved:  # signed again with the words that would have been right: its room varies by some bytes
        pdf = signed.signer.sign(build(signed.published.report) + b"% " + found + b"\n", evidence, signature)
        start, end = room(pdf)
        covered = pdf[:start] + pdf[end:]
        place = covered.rindex(b"/ByteRange") + 1
        moved = covered[:place] + pdf[start:end] + covered[place:]
        found = b"/ByteRange [0 %06d %06d %04d]" % (place, place + end - start, len(covered) - place)
    (line,) = verify(moved, signed.trust).lines
    assert line.sentence == "The PDF was changed: its signature does not say which bytes it covers."


def test_a_flip_anywhere_in_the_signature_file_is_seen(signed) -> None:
    body, signature, draw = signed.published.bundle, signed.published.signature, random.Random(1)
    for place in (draw.randrange(len(signature)) for _ in range(200)):
        verdict = verify(body, signed.trust, flipped(signature, place, 1 << draw.randrange(8)))
        assert not verdict.ok, f"a flip at {place} went unseen"


def test_keys_that_were_handed_out_must_be_those_that_signed(signed, other) -> None:
    theirs = other.pem().split(b"-----END CERTIFICATE-----\n")[1]
    mine = signed.pem.split(b"-----END CERTIFICATE-----\n")[0] + b"-----END CERTIFICATE-----\n"
    assert verify(signed.published.pdf, Trust.read(mine)).ok, "the certificate alone is enough"
    found = failures(verify(signed.published.pdf, Trust.read(mine + theirs)))
    assert [sentence.split(" key ")[0] for sentence in found] == ["The Ed25519", "The ML-DSA-65"]


# --- whose it is -----------------------------------------------------------------------------------------------------


def _authority() -> tuple[x509.Certificate, object]:
    return issued("House authority", authority=True)


def _by(certificate: x509.Certificate, key: object, like: Signer, *chain: x509.Certificate) -> Signer:
    """Somebody who signs by that certificate, and by the keys of another."""
    data = pkcs12.serialize_key_and_certificates(None, key, certificate, list(chain) or None, NoEncryption())
    return Signer(pades.from_pkcs12(data, ""), like.ed25519, like.ml_dsa)


def _signed_by(who: Signer, signed: Signed) -> bytes:
    evidence = signed.published.bundle
    return who.sign(build(signed.published.report), evidence, who.detached(evidence))


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_a_certificate_may_lead_to_an_authority_that_is_trusted(signed, kind) -> None:
    root, root_key = _authority()
    middle, middle_key = issued("Department", (root, root_key), authority=True)
    leaf, key = issued("Signing desk", (middle, middle_key), kind=kind)
    pdf = _signed_by(_by(leaf, key, signed.signer, middle), signed)
    assert verify(pdf, Trust((root,))).ok
    assert verify(pdf, Trust((leaf,))).ok, "the certificate itself"
    assert "leads to none" in failure(pdf, Trust((_authority()[0],)))
    without = _signed_by(_by(leaf, key, signed.signer), signed)
    assert "leads to none" in failure(without, Trust((root,)))


def test_certificates_beside_the_signers_are_those_that_it_gave(signed) -> None:
    """The intermediate is not needed where the certificate itself is trusted, and no signature of ours covers it."""
    root = _authority()
    middle, middle_key = issued("Department", root, authority=True)
    leaf, key = issued("Signing desk", (middle, middle_key))
    again, _ = issued("Department", root, authority=True)
    who = _by(leaf, key, signed.signer, middle)
    evidence = signed.published.bundle
    swapped = _by(leaf, key, signed.signer, again).sign(
        build(signed.published.report), evidence, who.detached(evidence)
    )
    assert "The signature of the PDF carries other certificates" in failure(swapped, Trust((leaf,)))


def test_certificates_that_make_too_many_chains_are_not_searched(signed) -> None:
    root = _authority()
    leaf, key = issued("Signing desk", root)
    same = [issued("Department", root, authority=True)[0] for _ in range(2)]
    many = [issued(f"Department {number}", root, authority=True)[0] for number in range(10)]
    for chain in (same, many):
        pdf = _signed_by(_by(leaf, key, signed.signer, *chain), signed)
        assert failure(pdf, Trust((leaf,))) == "The signature of the PDF is damaged: it cannot be read."
    assert verify(_signed_by(_by(leaf, key, signed.signer, *many[1:]), signed), Trust((leaf,))).ok


def test_a_certificate_counts_while_it_is_valid(signed) -> None:
    now = datetime.now(UTC)
    for since, until in ((-2, -1), (1, 2)):
        certificate, key = issued("Signing desk", span=(now + timedelta(since), now + timedelta(until)))
        pdf = _signed_by(_by(certificate, key, signed.signer), signed)
        assert "was not valid when it signed" in failure(pdf, Trust((certificate,)))


def test_a_certificate_file_must_be_whole(signed) -> None:
    der = bytearray(signed.signer.certificate.public_bytes(Encoding.DER))
    der[-1] ^= 1
    damaged = x509.load_der_x509_certificate(bytes(der)).public_bytes(Encoding.PEM)
    for pem in (damaged, b"", b"hello", signed.pem.replace(b"MII", b"!II"), b"-----BEGIN CERTIFICATE-----"):
        with pytest.raises(UserFacingError, match="certificate file cannot be read"):
            Trust.read(pem)
    for pem in (signed.pem + b"-----BEGIN A-----\n" * 50_000, signed.pem + b"\n" * (1 << 20)):
        with pytest.raises(UserFacingError, match="certificate file cannot be read"):
            Trust.read(pem)
    for place in range(30, 700, 7):
        try:
            trust = Trust.read(flipped(signed.pem, place))
        except UserFacingError:
            continue
        assert not verify(signed.published.pdf, trust).ok


# --- hostile files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"hello", b"%PD", b"\x00" * 1000, b"GIF89a"])
def test_what_is_no_report_cannot_be_checked(signed, body) -> None:
    with pytest.raises(UserFacingError, match="The file cannot be checked"):
        verify(body, signed.trust)


def test_a_hostile_pdf_ends_in_a_sentence(signed) -> None:
    start, end = room(signed.published.pdf)
    hole = b"<" + b"30820400" + b"30" * 1000 + b">"
    for middle in (hole, b"<" + b"0" * 3000 + b">", b"<>", b"\xff" * 3000):
        head = b"%PDF-1.7\n"
        for ranges in ((0, len(head), len(head) + len(middle), None), (0, 10**9, 10**9 + 5, 1), (0, 0, 0, 0)):
            tail = b"/ByteRange [%d %d %d " % ranges[:3]
            rest = len(tail) + 5 if ranges[3] is None else ranges[3]
            assert failures(verify(head + middle + tail + b"%04d]" % rest, signed.trust))
    for cut in (10, 1000, start, start + 50, end, len(signed.published.pdf) - 1):
        assert failures(verify(signed.published.pdf[:cut], signed.trust))


def test_a_hostile_signature_file_ends_in_a_sentence(signed) -> None:
    body, whole = signed.published.bundle, json.loads(signed.published.signature)
    deep = b"[" * 100_000
    for beside in (b"", b"null", b"[]", b"{}", deep, b"x" * (1 << 20), _with(whole, keys=None), _with(whole, more=1)):
        assert "is damaged" in failure(body, signed.trust, beside)


def test_evidence_that_is_signed_and_not_whole_is_seen(signed) -> None:
    buffer = io.BytesIO(signed.published.bundle)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("more.txt", "more")
    body = buffer.getvalue()
    assert failure(body, signed.trust, signed.signer.detached(body)).startswith("The evidence is not whole: ")
