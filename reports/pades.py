"""What pyHanko does for us: CMS signatures, PAdES on a PDF, and their check. Nothing else knows pyHanko.

Nothing here fetches anything but a time stamp, and that only while signing.
"""

import asyncio
import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from asn1crypto import algos, cms, x509
from pkcs11 import PKCS11Error
from pyhanko.config.pkcs11 import PKCS11SignatureConfig, TokenCriteria
from pyhanko.pdf_utils.embed import EmbeddedFileObject, EmbeddedFileParams, FileSpec, embed_file
from pyhanko.pdf_utils.generic import DictionaryObject, NameObject
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import InvisSigSettings, MDPPerm, SigFieldSpec, SigSeedSubFilter
from pyhanko.sign.general import extract_certificate_info
from pyhanko.sign.signers import PdfSignatureMetadata, Signer, SimpleSigner, sign_pdf
from pyhanko.sign.timestamps.requests_client import RequestsHTTPTimeStamper
from pyhanko.sign.validation import (
    KeyUsageConstraints,
    StandardCMSSignatureStatus,
    async_validate_detached_cms,
)
from pyhanko.sign.validation.status import TimestampSignatureStatus
from pyhanko_certvalidator import ValidationContext

# What it finds is said in sentences of ours; it would print its own, with a trace.
for _name in ("pyhanko", "pyhanko_certvalidator"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)

_MD = "sha256"
_FIELD = "Signature"
_ALGORITHMS = {"ec": "sha256_ecdsa", "rsa": "sha256_rsa"}
_USAGE = KeyUsageConstraints(key_usage={"digital_signature", "non_repudiation"}, match_all_key_usages=False)
_MOST_CERTIFICATES = 10
_STAMPS = {"signature_time_stamp_token": "unsigned_attrs", "content_time_stamp": "signed_attrs"}


FAILURES = (OSError, ValueError, PKCS11Error)
"""What a certificate, a token or a time-stamping service that does not work raises."""


class Malformed(Exception):
    """Bytes that are no signature of the form that is written here."""


# --- signing ---------------------------------------------------------------------------------------------------------


def from_pkcs12(data: bytes, password: str) -> Signer:
    """Who signs by the key and certificate in a PKCS#12 file. Raises ValueError where it has none."""
    signer = SimpleSigner.load_pkcs12_data(data, [], password.encode() or None)
    signer.embed_roots = False
    return signer


@contextmanager
def from_pkcs11(module: Path, token: str, key: str, pin: str) -> Iterator[Signer]:
    """Who signs by a key in a token, which never leaves it; key and certificate have one label."""
    from pyhanko.sign.pkcs11 import PKCS11SigningContext

    config = PKCS11SignatureConfig(
        str(module),
        cert_label=key,
        key_label=key,
        token_criteria=TokenCriteria(token),
        user_pin=pin,
        raw_mechanism=True,  # some tokens do not hash; all of them sign a hash
    )
    with PKCS11SigningContext(config) as signer:
        signer.embed_roots = False
        yield signer


@dataclass(frozen=True)
class Carried:
    """A file to put into a PDF: what it is to it (PDF/A-3's `AFRelationship`), its media type, a description."""

    name: str
    body: bytes
    relation: str
    media: str
    about: str


class _Writer(IncrementalPdfFileWriter):
    """Appends a signature and leaves the metadata as it is: pyHanko's own form of it is not that of PDF/A."""

    def _update_meta(self) -> None:
        pass


