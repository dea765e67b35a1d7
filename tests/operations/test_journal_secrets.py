"""What opens a device is in the journal before it can be needed, and comes back to a database that was restored."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support import databases
from tests.support.chronicle import Chronicle, replay, results
from tests.support.site import IPAD, MAC, Site, id_of, print_of, token_update

from muster.crypto.cms.enveloped_data import envelope
from muster.crypto.cms.signing import SignerIdentity
from muster.crypto.sealing import KeyRing
from muster.domain.access import DEVICE
from muster.domain.secrets import SecretKind, SecretState
from muster.operations.cancel_commands import CancelOrder, cancel_commands
from muster.operations.keep_secrets import escrow_certificate, open_secret
from muster.operations.queue_command import CommandOrder, QueuedCommand, queue_commands
from muster.operations.replay_journal import ReplayResult
from muster.operations.rotate_secrets import AdministratorOrder, make_administrators
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import DeviceId, Identifiers
from muster.protocol.plist import PlistValue
from muster.storage import escrow, schema
from muster.storage.journal_records import SECRET, read_secret
from muster.storage.sqlite import SqliteEngine

DEVICE_ID = DeviceId(id_of(MAC))
ASK_FOR_ACCOUNTS = CommandRequest("DeviceInformation", {"Queries": ["AutoSetupAdminAccounts"]})
LOCK = CommandRequest("DeviceLock", {"PIN": "483920"})
REBUILT, KNOWN = ReplayResult.REBUILT, ReplayResult.KNOWN
PROPOSED, IN_FORCE = SecretState.PROPOSED, SecretState.IN_FORCE
REPLACED, ARCHIVED = SecretState.REPLACED, SecretState.ARCHIVED
Standing = tuple[str, str, str, SecretState]


@pytest.fixture
def elsewhere(sqlite_template: Path, tmp_path: Path) -> Iterator[Chronicle]:
    """The site as it was: what happens there is journaled, and then its database is lost."""
    engine = databases.copy_sqlite(sqlite_template, tmp_path / "lost.db")
    yield Chronicle(Site(engine))
    engine.close()


@pytest.fixture
def restored(site: Site) -> Site:
    """The site on a database that was restored; it makes ids of its own."""
    site.runner.random_bytes = random.Random(2).randbytes
    return site


def kept(site: Site, identifiers: Identifiers = MAC) -> list[Standing]:
    """Kind, subject, value and state of what is kept of a device, the oldest first."""
    ctx = site.runner.context()
    found = site.engine.read(lambda tx: escrow.of_device(tx, DeviceId(id_of(identifiers))))
    return [(one.kind.value, one.subject, open_secret(one.secret, ctx).decode(), one.state) for one in reversed(found)]


def certificate(site: Site) -> bytes:
    return site.do(lambda tx, items, ctx: [escrow_certificate(tx, ctx) for _ in items], None)[0]


def queue(site: Site, request: CommandRequest) -> QueuedCommand:
    queued = site.do(queue_commands, CommandOrder((id_of(MAC),), request, anyway=True))[0]
    assert isinstance(queued, QueuedCommand), queued
    return queued


def set_lock(site: Site, identity: SignerIdentity, password: str, *, status: str = "Acknowledged") -> None:
    site.wait(minutes=1)
    site.answers(identity, CommandRequest("SetRecoveryLock", {"NewPassword": password}), status=status)


def give_key(site: Site, identity: SignerIdentity, key: bytes) -> None:
    """Have the Mac tell its recovery key, encrypted to our certificate."""
    site.wait(minutes=1)
    sealed = envelope(key, certificate(site), random_bytes=site.runner.random_bytes)
    answer: dict[str, PlistValue] = {"SecurityInfo": {"FDE_PersonalRecoveryKeyCMS": sealed}}
    site.answers(identity, CommandRequest("SecurityInfo"), answer)


# --- the story


def test_secrets_of_after_the_backup_come_back_and_twice_is_nothing_new(restored: Site, elsewhere: Chronicle) -> None:
    there = elsewhere.site
    identity = elsewhere.enroll(MAC)
    replay(restored, elsewhere.records)  # the backup
    queue(there, LOCK)
    there.connect(identity)
    set_lock(there, identity, "one")
    set_lock(there, identity, "two")
    set_lock(there, identity, "three", status="Error")
    give_key(there, identity, b"AAAA-BBBB")
    give_key(there, identity, b"CCCC-DDDD")
    before = kept(there)

    replayed = replay(restored, elsewhere.records)
    again = replay(restored, elsewhere.records)

    assert [state for *_, state in before] == [PROPOSED, REPLACED, IN_FORCE, SecretState.REFUSED, REPLACED, IN_FORCE]
    assert kept(restored) == before
    assert REBUILT in results(replayed)
    assert set(results(again)) == {KNOWN}
    assert kept(restored) == before


def test_recovery_key_that_is_encrypted_to_a_certificate_of_after_the_backup_still_opens(
    restored: Site, elsewhere: Chronicle
) -> None:
    identity = elsewhere.enroll(MAC)
    made = certificate(elsewhere.site)
    sealed = envelope(b"AAAA-BBBB", made, random_bytes=restored.runner.random_bytes)
    replay(restored, elsewhere.records)

    answer: dict[str, PlistValue] = {"SecurityInfo": {"FDE_PersonalRecoveryKeyCMS": sealed}}
    restored.answers(identity, CommandRequest("SecurityInfo"), answer)

    assert kept(restored) == [("filevault_key", "", "AAAA-BBBB", IN_FORCE)]
    assert certificate(restored) == made


def test_password_of_an_administrator_comes_back_with_the_guid(restored: Site, elsewhere: Chronicle) -> None:
    there = elsewhere.site
    identity = elsewhere.identity()
    elsewhere.enroll(MAC, identity)
    there.do(make_administrators, AdministratorOrder(DEVICE_ID, "admin", anyway=True))
    accounts: list[PlistValue] = [{"shortName": "admin", "GUID": "1234"}]
    there.connect(identity)
    there.connect(identity, status="Acknowledged", command_uuid=there.queued()[0])
    there.answers(identity, ASK_FOR_ACCOUNTS, {"QueryResponses": {"AutoSetupAdminAccounts": accounts}})

    replay(restored, elsewhere.records)

    assert kept(restored) == kept(there)
    assert [(one[0], one[1], one[3]) for one in kept(restored)] == [("administrator_password", "admin", IN_FORCE)]
    assert restored.rows(sa.select(schema.escrow.c.account_guid)) == [("1234",)]


def test_unlock_token_that_was_asked_for_comes_back_beside_the_one_of_the_check_in(
    restored: Site, elsewhere: Chronicle
) -> None:
    identity = elsewhere.enroll(IPAD)
    elsewhere.check_in(token_update(IPAD, unlock_token=b"first"), identity)
    elsewhere.site.wait(minutes=1)
    elsewhere.site.answers(identity, CommandRequest("RequestUnlockToken"), {"UnlockToken": b"second"}, IPAD)
    before = kept(elsewhere.site, IPAD)

    replay(restored, elsewhere.records)

    assert before == [("unlock_token", "", "first", REPLACED), ("unlock_token", "", "second", IN_FORCE)]
    assert kept(restored, IPAD) == before


def test_secrets_of_an_earlier_life_come_back_archived(restored: Site, elsewhere: Chronicle) -> None:
    identity = elsewhere.enroll(MAC)
    set_lock(elsewhere.site, identity, "one")
    elsewhere.enroll(MAC)
    secrets = [one for one in elsewhere.records if one.message == SECRET]
    replay(restored, [one for one in elsewhere.records if one.message != SECRET])

    first, second = replay(restored, secrets), replay(restored, secrets)

    assert kept(restored) == kept(elsewhere.site) == [("recovery_lock", "", "one", ARCHIVED)]
    assert REBUILT in results(first)
    assert set(results(second)) == {KNOWN}


def test_secrets_of_a_device_that_is_not_known_are_kept(restored: Site, elsewhere: Chronicle) -> None:
    identity = elsewhere.enroll(MAC)
    set_lock(elsewhere.site, identity, "one")

    replay(restored, [one for one in elsewhere.records if one.message == SECRET])

    assert not restored.is_known()
    assert kept(restored) == [("recovery_lock", "", "one", IN_FORCE)]


def test_secret_that_the_key_ring_does_not_open_is_told_and_not_kept(restored: Site, elsewhere: Chronicle) -> None:
    elsewhere.site.runner.ring = KeyRing.generate(random.Random(3).randbytes, restored.now)
    elsewhere.enroll(MAC)
    queue(elsewhere.site, LOCK)

    replayed = replay(restored, elsewhere.records)

    assert results(replayed)[-1] is ReplayResult.UNREADABLE
    assert kept(restored) == []


# --- what is journaled, and when


def test_pin_is_in_the_journal_before_its_command_can_be_handed_out(site: Site) -> None:
    site.enroll()
    ctx = site.runner.context(DEVICE)

    order = CommandOrder((id_of(MAC),), LOCK, anyway=True)
    first, after = site.engine.write(
        lambda tx: (queue_commands(tx, [order], ctx), (tx.journal_first, tx.to_journal))[1]
    )

    (record,) = first
    assert open_secret(read_secret(record).secret, ctx) == b"483920"
    assert b"483920" not in record.body
    assert after == []


def test_certificate_is_in_the_journal_before_a_mac_can_be_given_it(site: Site) -> None:
    ctx = site.runner.context()

    first = site.engine.write(
        lambda tx: (escrow_certificate(tx, ctx), escrow_certificate(tx, ctx), tx.journal_first)[2]
    )

    assert [one.message for one in first] == ["EscrowCertificate"]


def test_secrets_of_check_ins_and_answers_that_change_nothing_are_not_journaled(site: Site) -> None:
    identity = site.enroll()
    site.check_in(token_update(unlock_token=b"unlock"), identity)
    give_key(site, identity, b"AAAA-BBBB")
    site.runner.journal.clear()

    give_key(site, identity, b"AAAA-BBBB")
    site.answers(identity, ASK_FOR_ACCOUNTS, {"QueryResponses": {"AutoSetupAdminAccounts": []}})

    assert site.runner.journal == []
    assert print_of(identity) == site.enrollment().pins.current


# --- any history, cut anywhere

ACTS: dict[str, Callable[[Site, SignerIdentity, int], None]] = {
    "lock": lambda site, identity, n: set_lock(site, identity, f"p{n}"),
    "refused": lambda site, identity, n: set_lock(site, identity, f"p{n}", status="Error"),
    "clear": lambda site, identity, _: set_lock(site, identity, ""),
    "lost": lambda site, identity, n: _lose(site, identity, f"p{n}"),
    "verify": lambda site, identity, n: _verify(site, identity, is_right=n % 2 == 0),
    "key": lambda site, identity, n: give_key(site, identity, b"key %d" % (n % 3)),
}


def _lose(site: Site, identity: SignerIdentity, password: str) -> None:
    site.wait(minutes=1)
    queued = queue(site, CommandRequest("SetRecoveryLock", {"NewPassword": password}))
    site.connect(identity)
    site.do(cancel_commands, CancelOrder(queued.command_uuid))


def _verify(site: Site, identity: SignerIdentity, *, is_right: bool) -> None:
    """Have the Mac say of the oldest password that is kept whether it is the one in force."""
    site.wait(minutes=1)
    known = [one for one in kept(site) if one[0] == SecretKind.RECOVERY_LOCK.value]
    password = known[0][2] if known else "none"
    site.answers(identity, CommandRequest("VerifyRecoveryLock", {"Password": password}), {"PasswordVerified": is_right})


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=st.lists(st.sampled_from(sorted(ACTS)), max_size=8), data=st.data())
def test_any_history_of_secrets_cut_anywhere_comes_back_and_twice_is_nothing_new(
    reused_sqlite: SqliteEngine, acts: list[str], data: st.DataObject
) -> None:
    databases.empty_sqlite(reused_sqlite)
    whole = Chronicle(Site(reused_sqlite))
    identity = whole.enroll(MAC)
    for number, act in enumerate(acts):
        ACTS[act](whole.site, identity, number)
    expected, records = kept(whole.site), list(whole.records)
    cut = data.draw(st.integers(0, len(records)))

    databases.empty_sqlite(reused_sqlite)
    after = Site(reused_sqlite)
    after.runner.random_bytes = random.Random(2).randbytes
    replay(after, records[:cut])
    replay(after, records)

    assert kept(after) == expected
    assert REBUILT not in results(replay(after, records))
    assert kept(after) == expected
