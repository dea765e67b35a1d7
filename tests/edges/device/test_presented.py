"""Who is behind a request: by its signature, by our own TLS, by a proxy that is trusted, and by nobody else."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from urllib.parse import quote

import pytest
from structlog.typing import EventDict
from tests.edges.device.doors import CLIENT, CONNECT_TYPE, Doors
from tests.support.runner import NOW
from tests.support.site import (
    IPAD,
    MAC,
    Site,
    authenticate,
    authority,
    head,
    id_of,
    identity_of,
    print_of,
    token_update,
)

from muster.crypto.certificates import fingerprint, pem_from_der
from muster.crypto.cms.signing import SignerIdentity
from muster.domain.access import Grant
from muster.domain.enrollment import Provenance
from muster.domain.errors import Refusal, RefusalCode
from muster.edges.device.http import LARGE_BODY_BYTES, Request, Scope
from muster.edges.device.presented import (
    PROXY,
    TLS_CERTIFICATE,
    MessagePolicy,
    Presented,
    Proof,
    presents_something,
    who_presents,
)
from muster.protocol.checkin import encode_checkin
from muster.protocol.command import decode_command
from muster.protocol.connect import Report, encode_report
from muster.protocol.mdm_signature import make_mdm_signature
from muster.storage import identities
from muster.storage.identities import NewIdentity

BODY = encode_report(Report(head()))
HEADER = "x-client-cert"
POLICY = MessagePolicy(allow_legacy=False, authorities_der=(), client_certificate_header=HEADER.encode())
ONE, OTHER = identity_of(1), identity_of(2)
THROUGH_PROXY = {PROXY: "192.0.2.1"}


def handed_on(identity: SignerIdentity) -> str:
    """A certificate as nginx hands it on."""
    return quote(pem_from_der([identity.certificate_der]), safe="")


def over_tls(identity: SignerIdentity) -> dict[str, object]:
    return {TLS_CERTIFICATE: identity.certificate_der}


def request(
    headers: Mapping[str, str] | list[tuple[str, str]], extensions: Mapping[str, object] | None = None
) -> Request:
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    scope: Scope = {"headers": [(name.encode(), value.encode()) for name, value in pairs], "client": CLIENT}
    if extensions is not None:
        scope["extensions"] = extensions

    async def receive() -> dict[str, object]:
        return {"type": "http.disconnect"}

    return Request(scope, receive)


SIGNED = {"mdm-signature": make_mdm_signature(BODY, ONE)}


@pytest.mark.parametrize(
    ("headers", "extensions", "proof", "beside"),
    [
        (SIGNED, None, Proof.SIGNATURE, None),
        (SIGNED, over_tls(ONE), Proof.SIGNATURE, None),
        (SIGNED, over_tls(OTHER), Proof.SIGNATURE, OTHER),
        (SIGNED | {HEADER: handed_on(ONE)}, THROUGH_PROXY, Proof.SIGNATURE, None),
        (SIGNED | {HEADER: handed_on(OTHER)}, THROUGH_PROXY, Proof.SIGNATURE, OTHER),
        (SIGNED | {HEADER: handed_on(OTHER)}, None, Proof.SIGNATURE, None),
        (SIGNED | {HEADER: "nonsense"}, THROUGH_PROXY, Proof.SIGNATURE, None),
        ({}, over_tls(ONE), Proof.TLS, None),
        ({HEADER: handed_on(OTHER)}, over_tls(ONE) | THROUGH_PROXY, Proof.TLS, None),
        ({HEADER: handed_on(ONE)}, THROUGH_PROXY, Proof.PROXY, None),
        ({HEADER: f":{base64.b64encode(ONE.certificate_der).decode()}:"}, THROUGH_PROXY, Proof.PROXY, None),
    ],
)
def test_signature_decides_then_our_tls_then_the_proxy(
    headers: Mapping[str, str],
    extensions: Mapping[str, object] | None,
    proof: Proof,
    beside: SignerIdentity | None,
) -> None:
    presented = who_presents(request(headers, extensions), BODY, POLICY)

    assert presents_something(request(headers, extensions), POLICY)
    assert presented == Presented(
        ONE.certificate_der,
        print_of(ONE),
        NOW + timedelta(days=365),
        proof,
        None if beside is None else print_of(beside),
    )


@pytest.mark.parametrize(
    ("headers", "extensions", "code"),
    [
        ({}, None, RefusalCode.SIGNATURE_MISSING),
        ({}, {"http.response.push": {}}, RefusalCode.SIGNATURE_MISSING),
        ({}, THROUGH_PROXY, RefusalCode.SIGNATURE_MISSING),
        ({HEADER: ""}, THROUGH_PROXY, RefusalCode.SIGNATURE_MISSING),
        ({HEADER: handed_on(ONE)}, None, RefusalCode.SIGNATURE_MISSING),
        ({HEADER: "nonsense"}, None, RefusalCode.SIGNATURE_MISSING),
        ({"client-cert": handed_on(ONE)}, THROUGH_PROXY, RefusalCode.SIGNATURE_MISSING),
        ({HEADER: "nonsense"}, THROUGH_PROXY, RefusalCode.CERTIFICATE_MALFORMED),
        ({HEADER: "x" * 20_000}, THROUGH_PROXY, RefusalCode.CERTIFICATE_MALFORMED),
        ([(HEADER, handed_on(ONE)), (HEADER, handed_on(OTHER))], THROUGH_PROXY, RefusalCode.CERTIFICATE_MALFORMED),
        ({"mdm-signature": "bad"}, over_tls(ONE), RefusalCode.SIGNATURE_BAD),
        ({"mdm-signature": "bad", HEADER: handed_on(ONE)}, THROUGH_PROXY, RefusalCode.SIGNATURE_BAD),
        ({"mdm-signature": make_mdm_signature(b"other", ONE)}, over_tls(ONE), RefusalCode.SIGNATURE_BAD),
    ],
)
def test_what_proves_nothing_is_refused(
    headers: Mapping[str, str] | list[tuple[str, str]], extensions: Mapping[str, object] | None, code: RefusalCode
) -> None:
    refusal = who_presents(request(headers, extensions), BODY, POLICY)

    assert isinstance(refusal, Refusal)
    assert refusal.code is code
    assert presents_something(request(headers, extensions), POLICY) is (code is not RefusalCode.SIGNATURE_MISSING)


def test_without_a_name_no_header_is_a_certificate() -> None:
    policy = replace(POLICY, client_certificate_header=b"")

    refusal = who_presents(request({HEADER: handed_on(ONE), "": handed_on(ONE)}, THROUGH_PROXY), BODY, policy)

    assert isinstance(refusal, Refusal)


def test_unreadable_certificate_beside_a_good_signature_is_logged(logs: list[EventDict]) -> None:
    who_presents(request(SIGNED | {HEADER: "nonsense"}, THROUGH_PROXY), BODY, POLICY)

    assert [(line["event"], line["source"]) for line in logs] == [("client_certificate_ignored", CLIENT[0])]


# The doors


def by_tls(identity: SignerIdentity) -> tuple[dict[str, str], dict[str, object]]:
    return {}, over_tls(identity)


def by_proxy(identity: SignerIdentity) -> tuple[dict[str, str], dict[str, object]]:
    return {HEADER: handed_on(identity)}, dict(THROUGH_PROXY)


WAYS = pytest.mark.parametrize("way", [by_tls, by_proxy])
Way = Callable[[SignerIdentity], tuple[dict[str, str], dict[str, object]]]


@pytest.fixture
def door(doors: Doors) -> Doors:
    """Doors that believe proxies."""
    doors.policy = replace(doors.policy, client_certificate_header=HEADER.encode())
    return doors


@WAYS
def test_device_enrolls_and_connects_without_any_signature(door: Doors, site: Site, way: Way) -> None:
    identity = site.identity()
    headers, extensions = way(identity)

    enrolled = [
        door.ask("PUT", "/mdm", encode_checkin(message), headers, extensions=extensions).status
        for message in (authenticate(), token_update())
    ]
    site.queue("one")
    offered = door.ask("PUT", "/mdm", BODY, headers, extensions=extensions)

    assert enrolled == [200, 200]
    assert decode_command(offered.body).command_uuid == "one"
    assert {record.certificate_der for record in door.journal} == {identity.certificate_der}


@WAYS
def test_certificate_of_another_device_speaks_for_its_own_only(door: Doors, site: Site, way: Way) -> None:
    site.enroll(MAC)
    headers, extensions = way(site.enroll(IPAD))

    reply = door.ask("PUT", "/mdm", BODY, headers, extensions=extensions)

    assert reply.status == 403
    assert ("S2", "identity_of_another_device", 1) in site.evidence(IPAD)
    assert site.rumours() == []


def test_header_from_anybody_but_a_trusted_proxy_is_ignored(door: Doors, site: Site) -> None:
    headers, _ = by_proxy(site.enroll())

    reply = door.ask("PUT", "/mdm", BODY, headers)

    assert reply.status == 403
    assert site.rumours() == [(id_of(MAC), "signature_missing", 1)]


def test_unreadable_certificate_from_a_trusted_proxy_is_a_bad_request_and_recorded(door: Doors, site: Site) -> None:
    site.enroll()

    reply = door.ask("PUT", "/mdm", BODY, {HEADER: "nonsense"}, extensions=THROUGH_PROXY)

    assert reply.status == 400
    assert site.rumours() == [(id_of(MAC), "certificate_malformed", 1)]


@WAYS
def test_large_report_under_a_certificate_alone_is_taken(door: Doors, site: Site, way: Way) -> None:
    headers, extensions = way(site.enroll())
    body = BODY.replace(b"<dict>", b"<dict><!--" + b"x" * LARGE_BODY_BYTES + b"-->", 1)

    reply = door.ask("PUT", "/mdm", body, headers | {"content-type": CONNECT_TYPE}, extensions=extensions)

    assert reply.status == 200


# Whose identities are ours


def test_ordinary_requests_ask_the_database_nothing_beforehand(doors: Doors, site: Site) -> None:
    identity = site.identity()

    for message in (authenticate(), token_update()):
        doors.check_in(message, identity)
    doors.connect(identity)

    assert doors.lookups.reads == 0


def adopted(doors: Doors) -> SignerIdentity:
    """An identity that the site keeps, of an authority that these doors don't know (any more)."""
    identity = doors.site.identity()
    doors.policy = replace(doors.policy, authorities_der=(authority(1).certificate_der,))
    return identity


def test_bound_identity_stays_good_when_the_authority_has_changed_and_is_looked_up_once(doors: Doors) -> None:
    identity = adopted(doors)

    statuses = [doors.check_in(message, identity).status for message in (authenticate(), token_update())]
    statuses += [doors.connect(identity).status for _ in range(3)]

    assert statuses == [200] * 5
    assert doors.lookups.reads == 1


def test_stranger_is_refused_before_the_transaction_and_not_remembered(doors: Doors, site: Site) -> None:
    site.enroll()
    stranger = identity_of(1, 1)
    refused = [doors.connect(stranger).status, doors.check_in(authenticate(), stranger).status]

    restored = NewIdentity(
        print_of(stranger),
        stranger.certificate_der,
        fingerprint(authority().certificate_der),
        Grant(Provenance.LINK),
        issued_at=NOW,
        not_after=NOW + timedelta(days=365),
    )
    site.engine.write(lambda tx: identities.add(tx, restored))
    heard = doors.check_in(authenticate(IPAD), stranger).status

    assert (refused, heard) == ([403, 403], 200)
    assert doors.lookups.reads == 3
    assert site.rumours() == [(id_of(MAC), "identity_unknown", 2)]
