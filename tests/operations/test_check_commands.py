"""What is known of a channel when a command is held against it, and what that refuses."""

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.support import renewing
from tests.support.runner import NOW
from tests.support.site import ADA, IPAD, MAC, Site, authenticate, id_of, print_of, token_update

from muster.crypto.cms.signing import SignerIdentity
from muster.domain.access import LinkKind
from muster.domain.command_findings import CommandTarget
from muster.domain.errors import RefusalCode
from muster.operations.check_commands import target_of
from muster.operations.enrollment_links import LinkOrder
from muster.operations.queue_command import CommandOrder, QueuedCommand, queue_commands
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import SHARED_IPAD_USER_ID, DeviceId, Identifiers, resolve_channel
from muster.protocol.os_family import OsFamily
from muster.storage import command_targets, schema
from muster.storage.command_targets import StoredTarget
from muster.storage.engine import Transaction

SHARED_USER = replace(IPAD, user_id=SHARED_IPAD_USER_ID, user_short_name="ada@example.org")
OWN = Identifiers(enrollment_id="0B5E0F7A-1111-4222-8333-444455556666")


def enroll(
    site: Site,
    identifiers: Identifiers,
    *,
    product: str | None = None,
    model: str | None = None,
    os_version: str | None = None,
) -> SignerIdentity:
    identity = site.identity()
    said = replace(authenticate(identifiers), product_name=product, model=model, os_version=os_version)
    site.check_in(said, identity)
    site.check_in(token_update(identifiers), identity)
    return identity


def target(site: Site, identifiers: Identifiers) -> CommandTarget:
    channel = resolve_channel(identifiers)
    stored = site.engine.read(lambda tx: command_targets.find(tx, [channel.device_id]))
    return target_of(channel, stored[channel.device_id])


@pytest.mark.parametrize(
    ("product", "model", "family"),
    [
        ("iPhone16,1", "MTQA3", OsFamily.IOS),
        ("Mac15,3", None, OsFamily.MACOS),
        (None, "Mac15,3", OsFamily.MACOS),
        ("AppleTV14,1", None, OsFamily.TVOS),
        (None, None, None),
    ],
)
def test_device_is_known_by_what_it_said_of_itself(
    site: Site, product: str | None, model: str | None, family: OsFamily | None
) -> None:
    enroll(site, MAC, product=product, model=model, os_version="17.5")

    known = target(site, MAC)

    assert (known.family, known.os_version, known.is_user_channel) == (family, "17.5", False)


def test_what_is_not_known_is_left_open(site: Site) -> None:
    enroll(site, MAC)

    assert target(site, MAC) == CommandTarget(is_user_channel=False, is_user_enrollment=False)


def test_users_are_those_of_their_device(site: Site) -> None:
    identity = enroll(site, MAC, product="Mac15,3", os_version="15.5")
    site.check_in(token_update(ADA), identity)

    known = target(site, ADA)

    assert (known.family, known.os_version, known.is_user_channel) == (OsFamily.MACOS, "15.5", True)


def test_ipad_with_users_is_a_shared_one_for_itself_and_for_them(site: Site) -> None:
    identity = enroll(site, IPAD)
    assert target(site, IPAD).is_shared_ipad is None

    site.check_in(token_update(SHARED_USER), identity)

    assert target(site, IPAD).is_shared_ipad is True
    assert target(site, SHARED_USER) == CommandTarget(
        OsFamily.IOS, is_user_channel=True, is_user_enrollment=False, is_shared_ipad=True
    )


def test_device_in_user_enrollment_is_not_supervised(site: Site) -> None:
    enroll(site, OWN)

    known = target(site, OWN)

    assert (known.is_user_enrollment, known.is_supervised) == (True, False)


@pytest.mark.parametrize(
    ("kind", "automated", "supervised"), [(LinkKind.ADE, True, True), (LinkKind.PROFILE, False, None)]
)
def test_how_a_device_came_is_known_by_its_link(
    site: Site, kind: LinkKind, automated: bool, supervised: bool | None
) -> None:
    site.link(LinkOrder(1, timedelta(days=1), kind=kind))
    identity = enroll(site, MAC)

    def came_by(tx: Transaction) -> None:
        table, link = schema.identities, sa.select(schema.enrollment_links.c.id).scalar_subquery()
        statement = sa.update(table).where(table.c.fingerprint == print_of(identity)).values(link_id=link)
        tx.connection.execute(statement)

    site.engine.write(came_by)

    known = target(site, MAC)

    assert (known.is_automated_enrollment, known.is_supervised) == (automated, supervised)


def test_rights_are_those_that_the_device_granted(site: Site) -> None:
    renewing.enroll(site, MAC, terms=replace(renewing.TERMS, access_rights=3))

    assert target(site, MAC).access_rights == 3


def test_device_that_is_not_stored_is_absent(site: Site) -> None:
    found = site.engine.read(lambda tx: command_targets.find(tx, [DeviceId("nobody")]))

    assert found == {}
    assert target_of(resolve_channel(ADA), StoredTarget()).family is OsFamily.MACOS


def test_command_whose_right_was_not_granted_is_refused(site: Site) -> None:
    renewing.enroll(site, MAC, terms=replace(renewing.TERMS, access_rights=3))

    outcome = site.do(queue_commands, CommandOrder((id_of(MAC),), CommandRequest("DeviceLock")))[0]

    assert not isinstance(outcome, QueuedCommand)
    assert outcome.code is RefusalCode.COMMAND_UNFIT
    assert "needs the right to lock the device" in outcome.message


def test_enrollment_profile_can_be_removed_without_any_right_to_remove_profiles(site: Site) -> None:
    renewing.enroll(site, MAC, terms=replace(renewing.TERMS, access_rights=1))
    own = CommandRequest("RemoveProfile", {"Identifier": renewing.TERMS.payload_identifier})
    other = CommandRequest("RemoveProfile", {"Identifier": "org.example.wifi"})

    refused, queued = (site.do(queue_commands, CommandOrder((id_of(MAC),), request))[0] for request in (other, own))

    assert not isinstance(refused, QueuedCommand)
    assert isinstance(queued, QueuedCommand)
    assert queued.queued_on == (id_of(MAC),)


def test_renewal_of_the_identity_is_a_profile_that_enrolls_and_is_not_refused(site: Site) -> None:
    site.hold_authority_key()
    renewing.enroll(site)
    renewing.wait_until_due(site)

    assert site.now > NOW
    assert renewing.review(site) == 1
    assert len(site.queued()) == 1
