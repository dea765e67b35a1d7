"""The last word to a device: what stands in the reply, and who gets it."""

import json
from dataclasses import replace

import pytest
from tests.edges.device.doors import Doors
from tests.support.site import ADA, IPAD, MAC, Site, authenticate, id_of, token_update

from muster.domain.letting_go import LeavingReply
from muster.edges.device.leaving import leaving_reply
from muster.operations.let_go import DepartureOrder, reject_devices
from muster.operations.set_policy import PolicyOrder, set_policies
from muster.protocol.enrollment_errors import decode_error
from muster.protocol.identifiers import DeviceId


def reject(site: Site) -> None:
    site.do(reject_devices, DepartureOrder((DeviceId(id_of(MAC)),)))


def test_older_versions_get_a_bare_401() -> None:
    reply = leaving_reply(LeavingReply.UNAUTHORIZED)

    assert (reply.status, reply.body, reply.headers) == (401, b"", ())


def test_newer_versions_get_apples_code_in_a_form_they_read() -> None:
    reply = leaving_reply(LeavingReply.UNRECOGNIZED_DEVICE)

    error = decode_error(reply.content_type.decode(), reply.body)
    assert reply.status == 403
    assert error is not None
    assert error.code == "com.apple.unrecognized.device"


@pytest.mark.parametrize(("os_version", "status"), [("13.7", 401), ("14.0", 403)])
def test_rejected_device_is_told_at_check_in_and_connect(
    doors: Doors, site: Site, os_version: str, status: int
) -> None:
    identity = site.identity()
    site.check_in(replace(authenticate(), product_name="Mac14,2", os_version=os_version), identity)
    site.check_in(token_update(), identity)
    site.check_in(token_update(ADA), identity)
    reject(site)

    replies = [
        doors.connect(identity),
        doors.check_in(token_update(), identity),
        doors.check_in(token_update(ADA), identity),
        doors.check_in(authenticate(), identity),
    ]

    assert [reply.status for reply in replies] == [status] * 4
    for reply in replies:
        assert status == 401 or json.loads(reply.body)["code"] == "com.apple.unrecognized.device"


def test_stranger_who_claims_to_be_the_rejected_device_is_only_refused(doors: Doors, site: Site) -> None:
    site.enroll()
    other = site.enroll(IPAD)
    reject(site)

    replies = [doors.connect(other), doors.check_in(token_update(), other), doors.check_in(authenticate(), other)]

    assert [reply.status for reply in replies] == [403] * 3
    assert not [reply for reply in replies if b"com.apple" in reply.body]


def test_newcomer_whom_policy_refuses_is_told_and_past_the_limit_an_enrolled_one_is_not(
    doors: Doors, site: Site
) -> None:
    site.runner.policy = replace(site.runner.policy, leavings_per_hour=0)
    site.enroll(IPAD)
    site.do(set_policies, PolicyOrder("on_enroll", "refuse"))

    unknown = doors.check_in(authenticate(), site.identity())
    enrolled = doors.check_in(authenticate(IPAD), site.identity())

    assert unknown.status == 401
    assert enrolled.status == 403
    assert b"com.apple" not in enrolled.body