def sign(pdf: bytes, files: Sequence[Carried], signer: Signer, timestamp: str = "") -> bytes:
    """The PDF with files inside and a certifying signature under which nothing may be changed (PAdES B-B or B-T).

    It begins with the bytes of `pdf`. `timestamp` is the address of an RFC 3161 service; without one there is no time
    stamp. The field lies outside of the page: PDF/UA wants one on the page tagged as a form, and PDF/A none hidden.
    """
    writer = _Writer(io.BytesIO(pdf))
    for each in files:
        stream = EmbeddedFileObject.from_file_data(writer, each.body, params=EmbeddedFileParams(), mime_type=each.media)
        relation = NameObject(f"/{each.relation}")
        embed_file(writer, FileSpec(each.name, each.name, stream, each.about, relation))
    about = PdfSignatureMetadata(
        field_name=_FIELD,
        md_algorithm=_MD,
        certify=True,
        docmdp_permissions=MDPPerm.NO_CHANGES,
        subfilter=SigSeedSubFilter.PADES,
    )
    field = SigFieldSpec(
        _FIELD,
        readable_field_name="Signature of this report",
        invis_sig_settings=InvisSigSettings(box_out_of_bounds=True),
    )
    stamper = RequestsHTTPTimeStamper(timestamp) if timestamp else None
    return sign_pdf(writer, about, signer, timestamper=stamper, new_field_spec=field).getvalue()


def chain(signer: Signer) -> list[bytes]:
    """The certificates (DER) that the signatures of a signer carry beside its own."""
    return [
        each.dump()
        for each in signer.cert_registry
        if each.self_signed == "no" and each.dump() != signer.signing_cert.dump()
    ]


def endorse(text: bytes, signer: Signer) -> bytes:
    """A detached CMS signature (DER) of `text`; `openssl cms -verify` checks it too."""
    return asyncio.run(signer.async_sign_general_data(text, _MD, use_cades=True)).dump()


# --- checking --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Checked:
    """What is true of a CMS signature.

    `intact`: it was made of these bytes. `valid`: by the key of `certificate` (DER). `canonical`: every byte of it that
    it does not sign is where it has to be, but in `chain`, the other certificates (DER) inside. `trusted`: the
    certificate is an anchor or leads to one, and was `current`, valid, then. `name` is the certificate's, `since` and
    `until` when it is valid. `stamped` is when a time-stamping service saw the signature, whose name is `stamper`;
    `stamp_good` and `stamp_trusted` are for what it signed what `valid` and `trusted` are.
    """

    certificate: bytes
    chain: frozenset[bytes]
    name: str
    since: datetime
    until: datetime
    intact: bool
    valid: bool
    canonical: bool
    trusted: bool
    current: bool
    stamped: datetime | None = None
    stamper: str = ""
    stamp_good: bool = False
    stamp_trusted: bool = False


def check(data: bytes, der: bytes, trust: Sequence[bytes], moment: datetime | None = None) -> Checked:
    """Checks a detached CMS signature of `data`, whose certificate must be valid at `moment`.

    `trust` are certificates (DER): the signer's own, or authorities that it leads to. Without a moment it is the time
    of a trusted time stamp, else now. Raises Malformed.
    """
    try:
        signed = _signed_data(cms.ContentInfo.load(der, strict=True))
        certificate = extract_certificate_info(signed).signer_cert
        status = _validated(data, signed, trust, moment)
        stamp = status.timestamp_validity
        clocked = stamp is not None and _is_clock(stamp)
        if moment is None and clocked and stamp.valid and stamp.intact:
            moment = stamp.timestamp
            status = _validated(data, signed, trust, moment)
        since, until = certificate.not_valid_before, certificate.not_valid_after
        current = since <= (moment or datetime.now(UTC)) <= until  # an anchor's own dates are nothing to pyHanko
        found = Checked(
            certificate.dump(),
            frozenset(each.chosen.dump() for each in signed["certificates"]) - {certificate.dump()},
            _name(certificate),
            since,
            until,
            status.intact,
            status.valid,
            _canonical(signed, certificate) == der,
            status.trusted and current,
            current,
        )
        if stamp is None:
            return found
        return replace(
            found,
            stamped=stamp.timestamp,
            stamper=_name(stamp.signing_cert),
            stamp_good=stamp.valid and stamp.intact,
            stamp_trusted=clocked,
        )
    except Exception as error:  # hostile bytes break the parsers below in more ways than can be listed
        raise Malformed(str(error)) from error


