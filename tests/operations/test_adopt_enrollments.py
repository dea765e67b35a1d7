"""Devices come over from another server: they go on speaking by the identity they have, and nobody else does."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from tests.support.chronicle import replay
from tests.support.runner import NOW
from tests.support.site import ADA, MAC, Site, authenticate, authority, id_of, identity_of, print_of, token_update

from muster.crypto.cms.signing import SignerIdentity
from muster.domain.adoption import AdoptionOrder, QueuedElsewhere, UserElsewhere
from muster.domain.enrollment import EnrollmentState
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.renewal import CannotRenew, WhyNot, decide_renewal
from muster.domain.secrets import SecretKind
from muster.operations.adopt_enrollments import (
    Adopted,
    FirstContact,
    adopt_enrollments,
    meet_adopted,
    migrate_checkins,
)
from muster.protocol.checkin import CheckinMessage, SetBootstrapToken, encode_checkin
from muster.protocol.command import Command, encode_command
from muster.protocol.identifiers import CommandUUID, DeviceId, resolve_channel
from muster.storage import push, renewals, schema

DEVICE = DeviceId(id_of(MAC))
LATELY = NOW - timedelta(days=3)
ELSEWHERE = 7
"""The number of an authority that the site knows nothing of."""
TRUSTED = (authority(ELSEWHERE).certificate_der,)


def elsewhere(number: int = 1) -> SignerIdentity:
    """An identity that the other server issued."""
    return identity_of(number, ELSEWHERE)


def order(
    identity: SignerIdentity | None = None,
    *,
    awaited: bytes | None = None,
    users: Sequence[UserElsewhere] = (),
    queue: Sequence[QueuedElsewhere] = (),
    last_seen_at: datetime | None = None,
) -> AdoptionOrder:
    return AdoptionOrder(
        DEVICE,
        encode_checkin(authenticate()),
        encode_checkin(token_update()),
        NOW - timedelta(days=40),
        NOW - timedelta(days=39),
        None if identity is None else identity.certificate_der,
        awaited,
        b"unlock",
        b"bootstrap",
        tuple(users),
        tuple(queue),
        last_seen_at,
    )


def command(uuid: str, request_type: str = "ProfileList") -> QueuedElsewhere:
    return QueuedElsewhere(id_of(MAC), encode_command(Command(CommandUUID(uuid), request_type)))


def meet(site: Site, identity: SignerIdentity, trusted: tuple[bytes, ...] = TRUSTED) -> bool:
    return site.do(meet_adopted, FirstContact(DEVICE, identity.certificate_der, "", trusted))[0]


def ada(*, days_ago: int = 39, seen_at: datetime | None = None) -> UserElsewhere:
    return UserElsewhere(encode_checkin(token_update(ADA)), NOW - timedelta(days=days_ago), seen_at)


def test_device_speaks_by_the_identity_it_has(site: Site) -> None:
    identity = elsewhere()

    adopted = site.do(adopt_enrollments, order(identity, users=[ada()]))[0]

    assert adopted == Adopted(DEVICE, users=1)
    enrollment = site.enrollment()
    assert enrollment.state is EnrollmentState.ENROLLED
    assert enrollment.pins.current == print_of(identity)
    assert site.enrollment(ADA).state is EnrollmentState.ENROLLED
    assert site.engine.read(lambda tx: push.tally_of(tx, id_of(MAC))) == 1
    site.queue("C1")
    handed = site.connect(identity)
    assert getattr(handed, "command_uuid", None) == "C1"


def test_nobody_else_does(site: Site) -> None:
    site.do(adopt_enrollments, order(elsewhere()))

    for other in (elsewhere(2), site.identity()):
        assert isinstance(site.connect(other), Refusal)


def test_what_was_known_there_is_as_old_as_it_was(site: Site) -> None:
    site.do(adopt_enrollments, order(elsewhere(), last_seen_at=LATELY))

    table = schema.channels
    [row] = site.rows(sa.select(table.c.first_seen_at, table.c.enrolled_at, table.c.last_contact_at))
    assert row == (NOW - timedelta(days=40), NOW - timedelta(days=39), LATELY)


def test_user_was_heard_when_the_other_server_heard_him(site: Site) -> None:
    site.do(adopt_enrollments, order(elsewhere(), users=[ada(days_ago=30, seen_at=LATELY)]))

    table = schema.channels
    asked = sa.select(table.c.enrolled_at, table.c.last_contact_at).where(table.c.id == id_of(ADA))
    assert site.rows(asked) == [(NOW - timedelta(days=30), LATELY)]


def test_secrets_come_along(site: Site) -> None:
    site.do(adopt_enrollments, order(elsewhere()))

    kinds = site.rows(sa.select(schema.escrow.c.kind).order_by(schema.escrow.c.kind))
    assert kinds == [(SecretKind.BOOTSTRAP_TOKEN.value,), (SecretKind.UNLOCK_TOKEN.value,)]


def test_queue_comes_along_but_for_what_acts_once(site: Site) -> None:
    adopted = site.do(
        adopt_enrollments, order(elsewhere(), queue=[command("C1"), command("C2", "EraseDevice"), command("C1")])
    )[0]

    assert isinstance(adopted, Adopted)
    assert site.queued() == ["C1"]
    assert adopted.commands == 1
    assert [one.partition(" ")[0] for one in adopted.left] == ["EraseDevice", "ProfileList"]


def test_renewal_is_off_while_its_profile_is_not_known(site: Site) -> None:
    site.do(adopt_enrollments, order(elsewhere()))
    site.wait(days=300)

    [found] = site.engine.read(lambda tx: renewals.read(tx, [id_of(MAC)])).values()
    decision = decide_renewal(found.situation, site.now, site.runner.policy)

    assert decision == CannotRenew(WhyNot.PROFILE_UNKNOWN)


def test_device_that_is_known_here_stays_as_it_is(site: Site) -> None:
    own = site.enroll()

    refused = site.do(adopt_enrollments, order(elsewhere()))[0]

    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.CONFLICT
    assert site.enrollment().pins.current == print_of(own)


def test_expired_identity_stays_behind(site: Site) -> None:
    site.wait(days=400)

    refused = site.do(adopt_enrollments, order(elsewhere()))[0]

    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.IDENTITY_EXPIRED
    assert not site.is_known()


@pytest.mark.parametrize(
    "change",
    [
        {"authenticate": b"no plist"},
        {"authenticate": encode_checkin(token_update())},
        {"token_update": encode_checkin(token_update(ADA))},
        {"certificate_der": b"no certificate"},
    ],
)
def test_what_cannot_be_read_stays_behind(site: Site, change: dict[str, bytes]) -> None:
    refused = site.do(adopt_enrollments, replace(order(elsewhere()), **change))[0]  # type: ignore[arg-type]  # as named

    assert isinstance(refused, Refusal)
    assert not site.is_known()


def test_unknown_identity_is_met_at_the_first_contact(site: Site) -> None:
    identity = elsewhere()
    site.do(adopt_enrollments, order())
    assert isinstance(site.connect(identity), Refusal)

    assert meet(site, identity)

    assert site.enrollment().pins.current == print_of(identity)
    assert not isinstance(site.connect(identity), Refusal)
    assert not meet(site, elsewhere(2))


def test_only_the_awaited_identity_is_met(site: Site) -> None:
    identity = elsewhere()
    site.do(adopt_enrollments, order(awaited=print_of(identity)))

    assert not meet(site, elsewhere(2))
    assert meet(site, identity, trusted=())


@pytest.mark.parametrize("trusted", [(), (authority(3).certificate_der,)])
def test_identity_of_nobody_who_is_trusted_is_not_met(site: Site, trusted: tuple[bytes, ...]) -> None:
    site.do(adopt_enrollments, order())

    assert not meet(site, elsewhere(), trusted)


def test_expired_identity_is_not_met(site: Site) -> None:
    site.do(adopt_enrollments, order())
    site.wait(days=400)

    assert not meet(site, elsewhere())


def test_identity_of_another_device_is_not_met(site: Site) -> None:
    identity = elsewhere()
    site.do(adopt_enrollments, order())
    other = replace(MAC, udid="OTHER")
    site.do(
        adopt_enrollments,
        replace(
            order(identity),
            authenticate=encode_checkin(authenticate(other)),
            token_update=encode_checkin(token_update(other)),
        ),
    )

    assert not meet(site, identity)


def test_device_that_did_not_come_over_is_not_met(site: Site) -> None:
    assert not meet(site, elsewhere())
    site.enroll()
    assert not meet(site, elsewhere())


def test_check_ins_may_come_one_after_the_other(site: Site) -> None:
    identity = elsewhere()
    messages: list[CheckinMessage] = [
        authenticate(),
        token_update(),
        token_update(ADA),
        SetBootstrapToken(MAC, resolve_channel(MAC), b"bootstrap"),
        token_update(push_magic="another"),
    ]

    outcomes = site.do(migrate_checkins, *(encode_checkin(one) for one in messages))

    assert outcomes == [None] * 5
    assert meet(site, identity)
    assert site.enrollment().state is EnrollmentState.ENROLLED
    assert site.enrollment(ADA).state is EnrollmentState.ENROLLED


def test_check_ins_change_nothing_of_a_device_that_speaks_for_itself(site: Site) -> None:
    own = site.enroll()
    before = site.rows(sa.select(schema.push_targets))

    outcomes = site.do(migrate_checkins, *(encode_checkin(one) for one in (authenticate(), token_update(token=b"x"))))

    assert outcomes == [None, None]
    assert site.rows(sa.select(schema.push_targets)) == before
    assert site.enrollment().pins.current == print_of(own)


def test_check_ins_that_do_not_fit_are_refused(site: Site) -> None:
    outcomes = site.do(migrate_checkins, b"no plist", encode_checkin(token_update()), encode_checkin(token_update(ADA)))

    assert [one.code if one is not None else None for one in outcomes] == [
        RefusalCode.BODY_MALFORMED,
        RefusalCode.CHANNEL_UNKNOWN,
        RefusalCode.CHANNEL_UNKNOWN,
    ]


def test_journal_brings_back_who_came_over(site: Site) -> None:
    first, second = elsewhere(), elsewhere(2)
    other = replace(MAC, udid="OTHER")
    met = replace(
        order(), authenticate=encode_checkin(authenticate(other)), token_update=encode_checkin(token_update(other))
    )
    site.do(adopt_enrollments, order(first), met)
    site.wait(minutes=5)
    site.do(meet_adopted, FirstContact(DeviceId("OTHER"), second.certificate_der, "", TRUSTED))
    journal = sorted(site.runner.journal, key=lambda one: one.at)
    for table in ("evidence", "queue", "push_wishes", "push_targets", "escrow", "device_facts", "epochs", "reviews"):
        site.engine.write(lambda tx, name=table: tx.connection.execute(sa.delete(schema.metadata.tables[name])))  # type: ignore[misc]  # bound at once
    for table in ("channels", "identities"):
        site.engine.write(lambda tx, name=table: tx.connection.execute(sa.delete(schema.metadata.tables[name])))  # type: ignore[misc]  # bound at once

    replay(site, journal)

    assert site.enrollment().pins.current == print_of(first)
    assert site.enrollment(other).pins.current == print_of(second)
