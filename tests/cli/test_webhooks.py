"""`muster webhooks`: what is told to whom, and how it goes."""

from pathlib import Path

import sqlalchemy as sa
from tests.support.command_line import CommandLine
from tests.support.runner import NOW

from muster.domain.events import Event, EventType
from muster.protocol.identifiers import ChannelId
from muster.storage import outbox, schema
from muster.storage.sqlite import SqliteEngine

URL = "https://siem.example/in"


def test_webhook_is_added_shown_tried_paused_and_removed(muster: CommandLine) -> None:
    before = muster.run("webhooks", "list")[1]
    made = muster("webhooks", "add", "siem", URL, "--event", "control.*", "--event", "device.enrolled")
    tried = muster("webhooks", "test", "siem")
    muster.run("webhooks", "pause", "siem")

    shown = muster("webhooks", "show", "siem")
    table = muster.run("webhooks", "list")[1]
    (waiting,) = muster("webhooks", "deliveries", "siem")
    removed = muster.run("webhooks", "remove", "siem")

    assert before == "No webhooks. `muster webhooks add` adds one.\n"
    assert (made["name"], made["url"], len(made["secret"])) == ("siem", URL, 43)
    assert (shown["state"], shown["waiting"], shown["format"]) == ("paused", 1, "muster")
    assert "control.state_changed" in shown["event_types"]
    assert "siem" in table
    assert made["secret"] not in str(shown) + table
    assert (waiting["event_id"], waiting["event_type"]) == (tried["event_id"], "webhook.test")
    assert removed == (0, "", "siem is told no more.\n")
    assert muster("webhooks", "list") == []


def test_secret_is_printed_by_itself_and_can_be_replaced(muster: CommandLine) -> None:
    code, secret, said = muster.run("webhooks", "add", "siem", URL)
    _, another, until = muster.run("webhooks", "rotate-secret", "siem")

    assert code == 0
    assert len(secret.strip()) == len(another.strip()) == 43
    assert secret != another
    assert said == "siem is told from now on; the line above is its secret.\n"
    assert until.startswith("The former secret is good until ")


def test_what_was_delivered_is_listed_and_sent_again(muster: CommandLine, data_dir: Path) -> None:
    muster("webhooks", "add", "siem", URL)
    engine = SqliteEngine(data_dir / "muster.db")
    event = Event("e1", EventType.DEVICE_ENROLLED, ChannelId("A"), NOW)
    engine.write(lambda tx: outbox.append(tx, [event]))
    sequence = engine.read(lambda tx: tx.connection.scalar(sa.select(schema.outbox.c.sequence)))
    assert sequence is not None
    engine.write(lambda tx: outbox.record_delivered(tx, sequence, "e1", at=NOW, status=204))
    engine.close()

    table = muster.run("webhooks", "deliveries", "siem")[1]
    replayed = muster("webhooks", "replay", "siem", "--event", "e1")
    listed = muster("webhooks", "deliveries", "siem")

    assert "device.enrolled" in table
    assert replayed == {"count": 1}
    assert [(one["event_id"], one["status"]) for one in listed] == [("e1", None), ("e1", 204)]
    assert muster.run("webhooks", "replay", "siem", "--event", "e1")[2] == "1 event goes out again.\n"


def test_webhook_that_is_not_there_is_told(muster: CommandLine) -> None:
    for command in ("show", "deliveries", "test", "pause", "remove", "replay"):
        code, _, said = muster.run("webhooks", command, "none")
        assert code == 3, command
        assert "there is no webhook" in said


def test_url_that_cannot_be_is_refused(muster: CommandLine) -> None:
    code, _, said = muster.run("webhooks", "add", "siem", "http://siem.example/")

    assert code == 2
    assert "plain HTTP has to be allowed (--allow-http)" in said
