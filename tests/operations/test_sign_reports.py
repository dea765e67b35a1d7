"""Reports as of a time: what channels were held to be then, signed, and openssl as the witness."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.crypto.openssl import OpenSSL
from tests.support.runner import NOW
from tests.support.site import ADA, IPAD, MAC, Site, authority, id_of, token_update

from muster.crypto.certificates import pem_from_der
from muster.domain.control_report.canonical import read
from muster.domain.control_report.entries import Entry, contents_of
from muster.domain.control_report.statement import Draft, verify_entries, verify_statement
from muster.domain.errors import Refusal, RefusalCode
from muster.operations.judge_channels import judge_channels
from muster.operations.manage_groups import GroupOrder, RenameOrder, create_groups, rename_groups
from muster.operations.set_control_policies import ControlPolicyOrder, ControlPolicySet, set_control_policies
from muster.operations.sign_reports import SignedReport, sign_reports
from muster.operations.views.audit import list_acts, verify_chain
from muster.operations.views.control_report import compare, entries_at, policies_stated, read_report_query
from muster.protocol.identifiers import Identifiers
from muster.storage import schema
from muster.storage.engine import Engine, Transaction


@pytest.fixture
def site(engine: Engine) -> Site:
    return Site(engine)


def judge(site: Site, *identifiers: Identifiers) -> None:
    ids = [id_of(one) for one in identifiers]
    site.do(lambda tx, _, ctx: [judge_channels(tx, ids, ctx)], None)


def entries(site: Site, at: datetime | None = None, where: str | None = None) -> dict[str, Entry]:
    def work(tx: Transaction) -> list[Entry]:
        query = read_report_query(tx, where)
        assert not isinstance(query, Refusal)
        return list(entries_at(tx, at or site.now, query, site.now))

    return {one.channel: one for one in site.engine.read(work)}


def signed(site: Site, at: datetime | None = None) -> tuple[SignedReport, list[bytes]]:
    lines = [one.line() for one in entries(site, at).values()]
    contents = contents_of((line, read(line)) for line in lines)
    draft = Draft(at or site.now, None, contents, site.engine.read(lambda tx: policies_stated(tx, at or site.now)))
    outcome = site.do(sign_reports, draft)[0]
    assert isinstance(outcome, SignedReport), outcome
    return outcome, [line + b"\n" for line in lines]


def test_report_says_what_was_held_then_and_not_what_is_now(site: Site) -> None:
    site.enroll()
    judge(site, MAC)
    then = site.now
    site.wait(days=9)
    judge(site, MAC)

    before, now = entries(site, then)[id_of(MAC)], entries(site)[id_of(MAC)]

    assert (before.state, before.changes, before.serial_number) == ("at_risk", 1, "C02XK1LYJGH5")
    assert (now.state, now.reason, now.changes) == ("inactive", "silent", 2)
    assert before.story != now.story


def test_what_was_not_known_then_is_not_in_it(site: Site) -> None:
    site.enroll()
    then = site.now
    site.wait(days=1)
    site.enroll(IPAD)

    assert list(entries(site, then)) == [id_of(MAC)]
    assert entries(site, then - timedelta(days=1)) == {}
    assert {one.state for one in entries(site).values()} == {None}


def test_users_channels_stand_beside_their_device(site: Site) -> None:
    identity = site.enroll()
    site.check_in(token_update(ADA), identity)
    judge(site, MAC, ADA)

    of_user = entries(site)[id_of(ADA)]

    assert (of_user.device, of_user.kind, of_user.serial_number) == (id_of(MAC), "User", "C02XK1LYJGH5")


def test_query_says_which_channels_it_is_about(site: Site) -> None:
    site.enroll()
    site.enroll(IPAD)
    judge(site, MAC, IPAD)

    assert list(entries(site, where=f'id = "{id_of(IPAD)}"')) == [id_of(IPAD)]


def test_proof_is_that_of_the_last_look_where_it_is_known(site: Site) -> None:
    site.enroll()
    judge(site, MAC)
    held = sa.update(schema.verdicts).values(proof_level=4, proof_at=NOW)
    site.engine.write(lambda tx: tx.connection.execute(held))

    at_once = entries(site)[id_of(MAC)]
    assert (at_once.proof_level, at_once.proof_at) == (4, NOW)

    later = site.wait(hours=1)
    site.engine.write(lambda tx: tx.connection.execute(sa.update(schema.verdicts).values(judged_at=later)))
    before = entries(site, later - timedelta(minutes=1))[id_of(MAC)]

    assert (before.proof_level, before.proof_at) == (3, None)


def test_story_whose_channel_is_gone_stays_in_it(site: Site) -> None:
    site.enroll()
    judge(site, MAC)
    [entry] = entries(site).values()
    moved = sa.update(schema.verdict_changes).values(channel_id="gone", device_id="gone")
    site.engine.write(lambda tx: tx.connection.execute(moved))

    found = entries(site)

    assert (found["gone"].state, found["gone"].serial_number) == (entry.state, None)
    assert found[id_of(MAC)].state is None


@pytest.mark.parametrize(
    "change", [{"sentence": "all is well"}, {"reason": "silent"}, {"evidence": [1]}, {"others": ["silent"]}], ids=str
)
def test_step_that_was_changed_shows(site: Site, change: dict[str, object]) -> None:
    site.enroll()
    judge(site, MAC)
    site.wait(days=9)
    judge(site, MAC)
    then = entries(site)[id_of(MAC)]
    statement = sa.update(schema.verdict_changes).where(schema.verdict_changes.c.state_before.is_(None)).values(change)

    site.engine.write(lambda tx: tx.connection.execute(statement))

    assert entries(site)[id_of(MAC)].story != then.story


def test_signed_report_holds_and_is_an_act(site: Site) -> None:
    site.enroll()
    judge(site, MAC)
    report, lines = signed(site)

    verified = verify_statement(report.statement, report.signature, [authority().certificate_der])
    verify_entries(verified.data, lines)

    [act] = site.engine.read(lambda tx: list_acts(tx, limit=5, act="report.control"))
    assert act.subject == "installation"
    assert site.engine.read(verify_chain).broken_at is None
    again, _ = signed(site)
    stated = [json.loads(one.statement) for one in (report, again)]
    assert [one["roots"]["audit_log"]["acts"] for one in stated] == [0, 1]
    assert stated[0]["server"]["signer_sha256"] != stated[1]["server"]["signer_sha256"]
    assert stated[0]["policies"][0]["settings"]["tolerance"] == "7d"


def test_report_is_held_against_what_is_stored(site: Site) -> None:
    site.enroll()
    site.enroll(IPAD)
    judge(site, MAC, IPAD)
    signed(site)
    report, lines = signed(site)
    stated = read(report.statement)
    site.wait(days=9)
    judge(site, MAC, IPAD)
    whole = site.engine.read(lambda tx: compare(tx, stated, lines))

    changes, log = schema.verdict_changes, schema.audit

    def tamper(tx: Transaction) -> None:
        tx.connection.execute(sa.update(changes).where(changes.c.channel_id == id_of(MAC)).values(reason="none"))
        tx.connection.execute(sa.delete(changes).where(changes.c.channel_id == id_of(IPAD)))
        tx.connection.execute(sa.update(log).values(hash=b"another"))

    site.engine.write(tamper)
    compared = site.engine.read(lambda tx: compare(tx, stated, lines))

    assert (whole.is_same, whole.channels) == (True, 2)
    assert (compared.changed, compared.missing) == ((id_of(MAC),), (id_of(IPAD),))
    assert not compared.is_audit_whole


def test_authority_that_has_ended_signs_no_report(site: Site) -> None:
    site.wait(days=3650)
    contents = contents_of([])

    outcome = site.do(sign_reports, Draft(site.now, None, contents, []))[0]

    assert isinstance(outcome, Refusal)
    assert outcome.code is RefusalCode.AUTHORITY_EXPIRED


@pytest.mark.witness("openssl")
def test_openssl_verifies_it_and_refuses_what_was_changed(site: Site, tmp_path: Path) -> None:
    site.enroll()
    judge(site, MAC)
    openssl = OpenSSL(tmp_path)
    report, _ = signed(site)
    openssl.write("control.json", report.statement)
    openssl.write("control.json.p7s", report.signature)
    openssl.write("root.pem", pem_from_der([report.authority_der]))
    openssl.write("other.pem", pem_from_der([authority(1).certificate_der]))

    def accepts(root: str = "root.pem") -> bool:
        at = str(int(site.now.timestamp()))
        return openssl.accepts(
            *("cms", "-verify", "-binary", "-inform", "DER", "-in", "control.json.p7s", "-attime", at),
            *("-content", "control.json", "-CAfile", root, "-out", "verified.json"),
        )

    assert accepts()
    assert openssl.read("verified.json") == report.statement
    assert not accepts("other.pem")
    openssl.write("control.json", report.statement.replace(b'"total":1', b'"total":2'))
    assert not accepts()


def test_policies_are_those_that_were_in_force_then(site: Site) -> None:
    def set_(group: str | None, **settings: str) -> None:
        outcome = site.do(set_control_policies, ControlPolicyOrder(group, settings))[0]
        assert isinstance(outcome, ControlPolicySet), outcome

    def stated(at: datetime) -> list[tuple[object, object]]:
        told = site.engine.read(lambda tx: policies_stated(tx, at))
        assert isinstance(told, list)
        return [(one["group"], one["settings"]["tolerance"]) for one in told]

    site.do(create_groups, GroupOrder("Labs", "os_version >= 1"))
    at_first = site.now
    site.wait(hours=1)
    set_("Labs", tolerance="3d")
    set_(None, tolerance="5d")
    then = site.now
    site.wait(hours=1)
    site.do(rename_groups, RenameOrder("Labs", "Rooms"))
    set_("Rooms", tolerance="4d")

    assert stated(at_first) == [(None, "7d")]
    assert stated(then) == [(None, "5d"), ("Labs", "3d")]
    assert stated(site.now) == [(None, "5d"), ("Rooms", "4d")]
