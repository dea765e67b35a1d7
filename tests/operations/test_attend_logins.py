"""A user logs in to a Mac: he waits for what is queued and for no more; and whether he is at the console."""

from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from tests.support.site import ADA, MAC, NOT_AFTER, SOURCE, Site, head, id_of, print_of, token_update

from muster.crypto.cms.signing import SignerIdentity
from muster.domain.access import DEVICE
from muster.domain.command_queue import INVENTORY_PRIORITY, MAXIMUM_UNANSWERED, QueuePurpose
from muster.domain.user_login import PASSCODE_PAYLOAD, SYNC_LIMIT
from muster.operations.answer_connect import ConnectReply, ConnectRequest, answer_connects
from muster.operations.attend_logins import REST_FOLLOWS_AFTER
from muster.operations.queue_command import CommandOrder, QueuedCommand, queue_commands
from muster.operations.queue_own import queue_own
from muster.protocol.command import CommandRequest
from muster.protocol.connect import Report, encode_report
from muster.protocol.identifiers import CommandUUID
from muster.protocol.plist import write_plist
from muster.storage import schema

BEN = replace(MAC, user_id="0B1B2C3D-0000-4000-8000-0A1B2C3D4E5F", user_short_name="ben")


def profile(payload_type: str) -> bytes:
    return write_plist(
        {
            "PayloadType": "Configuration",
            "PayloadVersion": 1,
            "PayloadIdentifier": "org.example",
            "PayloadUUID": "6D4A0F0E-2B5C-4C57-9F6D-5B0A7E0C1D2E",
            "PayloadContent": [{"PayloadType": payload_type, "PayloadVersion": 1}],
        }
    )


@pytest.fixture
def identity(site: Site) -> SignerIdentity:
    """A Mac whose user ada is enrolled."""
    identity = site.enroll()
    site.check_in(token_update(ADA), identity)
    return identity


def connect(
    site: Site, identity: SignerIdentity, status: str = "Idle", command_uuid: str | None = None, **said: Any
) -> str | None:
    """What ada is handed, None: nothing."""
    asked = replace(head(ADA, status, command_uuid), **said)
    request = ConnectRequest(asked, print_of(identity), encode_report(Report(asked)), SOURCE, NOT_AFTER)
    outcome = site.do(answer_connects, request, actor=DEVICE)[0]
    assert isinstance(outcome, ConnectReply), outcome
    return outcome.command_uuid


def install(site: Site, command_uuid: str, payload_type: str) -> None:
    request = CommandRequest("InstallProfile", {"Payload": profile(payload_type)})
    order = CommandOrder((id_of(ADA),), request, command_uuid=CommandUUID(command_uuid), anyway=True)
    outcome = site.do(queue_commands, order)[0]
    assert isinstance(outcome, QueuedCommand), outcome
    site.wait(seconds=1)


def ask_inventory(site: Site) -> None:
    context = site.runner.context()
    request = CommandRequest("ProfileList")
    site.engine.write(
        lambda tx: queue_own(
            tx,
            request,
            [(id_of(ADA), 1)],
            context,
            purpose=QueuePurpose.INVENTORY,
            priority=INVENTORY_PRIORITY,
            wakes=False,
        )
    )


def observed(site: Site) -> dict[str, int]:
    return {observed: count for signal, observed, count in site.evidence(ADA) if signal == "S17"}


def console(site: Site) -> list[tuple[Any, ...]]:
    table = schema.user_logins
    return site.rows(sa.select(table.c.channel_id, table.c.is_on_console).order_by(table.c.channel_id))


def test_user_who_waits_gets_all_that_is_queued_and_is_then_let_in(site: Site, identity: SignerIdentity) -> None:
    site.queue("one", ADA)
    site.queue("two", ADA)
    ask_inventory(site)

    first = connect(site, identity, needs_sync=True)
    second = connect(site, identity, "Acknowledged", "one")
    third = connect(site, identity, "Acknowledged", "two")

    assert (first, second, third) == ("one", "two", None)
    assert observed(site) == {"waits_at_login": 1}
    assert len(site.queued(ADA)) == 1
    assert connect(site, identity) is not None


def test_what_was_put_off_before_is_offered_at_the_login_and_keeps_nobody(site: Site, identity: SignerIdentity) -> None:
    site.queue("one", ADA)
    connect(site, identity)
    connect(site, identity, "NotNow", "one")

    offered = connect(site, identity, needs_sync=True)
    put_off = connect(site, identity, "NotNow", "one")

    assert (offered, put_off) == ("one", None)