def _signed_data(content: cms.ContentInfo) -> cms.SignedData:
    """What is signed, once the search for a chain among its certificates has an end, and in its time stamps too.

    One name on many certificates makes as many chains as there are orders of them.
    """
    if content["content_type"].native != "signed_data":
        raise Malformed("no signed data")
    signed = content["content"]
    names = [each.chosen.subject.hashable for each in signed["certificates"]]
    if len(names) > _MOST_CERTIFICATES or len(set(names)) < len(names):
        raise Malformed("more certificates than a chain has")
    (info,) = signed["signer_infos"]
    for kind, where in _STAMPS.items():
        for attribute in info[where] or ():
            if attribute["type"].native == kind:
                for token in attribute["values"]:
                    _signed_data(token)
    return signed


def _validated(
    data: bytes, signed: cms.SignedData, trust: Sequence[bytes], moment: datetime | None
) -> StandardCMSSignatureStatus:
    """An authority stands for who signed and for its time stamp, any other certificate for itself alone."""
    roots = [x509.Certificate.load(each) for each in trust]
    signer = extract_certificate_info(signed).signer_cert.dump()
    anchors = [each for each in roots if each.ca or each.dump() == signer]
    clocks = [each for each in roots if each.dump() != signer]
    contexts = (ValidationContext(trust_roots=each, moment=moment, allow_fetching=False) for each in (anchors, clocks))
    return asyncio.run(async_validate_detached_cms(data, signed, *contexts, key_usage_settings=_USAGE))


def _is_clock(stamp: TimestampSignatureStatus) -> bool:
    """Whether a time stamp is trusted, which takes a certificate for time stamps."""
    purposes = stamp.signing_cert.extended_key_usage_value
    return stamp.trusted and purposes is not None and "time_stamping" in purposes.native


def _canonical(signed: cms.SignedData, certificate: x509.Certificate) -> bytes:
    """The one form that a signature may have, made anew of its signed parts and of what we always write beside them."""
    (info,) = signed["signer_infos"]
    md = algos.DigestAlgorithm({"algorithm": _MD})
    sid = {"issuer": certificate.issuer, "serial_number": certificate.serial_number}
    parts = {
        "version": "v1",
        "sid": cms.SignerIdentifier({"issuer_and_serial_number": cms.IssuerAndSerialNumber(sid)}),
        "digest_algorithm": md,
        "signature_algorithm": algos.SignedDigestAlgorithm(
            {"algorithm": _ALGORITHMS[certificate.public_key.algorithm]}
        ),
        "signed_attrs": info["signed_attrs"],
        "signature": info["signature"],
    }
    if info["unsigned_attrs"]:
        parts["unsigned_attrs"] = info["unsigned_attrs"]
    whole = {
        "version": "v1",
        "digest_algorithms": cms.DigestAlgorithms((md,)),
        "encap_content_info": {"content_type": "data"},
        "certificates": signed["certificates"],
        "signer_infos": [cms.SignerInfo(parts)],
    }
    return cms.ContentInfo({"content_type": "signed_data", "content": cms.SignedData(whole)}).dump()


def _name(certificate: x509.Certificate) -> str:
    return str(certificate.subject.native.get("common_name") or certificate.subject.human_friendly)


# --- what is in a signed PDF -----------------------------------------------------------------------------------------

_TRAILER = {"/Size", "/Root", "/Info", "/ID", "/Prev"}
_CATALOG = {"/Names", "/AF", "/AcroForm", "/Perms", "/Extensions", "/Version"}
_WIDGET = {"/Type", "/Subtype", "/FT", "/T", "/TU", "/V", "/F", "/P", "/Rect"}
_FILE = {"/Type", "/F", "/UF", "/EF", "/Desc", "/AFRelationship"}


@dataclass(frozen=True)
class Opened:
    """What `sign` made a PDF of: the PDF as it was printed, and the files by name; `said` is its signer's clock."""

    printed: bytes
    files: Mapping[str, bytes]
    said: datetime


