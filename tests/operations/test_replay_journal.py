"""A database that was restored from an older backup is told by the journal what it missed, once and rightly."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support import databases
from tests.support.chronicle import Chronicle, known_of, replay, results
from tests.support.site import (
    ADA,
    IPAD,
    MAC,
    SOURCE,
    Site,
    authenticate,
    authority,
    head,
    id_of,
    print_of,
    token_update,
)

from muster.crypto.certificates import fingerprint
from muster.crypto.cms.signing import SignerIdentity
from muster.crypto.keys import private_key_der
from muster.domain.access import DEVICE, Challenge, Grant
from muster.domain.enrollment import EnrollmentState, Provenance
from muster.domain.letting_go import LetGo
from muster.operations.answer_connect import ConnectReply, ConnectRequest, answer_connects
from muster.operations.let_go import DepartureOrder, reject_devices, withdraw_rejections
from muster.operations.replay_journal import ReplayResult
from muster.operations.set_policy import PolicyOrder, set_policies
from muster.protocol.checkin import CheckOut, SetBootstrapToken
from muster.protocol.connect import Report, encode_report
from muster.protocol.identifiers import CommandUUID, DeviceId, Identifiers, resolve_channel
from muster.storage import enrollment_profiles, identities, queue_holds, schema
from muster.storage.identities import NewIdentity, StoredAuthority
from muster.storage.journal_records import (
    JournaledIdentity,
    authority_record,
    handed_out_record,
    identity_record,
    processed_record,
)
from muster.storage.postgresql import PostgresqlEngine
from muster.storage.sqlite import SqliteEngine

REBUILT, KNOWN, REFUSED = ReplayResult.REBUILT, ReplayResult.KNOWN, ReplayResult.REFUSED


@pytest.fixture
def elsewhere(sqlite_template: Path, tmp_path: Path) -> Iterator[Chronicle]:
    """The site as it was: what happens there is journaled, and then its database is lost."""
    engine = databases.copy_sqlite(sqlite_template, tmp_path / "lost.db")
    yield Chronicle(Site(engine))
    engine.close()


def bootstrap(token: bytes, identifiers: Identifiers = MAC) -> SetBootstrapToken:
    return SetBootstrapToken(identifiers, resolve_channel(identifiers), token)


def test_enrollment_comes_back_with_its_identity_pin_token_and_secrets(site: Site, elsewhere: Chronicle) -> None:
    identity = elsewhere.enroll(MAC)
    elsewhere.check_in(bootstrap(b"bootstrap"), identity)
    elsewhere.check_in(token_update(token=b"\x09" * 32, unlock_token=b"unlock"), identity)
    elsewhere.check_in(token_update(ADA), identity)

    replayed = replay(site, elsewhere.records)

    assert set(results(replayed)) == {REBUILT}
    assert known_of(site) == known_of(elsewhere.site)


def test_device_that_came_back_is_handed_commands(site: Site, elsewhere: Chronicle) -> None:
    identity = elsewhere.enroll(MAC)
    replay(site, elsewhere.records)
    site.queue("one")

    reply = site.connect(identity)

    assert isinstance(reply, ConnectReply)
    assert reply.command_uuid == "one"


def test_renewal_comes_back_as_a_renewal(site: Site, elsewhere: Chronicle) -> None:
    elsewhere.enroll(MAC)
    renewed = elsewhere.identity(renewal_of=MAC)
    elsewhere.check_in(token_update(), renewed)

    replay(site, elsewhere.records)

    assert (site.enrollment().epoch, site.enrollment().pins.current) == (1, print_of(renewed))


def test_erased_and_re_enrolled_device_is_not_erased_again(site: Site, elsewhere: Chronicle) -> None:
    identity = elsewhere.enroll(MAC)
    replay(site, elsewhere.records)
    site.queue("erase", request_type="EraseDevice")
    elsewhere.enroll(MAC)

    replay(site, elsewhere.records)
    second = print_of(identity)

    assert site.enrollment().pins.current != second
    assert site.rows(sa.select(schema.queue.c.command_uuid)) == []
    assert site.rows(sa.select(schema.reports.c.command_uuid, schema.reports.c.status)) == [("erase", "closed")]


def test_command_that_was_handed_out_since_waits_for_a_person(site: Site) -> None:
    identity = site.enroll()
    site.queue("erase", request_type="EraseDevice")
    record = handed_out_record(id_of(MAC), CommandUUID("erase"), at=site.now)

    first, second = replay(site, [record]), replay(site, [record])

    assert (results(first), results(second)) == ([REBUILT], [KNOWN])
    reply = site.connect(identity)
    assert isinstance(reply, ConnectReply)
    assert reply.command_uuid is None
    assert site.engine.read(queue_holds.held) == ((id_of(MAC), "erase"),)


def test_command_that_was_handed_out_since_for_the_second_time_waits_for_a_person(site: Site) -> None:
    identity = site.enroll()
    site.queue("lock", request_type="DeviceLock")
    site.connect(identity)
    known = handed_out_record(id_of(MAC), CommandUUID("lock"), at=site.now)
    site.connect(identity, status="NotNow", command_uuid="lock")
    since = handed_out_record(id_of(MAC), CommandUUID("lock"), at=site.wait(hours=1))

    first, second = replay(site, [known, since]), replay(site, [known, since])

    assert (results(first), results(second)) == ([KNOWN, REBUILT], [KNOWN, KNOWN])
    reply = site.connect(identity)
    assert isinstance(reply, ConnectReply)
    assert reply.command_uuid is None
    assert site.engine.read(queue_holds.held) == ((id_of(MAC), "lock"),)


def test_once_only_commands_are_journaled_when_they_are_handed_out(site: Site) -> None:
    identity = site.enroll()
    site.queue("erase", request_type="EraseDevice")
    site.queue("query")
    context = site.runner.context(DEVICE)

    journaled = site.engine.write(lambda tx: (site_connect(site, identity)(tx, context), tx.to_journal)[1])

    assert [(one.message, one.channel_id) for one in journaled] == [("HandedOut", id_of(MAC))]


def site_connect(site: Site, identity: SignerIdentity) -> Callable[..., object]:
    request = ConnectRequest(
        head(), print_of(identity), encode_report(Report(head())), SOURCE, identity_not_after=site.now + timedelta(1)
    )
    return lambda tx, ctx: answer_connects(tx, [request], ctx)


def test_check_out_comes_back(site: Site, elsewhere: Chronicle) -> None:
    identity = elsewhere.enroll(MAC)
    elsewhere.check_in(CheckOut(MAC, resolve_channel(MAC)), identity)

    replay(site, elsewhere.records)

    assert site.enrollment().state is EnrollmentState.ENDED


def test_what_the_device_replaced_since_stays(site: Site, elsewhere: Chronicle) -> None:
    identity = elsewhere.enroll(MAC)
    replay(site, elsewhere.records)
    elsewhere.check_in(token_update(token=b"\x05" * 32), identity)
    site.wait(days=2)
    site.check_in(token_update(token=b"\x06" * 32), identity)

    replayed = replay(site, elsewhere.records[-1:])

    assert results(replayed) == [KNOWN]
    assert site.rows(sa.select(schema.push_targets.c.token)) == [(b"\x06" * 32,)]


def test_unlock_token_of_an_overtaken_message_is_kept(site: Site, elsewhere: Chronicle) -> None:
    identity = elsewhere.enroll(MAC)
    replay(site, elsewhere.records)
    elsewhere.check_in(token_update(unlock_token=b"unlock"), identity)
    site.wait(days=2)
    site.check_in(token_update(token=b"\x06" * 32), identity)

    first = replay(site, elsewhere.records[-1:])
    second = replay(site, elsewhere.records[-1:])

    assert (results(first), results(second)) == ([REBUILT], [KNOWN])
    assert site.rows(sa.select(schema.escrow.c.kind)) == [("unlock_token",)]


def test_refused_message_is_refused_again_and_leaves_no_evidence(site: Site, elsewhere: Chronicle) -> None:
    identity = elsewhere.enroll(MAC)
    elsewhere.check_in(authenticate(IPAD), identity)
    replay(site, elsewhere.records[:-1])
    before = site.evidence()

    replayed = replay(site, elsewhere.records[-1:])

    assert results(replayed) == [REFUSED]
    assert replayed[0].reason
    assert site.evidence() == before


def test_identity_comes_back_with_what_it_was_made_for(site: Site) -> None:
    identity = site.identity()
    terms = {"topic": "com.apple.mgmt.External.test"}
    grant = Grant(Provenance.LINK, None, None, b"\x01" * 32, "UDID", "SERIAL", "ada@example.org")
    issued = site.engine.read(lambda tx: identities.issued(tx, print_of(identity)))
    assert issued is not None
    challenge = Challenge(b"\x02" * 32, Grant(Provenance.LINK), site.now + timedelta(days=1), None, None, None)
    site.engine.write(lambda tx: identities.add_challenge(tx, challenge, site.now))
    site.engine.write(lambda tx: tx.connection.execute(sa.delete(schema.identities)))
    journaled = JournaledIdentity(replace(issued, made_for=grant), terms, b"\x02" * 32, b"\x03" * 32)

    replayed = replay(site, [identity_record(journaled, source="", at=site.now)] * 2)

    assert results(replayed) == [REBUILT, KNOWN]
    stored = site.engine.read(lambda tx: identities.issued(tx, print_of(identity)))
    assert stored is not None
    assert stored.made_for == grant
    assert site.engine.read(lambda tx: enrollment_profiles.json_of(tx, b"\x01" * 32)) == terms
    used = site.engine.write(lambda tx: identities.challenge(tx, b"\x02" * 32))
    assert used is not None
    assert (used.used_for_key, used.identity_fingerprint) == (b"\x03" * 32, print_of(identity))


def test_identity_of_an_unknown_authority_is_not_taken(site: Site) -> None:
    identity = site.identity()
    issued = site.engine.read(lambda tx: identities.issued(tx, print_of(identity)))
    assert issued is not None
    stranger: NewIdentity = replace(
        issued, fingerprint=b"\x07" * 32, authority=b"\x08" * 32, certificate_der=b"\x30\x00"
    )

    replayed = replay(site, [identity_record(JournaledIdentity(stranger), source="", at=site.now)])

    assert results(replayed) == [REFUSED]


@pytest.mark.parametrize(("age", "is_current"), [(timedelta(days=-1), False), (timedelta(days=1), True)])
def test_authority_comes_back_and_the_newest_is_current(site: Site, age: timedelta, *, is_current: bool) -> None:
    other = authority(1)
    name = fingerprint(other.certificate_der)
    sealed = site.runner.context().seal(
        private_key_der(other.key), table="authorities", column="key_sealed", row=name.hex()
    )
    stored = StoredAuthority(name, other.certificate_der, sealed, is_current=True)

    replayed = replay(site, [authority_record(stored, created_at=site.now + age, at=site.now)] * 2)

    assert results(replayed) == [REBUILT, KNOWN]
    found = site.engine.read(identities.all_authorities)
    assert [one.is_current for one in found] == [True, False]
    assert (found[0].fingerprint == name) is is_current


def test_what_can_not_be_read_is_told_and_the_rest_goes_on(site: Site, elsewhere: Chronicle) -> None:
    elsewhere.enroll(MAC)
    broken = replace(elsewhere.records[0], body=b"{}")
    nonsense = replace(elsewhere.records[1], body=b"<plist/>")

    replayed = replay(site, [broken, nonsense, processed_record(site.now), *elsewhere.records])

    unreadable = ReplayResult.UNREADABLE
    assert results(replayed) == [unreadable, unreadable, KNOWN, REBUILT, REBUILT, REBUILT]


# --- any history, cut anywhere ----------------------------------------------------------------------------------------

ACTS: dict[str, Callable[[Chronicle, Identifiers, dict[Identifiers, SignerIdentity]], object]] = {
    "enroll": lambda c, who, ids: ids.__setitem__(who, c.enroll(who)),
    "renew": lambda c, who, ids: ids.__setitem__(who, _renewed(c, who)),
    "rotate": lambda c, who, ids: c.check_in(token_update(who, token=len(c.records).to_bytes(32, "big")), ids[who]),
    "escrow": lambda c, who, ids: c.check_in(bootstrap(len(c.records).to_bytes(4, "big"), who), ids[who]),
    "empty": lambda c, who, ids: c.check_in(bootstrap(b"", who), ids[who]),
    "unlock": lambda c, who, ids: c.check_in(token_update(who, unlock_token=b"u%d" % len(c.records)), ids[who]),
    "again": lambda c, who, ids: c.check_in(authenticate(who), ids[who]),
    "leave": lambda c, who, ids: c.check_in(CheckOut(who, resolve_channel(who)), ids[who]),
    "stray": lambda c, who, ids: c.check_in(token_update(who), ids[IPAD if who is MAC else MAC]),
}


def _renewed(chronicle: Chronicle, who: Identifiers) -> SignerIdentity:
    identity = chronicle.identity(renewal_of=who)
    chronicle.check_in(token_update(who), identity)
    return identity


def play(chronicle: Chronicle, acts: list[tuple[str, Identifiers]]) -> None:
    identities_of = {who: chronicle.enroll(who) for who in (MAC, IPAD)}
    for act, who in acts:
        ACTS[act](chronicle, who, identities_of)


HISTORIES = st.lists(st.tuples(st.sampled_from(sorted(ACTS)), st.sampled_from([MAC, IPAD])), max_size=12)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=HISTORIES, data=st.data())
def test_any_history_cut_anywhere_comes_back_and_twice_is_nothing_new(
    reused_sqlite: SqliteEngine, acts: list[tuple[str, Identifiers]], data: st.DataObject
) -> None:
    assert_history_comes_back(reused_sqlite, acts, data)


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=HISTORIES, data=st.data())
def test_histories_come_back_on_postgresql_too(
    postgresql_engine: PostgresqlEngine, acts: list[tuple[str, Identifiers]], data: st.DataObject
) -> None:
    assert_history_comes_back(postgresql_engine, acts, data)


def assert_history_comes_back(
    engine: SqliteEngine | PostgresqlEngine, acts: list[tuple[str, Identifiers]], data: st.DataObject
) -> None:
    """Cut the history anywhere; it comes back whole, and twice it is nothing new."""
    _empty(engine)
    whole = Chronicle(Site(engine))
    play(whole, acts)
    expected = known_of(whole.site)
    count = len(whole.records)
    backup_at, cuts = data.draw(st.integers(0, count)), sorted(data.draw(st.lists(st.integers(0, count), max_size=3)))

    _empty(engine)
    restored = Site(engine)
    replay(restored, whole.records[:backup_at])  # the backup: a database that knew so much
    for start, end in zip([0, *cuts], [*cuts, count], strict=True):
        replay(restored, whole.records[start:end])

    assert known_of(restored) == expected
    assert REBUILT not in results(replay(restored, whole.records))
    assert known_of(restored) == expected


def _empty(engine: SqliteEngine | PostgresqlEngine) -> None:
    if isinstance(engine, SqliteEngine):
        databases.empty_sqlite(engine)
    else:
        databases.empty_postgresql(engine)


# --- what was refused when it came


def ended(site: Site) -> bool:
    return site.enrollment().state is EnrollmentState.ENDED


def test_what_a_rejected_device_said_does_not_enroll_it_again(site: Site) -> None:
    here = Chronicle(site)
    identity = here.enroll(MAC)
    site.wait(hours=1)
    site.do(reject_devices, DepartureOrder((DeviceId(id_of(MAC)),)))
    turned_away = [here.check_in(authenticate(), identity), here.check_in(token_update(), identity)]

    replayed = replay(site, here.records)

    assert all(isinstance(outcome, LetGo) for outcome in turned_away)
    assert results(replayed) == [KNOWN, KNOWN, KNOWN, REFUSED, REFUSED]
    assert ended(site)
    assert site.enrollment().pins.provisional is None


def test_what_a_device_said_after_its_rejection_was_withdrawn_comes_back(site: Site) -> None:
    here = Chronicle(site)
    identity = here.enroll(MAC)
    order = DepartureOrder((DeviceId(id_of(MAC)),))
    site.do(reject_devices, order)
    here.check_in(authenticate(), identity)
    site.do(withdraw_rejections, order)

    replayed = replay(site, here.records)

    assert results(replayed)[-1] is REBUILT


@pytest.mark.parametrize(("now_says", "result"), [("refuse", REFUSED), ("accept", REBUILT)])
def test_identity_that_a_policy_refused_enrolls_nothing_while_it_still_would(
    site: Site, now_says: str, result: ReplayResult
) -> None:
    here = Chronicle(site)
    current = here.enroll(MAC)
    site.do(set_policies, PolicyOrder("on_enroll", "refuse"))
    here.check_in(authenticate(), here.identity())
    site.do(set_policies, PolicyOrder("on_enroll", now_says))

    replayed = replay(site, here.records)

    assert results(replayed)[-1] is result
    assert site.enrollment().pins.current == print_of(current)


def test_device_that_enrolled_before_the_policy_was_set_comes_back(site: Site, elsewhere: Chronicle) -> None:
    elsewhere.enroll(MAC)
    site.do(set_policies, PolicyOrder("on_enroll", "refuse"))

    replay(site, elsewhere.records)

    assert site.enrollment().state is EnrollmentState.ENROLLED
