"""A report that is signed, for tests of what is signed and of its check."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from access.desk import Desk
from access.log import Log
from access.people import LOCAL
from core.nouns import Target
from engine.engine import Engine
from engine.subjects import load_subject
from explainers import explainer
from reports import decision
from reports.gather import gather
from reports.report import Report, Stamp
from storage.stores import close_stores, stores

_USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip


@contextmanager
def house(home: Path) -> Iterator[Desk]:
    """The desk of one person at their own machine, with a home of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASSAY_HOME", str(home))
        engine, opened = Engine.open(), stores()
        try:
            yield Desk(LOCAL, engine, opened, Log(opened.database, opened.vault))
        finally:
            engine.close()
            close_stores()


def made(desk: Desk) -> Report:
    """A report on one row of a sample, by one quick method."""
    subject = load_subject("tumours")
    model = subject.model("mlp")
    row, reference = subject.position(subject.example), subject.reference(10)
    methods = (explainer("permutation_shap", pairs=64),)
    case = gather(desk, subject, model, row, Target(1, "margin"), reference, methods, None, ("decision", "ledger"))
    return decision.report(case, Stamp(date(2026, 11, 26), author="A. Uditor"), "python assay.py report tumours")


def restamped(report: Report, **fields: object) -> Report:
    """The same report with another stamp."""
    return replace(report, stamp=replace(report.stamp, **fields))


def issued(
    name: str,
    by: tuple[x509.Certificate, Any] | None = None,
    authority: bool = False,
    kind: str = "ec",
    span: tuple[datetime, datetime] | None = None,
    purpose: x509.ObjectIdentifier | None = None,
) -> tuple[x509.Certificate, Any]:
    """A certificate and its key, issued by an authority or by itself."""
    key = ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer, signs = (by[0].subject, by[1]) if by else (subject, key)
    since, until = span or (datetime.now(UTC) - timedelta(1), datetime.now(UTC) + timedelta(365))
    usage = dict.fromkeys(_USAGES, False)
    usage |= {"key_cert_sign": True} if authority else {"digital_signature": True}
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
    )
    if purpose is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=True)
    return builder.sign(signs, hashes.SHA256()), key