def opened(pdf: bytes, names: Sequence[str]) -> Opened:
    """A signed PDF in its parts, with files of these names inside.

    Raises Malformed where `sign` would not have appended what stands after the print: a second revision, another
    object made anew than the catalog and a page, anything in these two or in the signature's field that can be seen.
    """
    try:
        reader = PdfFileReader(io.BytesIO(pdf))
        (signature,) = reader.embedded_regular_signatures
        if signature.docmdp_level is not MDPPerm.NO_CHANGES:
            raise Malformed("its signature allows changes to it")
        if not (_is_one_revision(reader) and _shows_nothing(reader)):
            raise Malformed("more was appended to it than a signature")
        files = _attached(reader, names)
        end = b"startxref\n%d\n%%%%EOF\n" % reader.trailer["/Prev"]
        return Opened(pdf[: pdf.index(end) + len(end)], files, signature.self_reported_timestamp)
    except Malformed:
        raise
    except Exception as error:  # signed as it is by somebody trusted, and yet none that was made here
        raise Malformed("it is made in another way") from error


def _is_one_revision(reader: PdfFileReader) -> bool:
    """Whether one revision follows the first, and adds objects to it without an end to any."""
    trailer, xrefs = reader.trailer, reader.xrefs
    same = all(trailer.raw_get(name) == trailer.raw_get(name, revision=0) for name in ("/Root", "/Info"))
    return trailer.keys() <= _TRAILER and same and xrefs.total_revisions == 2 and not xrefs.refs_freed_in_revision(1)


def _shows_nothing(reader: PdfFileReader) -> bool:
    """Whether the revision makes only the catalog and a page anew, and adds a field to them that nobody sees."""
    catalog, form = reader.root, reader.root["/AcroForm"]
    (field,) = list(form["/Fields"])
    widget, page = field.get_object(), field.get_object().raw_get("/P").reference
    numbers = [{each.idnum for each in reader.xrefs.explicit_refs_in_revision(number)} for number in (0, 1)]
    before = reader.get_object(page, revision=0)
    return (
        numbers[0] & numbers[1] == {reader.root_ref.idnum, page.idnum}
        and _is_with(catalog, reader.get_object(reader.root_ref, revision=0), _CATALOG)
        and _is_with(reader.get_object(page), before, {"/Annots"})
        and list(reader.get_object(page)["/Annots"]) == [*before.get("/Annots", ()), field]
        and form.keys() == {"/Fields", "/SigFlags"}
        and catalog["/Perms"].keys() == {"/DocMDP"}
        and widget.keys() <= _WIDGET
    )


def _is_with(new: DictionaryObject, old: DictionaryObject, more: set[str]) -> bool:
    """Whether `new` is `old` but for entries of these names."""
    return all(new.raw_get(key) == old.raw_get(key) for key in (new.keys() | old.keys()) - more)


def _attached(reader: PdfFileReader, names: Sequence[str]) -> dict[str, bytes]:
    """The files inside, which must have these names and be the same for every program that looks for them."""
    tree, listed = reader.root["/Names"], reader.root["/Names"]["/EmbeddedFiles"]
    places = list(listed["/Names"])
    files = [place.get_object() for place in places[1::2]]
    if (
        (tree.keys(), listed.keys()) != ({"/EmbeddedFiles"}, {"/Names"})
        or [str(name) for name in places[::2]] != list(names)
        or list(reader.root["/AF"]) != places[1::2]
        or any(not each.keys() <= _FILE or each["/EF"].keys() != {"/F", "/UF"} for each in files)
        or any(each["/EF"].raw_get("/F") != each["/EF"].raw_get("/UF") for each in files)
        or [(str(each["/F"]), str(each["/UF"])) for each in files] != [(name, name) for name in names]
    ):
        raise Malformed("other files are inside than its evidence and the signatures of that")
    return {name: each["/EF"]["/F"].data for name, each in zip(names, files, strict=True)}
