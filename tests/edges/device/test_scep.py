"""SCEP at the door: what buys a certificate, and how everything else is refused (RFC 8894)."""

import base64
from dataclasses import replace
from datetime import timedelta
from functools import cache
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from structlog.typing import EventDict
from tests.crypto.material import CountingBytes, ec_key, other_rsa_key, rsa_key, small_rsa_key
from tests.edges.device.doors import Doors, Reply
from tests.support import renewing
from tests.support.runner import NOW
from tests.support.site import MAC, Site, authenticate, authority, token_update

from muster.crypto.algorithms import Cipher, Digest
from muster.crypto.certificates import is_issued_by, key_matches
from muster.crypto.cms.signing import SignerIdentity
from muster.crypto.issuance import make_self_signed
from muster.crypto.keys import PrivateKey, RSAPrivateKey
from muster.crypto.requests import make_request
from muster.domain.access import Challenge, Grant
from muster.domain.enrollment import Provenance
from muster.operations.enrollment_links import LinkOrder
from muster.operations.issue_certificate import hash_secret
from muster.protocol.scep import (
    MAX_MESSAGE_BYTES,
    PKI_MESSAGE_MEDIA_TYPE,
    CertRep,
    FailInfo,
    MessageType,
    PKIStatus,
    decode_cert_rep,
    encode_cert_poll,
    encode_pkcs_req,
)
from muster.simulator.keys.published import published_keys
from muster.storage import identities, schema

NONCE = b"n" * 16


@cache
def temporary(key: PrivateKey) -> SignerIdentity:
    certificate = make_self_signed("SCEP", key, now=NOW, lifetime=timedelta(days=1), serial_number=2)
    return SignerIdentity(certificate, key)


def pkcs_req(
    challenge: str | None = "secret",
    *,
    key: PrivateKey | None = None,
    signer: SignerIdentity | None = None,
    to: bytes | None = None,
    message_type: MessageType = MessageType.PKCS_REQ,
    cipher: Cipher = Cipher.AES_128_CBC,
    digest: Digest = Digest.SHA256,
    transaction_id: str = "transaction",
) -> bytes:
    key = key or rsa_key()
    return encode_pkcs_req(
        make_request(key, common_name="device", challenge=challenge),
        signer or temporary(rsa_key()),
        to or authority().certificate_der,
        transaction_id=transaction_id,
        sender_nonce=NONCE,
        random_bytes=CountingBytes(),
        message_type=message_type,
        cipher=cipher,
        digest=digest,
    )


def add_challenge(site: Site, secret: str = "secret", *, lifetime: timedelta = timedelta(hours=24)) -> None:
    link = site.link(LinkOrder(1, timedelta(days=1))).link
    challenge = Challenge(hash_secret(secret), Grant(Provenance.LINK, link.id), site.now + lifetime, None, None, None)
    site.engine.write(lambda tx: identities.add_challenge(tx, challenge, site.now))


def post(doors: Doors, message: bytes, *, query: bytes = b"operation=PKIOperation") -> Reply:
    return doors.ask("POST", "/scep", message, {"content-type": PKI_MESSAGE_MEDIA_TYPE}, query=query)


def read(reply: Reply, signer: SignerIdentity | None = None, *, number: int = 0) -> CertRep:
    assert (reply.status, reply.headers["content-type"]) == (200, PKI_MESSAGE_MEDIA_TYPE)
    return decode_cert_rep(
        reply.body,
        signer or temporary(rsa_key()),
        authority(number).certificate_der,
        transaction_id="transaction",
        sender_nonce=NONCE,
    )


def refused(reply: Reply, signer: SignerIdentity | None = None) -> FailInfo | None:
    answer = read(reply, signer)
    assert answer.status is PKIStatus.FAILURE
    return answer.fail_info


def uses(site: Site) -> list[int]:
    return [count for (count,) in site.rows(sa.select(schema.enrollment_links.c.uses))]


# What a client asks first


