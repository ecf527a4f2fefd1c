"""Signing: what must hold before, what the log and the report say of it, and by whose certificate."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509 import Certificate
from cryptography.x509.oid import ExtendedKeyUsageOID

from access.actions import Refused
from access.desk import Desk
from access.people import LOCAL, Person
from core.errors import UserFacingError
from reports import bundle, pades
from reports.pdf import build
from reports.report import Exhibit, Report
from reports.signer import signer
from reports.signing import draft, publish
from reports.verifying import Trust, Verdict, verify
from storage.stores import stores
from tests.reports.signed import house, issued, made

ANALYST = Person("ada", "Ada", ("analyst",), mfa=True)


@pytest.fixture(scope="module")
def room(tmp_path_factory) -> Iterator[tuple[Desk, Report]]:
    """A desk and a report that was made at it."""
    with house(tmp_path_factory.mktemp("signing") / "home") as desk:
        yield desk, made(desk)


def held_by(desk: Desk, person: Person) -> Desk:
    """The same desk for somebody else."""
    return Desk(person, desk.engine, stores(), desk.log)


def told(verdict: Verdict) -> str:
    return " ".join(line.sentence for line in verdict.lines)


# --- before it is signed ---------------------------------------------------------------------------------------------


def test_the_log_has_it_before_and_the_report_says_where(room) -> None:
    desk, report = room
    published = publish(desk, report)
    (entry,) = desk.log.entries(count=1)
    assert (entry.action, entry.outcome, entry.what["digest"]) == ("sign", "allowed", report.digest)
    assert published.report.stamp.log == (entry.number, entry.digest)
    assert bundle.read(published.bundle).manifest["stamp"]["log"] == [entry.number, entry.digest]
    assert published.report.digest == report.digest, "the stamp is beside what is printed"
    assert published.pdf.startswith(build(published.report))


def test_who_may_not_sign_signs_nothing(room) -> None:
    desk, report = room
    for person in (replace(ANALYST, mfa=False), replace(ANALYST, roles=("auditor",))):
        with pytest.raises(Refused, match="You may not sign a report"):
            publish(held_by(desk, person), report)
        (entry,) = desk.log.entries(count=1)
        assert (entry.action, entry.outcome, entry.who) == ("sign", "refused", "ada")
    assert publish(held_by(desk, ANALYST), report).signature


def test_an_answer_that_is_not_the_one_kept_is_named(room) -> None:
    desk, report = room
    first, *others = report.exhibits
    another = replace(first.result, outputs=first.result.outputs + 1)
    changed = replace(report, exhibits=(Exhibit(first.name, another), *others))
    with pytest.raises(UserFacingError, match=f"The answer kept for {first.name} is not the one in the report"):
        publish(desk, changed)
    never = replace(first.result, query=replace(first.result.query, seed=99))
    with pytest.raises(UserFacingError, match=f"The evidence store no longer has {first.name}"):
        publish(desk, replace(report, exhibits=(Exhibit(first.name, never), *others)))
    assert np.array_equal(report.exhibits[0].result.outputs, first.result.outputs)


def test_a_draft_is_not_signed(room) -> None:
    found = draft(room[1])
    assert found.signature is None and b"/ByteRange" not in found.pdf
    assert (
        bundle.read(found.bundle).manifest["stamp"] | {"final": False, "log": None}
        == (bundle.read(found.bundle).manifest["stamp"])
    )


# --- by whom ---------------------------------------------------------------------------------------------------------


def test_our_own_certificate_is_made_once_and_stays(room) -> None:
    desk, _ = room
    with signer(desk.vault) as first, signer(desk.vault) as second:
        assert first.pem() == second.pem()
        certificate = first.certificate
    assert certificate.public_key().curve.name == "secp256r1"
    assert certificate.not_valid_after_utc > datetime.now(UTC) + timedelta(365 * 20)
    certificate.verify_directly_issued_by(certificate)


@pytest.fixture
def file(tmp_path: Path) -> tuple[Path, Trust]:
    """A PKCS#12 file of a house's, with its password, and the authority that issued the certificate."""
    root, root_key = issued("House authority", authority=True)
    middle, middle_key = issued("Department", (root, root_key), authority=True)
    leaf, key = issued("Signing desk", (middle, middle_key))
    body = pkcs12.serialize_key_and_certificates(b"desk", key, leaf, [middle, root], BestAvailableEncryption(b"pass"))
    (tmp_path / "desk.p12").write_bytes(body)
    return tmp_path / "desk.p12", Trust((root,))


