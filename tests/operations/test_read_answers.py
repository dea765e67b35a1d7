"""What devices answered is read once it is stored; what can't be read, or does not match, loses nothing."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.support.site import MAC, Site, head, id_of

from muster.crypto.cms.signing import SignerIdentity
from muster.domain.answered_commands import READ_REQUEST_TYPES, AnsweredCommand
from muster.domain.command_queue import QueuePurpose
from muster.domain.faults import Fault
from muster.domain.inventory.kinds import InventoryKind
from muster.edges.workers.answers import PATIENCE, AnswerWorker
from muster.operations import read_answers as reading
from muster.operations.cancel_commands import CancelOrder, cancel_commands
from muster.operations.context import Context
from muster.operations.decode_answers import PreparedAnswer
from muster.operations.learn_inventory import learn_inventory
from muster.operations.queue_own import queue_own
from muster.operations.read_answers import CLAIM_LIMIT, READERS, RETRY_DELAYS, find_answers, read_answers
from muster.protocol.command import CommandRequest
from muster.protocol.connect import ErrorItem, Report, encode_report
from muster.protocol.identifiers import CommandUUID
from muster.protocol.plist import PlistValue
from muster.storage import answers, schema
from muster.storage.engine import Transaction
from muster.storage.postgresql import PostgresqlEngine

ASKED = CommandRequest("DeviceInformation", {"Queries": ["OSVersion", "DeviceName"]})


def facts(site: Site) -> tuple[object, ...]:
    table = schema.device_facts.c
    return site.rows(sa.select(table.os_version, table.device_name, table.is_supervised, table.learned_at))[0]


def waiting(site: Site) -> int:
    return len(site.rows(sa.select(schema.unread_answers)))


def faults(site: Site) -> list[object]:
    return [row[0] for row in site.rows(sa.select(schema.reports.c.faults))]


def test_there_is_a_reader_for_each_answer_that_is_read() -> None:
    assert READERS.keys() == READ_REQUEST_TYPES


@pytest.mark.parametrize("kind", InventoryKind)
def test_inventory_is_learned_whoever_else_reads_the_answer(kind: InventoryKind) -> None:
    assert learn_inventory in READERS[kind.value]


def test_what_a_device_says_of_itself_is_learned_as_of_when_it_said_so(site: Site) -> None:
    identity = site.enroll()
    site.queue("one")
    site.connect(identity)
    said_at = site.wait(minutes=1)
    answer: dict[str, PlistValue] = {
        "QueryResponses": {"OSVersion": "26.1", "DeviceName": "Ada's Mac", "IsSupervised": True}
    }
    site.connect(identity, MAC, "Acknowledged", "one", answer=answer)
    site.wait(minutes=5)

    assert site.read_answers() == 1
    assert facts(site) == ("26.1", "Ada's Mac", True, said_at)
    assert (waiting(site), faults(site)) == (0, [None])


def test_answers_to_other_commands_are_kept_and_not_read(site: Site) -> None:
    identity = site.enroll()
    site.queue("one", request_type="RestartDevice")
    site.connect(identity)
    site.connect(identity, MAC, "Acknowledged", "one")

    assert waiting(site) == 0
    assert site.reports() == [("one", "Acknowledged")]


def test_same_answer_again_is_read_once(site: Site) -> None:
    identity = site.enroll()
    site.queue("one")
    for _ in range(2):
        site.connect(identity, MAC, "Acknowledged", "one", answer={"QueryResponses": {"OSVersion": "26.1"}})

    assert (site.read_answers(), site.read_answers()) == (1, 0)


def test_answer_of_an_earlier_life_says_nothing_of_this_one(site: Site) -> None:
    identity = site.enroll()
    site.queue("one")
    site.connect(identity, MAC, "Acknowledged", "one", answer={"QueryResponses": {"OSVersion": "15.1"}})
    site.wait(days=1)
    site.enroll()
    before = facts(site)

    assert site.read_answers() == 1
    assert facts(site) == before


@pytest.mark.parametrize(
    "body",
    [
        b"<plist><dict><key>Status</key><string>Acknowledged</string><key>QueryResponses</key><dict>",
        encode_report(Report(head(MAC, "Acknowledged", "one"), answer={"QueryResponses": "text"})),
        encode_report(Report(head(MAC, "Acknowledged", "one"), answer={"ProfileList": []})),
    ],
    ids=["half of it", "of another type", "of another command"],
)
def test_answer_that_does_not_match_is_kept_as_it_came_and_flagged(site: Site, body: bytes) -> None:
    identity = site.enroll()
    site.queue("one")
    site.connect(identity, MAC, "Acknowledged", "one", body=body)

    site.read_answers()

    ((stored, flagged),) = site.rows(sa.select(schema.reports.c.body, schema.reports.c.faults))
    assert stored == body
    assert isinstance(flagged, list)
    assert flagged[0]["what"]
    assert ("S5", "faulty_answer", 1) in site.evidence()
    assert waiting(site) == 0


@pytest.mark.parametrize(
    "odd",
    [{"ErrorChain": "none"}, {"ErrorChain": [{"ErrorCode": "x"}] * 65}, {"NotOnConsole": "no"}, {"AuthToken": 1}],
    ids=["chain of another type", "chain of no errors", "flag of another type", "token of another type"],
)
def test_what_is_odd_beside_an_answer_loses_nothing_of_it(site: Site, odd: dict[str, PlistValue]) -> None:
    identity = site.enroll()
    site.queue("one")
    answer: dict[str, PlistValue] = {"QueryResponses": {"OSVersion": "26.1"}, **odd}
    site.connect(identity, MAC, "Acknowledged", "one", answer=answer)

    site.read_answers()

    assert facts(site)[0] == "26.1"
    ((flagged,),) = site.rows(sa.select(schema.reports.c.faults))
    assert flagged[0]["what"].startswith(next(iter(odd)))


def test_error_whose_body_is_cut_off_is_a_failure_all_the_same(site: Site) -> None:
    identity = site.enroll()
    site.queue("one", request_type="InstallApplication")
    whole = encode_report(Report(head(MAC, "Error", "one"), (ErrorItem(1, "MCMDMErrorDomain"),)))
    site.connect(identity, MAC, "Error", "one", body=whole[:-40])

    site.read_answers()

    table = schema.managed_apps.c
    assert site.rows(sa.select(table.state, table.reason)) == [("failed", "the device answered Error")]


@pytest.mark.parametrize("is_enrolled_anew", [False, True])
def test_late_answer_to_what_was_taken_back_is_read_as_of_the_life_it_was_sent_to(
    site: Site, is_enrolled_anew: bool
) -> None:
    identity = site.enroll()
    site.queue("one", request_type="RequestUnlockToken")
    site.connect(identity)
    site.do(cancel_commands, CancelOrder(CommandUUID("one")))
    site.wait(minutes=1)
    if is_enrolled_anew:
        identity = site.enroll()
        site.wait(minutes=1)
    site.connect(identity, MAC, "Acknowledged", "one", answer={"UnlockToken": b"token"})

    assert site.read_answers() == 1
    table = schema.escrow.c
    state = "in_force" if not is_enrolled_anew else "archived"
    assert site.rows(sa.select(table.kind, table.epoch, table.state)) == [("unlock_token", 1, state)]


def test_answer_that_is_changed_afterwards_is_not_read_again(site: Site) -> None:
    identity = site.enroll()
    site.queue("one")
    site.connect(identity, MAC, "Acknowledged", "one", answer={"QueryResponses": {"OSVersion": "26.1"}})
    site.read_answers()
    site.wait(minutes=1)
    site.connect(identity, MAC, "Error", "one")
    site.wait(minutes=1)
    site.connect(identity, MAC, "Acknowledged", "one", answer={"QueryResponses": {"OSVersion": "15.1"}})
    site.connect(identity, MAC, "Acknowledged", "not ours", answer={"QueryResponses": {"OSVersion": "15.1"}})

    assert waiting(site) == 0
    assert facts(site)[0] == "26.1"


def test_no_more_is_taken_at_once_than_one_transaction_should_have(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    identity = site.enroll()
    for number in range(CLAIM_LIMIT + 1):
        site.queue(f"{number}")
        site.connect(identity, MAC, "Acknowledged", f"{number}", answer={"QueryResponses": {}})

    def found() -> int:
        return len(site.engine.read(lambda tx: find_answers(tx, site.now)).keys)

    assert found() == CLAIM_LIMIT
    monkeypatch.setattr(reading, "CLAIM_BYTES", 1)
    assert found() == 1, "one is read however large it is"


def trip(_tx: Transaction, answered: AnsweredCommand, _ctx: Context) -> list[Fault]:
    if answered.command_uuid == "bad":
        raise RuntimeError("a fault of ours")
    return []


def test_answer_that_trips_us_is_put_off_and_keeps_no_other_waiting(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "READERS", {"DeviceInformation": (trip,)})
    identity = site.enroll()
    for uuid in ("first", "bad", "last"):
        site.queue(uuid)
        site.connect(identity, MAC, "Acknowledged", uuid)
    worker = AnswerWorker(site.runner)

    asyncio.run(worker.step())
    due_at = asyncio.run(worker.step())

    columns = schema.unread_answers.c
    assert site.rows(sa.select(columns.command_uuid, columns.attempts, columns.error)) == [
        ("bad", 1, "RuntimeError: a fault of ours")
    ]
    assert due_at == site.now + RETRY_DELAYS[0]
    assert ("own", "answer_not_read", 1) in site.evidence()

    monkeypatch.undo()  # an update of ours
    site.wait(seconds=RETRY_DELAYS[0].total_seconds())
    asyncio.run(worker.step())
    assert waiting(site) == 0


def test_what_another_node_reads_is_passed_over(site: Site) -> None:
    identity = site.enroll()
    site.queue("one")
    site.connect(identity, MAC, "Acknowledged", "one", answer={"QueryResponses": {}})
    (key,) = site.engine.read(lambda tx: find_answers(tx, site.now)).keys
    elsewhere = replace(key, reported_at=key.reported_at + timedelta(seconds=1))

    assert site.do(read_answers, PreparedAnswer(elsewhere), PreparedAnswer(key)) == [False, True]
    assert site.do(read_answers, PreparedAnswer(key)) == [False]


def test_answer_that_another_node_reads_keeps_none_waiting(
    postgresql_engine: PostgresqlEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "CLAIM_LIMIT", 1)
    site = Site(postgresql_engine)
    identity = site.enroll()
    for uuid in ("first", "second"):
        site.queue(uuid)
        site.connect(identity, MAC, "Acknowledged", uuid)
        site.wait(seconds=1)
    worker = AnswerWorker(site.runner)

    def elsewhere(tx: Transaction) -> list[object]:
        answers.claim(tx, find_answers(tx, site.now).keys)
        return [asyncio.run(worker.step()) for _ in range(3)]

    due = postgresql_engine.write(elsewhere)

    assert site.rows(sa.select(schema.unread_answers.c.command_uuid)) == [("first",)]
    assert due == [site.now, site.now, site.now + PATIENCE]
    asyncio.run(worker.step())
    assert waiting(site) == 0


def asked_by_us(site: Site, identity: SignerIdentity, name: str | int, *, purpose: QueuePurpose) -> str:
    """A device is asked its name, by ourselves or by somebody, and says *name*; returns the command's UUID."""
    question = CommandRequest("DeviceInformation", {"Queries": ["DeviceName"]})
    context = site.runner.context()
    target = (id_of(MAC), 1)
    uuid = site.engine.write(lambda tx: queue_own(tx, question, [target], context, purpose=purpose))
    site.connect(identity)
    site.connect(identity, MAC, "Acknowledged", uuid, answer={"QueryResponses": {"DeviceName": name}})
    site.wait(days=1)
    return uuid