def test_capabilities_are_lines_of_text(doors: Doors) -> None:
    reply = doors.ask("GET", "/scep", query=b"operation=GetCACaps&message=Muster")

    assert (reply.status, reply.headers["content-type"]) == (200, "text/plain")
    assert {"AES", "POSTPKIOperation", "SHA-256", "SCEPStandard"} <= set(reply.body.decode().splitlines())


def test_authoritys_certificate_comes_bare_with_its_exact_type(doors: Doors) -> None:
    reply = doors.ask("GET", "/scep", query=b"operation=GetCACert")

    assert (reply.status, reply.headers["content-type"]) == (200, "application/x-x509-ca-cert")
    assert reply.body == authority().certificate_der


# What buys a certificate


def test_challenge_buys_a_certificate_with_which_a_device_enrolls(both_doors: Doors) -> None:
    add_challenge(both_doors.site)

    reply = read(post(both_doors, pkcs_req()))

    (certificate,) = reply.certificates_der
    assert key_matches(certificate, rsa_key())
    identity = SignerIdentity(certificate, rsa_key())
    assert [both_doors.check_in(message, identity).status for message in (authenticate(), token_update())] == [200, 200]
    assert uses(both_doors.site) == [1]


def test_message_may_come_by_get(doors: Doors, site: Site) -> None:
    add_challenge(site)
    message = quote(base64.b64encode(pkcs_req()), safe="").encode()

    reply = doors.ask("GET", "/scep", query=b"operation=PKIOperation&message=" + message)

    assert read(reply).status is PKIStatus.SUCCESS


def test_message_by_get_may_have_lost_its_escapes(doors: Doors, site: Site) -> None:
    add_challenge(site)

    reply = doors.ask("GET", "/scep", query=b"operation=PKIOperation&message=" + base64.b64encode(pkcs_req()))

    assert read(reply).status is PKIStatus.SUCCESS


@pytest.mark.parametrize("noise", [bytes(range(128, 256)) * 300, b"%ff%fe%00" * 9000, b"&=&=" * 9000, b"\xff" * 65536])
def test_body_of_a_post_counts_whatever_stands_in_the_query(doors: Doors, site: Site, noise: bytes) -> None:
    add_challenge(site)

    reply = post(doors, pkcs_req(), query=b"operation=PKIOperation&message=" + noise)

    assert read(reply).status is PKIStatus.SUCCESS


def test_same_transaction_said_again_gets_the_same_certificate_and_uses_nothing_up(doors: Doors, site: Site) -> None:
    add_challenge(site)
    message = pkcs_req()

    first, again, anew = read(post(doors, message)), read(post(doors, message)), read(post(doors, pkcs_req()))

    assert first.certificates_der == again.certificates_der == anew.certificates_der
    assert uses(site) == [1]


@pytest.mark.parametrize(
    ("cipher", "digest"), [(Cipher.DES_EDE3_CBC, Digest.SHA256), (Cipher.AES_256_CBC, Digest.SHA1)]
)
def test_old_algorithms_are_refused_unless_the_operator_lets_them_in(
    doors: Doors, site: Site, cipher: Cipher, digest: Digest
) -> None:
    add_challenge(site)
    message = pkcs_req(cipher=cipher, digest=digest)

    assert refused(post(doors, message)) is FailInfo.BAD_ALG
    assert site.rumours() == [("", "algorithm_refused", 1)]
    doors.policy = replace(doors.policy, allow_legacy=True)
    assert read(post(doors, message)).status is PKIStatus.SUCCESS


# What does not


@pytest.mark.parametrize("challenge", ["wrong", "", None, "secret ", "SECRET"])
def test_wrong_challenge_is_a_failure_badRequest(doors: Doors, site: Site, challenge: str | None) -> None:  # noqa: N802 - RFC 8894's word
    add_challenge(site)

    assert refused(post(doors, pkcs_req(challenge))) is FailInfo.BAD_REQUEST
    assert site.rumours() == [("", "challenge_unknown", 1)]
    assert uses(site) == [0]


