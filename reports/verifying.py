"""Checks what was signed, offline: whose it is, that no byte of it was changed, and that its evidence is whole.

A file is opened only once its signature stands and is of somebody who is trusted; before that its bytes are counted
and hashed, no more. So a hostile file meets no parser but that of its signature, which is small.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from core.errors import UserFacingError
from reports import bundle
from reports.bundle import Bundle
from reports.manifest import environment
from reports.pdf import build
from reports.signer import EVIDENCE, FORMAT, SIGNATURE, as_json, endorsed

LARGEST = 2 * bundle.LARGEST
"""Bytes that a file to be checked may have."""
LARGEST_BESIDE = 1 << 20
"""Bytes that a certificate file, or a signature file, may have."""
PDF = b"%PDF-"
"""How a PDF begins."""
_RANGE = re.compile(rb"/ByteRange \[(\d{1,10}) (\d{1,10}) (\d{1,10}) (\d{1,10})\]")
_LARGEST_ROOM = 256 << 10
_INSIDE = (EVIDENCE, SIGNATURE)
_KEYS = {"ed25519": ("Ed25519", Ed25519PublicKey), "ml-dsa-65": ("ML-DSA-65", MLDSA65PublicKey)}
_PARTS = {"format", "keys", "chain", "signatures", "endorsement"}
_PEM = re.compile(rb"-----BEGIN ([A-Z ]+)-----[A-Za-z0-9+/=\n]+-----END \1-----")


@dataclass(frozen=True)
class Line:
    """One finding, a sentence; `good` None: it is only told."""

    good: bool | None
    sentence: str


@dataclass
class Verdict:
    """Every finding, and the evidence where it could be opened, which is where who signed it is trusted."""

    lines: list[Line] = field(default_factory=list)
    bundle: Bundle | None = None

    @property
    def ok(self) -> bool:
        """Whether everything that was checked is in order."""
        return all(line.good is not False for line in self.lines)


@dataclass(frozen=True)
class Trust:
    """Whom somebody trusts: certificates, and the public keys of theirs that were handed out with them (raw)."""

    certificates: tuple[x509.Certificate, ...] = ()
    keys: tuple[bytes, ...] = ()

    @classmethod
    def read(cls, pem: bytes) -> "Trust":
        """The certificates and public keys in a PEM file. Raises UserFacingError where it has none or is damaged."""
        plain = pem.replace(b"\r\n", b"\n")
        try:
            if len(pem) > LARGEST_BESIDE:
                raise ValueError("more than such a file has")
            blocks = [(found[1], found[0]) for found in _PEM.finditer(plain)]
            certificates = [x509.load_pem_x509_certificate(each) for kind, each in blocks if kind == b"CERTIFICATE"]
            keys = [load_pem_public_key(each) for kind, each in blocks if kind == b"PUBLIC KEY"]
            again = [each.public_bytes(Encoding.PEM) for each in certificates]
            again += [each.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo) for each in keys]
            if sorted(again) != sorted(each + b"\n" for _, each in blocks) or b"---" in _PEM.sub(b"", plain):
                raise ValueError("a block that is not as it is written")
            for each in certificates:
                if each.issuer == each.subject:
                    each.verify_directly_issued_by(each)
            raw = tuple(each.public_bytes_raw() for each in keys)
        except (ValueError, TypeError, AttributeError, InvalidSignature, UnsupportedAlgorithm) as error:
            raise UserFacingError(
                "The certificate file cannot be read", "It is damaged", "Get it again from whoever signed"
            ) from error
        if not certificates:
            raise UserFacingError(
                "The certificate file cannot be read",
                "There is no certificate in it, in the form called PEM",
                "Name the file that python assay.py keys certificate wrote",
            )
        return cls(tuple(certificates), raw)

    @property
    def ders(self) -> list[bytes]:
        """The certificates as DER."""
        return [each.public_bytes(Encoding.DER) for each in self.certificates]


def verify(file: bytes, trust: Trust | None = None, beside: bytes | None = None) -> Verdict:
    """Checks a signed PDF, or a bundle with the signature file `beside` it.

    Without `trust` it says who seems to have signed, and does not verify. Raises UserFacingError for a file that is
    neither.
    """
    verdict = Verdict()
    if len(file) > LARGEST:
        raise _unreadable(f"It has more than {LARGEST >> 20} MiB")
    if file.startswith(PDF):
        walk = _pdf(file, trust, verdict)
    elif file.startswith(b"PK\x03\x04"):
        walk = _evidence(file, beside, trust, verdict)
    else:
        raise _unreadable("It is neither a PDF nor evidence in a file that ends in .assay")
    verdict.lines.extend(_until_bad(walk))
    return verdict


def _unreadable(why: str) -> UserFacingError:
    return UserFacingError("The file cannot be checked", why, "Name a signed report, or its evidence")


class _Bad(Exception):
    """What is wrong, where nothing after it can be checked."""


def _until_bad(walk: Iterator[Line]) -> Iterator[Line]:
    try:
        yield from walk
    except _Bad as bad:
        yield Line(False, str(bad))


# --- the PDF ---------------------------------------------------------------------------------------------------------


def _pdf(file: bytes, trust: Trust | None, verdict: Verdict) -> Iterator[Line]:
    from reports import pades

    signed, der, room = _parts(file)
    if room != _room(der, len(room)):
        raise _Bad(
            "The PDF was changed: bytes beside its signature, which it does not cover, are not as they should be."
        )
    found = yield from _signature(signed, der, trust, "PDF")
    try:
        inside = pades.opened(file, _INSIDE)
    except pades.Malformed as error:
        raise _Bad(f"The PDF is signed, and is no report of Assay's: {error}.") from error
    yield Line(None, f"The signer's clock said {_time(inside.said)}.")
    yield from _evidence(inside.files[EVIDENCE], inside.files[SIGNATURE], trust, verdict, found)


def _parts(file: bytes) -> tuple[bytes, bytes, bytes]:
    """What the last signature was made of, its DER, and all the bytes of the room it stands in.

    The room and the words that say where it is stand in one place: elsewhere anybody may write such words.
    """
    place = file.rfind(b"/ByteRange [")
    if place < 0:
        raise _Bad("There is no signature in the PDF: it is a draft, or the signature was taken out.")
    found = _RANGE.match(file, place)
    start, length, after, rest = map(int, found.groups()) if found else (-1, 0, 0, 0)
    end = after + rest
    ordered = start == 0 and 0 < length < after <= end <= len(file) and after - length <= _LARGEST_ROOM
    if not ordered or not file.endswith(b"/Contents ", 0, length) or file[after:place] != b"\n":
        raise _Bad("The PDF was changed: its signature does not say which bytes it covers.")
    if end < len(file):
        more = f"{len(file) - end:,} bytes"
        if b"startxref" in file[end:]:
            raise _Bad(f"The PDF was changed after it was signed: a later revision of {more} follows.")
        raise _Bad(f"The PDF was changed after it was signed: {more} follow its end.")
    room = file[length:after]
    return file[:length] + file[after:], _der(room), room


def _der(room: bytes) -> bytes:
    """The signature in its room, which is hexadecimal between < and >, filled up with zeros."""
    try:
        raw = bytes.fromhex(room[1:-1].decode("ascii"))
        size = 4 + int.from_bytes(raw[2:4])  # an ASN.1 sequence of 256 to 65,535 bytes says its length so
        if raw[:2] != b"\x30\x82" or size > len(raw):
            raise ValueError("no such sequence")
    except ValueError as error:
        raise _Bad("The signature of the PDF is damaged: it cannot be read.") from error
    return raw[:size]


def _room(der: bytes, size: int) -> bytes:
    """The one way in which a signature stands in its room."""
    return b"<" + der.hex().upper().encode().ljust(size - 2, b"0") + b">"


# --- a signature -----------------------------------------------------------------------------------------------------


def _signature(data: bytes, der: bytes, trust: Trust | None, what: str, moment: datetime | None = None) -> Any:
    """Checks a certificate's signature of `data`; the lines about it, then what is true of it."""
    from reports import pades

    try:
        found = pades.check(data, der, (trust or Trust()).ders, moment)
    except pades.Malformed as error:
        raise _Bad(f"The signature of the {what} is damaged: it cannot be read.") from error
    if not found.valid:
        raise _Bad(f"The signature of the {what} is damaged: it is not by the key of its certificate.")
    if not found.intact:
        raise _Bad(f"The {what} was changed: it is not what was signed.")
    if not found.canonical:
        raise _Bad(f"The signature of the {what} was changed in a part that it does not cover itself.")
    yield Line(True, f"The {what} is as it was signed.")
    yield from _whose(found, trust, what)
    return found