def test_of_answers_to_our_own_questions_the_latest_is_kept_as_it_came(site: Site) -> None:
    identity = site.enroll()
    by_somebody = asked_by_us(site, identity, "One", purpose=QueuePurpose.COMMAND)
    for name in ("Two", "Three"):
        asked_by_us(site, identity, name, purpose=QueuePurpose.INVENTORY)
        site.read_answers()
    last = asked_by_us(site, identity, "Four", purpose=QueuePurpose.INVENTORY)
    site.read_answers()

    assert {uuid for uuid, _ in site.reports()} == {by_somebody, last}


def test_what_came_before_an_odd_answer_is_kept(site: Site) -> None:
    identity = site.enroll()
    before = asked_by_us(site, identity, "One", purpose=QueuePurpose.INVENTORY)
    site.read_answers()
    odd = asked_by_us(site, identity, 7, purpose=QueuePurpose.INVENTORY)
    site.read_answers()

    assert {uuid for uuid, _ in site.reports()} == {before, odd}


def test_what_is_still_to_be_read_is_not_forgotten(site: Site) -> None:
    identity = site.enroll()
    waiting = asked_by_us(site, identity, "One", purpose=QueuePurpose.INVENTORY)
    (first,) = site.engine.read(lambda tx: find_answers(tx, site.now)).keys
    put_off = reading.UnreadableAnswer(first, "a fault of ours")
    site.do(reading.put_off_answers, put_off)
    last = asked_by_us(site, identity, "Two", purpose=QueuePurpose.INVENTORY)
    keys = [key for key in site.engine.read(lambda tx: find_answers(tx, site.now)).keys if key != first]
    site.do(read_answers, *(PreparedAnswer(key) for key in keys))

    assert {uuid for uuid, _ in site.reports()} == {waiting, last}