def test_challenge_used_for_another_key_is_refused(doors: Doors, site: Site) -> None:
    add_challenge(site)
    post(doors, pkcs_req())

    assert refused(post(doors, pkcs_req(key=other_rsa_key()))) is FailInfo.BAD_REQUEST
    assert site.rumours() == [("", "challenge_used", 1)]
    assert uses(site) == [1]


def test_expired_challenge_is_refused(doors: Doors, site: Site) -> None:
    add_challenge(site, lifetime=timedelta(minutes=1))
    site.wait(minutes=1)

    assert refused(post(doors, pkcs_req())) is FailInfo.BAD_REQUEST
    assert site.rumours() == [("", "challenge_expired", 1)]


def weak_rsa_key() -> RSAPrivateKey:
    return small_rsa_key()


@pytest.mark.parametrize("key", [weak_rsa_key, lambda: published_keys()[0]], ids=["weak", "published"])
def test_key_that_protects_nothing_is_refused(doors: Doors, site: Site, key: object) -> None:
    add_challenge(site)
    assert callable(key)

    assert refused(post(doors, pkcs_req(key=key()))) is FailInfo.BAD_ALG
    assert uses(site) == [0]


def test_signer_that_cannot_read_the_reply_is_refused_before_anything_is_issued(doors: Doors, site: Site) -> None:
    add_challenge(site)
    signer = temporary(ec_key())

    reply = post(doors, pkcs_req(key=ec_key(), signer=signer))

    assert refused(reply, signer) is FailInfo.BAD_ALG
    assert uses(site) == [0]
    assert site.rows(sa.select(schema.identities)) == []


def test_message_enveloped_to_somebody_else_is_refused(doors: Doors, site: Site) -> None:
    add_challenge(site)

    reply = post(doors, pkcs_req(to=temporary(other_rsa_key()).certificate_der))

    assert refused(reply) is FailInfo.BAD_MESSAGE_CHECK
    assert site.rumours() == [("", "signature_bad", 1)]


def test_poll_is_refused_for_nothing_is_ever_pending(doors: Doors) -> None:
    poll = encode_cert_poll(
        b"0\x00",
        b"0\x00",
        temporary(rsa_key()),
        authority().certificate_der,
        transaction_id="transaction",
        sender_nonce=NONCE,
        random_bytes=CountingBytes(),
    )

    assert refused(post(doors, poll)) is FailInfo.BAD_REQUEST


def test_renewal_by_somebody_who_is_not_ours_is_refused(doors: Doors, site: Site) -> None:
    reply = post(doors, pkcs_req(None, message_type=MessageType.RENEWAL_REQ))

    assert refused(reply) is FailInfo.BAD_CERT_ID
    assert site.rumours() == [("", "identity_unknown", 1)]


def test_renewal_is_logged_with_its_device(doors: Doors, site: Site, logs: list[EventDict]) -> None:
    present = site.enroll(identity=site.identity(key=other_rsa_key()))

    post(doors, pkcs_req(None, signer=present, message_type=MessageType.RENEWAL_REQ))

    assert [line["enrollment_id"] for line in logs if line["event"] == "certificate_issued"] == [MAC.udid]


def test_pinned_identity_renews_itself_and_again(doors: Doors, site: Site) -> None:
    present = site.enroll(identity=site.identity(key=other_rsa_key()))
    renewal = pkcs_req(None, signer=present, message_type=MessageType.RENEWAL_REQ)

    first, again = read(post(doors, renewal), present), read(post(doors, renewal), present)

    assert first.status is PKIStatus.SUCCESS
    assert first.certificates_der == again.certificates_der
    renewed = SignerIdentity(first.certificates_der[0], rsa_key())
    assert [doors.check_in(message, renewed).status for message in (authenticate(), token_update())] == [200, 200]
    assert site.enrollment().epoch == 1


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x30",
        b"\x30\x80" * 9000,
        b"hello",
        bytes(1000),
        b"\x30\x84\xff\xff\xff\xff",
        pkcs_req()[:-1],
        pkcs_req() + b"x",
    ],
    ids=["empty", "cut-off", "nested", "text", "zeros", "long", "one-byte-less", "one-byte-more"],
)
def test_message_that_cannot_be_answered_is_a_bad_request(doors: Doors, site: Site, message: bytes) -> None:
    reply = post(doors, message)

    assert reply.status == 400
    assert site.rumours() == [("", "body_malformed", 1)]