def test_login_ends_however_much_is_queued_and_the_rest_is_pushed_for(site: Site, identity: SignerIdentity) -> None:
    for number in range(SYNC_LIMIT + 2):
        site.queue(f"{number:03}", ADA)
    handed = [connect(site, identity, needs_sync=True)]
    while handed[-1] is not None:
        handed.append(connect(site, identity, "Acknowledged", handed[-1], needs_sync=True))

    wish = site.wish(ADA)

    assert len(handed) == SYNC_LIMIT + 1
    assert len(site.queued(ADA)) == 2
    assert wish is not None
    assert wish[1] <= site.now + REST_FOLLOWS_AFTER
    assert connect(site, identity) is not None


def test_account_in_the_making_gets_policies_of_passwords_which_are_sent_again_once_it_is_there(
    site: Site, identity: SignerIdentity
) -> None:
    install(site, "wifi", "com.apple.wifi.managed")
    install(site, "passcode", PASSCODE_PAYLOAD)

    in_set_up = connect(site, identity, is_user_configuration=True)
    end = connect(site, identity, "Acknowledged", "passcode")
    logged_in = connect(site, identity, needs_sync=True)
    after = connect(site, identity, "Acknowledged", "wifi")

    assert (in_set_up, end, logged_in, after) == ("passcode", None, "wifi", "passcode")
    assert observed(site) == {"account_set_up": 1, "waits_at_login": 1}


def test_account_in_the_making_is_let_go_when_nothing_is_of_use(site: Site, identity: SignerIdentity) -> None:
    install(site, "wifi", "com.apple.wifi.managed")
    site.queue("one", ADA)

    assert connect(site, identity, is_user_configuration=True) is None
    assert connect(site, identity) == "wifi"


def test_policy_put_off_while_the_account_is_made_is_not_offered_twice(site: Site, identity: SignerIdentity) -> None:
    install(site, "passcode", PASSCODE_PAYLOAD)

    assert connect(site, identity, is_user_configuration=True) == "passcode"
    assert connect(site, identity, "NotNow", "passcode", is_user_configuration=True) is None
    assert connect(site, identity) == "passcode"


def test_answer_after_login_closes_what_setting_up_kept(site: Site, identity: SignerIdentity) -> None:
    install(site, "passcode", PASSCODE_PAYLOAD)
    connect(site, identity, is_user_configuration=True)
    connect(site, identity, "Acknowledged", "passcode")
    kept = site.queued(ADA), site.reports(ADA)

    connect(site, identity)
    connect(site, identity, "Acknowledged", "passcode")

    assert kept == (["passcode"], [])
    assert site.reports(ADA) == [("passcode", "Acknowledged")]


def test_two_users_are_logged_in_and_one_is_at_the_console(site: Site, identity: SignerIdentity) -> None:
    connect(site, identity, not_on_console=False)
    site.check_in(replace(token_update(BEN), not_on_console=False), identity)

    connect(site, identity, not_on_console=True)
    connect(site, identity)

    assert console(site) == [(id_of(ADA), False), (id_of(BEN), True)]


def test_user_who_is_not_at_the_console_gets_his_commands(site: Site, identity: SignerIdentity) -> None:
    site.queue("one", ADA)

    assert connect(site, identity, not_on_console=True) == "one"


def change_queue(site: Site, command_uuid: str, **values: object) -> None:
    table = schema.queue
    statement = sa.update(table).where(table.c.command_uuid == command_uuid).values(**values)
    site.engine.write(lambda tx: tx.connection.execute(statement))


def test_set_up_passes_over_what_has_expired_was_never_answered_or_cannot_be_opened(
    site: Site, identity: SignerIdentity
) -> None:
    for command_uuid in ("expired", "stuck", "unreadable", "sound"):
        install(site, command_uuid, PASSCODE_PAYLOAD)
    change_queue(site, "expired", expires_at=site.now)
    change_queue(site, "stuck", unanswered_count=MAXIMUM_UNANSWERED)
    table = schema.commands
    broken = sa.update(table).where(table.c.command_uuid == "unreadable").values(body=b"sealed by another ring")
    site.engine.write(lambda tx: tx.connection.execute(broken))

    assert connect(site, identity, is_user_configuration=True) == "sound"
