"""Answers are decoded before the transaction that learns from them, and what is read is what is stored then."""

import asyncio

import sqlalchemy as sa
from tests.support.site import MAC, Site, head

from muster.edges.workers.answers import AnswerWorker
from muster.operations.decode_answers import DecodedAnswer, PreparedAnswer, prepare_answers
from muster.operations.read_answers import find_answers, read_answers
from muster.protocol.connect import Report, encode_report
from muster.protocol.plist import PlistValue
from muster.storage import schema

LIST = "InstalledApplicationList"


def answered(site: Site, request_type: str, **answer: PlistValue) -> None:
    """A device answers a command, named one."""
    identity = site.enroll()
    site.queue("one", request_type=request_type)
    site.connect(identity)
    site.connect(identity, MAC, "Acknowledged", "one", body=body(**answer))


def body(**answer: PlistValue) -> bytes:
    return encode_report(Report(head(MAC, "Acknowledged", "one"), answer=answer))


def prepared(site: Site) -> PreparedAnswer:
    (one,) = site.engine.read(lambda tx: prepare_answers(tx, find_answers(tx, site.now).keys))
    return one


def names(site: Site) -> list[object]:
    return [name for (name,) in site.rows(sa.select(schema.inventory_items.c.name))]


def test_what_an_answer_says_is_known_before_a_transaction_writes(site: Site) -> None:
    answered(site, LIST, InstalledApplicationList=[{"Identifier": "com.example.one", "Name": "One"}])

    decoded = prepared(site).decoded

    assert isinstance(decoded, DecodedAnswer)
    assert decoded.inventory is not None
    assert decoded.inventory.learned is not None
    assert [one.name for one in decoded.inventory.learned.items.values()] == ["One"]


def test_what_was_stored_anew_meanwhile_is_read_as_it_is_stored(site: Site) -> None:
    answered(site, LIST, InstalledApplicationList=[{"Identifier": "com.example.one", "Name": "One"}])
    before = prepared(site)
    other = body(InstalledApplicationList=[{"Identifier": "com.example.two", "Name": "Two"}])
    site.engine.write(lambda tx: tx.connection.execute(sa.update(schema.reports).values(body=other)))

    site.do(read_answers, before)

    assert names(site) == ["Two"]


def test_what_was_read_meanwhile_is_passed_over(site: Site) -> None:
    answered(site, LIST, InstalledApplicationList=[])
    before = prepared(site)
    site.read_answers()

    assert site.do(read_answers, before) == [False]
    assert site.engine.read(lambda tx: prepare_answers(tx, [before.key])) == [PreparedAnswer(before.key)]


def test_secret_stays_sealed_until_it_is_read(site: Site) -> None:
    answered(site, "RequestUnlockToken", UnlockToken=b"token")
    before = prepared(site)

    assert before == PreparedAnswer(before.key)
    assert site.do(read_answers, before) == [True]
    assert site.rows(sa.select(schema.escrow.c.kind)) == [("unlock_token",)]


def test_answer_that_we_fail_to_decode_is_put_off(site: Site) -> None:
    answered(site, LIST, InstalledApplicationList=[])
    site.engine.write(lambda tx: tx.connection.execute(sa.update(schema.commands).values(body=b"no property list")))

    asyncio.run(AnswerWorker(site.runner).step())

    ((attempts, error),) = site.rows(sa.select(schema.unread_answers.c.attempts, schema.unread_answers.c.error))
    assert attempts == 1
    assert error.startswith("MalformedMessage")
