"""Secrets are seen by those whose role has it, each time is audited, and what was seen is replaced an hour later."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.operations.test_keep_secrets import (
    ARCHIVED,
    DEVICE_ID,
    IN_FORCE,
    PROPOSED,
    RECOVERY_KEY,
    REPLACED,
    kept,
    set_lock,
    to_us,
)
from tests.support.site import MAC, Site, id_of, token_update

from muster.domain.access import Actor, ActorKind
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.roles import Role
from muster.domain.secrets import ROTATABLE, SecretKind, may_reveal
from muster.operations.queue_command import CommandOrder, QueuedCommand, command_body, queue_commands
from muster.operations.reveal_secrets import ROTATE_AFTER, RevealedSecret, RevealOrder, RevealOutcome, reveal_secrets
from muster.operations.review_channels import review_channels
from muster.operations.rotate_secrets import (
    AdministratorOrder,
    SecretAct,
    SecretOrder,
    SecretOutcome,
    change_secrets,
    clear_passcodes,
    make_administrators,
)
from muster.operations.set_policy import PolicyOrder, set_policies
from muster.operations.set_roles import RoleOrder, set_roles
from muster.operations.sign_in import create_sign_in_links
from muster.operations.views.secrets import list_secrets
from muster.protocol.command import Command, CommandRequest, decode_command
from muster.protocol.identifiers import CommandUUID, DeviceId
from muster.protocol.plist import PlistValue, read_plist
from muster.storage import people, schema

FILEVAULT, LOCK = SecretKind.FILEVAULT_KEY, SecretKind.RECOVERY_LOCK
ADMINISTRATOR_PASSWORD = SecretKind.ADMINISTRATOR_PASSWORD


def person(role: Role) -> Actor:
    return Actor(ActorKind.ADMINISTRATOR, "ana", role)


def see(site: Site, kind: SecretKind, role: Role = Role.OWNER, **more: object) -> RevealOutcome:
    order = RevealOrder(DEVICE_ID, kind, **more)  # type: ignore[arg-type]
    return site.do(reveal_secrets, order, actor=person(role))[0]


def change(site: Site, kind: SecretKind, act: SecretAct = SecretAct.ROTATE, **more: object) -> SecretOutcome:
    return site.do(change_secrets, SecretOrder(DEVICE_ID, kind, act, anyway=True, **more))[0]  # type: ignore[arg-type]


def careful(site: Site, kind: SecretKind, act: SecretAct = SecretAct.ROTATE) -> Refusal:
    refusal = site.do(change_secrets, SecretOrder(DEVICE_ID, kind, act))[0]
    assert isinstance(refusal, Refusal)
    return refusal


def sent(site: Site, outcome: object) -> Command:
    """The command that was queued, as its device gets it."""
    assert isinstance(outcome, QueuedCommand), outcome
    return of_uuid(site, outcome.command_uuid)


def of_uuid(site: Site, command_uuid: str) -> Command:
    ctx = site.runner.context()
    body = site.engine.read(lambda tx: command_body(tx, CommandUUID(command_uuid), ctx))
    assert body is not None
    return decode_command(body)


def acts(site: Site) -> list[tuple[str, dict[str, object]]]:
    table = schema.audit
    found = site.rows(sa.select(table.c.act, table.c.detail).order_by(table.c.sequence))
    return [(act, detail) for act, detail in found if act.startswith(("secret.", "administrator."))]


def give_recovery_key(site: Site) -> None:
    identity = site.enroll()
    answer: dict[str, PlistValue] = {"SecurityInfo": {"FDE_PersonalRecoveryKeyCMS": to_us(site, RECOVERY_KEY)}}
    site.answers(identity, CommandRequest("SecurityInfo"), answer)


# --- seeing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SecretKind)
def test_roles_see_what_those_below_them_see_and_viewers_nothing(kind: SecretKind) -> None:
    seeing = [may_reveal(role, kind) for role in Role]

    assert seeing == sorted(seeing)
    assert not may_reveal(Role.VIEWER, kind)
    assert may_reveal(Role.SECURITY, kind)


def test_secret_is_seen_and_that_is_audited_with_the_reason_and_without_the_secret(site: Site) -> None:
    give_recovery_key(site)

    seen = see(site, FILEVAULT, Role.HELPDESK, reason="forgot her password")

    assert isinstance(seen, RevealedSecret)
    assert (seen.value, seen.state) == (RECOVERY_KEY, IN_FORCE)
    act, detail = acts(site)[-1]
    assert (act, detail["reason"], detail["kind"]) == ("secret.reveal", "forgot her password", "filevault_key")
    assert RECOVERY_KEY.decode() not in str(detail)
    assert RECOVERY_KEY.decode() not in repr(seen)


def test_role_that_may_not_is_refused_and_that_is_audited(site: Site) -> None:
    give_recovery_key(site)

    refused = see(site, FILEVAULT, Role.VIEWER, reason="curious")

    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.ROLE_MISSING
    assert acts(site)[-1][0] == "secret.reveal_refused"


def test_what_is_not_kept_is_absent(site: Site) -> None:
    give_recovery_key(site)

    for outcome in (see(site, LOCK), see(site, FILEVAULT, number=1)):
        assert isinstance(outcome, Refusal)
        assert outcome.code is RefusalCode.NOT_FOUND


def test_one_in_force_is_shown_first_then_the_newest(site: Site) -> None:
    identity = site.enroll()
    for password in ("one", "two"):
        site.answers(identity, set_lock(password))
        site.wait(days=1)
    site.do(queue_commands, CommandOrder((id_of(MAC),), set_lock("three"), anyway=True))

    shown = [see(site, LOCK, number=number) for number in range(3)]

    assert [one.value for one in shown if isinstance(one, RevealedSecret)] == [b"two", b"three", b"one"]
    assert [one.others for one in shown if isinstance(one, RevealedSecret)] == [1, 0, 1]
    rows = site.engine.read(lambda tx: list_secrets(tx, DEVICE_ID))
    assert [(row.number, row.state, row.command_status) for row in rows] == [
        (0, IN_FORCE, None),
        (1, PROPOSED, "waiting"),
        (2, REPLACED, None),
    ]


def test_secret_of_an_earlier_life_can_still_be_seen(site: Site) -> None:
    identity = site.enroll()
    site.answers(identity, set_lock("one"))
    site.wait(days=1)
    site.enroll()

    seen = see(site, LOCK)

    assert isinstance(seen, RevealedSecret)
    assert (seen.value, seen.state, seen.rotates_at) == (b"one", ARCHIVED, None)


# --- rotation ---------------------------------------------------------------------------------------------------------


def test_what_was_seen_is_replaced_an_hour_later(site: Site) -> None:
    give_recovery_key(site)
    seen = see(site, FILEVAULT)
    assert isinstance(seen, RevealedSecret)
    assert seen.rotates_at == site.now + ROTATE_AFTER
    site.wait(minutes=59)
    site.do(review_channels, None)
    assert site.queued() == []

    site.wait(minutes=2)
    site.do(review_channels, None)

    (command_uuid,) = site.queued()
    command = of_uuid(site, command_uuid)
    assert command.request_type == "RotateFileVaultKey"
    assert command.keys["FileVaultUnlock"] == {"Password": RECOVERY_KEY.decode()}
    site.wait(hours=1)
    site.do(review_channels, None)
    assert len(site.queued()) == 1


def test_seeing_it_again_does_not_put_the_rotation_off(site: Site) -> None:
    give_recovery_key(site)
    first = see(site, FILEVAULT)
    site.wait(minutes=30)

    again = see(site, FILEVAULT)

    assert isinstance(first, RevealedSecret)
    assert isinstance(again, RevealedSecret)
    assert again.rotates_at == first.rotates_at


def test_policy_says_what_is_replaced(site: Site) -> None:
    give_recovery_key(site)
    site.do(set_policies, PolicyOrder("rotate_on_reveal", "[]"))

    seen = see(site, FILEVAULT)

    assert isinstance(seen, RevealedSecret)
    assert seen.rotates_at is None


@pytest.mark.parametrize("text", ["filevault_key", '["lock_pin"]', "[7]", '{"a": "b"}'])
def test_policy_takes_only_kinds_that_can_be_replaced(site: Site, text: str) -> None:
    (outcome,) = site.do(set_policies, PolicyOrder("rotate_on_reveal", text))

    assert isinstance(outcome, Refusal)
    assert outcome.code is RefusalCode.POLICY_UNFIT


def test_rotation_waits_for_a_change_that_is_under_way(site: Site) -> None:
    give_recovery_key(site)
    see(site, FILEVAULT)
    change(site, FILEVAULT)
    site.wait(hours=2)

    site.do(review_channels, None)
    assert len(site.queued()) == 1
    site.engine.write(lambda tx: tx.connection.execute(sa.delete(schema.queue)))
    site.wait(hours=7)
    site.do(review_channels, None)

    assert len(site.queued()) == 1


def test_rotation_of_what_a_newer_one_replaced_is_dropped(site: Site) -> None:
    identity = site.enroll()
    site.answers(identity, set_lock("one"))
    see(site, LOCK)
    site.wait(minutes=5)
    site.answers(identity, set_lock("two", "one"))
    site.wait(hours=2)

    site.do(review_channels, None)

    assert site.queued() == []


def test_new_lock_is_proposed_and_names_the_one_in_force(site: Site) -> None:
    identity = site.enroll()
    site.answers(identity, set_lock("one"))
    site.wait(seconds=1)

    command = sent(site, change(site, LOCK))

    (_, (proposed, state)) = kept(site, LOCK)
    assert state is PROPOSED
    assert command.keys == {"NewPassword": proposed, "CurrentPassword": "one"}
    assert len(proposed) >= 16


def test_first_lock_names_none(site: Site) -> None:
    site.enroll()

    command = sent(site, change(site, LOCK))

    assert command.keys.keys() == {"NewPassword"}


def test_change_is_refused_while_another_waits(site: Site) -> None:
    site.enroll()
    change(site, LOCK)

    again = change(site, LOCK)

    assert isinstance(again, Refusal)
    assert again.code is RefusalCode.CONFLICT
    assert len(kept(site, LOCK)) == 1


def test_change_is_refused_while_nobody_knows_which_password_is_in_force(site: Site) -> None:
    site.enroll()
    change(site, LOCK)
    site.engine.write(lambda tx: tx.connection.execute(sa.delete(schema.queue)))

    refusal = careful(site, LOCK)

    assert refusal.code is RefusalCode.CONFLICT
    assert "verify" in refusal.remedy


@pytest.mark.parametrize(
    ("kind", "is_apple_silicon"), [(SecretKind.FIRMWARE_PASSWORD, True), (SecretKind.RECOVERY_LOCK, False)]
)
def test_password_that_only_another_processor_has_is_not_set(
    site: Site, kind: SecretKind, is_apple_silicon: bool
) -> None:
    identity = site.enroll()
    question = CommandRequest("DeviceInformation", {"Queries": ["IsAppleSilicon"]})
    site.answers(identity, question, {"QueryResponses": {"IsAppleSilicon": is_apple_silicon}})

    assert careful(site, kind).code is RefusalCode.COMMAND_UNFIT


def test_lock_is_cleared_with_the_password_in_force(site: Site) -> None:
    identity = site.enroll()
    site.answers(identity, set_lock("one"))

    command = sent(site, change(site, LOCK, SecretAct.CLEAR))

    assert command.keys == {"NewPassword": "", "CurrentPassword": "one"}
    assert len(kept(site, LOCK)) == 1


def test_device_is_asked_after_the_password_that_is_named(site: Site) -> None:
    identity = site.enroll()
    for password in ("one", "two"):
        site.answers(identity, set_lock(password))
        site.wait(seconds=1)

    command = sent(site, change(site, LOCK, SecretAct.VERIFY, number=1))

    assert (command.request_type, command.keys) == ("VerifyRecoveryLock", {"Password": "one"})


@pytest.mark.parametrize(
    ("kind", "act"),
    [(kind, SecretAct.ROTATE) for kind in sorted(set(SecretKind) - ROTATABLE)]
    + [(FILEVAULT, SecretAct.CLEAR), (FILEVAULT, SecretAct.VERIFY), (FILEVAULT, SecretAct.ROTATE)]
    + [(LOCK, SecretAct.CLEAR), (ADMINISTRATOR_PASSWORD, SecretAct.ROTATE)],
)
def test_what_no_command_can_do_is_refused(site: Site, kind: SecretKind, act: SecretAct) -> None:
    site.enroll()

    outcome = change(site, kind, act)

    assert isinstance(outcome, Refusal)
    assert outcome.code is RefusalCode.SECRET_UNFIT
    assert site.queued() == []


def test_device_that_is_not_known_is_absent(site: Site) -> None:
    unknown = DeviceId("nobody")
    outcomes = [
        *site.do(change_secrets, SecretOrder(unknown, LOCK, SecretAct.ROTATE)),
        *site.do(make_administrators, AdministratorOrder(unknown, "admin")),
        *site.do(clear_passcodes, unknown),
    ]

    assert [one.code for one in outcomes if isinstance(one, Refusal)] == [RefusalCode.NOT_FOUND] * 3


# --- a Mac's administrator --------------------------------------------------------------------------------------------


def test_administrators_password_is_kept_while_only_its_hash_is_sent(site: Site) -> None:
    identity = site.enroll()
    (outcome,) = site.do(make_administrators, AdministratorOrder(DEVICE_ID, "admin", anyway=True))

    command = sent(site, outcome)
    site.connect(identity)
    site.connect(identity, MAC, "Acknowledged", command.command_uuid)
    site.read_answers()

    ((password, state),) = kept(site, ADMINISTRATOR_PASSWORD)
    assert state is IN_FORCE
    assert password not in str(command.keys)
    assert "'shortName': 'admin'" in str(command.keys["AutoSetupAdminAccounts"])


def test_administrators_password_is_rotated_by_the_guid_that_the_mac_gave(site: Site) -> None:
    identity = site.enroll()
    (made,) = site.do(make_administrators, AdministratorOrder(DEVICE_ID, "admin", anyway=True))
    assert isinstance(made, QueuedCommand)
    site.connect(identity)
    site.connect(identity, MAC, "Acknowledged", made.command_uuid)
    accounts = [{"GUID": "A-GUID", "shortName": "admin"}, "text", {"GUID": 7}]
    asked = CommandRequest("DeviceInformation", {"Queries": ["AutoSetupAdminAccounts"]})
    site.answers(identity, asked, {"QueryResponses": {"AutoSetupAdminAccounts": accounts}})  # type: ignore[dict-item]
    site.wait(days=1)

    rotated = change(site, ADMINISTRATOR_PASSWORD)
    command = sent(site, rotated)
    site.connect(identity)
    site.connect(identity, MAC, "Acknowledged", command.command_uuid)
    site.read_answers()

    assert command.keys["GUID"] == "A-GUID"
    hashed = command.keys["passwordHash"]
    assert isinstance(hashed, bytes)
    assert "SALTED-SHA512-PBKDF2" in read_plist(hashed)
    assert [state for _, state in kept(site, ADMINISTRATOR_PASSWORD)] == [REPLACED, IN_FORCE]
    assert isinstance(change(site, ADMINISTRATOR_PASSWORD), QueuedCommand)


# --- an iPhone's passcode ---------------------------------------------------------------------------------------------


def test_passcode_is_cleared_by_the_token_in_force(site: Site) -> None:
    identity = site.enroll()
    site.check_in(token_update(unlock_token=b"token"), identity)
    iphone = sa.update(schema.device_facts).values(family="iOS", product_name="iPhone15,2", os_version="18.0")
    site.engine.write(lambda tx: tx.connection.execute(iphone))

    (outcome,) = site.do(clear_passcodes, DEVICE_ID)

    assert sent(site, outcome).keys == {"UnlockToken": b"token"}


def test_passcode_of_a_device_that_gave_no_token_cannot_be_cleared(site: Site) -> None:
    site.enroll()

    (outcome,) = site.do(clear_passcodes, DEVICE_ID)

    assert isinstance(outcome, Refusal)
    assert outcome.code is RefusalCode.SECRET_UNFIT


# --- roles ------------------------------------------------------------------------------------------------------------


def test_first_administrator_is_the_owner_and_the_others_look(site: Site) -> None:
    site.do(create_sign_in_links, "ada", "ben")

    found = site.engine.read(people.all_administrators)

    assert [(one.name, one.role) for one in found] == [("ada", Role.OWNER), ("ben", Role.VIEWER)]


def test_owner_gives_roles_and_the_last_one_stays(site: Site) -> None:
    site.do(create_sign_in_links, "ada", "ben")
    owner = person(Role.OWNER)

    given = site.do(set_roles, RoleOrder("ben", Role.HELPDESK), actor=owner)[0]
    last = site.do(set_roles, RoleOrder("ada", Role.VIEWER), actor=owner)[0]
    nobody = site.do(set_roles, RoleOrder("cyd", Role.VIEWER), actor=owner)[0]
    other = site.do(set_roles, RoleOrder("ben", Role.OWNER), actor=person(Role.SECURITY))[0]

    assert not isinstance(given, Refusal)
    assert given.role is Role.HELPDESK
    assert [one.code for one in (last, nobody, other) if isinstance(one, Refusal)] == [
        RefusalCode.CONFLICT,
        RefusalCode.NOT_FOUND,
        RefusalCode.ROLE_MISSING,
    ]
    assert [act for act, _ in acts(site)].count("administrator.role") == 1


def test_delay_leaves_time_to_use_it() -> None:
    assert timedelta(minutes=30) <= ROTATE_AFTER <= timedelta(days=1)
