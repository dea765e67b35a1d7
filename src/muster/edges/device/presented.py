"""Who is behind a request: the signature over its body, else the certificate of its connection, ours or a proxy's."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final

import structlog

from muster.crypto.certificates import fingerprint as fingerprint_of
from muster.crypto.certificates import known_certificate
from muster.crypto.errors import CryptoError
from muster.domain.errors import Refusal, RefusalCode
from muster.edges.device import metrics
from muster.edges.device.http import Request
from muster.protocol.client_certificate import decode_client_certificate
from muster.protocol.errors import BadSignature, MalformedMessage, RefusedAlgorithm
from muster.protocol.mdm_signature import verify_mdm_signature
from muster.protocol.records import record

SIGNATURE_HEADER: Final = b"mdm-signature"

TLS_CERTIFICATE: Final = "muster.tls_certificate"
"""Extension of a request's scope: the DER that its client has proven to own in our own TLS; absent without one."""
PROXY: Final = "muster.proxy"
"""Extension of a request's scope: the address of the trusted proxy that it came from; absent from all others."""

SIGNATURE_MISSING: Final = Refusal(
    RefusalCode.SIGNATURE_MISSING,
    "the request carries neither an Mdm-Signature header nor a client certificate",
    "Devices sign where the enrollment profile says SignMessage; a proxy may have dropped the header.",
)

log = structlog.get_logger("muster.device")


class Proof(StrEnum):
    """How it was proven that the client has the key of its certificate."""

    SIGNATURE = "signature"
    TLS = "tls"
    PROXY = "proxy"


@record(frozen=True, slots=True)
class Presented:
    """The certificate that speaks in a request, and whose key the client was shown to have.

    *fingerprint* is the SHA-256 of its DER, *not_after* aware UTC. *beside* is the fingerprint of the certificate of
    the connection where that is another than the signer's; None when there is none, or it is the same. Not checked: who
    issued it, its dates, for whom it may speak.
    """

    certificate_der: bytes
    fingerprint: bytes
    not_after: datetime
    proof: Proof
    beside: bytes | None = None
    signing_time: datetime | None = None
    """When the device says it signed, aware UTC; most don't say. Not checked."""


@record(frozen=True, slots=True)
class MessagePolicy:
    """What of clients' old habits is accepted, and whose certificates are ours (DER, the current one first).

    *client_certificate_header* is the name, in lower case, of the header in which a trusted proxy hands on its client's
    certificate; empty: in none.
    """

    allow_legacy: bool
    authorities_der: tuple[bytes, ...]
    client_certificate_header: bytes = b""


def presents_something(request: Request, policy: MessagePolicy) -> bool:
    """Tell whether a request carries anything at all that could prove who is behind it. Nothing is verified."""
    if request.header(SIGNATURE_HEADER) is not None:
        return True
    extensions = _extensions(request)
    if not extensions:
        return False
    return TLS_CERTIFICATE in extensions or _handed_on(request, extensions, policy) != ()


def who_presents(request: Request, body: bytes, policy: MessagePolicy) -> Presented | Refusal:
    """Tell who is behind *request*, *body* being exactly what it carried.

    A Mdm-Signature decides: when it is bad the request is refused, whatever the connection shows. Without one it is the
    certificate of our own TLS, else the one that a trusted proxy hands on. From anybody else that header is no more
    than the header of a stranger, and ignored.
    """
    extensions = _extensions(request)
    signature = request.header(SIGNATURE_HEADER)
    if signature is None:
        return _of_connection(request, extensions, policy) or SIGNATURE_MISSING
    try:
        verified = verify_mdm_signature(signature, body, allow_legacy=policy.allow_legacy)
    except RefusedAlgorithm as error:
        return Refusal(RefusalCode.ALGORITHM_REFUSED, str(error))
    except (MalformedMessage, BadSignature) as error:
        return Refusal(RefusalCode.SIGNATURE_BAD, str(error))
    if verified.is_legacy:
        metrics.LEGACY.labels("mdm_signature").inc()
    certificate_der = verified.signer_certificate_der
    beside = _of_connection(request, extensions, policy) if extensions else None
    if isinstance(beside, Refusal):
        # the signature vouches for the device, which is not to suffer for its proxy
        log.warning("client_certificate_ignored", source=request.source, reason=beside.message)
        beside = None
    return Presented(
        certificate_der,
        fingerprint_of(certificate_der),
        known_certificate(certificate_der).not_after,
        Proof.SIGNATURE,
        beside.fingerprint if beside is not None and beside.certificate_der != certificate_der else None,
        verified.signing_time,
    )


def _of_connection(
    request: Request, extensions: Mapping[str, object], policy: MessagePolicy
) -> Presented | Refusal | None:
    """Read the certificate of the connection; None when there is none."""
    by_tls = extensions.get(TLS_CERTIFICATE)
    try:
        if isinstance(by_tls, bytes):
            return _presented(by_tls, Proof.TLS)
        match _handed_on(request, extensions, policy):
            case ():
                return None
            case (value,):
                return _presented(decode_client_certificate(value), Proof.PROXY)
            case _:
                return Refusal(RefusalCode.CERTIFICATE_MALFORMED, "client certificate: the header stands there twice")
    except (MalformedMessage, CryptoError) as error:
        return Refusal(RefusalCode.CERTIFICATE_MALFORMED, str(error), "The proxy's settings are to be looked at.")


def _handed_on(request: Request, extensions: Mapping[str, object], policy: MessagePolicy) -> tuple[bytes, ...]:
    """Return what a trusted proxy says of its client's certificate; an empty header says that there is none."""
    if not policy.client_certificate_header or PROXY not in extensions:
        return ()
    return tuple(value for value in request.headers(policy.client_certificate_header) if value)


def _presented(certificate_der: bytes, proof: Proof) -> Presented:
    known = known_certificate(certificate_der)
    return Presented(certificate_der, fingerprint_of(certificate_der), known.not_after, proof)


def _extensions(request: Request) -> Mapping[str, object]:
    extensions: Mapping[str, object] = request.scope.get("extensions") or _NONE
    return extensions


_NONE: Final[Mapping[str, object]] = {}