def _whose(found: Any, trust: Trust | None, what: str) -> Iterator[Line]:
    """Whether the certificate is trusted."""
    print_ = fingerprint(found.certificate)
    if trust is None:
        raise _Bad(
            f"The {what} is signed by a certificate that calls itself {found.name}, with the SHA-256 fingerprint "
            f"{print_}. Whose it is was not checked: get the signer's certificate from them, by another way than this "
            "file, and name it with --trust."
        )
    if not found.trusted:
        raise _Bad(_distrust(found, trust, what, print_))
    yield Line(True, f"The {what} is signed by {found.name}, whose certificate is trusted ({print_}).")
    if found.stamped and found.stamp_good:
        known = "" if found.stamp_trusted else ", and whose that is was not asked"
        yield Line(
            None, f"The time-stamping service {found.stamper} saw the signature on {_time(found.stamped)}{known}."
        )
    elif found.stamped:
        yield Line(False, f"The time stamp of {found.stamper} does not fit the signature.")


def _distrust(found: Any, trust: Trust, what: str, print_: str) -> str:
    """Why a certificate is not trusted."""
    mine = trust.ders
    if found.certificate in mine and not found.current:
        span = f"from {_time(found.since)} to {_time(found.until)}"
        return f"The certificate of {found.name} is the one trusted, and was not valid when it signed: it is {span}."
    namesake = next(
        (der for each, der in zip(trust.certificates, mine, strict=True) if _name(each) == found.name), None
    )
    if namesake is not None:
        return (
            f"The {what} is signed by another certificate than the one trusted: it has the same name, {found.name}, "
            f"and the fingerprint {print_}, where that of the trusted one is {fingerprint(namesake)}."
        )
    return (
        f"The {what} is signed by {found.name}, whose certificate (fingerprint {print_}) leads to none that is "
        "trusted, or was not valid when it signed."
    )


