"""How a device gets its identity: SCEP as Apple's devices speak it (RFC 8894)."""

import asyncio
import base64
import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from urllib.parse import quote

from muster.crypto.algorithms import Cipher
from muster.crypto.certificates import inspect_certificate, key_matches
from muster.crypto.cms.signing import SignerIdentity
from muster.crypto.errors import CryptoError
from muster.crypto.issuance import make_self_signed
from muster.crypto.keys import RSAPrivateKey, public_key_der
from muster.crypto.requests import make_request
from muster.protocol.errors import ProtocolError
from muster.protocol.profile import ScepPayload
from muster.protocol.scep import (
    PKI_MESSAGE_MEDIA_TYPE,
    CertRep,
    PKIStatus,
    decode_ca_certificates,
    decode_capabilities,
    decode_cert_rep,
    encode_pkcs_req,
    transaction_id_of,
)
from muster.simulator.enrollment import EnrollmentFailed
from muster.simulator.transport import ConnectionLost, Response, Transport

NONCE_BYTES = 16
"""RFC 8894 section 3.2.1.5."""

RETRIES = 3
RETRY_DELAY_SECONDS = 10.0
"""The defaults of the SCEP payload's Retries and RetryDelay, for replies of PENDING."""

FINGERPRINT_DIGESTS = {16: "md5", 20: "sha1", 32: "sha256", 64: "sha512"}
"""What CAFingerprint is, told by its length in bytes."""


async def obtain_identity(
    payload: ScepPayload,
    key: RSAPrivateKey,
    transport: Transport,
    *,
    default_common_name: str,
    now: datetime,
    random_bytes: Callable[[int], bytes],
) -> SignerIdentity:
    """Ask *payload*'s server for a certificate for *key*: GetCACaps, GetCACert, PKCSReq.

    The request's subject holds the payload's CN (else *default_common_name*) and O; other attributes are left out.
    PENDING is asked again, Retries times. Raises EnrollmentFailed, step "SCEP".
    """
    client = _ScepClient(payload, transport)
    try:
        capabilities = decode_capabilities((await client.get("GetCACaps")).body)
        authority_der = _authority(payload, await client.get("GetCACert"))
        subject = dict(payload.subject)
        request = make_request(
            key,
            common_name=subject.get("CN", default_common_name),
            organization=subject.get("O"),
            challenge=payload.challenge,
        )
        temporary_der = make_self_signed(default_common_name, key, now=now, lifetime=timedelta(days=1), serial_number=1)
        signer = SignerIdentity(temporary_der, key)
        transaction_id, sender_nonce = transaction_id_of(public_key_der(key)), random_bytes(NONCE_BYTES)
        message = encode_pkcs_req(
            request,
            signer,
            authority_der,
            transaction_id=transaction_id,
            sender_nonce=sender_nonce,
            random_bytes=random_bytes,
            cipher=_cipher(capabilities),
        )
        for _ in range(RETRIES + 1):
            reply = decode_cert_rep(
                await client.operate(message, by_post="POSTPKIOperation" in capabilities),
                signer,
                authority_der,
                transaction_id=transaction_id,
                sender_nonce=sender_nonce,
            )
            if reply.status is not PKIStatus.PENDING:
                break
            await asyncio.sleep(RETRY_DELAY_SECONDS)
        return SignerIdentity(_issued(reply, key), key)
    except ConnectionLost as error:
        raise EnrollmentFailed("SCEP", "no connection") from error
    except (CryptoError, ProtocolError) as error:
        raise EnrollmentFailed("SCEP", str(error)) from error


class _ScepClient:
    """The three operations, by GET and POST."""

    def __init__(self, payload: ScepPayload, transport: Transport) -> None:
        self._payload = payload
        self._transport = transport

    async def get(self, operation: str, message: str | None = None) -> Response:
        separator = "&" if "?" in self._payload.url else "?"
        url = f"{self._payload.url}{separator}operation={operation}"
        if message is None:
            message = self._payload.name
        if message is not None:
            url += f"&message={quote(message, safe='')}"
        return _succeeded(operation, await self._transport.send("GET", url, {}, b""))

    async def operate(self, message: bytes, *, by_post: bool) -> bytes:
        if not by_post:
            return (await self.get("PKIOperation", base64.b64encode(message).decode("ascii"))).body
        separator = "&" if "?" in self._payload.url else "?"
        url = f"{self._payload.url}{separator}operation=PKIOperation"
        headers = {"Content-Type": PKI_MESSAGE_MEDIA_TYPE}
        return _succeeded("PKIOperation", await self._transport.send("POST", url, headers, message)).body


def _succeeded(operation: str, response: Response) -> Response:
    if not response.is_success:
        raise EnrollmentFailed("SCEP", f"{operation} was answered {response.status}")
    return response


def _authority(payload: ScepPayload, response: Response) -> bytes:
    """The certificate to encrypt to: the registration authority's when there is one."""
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    certificates = decode_ca_certificates(media_type, response.body)
    if payload.ca_fingerprint is not None:
        digest = FINGERPRINT_DIGESTS.get(len(payload.ca_fingerprint))
        if digest is None or not any(
            hashlib.new(digest, certificate, usedforsecurity=False).digest() == payload.ca_fingerprint
            for certificate in certificates
        ):
            raise EnrollmentFailed("SCEP", "CAFingerprint is none of the authority's certificates")
    return next((der for der in certificates if not inspect_certificate(der).is_ca), certificates[0])


def _cipher(capabilities: frozenset[str]) -> Cipher:
    return Cipher.AES_128_CBC if capabilities & {"AES", "SCEPStandard"} else Cipher.DES_EDE3_CBC


def _issued(reply: CertRep, key: RSAPrivateKey) -> bytes:
    if reply.status is not PKIStatus.SUCCESS:
        reason = "PENDING" if reply.fail_info is None else reply.fail_info.name
        raise EnrollmentFailed("SCEP", f"refused: {reason}")
    for certificate_der in reply.certificates_der:
        if key_matches(certificate_der, key):
            return certificate_der
    raise EnrollmentFailed("SCEP", "the reply holds no certificate for this key")