def test_a_house_signs_by_its_own_certificate(room, file, monkeypatch) -> None:
    path, trust = file
    monkeypatch.setenv("ASSAY_SIGN_PKCS12", str(path))
    monkeypatch.setenv("ASSAY_SIGN_PASSWORD", "pass")
    published = publish(*room)
    verdict = verify(published.pdf, trust)
    assert verdict.ok and "The PDF is signed by Signing desk, whose certificate is trusted" in told(verdict)


def test_a_certificate_that_cannot_be_used_is_said(room, file, monkeypatch, tmp_path) -> None:
    path, _ = file
    (tmp_path / "no.p12").write_bytes(b"hello")
    for place, password in ((path, "wrong"), (path, ""), (tmp_path / "no.p12", ""), (tmp_path / "missing.p12", "")):
        monkeypatch.setenv("ASSAY_SIGN_PKCS12", str(place))
        monkeypatch.setenv("ASSAY_SIGN_PASSWORD", password)
        with pytest.raises(UserFacingError, match="Nothing can be signed"), signer(room[0].vault):
            pass


def test_a_certificate_whose_signatures_would_not_verify_signs_nothing(room, monkeypatch, tmp_path) -> None:
    span = (datetime.now(UTC) - timedelta(9), datetime.now(UTC) - timedelta(1))
    kinds = {"valid from": issued("Signing desk", span=span), "not one for signatures": issued("CA", authority=True)}
    monkeypatch.setenv("ASSAY_SIGN_PKCS12", str(tmp_path / "useless.p12"))
    for why, (certificate, key) in kinds.items():
        body = pkcs12.serialize_key_and_certificates(None, key, certificate, None, NoEncryption())
        (tmp_path / "useless.p12").write_bytes(body)
        with pytest.raises(UserFacingError, match=f"The certificate to sign with is {why}"):
            publish(*room)


@pytest.fixture
def token(tmp_path: Path, monkeypatch) -> Trust:
    """A token (SoftHSM) that holds a key and its certificate, named by the environment."""
    module = next(Path("/usr/lib").glob("**/libsofthsm2.so"), None)
    assert module and shutil.which("softhsm2-util"), "softhsm2 is missing; make hosted installs it"
    (tmp_path / "tokens").mkdir()
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {tmp_path / 'tokens'}\nlog.level = ERROR\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "softhsm2.conf"))
    certificate, key = issued("Key in a token")
    pem = tmp_path / "key.pem"
    pem.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    start = ["softhsm2-util", "--init-token", "--free", "--label", "house", "--so-pin", "4321", "--pin", "1234"]
    bring = ["softhsm2-util", "--import", pem, "--token", "house", "--label", "desk", "--id", "01", "--pin", "1234"]
    for command in (start, bring):
        subprocess.run(command, check=True, capture_output=True, env=os.environ)
    der = certificate.public_bytes(Encoding.DER)
    subprocess.run(
        [sys.executable, "-c", _BRING, str(module), der.hex()],
        check=True,
        env=os.environ,
    )
    for name, value in {"PKCS11": str(module), "TOKEN": "house", "KEY": "desk", "PIN": "1234"}.items():
        monkeypatch.setenv(f"ASSAY_SIGN_{name}", value)
    return Trust((certificate,))


_BRING = """
import sys, pkcs11
from pkcs11 import Attribute, CertificateType, ObjectClass
with pkcs11.lib(sys.argv[1]).get_token(token_label="house").open(rw=True, user_pin="1234") as session:
    session.create_object({
        Attribute.CLASS: ObjectClass.CERTIFICATE, Attribute.CERTIFICATE_TYPE: CertificateType.X_509,
        Attribute.TOKEN: True, Attribute.LABEL: "desk", Attribute.ID: b"\\x01",
        Attribute.SUBJECT: b"0\\x00", Attribute.VALUE: bytes.fromhex(sys.argv[2]),
    })
"""


def test_a_key_that_never_leaves_its_token_signs(room, token, monkeypatch) -> None:
    verdict = verify(publish(*room).pdf, token)
    assert verdict.ok and "The PDF is signed by Key in a token" in told(verdict)
    monkeypatch.setenv("ASSAY_SIGN_PIN", "9999")
    with pytest.raises(UserFacingError, match="Nothing can be signed"):
        publish(*room)


# --- when ------------------------------------------------------------------------------------------------------------