def fingerprint(certificate: bytes) -> str:
    """The SHA-256 of a certificate (DER), as people compare it: 64 hexadecimal digits."""
    return hashlib.sha256(certificate).hexdigest()


def _name(certificate: x509.Certificate) -> str:
    found = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(found[0].value) if found else certificate.subject.rfc4514_string()


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S %Z}"


# --- the evidence ----------------------------------------------------------------------------------------------------


def _evidence(
    body: bytes, signature: bytes | None, trust: Trust | None, verdict: Verdict, of_pdf: Any = None
) -> Iterator[Line]:
    """The evidence; `of_pdf` is what is true of the signature of the PDF that it was in."""
    if signature is None:
        raise _Bad("The evidence has no signature: the file that ends in .sig is missing.")
    keys, chain, signatures, endorsement = _signature_file(signature)
    moment = of_pdf.stamped if of_pdf and of_pdf.stamp_trusted else None
    found = yield from _signature(endorsed(keys, chain), endorsement, trust, "list of keys", moment)
    for what, each in (("list of keys", found), ("PDF", of_pdf)):
        if each and sorted(map(fingerprint, each.chain)) != chain:
            yield Line(False, f"The signature of the {what} carries other certificates than its signer gave it.")
    for name, (title, kind) in _KEYS.items():
        yield _signed_by(title, kind, base64.b64decode(keys[name]), base64.b64decode(signatures[name]), body, trust)
    try:
        verdict.bundle = bundle.read(body)
    except UserFacingError as error:
        raise _Bad(f"The evidence is not whole: {error.why}.") from error
    told = verdict.bundle.manifest
    yield Line(
        True,
        f"The evidence is whole: report {told['id']} on {told['subject']['title']}, with {len(told['exhibits'])} "
        "answers, each with the digest that it should have.",
    )


def _signed_by(title: str, kind: Any, key: bytes, signature: bytes, body: bytes, trust: Trust | None) -> Line:
    if trust is not None and trust.keys and key not in trust.keys:
        return Line(False, f"The {title} key that signed the evidence is not the one in the certificate file.")
    try:
        kind.from_public_bytes(key).verify(signature, body)
    except (InvalidSignature, ValueError):
        return Line(False, f"The evidence was changed: its {title} signature does not fit.")
    return Line(True, f"The {title} signature of the evidence fits.")


def _signature_file(data: bytes) -> tuple[Mapping[str, str], Sequence[str], Mapping[str, str], bytes]:
    """The keys, the certificates beside the signer's, the signatures and the endorsement in a signature file."""
    try:
        told = json.loads(data) if len(data) <= LARGEST_BESIDE else None
        keys, signatures = told["keys"], told["signatures"]
        texts = [*(part[name] for part in (keys, signatures) for name in _KEYS), told["endorsement"]]
        raw = [base64.b64decode(each, validate=True) for each in texts]
        if not all(isinstance(each, str) for each in told["chain"]):
            raise ValueError("no list of digests")
        one = keys.keys() == signatures.keys() == _KEYS.keys() and told.keys() == _PARTS and told["format"] == FORMAT
        if not one or [base64.b64encode(each).decode() for each in raw] != texts or as_json(told) != data:
            raise ValueError("not the one form")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _Bad("The signature file of the evidence is damaged: it cannot be read.") from error
    return keys, told["chain"], signatures, raw[-1]


# --- the print -------------------------------------------------------------------------------------------------------


def printed_again(file: bytes, found: Bundle) -> Line:
    """Whether a signed PDF says what its evidence says: the evidence printed anew is all that was there to sign."""
    from reports import pades

    if pades.opened(file, _INSIDE).printed == build(found):
        return Line(True, "Printed again from its evidence, the PDF is the same, byte for byte.")
    printer, here = (_printer(each) for each in (found.manifest["environment"], environment()))
    if printer == here:
        return Line(False, "Printed again from its evidence, the PDF is another.")
    return Line(
        None, f"Whether the PDF says what its evidence says cannot be told: {printer} printed it, here is {here}."
    )


def _printer(told: Mapping[str, Any]) -> str:
    return f"Assay {told['assay']} with typst {told['libraries'].get('typst')}"
