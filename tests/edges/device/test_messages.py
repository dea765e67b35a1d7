"""Check-ins and connects that are in order, from the header to the reply."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.edges.device.doors import CHECKIN_TYPE, CONNECT_TYPE, Doors
from tests.support.site import ADA, MAC, Site, authenticate, head, token_update

from muster.edges.device.messages import MAXIMUM_BODY_BYTES
from muster.operations.set_policy import PolicyOrder, set_policies
from muster.protocol.checkin import (
    DeclarativeManagement,
    GetBootstrapToken,
    SetBootstrapToken,
    UserAuthenticate,
    encode_checkin,
)
from muster.protocol.checkin_replies import read_bootstrap_token_reply, read_user_authenticate_reply
from muster.protocol.command import decode_command
from muster.protocol.connect import Report, encode_report
from muster.protocol.identifiers import resolve_channel
from muster.protocol.mdm_signature import make_mdm_signature
from muster.protocol.user_digest import digest_key, make_digest_answer


def test_device_enrolls_and_works_its_queue_off(both_doors: Doors) -> None:
    doors, site = both_doors, both_doors.site
    identity = site.identity()

    enrolled = [doors.check_in(message, identity) for message in (authenticate(), token_update())]
    site.queue("one")
    offered = doors.connect(identity)
    done = doors.connect(identity, status="Acknowledged", command_uuid="one")

    assert [(reply.status, reply.body) for reply in enrolled] == [(200, b""), (200, b"")]
    assert (offered.status, offered.headers["content-type"]) == (200, "application/xml")
    assert decode_command(offered.body).command_uuid == "one"
    assert (done.status, done.body) == (200, b"")
    assert "content-type" not in done.headers
    assert site.reports() == [("one", "Acknowledged")]


@pytest.mark.parametrize("path", ["/mdm", "/checkin"])
@pytest.mark.parametrize("content_type", [CHECKIN_TYPE, f"{CHECKIN_TYPE.upper()} ; charset=UTF-8", None, "text/xml"])
def test_both_paths_take_check_ins_however_they_are_labelled(
    doors: Doors, site: Site, path: str, content_type: str | None
) -> None:
    identity = site.identity()

    reply = doors.put(encode_checkin(authenticate()), identity, path=path, content_type=content_type)

    assert reply.status == 200
    assert site.is_known()


@pytest.mark.parametrize("path", ["/mdm", "/checkin"])
@pytest.mark.parametrize("content_type", [CONNECT_TYPE, None, "application/octet-stream", "\xff;;;"])
def test_both_paths_take_reports_however_they_are_labelled(
    doors: Doors, site: Site, path: str, content_type: str | None
) -> None:
    identity = site.enroll()
    site.queue("one")

    reply = doors.put(encode_report(Report(head())), identity, path=path, content_type=content_type)

    assert decode_command(reply.body).command_uuid == "one"


def test_report_of_sixteen_megabytes_is_taken_to_the_last_byte(doors: Doors, site: Site) -> None:
    identity = site.enroll()
    site.queue("one")
    body = encode_report(Report(head(MAC, "Acknowledged", "one"), answer={"Padding": ""}))
    body = body.replace(b"<string></string>", b"<string>" + b"x" * (MAXIMUM_BODY_BYTES - len(body)) + b"</string>")
    assert len(body) == MAXIMUM_BODY_BYTES

    reply = doors.put(body, identity, content_type=CONNECT_TYPE)

    assert (reply.status, reply.bytes_taken) == (200, MAXIMUM_BODY_BYTES)
    assert site.reports() == [("one", "Acknowledged")]


def test_messages_that_change_something_are_journaled_as_they_came(doors: Doors, site: Site) -> None:
    identity = site.identity()
    channel = resolve_channel(MAC)

    doors.check_in(authenticate(), identity)
    doors.check_in(token_update(), identity)
    doors.check_in(GetBootstrapToken(MAC, channel), identity)
    doors.check_in(SetBootstrapToken(MAC, channel, b"secret"), identity)
    doors.connect(identity)

    assert [record.message for record in doors.journal] == ["Authenticate", "TokenUpdate", "SetBootstrapToken"]
    first = doors.journal[0]
    assert (first.body, first.certificate_der) == (encode_checkin(authenticate()), identity.certificate_der)


def test_bootstrap_token_comes_back(doors: Doors, site: Site) -> None:
    identity = site.enroll()
    doors.check_in(SetBootstrapToken(MAC, resolve_channel(MAC), b"secret"), identity)

    reply = doors.check_in(GetBootstrapToken(MAC, resolve_channel(MAC)), identity)

    assert reply.headers["content-type"] == "application/xml"
    assert read_bootstrap_token_reply(reply.body) == b"secret"


def test_network_user_shows_the_password_that_the_directory_has(doors: Doors, site: Site) -> None:
    identity = site.enroll()
    site.do(set_policies, PolicyOrder("network_users", "digest"))
    doors.password_keys["ada"] = digest_key("ada", "muster", "secret")
    first = UserAuthenticate(ADA, resolve_channel(ADA))

    challenge = read_user_authenticate_reply(doors.check_in(first, identity).body).digest_challenge or ""
    answer = make_digest_answer(challenge, "ada", "secret")
    reply = doors.check_in(replace(first, digest_response=answer), identity)

    assert reply.status == 200
    assert read_user_authenticate_reply(reply.body).auth_token


def test_wrong_password_is_answered_like_a_right_one_without_the_token(doors: Doors, site: Site) -> None:
    identity = site.enroll()
    site.do(set_policies, PolicyOrder("network_users", "digest"))
    first = UserAuthenticate(ADA, resolve_channel(ADA))
    doors.check_in(first, identity)

    replies = [doors.check_in(replace(first, digest_response=text), identity) for text in ("x", "Digest a=b")]

    assert [(reply.status, read_user_authenticate_reply(reply.body).auth_token) for reply in replies] == [(200, "")] * 2


def test_directory_user_is_sent_away_with_410_and_nothing_else_is(doors: Doors, site: Site) -> None:
    identity = site.enroll()

    reply = doors.check_in(UserAuthenticate(ADA, resolve_channel(ADA)), identity)

    assert (reply.status, reply.body) == (410, b"")


def test_declarations_are_json_and_an_unknown_one_is_404(doors: Doors, site: Site) -> None:
    identity = site.enroll()
    channel = resolve_channel(MAC)

    known = doors.check_in(DeclarativeManagement(MAC, channel, "tokens"), identity)
    unknown = doors.check_in(DeclarativeManagement(MAC, channel, "declaration/configuration/x"), identity)

    assert (known.status, known.headers["content-type"]) == (200, "application/json")
    assert unknown.status == 404


def test_signature_folded_over_lines_is_read(doors: Doors, site: Site) -> None:
    identity = site.enroll()
    body = encode_report(Report(head()))
    signature = make_mdm_signature(body, identity)
    folded = "  ".join(signature[start : start + 60] for start in range(0, len(signature), 60))

    assert doors.put(body, identity, signature=folded).status == 200


def test_connect_by_post_is_answered_like_one_by_put(doors: Doors, site: Site) -> None:
    mac = site.enroll()
    site.queue("one")
    idle = encode_report(Report(head()))

    reply = doors.ask("POST", "/mdm", idle, {"mdm-signature": make_mdm_signature(idle, mac)})

    assert (reply.status, decode_command(reply.body).command_uuid) == (200, "one")


@pytest.mark.parametrize("days", [-3, 3])
def test_clock_that_is_wrong_is_noted_by_the_time_of_the_signature(doors: Doors, site: Site, days: int) -> None:
    identity = site.enroll()
    body = encode_report(Report(head()))
    signed_at = site.now + timedelta(days=days)
    signature = make_mdm_signature(body, identity, with_attributes=True, signing_time=signed_at)

    replies = [doors.put(body, identity, signature=signature) for _ in range(3)]

    assert [reply.status for reply in replies] == [200, 200, 200]
    assert ("S1", "clock_wrong", 1) in site.evidence()


def test_signing_time_that_is_near_enough_is_no_evidence(doors: Doors, site: Site) -> None:
    identity = site.enroll()
    before = site.evidence()
    body = encode_report(Report(head()))

    doors.put(body, identity, signature=make_mdm_signature(body, identity, with_attributes=True, signing_time=site.now))

    assert site.evidence() == before