@contextmanager
def service(
    now: datetime | None = None, by: tuple[Certificate, object] | None = None, beside: Sequence[Certificate] = ()
) -> Iterator[tuple[str, Certificate]]:
    """The address of a time-stamping service (RFC 3161), and the certificate of whoever runs it.

    Its clock stands still at `now`, and its tokens carry the certificates `beside` too.
    """
    from asn1crypto import keys, tsp, x509
    from pyhanko.sign.timestamps.dummy_client import DummyTimeStamper
    from pyhanko_certvalidator.registry import SimpleCertificateStore

    certificate, key = by or issued("House clock", kind="rsa", purpose=ExtendedKeyUsageOID.TIME_STAMPING)
    more = SimpleCertificateStore()
    more.register_multiple(x509.Certificate.load(each.public_bytes(Encoding.DER)) for each in beside)
    stamper = DummyTimeStamper(
        x509.Certificate.load(certificate.public_bytes(Encoding.DER)),
        keys.PrivateKeyInfo.load(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())),
        certs_to_embed=more,
        fixed_dt=now,
    )

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = tsp.TimeStampReq.load(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.end_headers()
            self.wfile.write(stamper.request_tsa_response(asked).dump())

        def log_message(self, *_given: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", certificate
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_time_stamp_says_when(room, monkeypatch) -> None:
    desk, report = room
    with service() as (address, clock):
        monkeypatch.setenv("ASSAY_SIGN_TIMESTAMP", address)
        published = publish(desk, report)
        with signer(desk.vault) as found:
            mine = found.certificate
    verdict = verify(published.pdf, Trust((mine,)))
    assert verdict.ok and "House clock saw the signature" in told(verdict) and "was not asked" in told(verdict)
    verdict = verify(published.pdf, Trust((mine, clock)))
    assert verdict.ok and "House clock saw the signature" in told(verdict) and "was not asked" not in told(verdict)


NOW = datetime.now(UTC).replace(microsecond=0)
PAST = (NOW - timedelta(9), NOW - timedelta(1))


def stamped(room: tuple[Desk, Report], by: tuple[Certificate, object], address: str) -> bytes:
    """A PDF that is signed by that certificate and has a time stamp of that service."""
    desk, report = room
    body = pkcs12.serialize_key_and_certificates(None, by[1], by[0], None, NoEncryption())
    with signer(desk.vault) as found:
        who = replace(found, by=pades.from_pkcs12(body, ""), timestamp=address)
        evidence = draft(report).bundle
        return who.sign(build(report), evidence, who.detached(evidence))


def test_a_trusted_time_stamp_outlives_the_certificate(room) -> None:
    """Signed while the certificate was valid, and looked at after."""
    by = issued("Signing desk", span=PAST)
    with service(NOW - timedelta(2)) as (address, clock):
        pdf = stamped(room, by, address)
    assert not verify(pdf, Trust(by[:1])).ok
    assert verify(pdf, Trust((by[0], clock))).ok


@pytest.mark.parametrize("purpose", [None, ExtendedKeyUsageOID.TIME_STAMPING])
def test_nobody_stamps_a_time_on_their_own_signature(room, purpose) -> None:
    """Whoever gets hold of a key that has run out could say that they signed before."""
    by = issued("Signing desk", kind="rsa", span=PAST, purpose=purpose)
    with service(NOW - timedelta(2), by) as (address, _):
        pdf = stamped(room, by, address)
    assert "was not valid when it signed" in told(verify(pdf, Trust(by[:1])))
    root = issued("House authority", authority=True, span=(PAST[0], NOW + timedelta(9)))
    by = issued("Signing desk", root, kind="rsa", span=PAST, purpose=purpose)
    with service(NOW - timedelta(2), by) as (address, _):
        pdf = stamped(room, by, address)
    assert "was not valid when it signed" in told(verify(pdf, Trust(root[:1])))


def test_a_time_stamp_is_by_a_certificate_for_time_stamps(room) -> None:
    by = issued("Signing desk", span=PAST)
    with service(NOW - timedelta(2), issued("Another desk", kind="rsa")) as (address, desk):
        pdf = stamped(room, by, address)
    assert "was not valid when it signed" in told(verify(pdf, Trust((by[0], desk))))


def test_a_time_stamp_with_too_many_chains_is_not_searched(room) -> None:
    root = issued("House authority", authority=True)
    beside = [issued("Department", root, authority=True)[0] for _ in range(2)]
    by = issued("Signing desk")
    with service(beside=beside) as (address, _):
        pdf = stamped(room, by, address)
    assert "The signature of the PDF is damaged" in told(verify(pdf, Trust(by[:1])))


def test_a_service_that_does_not_answer_is_said(room, monkeypatch) -> None:
    with service() as (address, _):
        pass
    monkeypatch.setenv("ASSAY_SIGN_TIMESTAMP", address)
    with pytest.raises(UserFacingError, match="The report was not signed"):
        publish(*room)


def test_the_person_at_their_own_machine_may_sign(room) -> None:
    assert room[0].person is LOCAL and publish(*room).signature