def test_message_above_its_limit_is_not_read(doors: Doors, site: Site) -> None:
    declared = post(doors, bytes(MAX_MESSAGE_BYTES + 1))
    chunked = doors.ask("POST", "/scep", pieces=[bytes(65536)] * 1600, query=b"operation=PKIOperation")

    assert (declared.status, declared.bytes_taken) == (413, 0)
    assert (chunked.status, chunked.bytes_taken) == (413, 3 * 65536)
    assert chunked.headers["connection"] == "close"
    assert site.rumours() == [("", "body_too_large", 2)]


@pytest.mark.parametrize("message", [b"", b"!", b"%ff%ff", b"A" * 200_000, b"\xe9"])
def test_message_by_get_that_is_none_is_a_bad_request(doors: Doors, message: bytes) -> None:
    assert doors.ask("GET", "/scep", query=b"operation=PKIOperation&message=" + message).status == 400


@pytest.mark.parametrize(
    "query", [b"", b"operation=", b"operation=GetNextCACert", b"OPERATION=GetCACaps", b"\xff" * 99]
)
def test_unknown_operation_is_a_bad_request(doors: Doors, site: Site, query: bytes) -> None:
    assert doors.ask("GET", "/scep", query=query).status == 400
    assert site.rumours() == [("", "message_unknown", 1)]


@pytest.mark.parametrize(
    ("method", "query", "status"),
    [
        ("POST", b"operation=GetCACert", 405),
        ("POST", b"", 405),
        ("PUT", b"operation=PKIOperation", 405),
        ("DELETE", b"operation=GetCACaps", 405),
        ("HEAD", b"operation=PKIOperation&message=AAAA", 400),
        ("HEAD", b"operation=GetCACaps", 200),
    ],
)
def test_methods_do_what_they_are_for(doors: Doors, method: str, query: bytes, status: int) -> None:
    assert doors.ask(method, "/scep", query=query).status == status


# After a rotation


def rotated(doors: Doors, site: Site) -> None:
    renewing.rotate(site, authority(1))
    doors.authorities = (authority(1), authority(0))


def test_who_asks_after_a_rotation_gets_the_new_authority(doors: Doors, site: Site) -> None:
    rotated(doors, site)

    assert doors.ask("GET", "/scep", query=b"operation=GetCACert").body == authority(1).certificate_der


@pytest.mark.parametrize("number", [0, 1])
def test_each_authority_serves_who_addresses_it(doors: Doors, site: Site, number: int) -> None:
    rotated(doors, site)
    add_challenge(site)

    answer = read(post(doors, pkcs_req(to=authority(number).certificate_der)), number=number)

    assert answer.status is PKIStatus.SUCCESS
    assert is_issued_by(answer.certificates_der[0], authority(number).certificate_der)
    assert doors.looked_again == 0


def test_a_refusal_is_signed_by_the_authority_that_was_addressed(doors: Doors, site: Site) -> None:
    rotated(doors, site)

    answer = read(post(doors, pkcs_req("made up", to=authority(0).certificate_der)), number=0)

    assert answer.status is PKIStatus.FAILURE


def test_a_message_to_an_authority_not_known_here_has_them_looked_up(doors: Doors, site: Site) -> None:
    add_challenge(site)
    message = pkcs_req(to=authority(1).certificate_der)

    async def notice() -> None:
        rotated(doors, site)

    doors.look_again = notice

    assert read(post(doors, message), number=1).status is PKIStatus.SUCCESS
