"""`muster push`."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.cli.conftest import MAC, USER
from tests.support import fleet
from tests.support.command_line import CommandLine
from tests.support.runner import NOW

from muster.storage.sqlite import SqliteEngine

LONG_AGO = datetime(2016, 11, 22, 14, 31, 7, tzinfo=UTC)


@pytest.fixture
def engine(data_dir: Path) -> Iterator[SqliteEngine]:
    """The installation's database, with a token and a command of the Mac, and a certificate that lasts."""
    engine = SqliteEngine(data_dir / "muster.db")
    fleet.add_push_target(engine, MAC, "accepted")
    fleet.add_command(engine, MAC, "c1")
    fleet.add_push_certificate(engine, NOW + timedelta(days=3650))
    yield engine
    engine.close()


def test_explain_says_the_verdict_first_and_the_pushes_last(muster: CommandLine, engine: SqliteEngine) -> None:
    fleet.add_push_wish(engine, MAC, due_at=LONG_AGO)
    fleet.add_push(engine, MAC, "no_answer", NOW, status=0, reason="connection lost", consequence="tried_again")

    code, out, said = muster.run("push", "explain", MAC)

    lines = out.splitlines()
    assert (code, said) == (0, "")
    assert lines[0].startswith("Ada's Mac: Pushed now, for a command was queued")
    assert any(line.split()[:2] == ["2026-11-22", "14:31:07"] and "connection lost" in line for line in lines)
    assert any(line.startswith("  token ") for line in lines)
    assert lines[-1] == "Times are UTC."


def test_send_says_that_it_is_pushed_or_what_is_in_the_way(muster: CommandLine, engine: SqliteEngine) -> None:
    code, _, said = muster.run("push", "send", MAC)
    fleet.clear_push_targets(engine)
    fleet.add_push_target(engine, MAC, "token_bad", refused_at=datetime.now(UTC))
    refused_code, _, refused_said = muster.run("push", "send", MAC)

    assert (code, said) == (0, f"The running server pushes {MAC} within a second or two.\n")
    assert refused_code == 0
    assert refused_said.startswith("Not pushed: APNs refused its token")


def test_explain_of_a_device_shows_its_users_and_of_a_user_only_that(muster: CommandLine, engine: SqliteEngine) -> None:
    engine.close()

    of_device, of_user = muster("push", "explain", MAC), muster("push", "explain", USER)

    assert [one["channel_id"] for one in of_device] == [MAC, USER]
    assert [one["channel_id"] for one in of_user] == [USER]
    assert of_user[0]["verdict"]["because"] == "no_token"
    assert "ada on Ada's Mac: Not pushed: no TokenUpdate" in muster.run("push", "explain", MAC)[1]


def test_explain_gives_programs_the_facts_the_verdict_and_its_words(muster: CommandLine, engine: SqliteEngine) -> None:
    fleet.add_push_breaker(engine, is_open=True)
    fleet.add_push_wish(engine, MAC, due_at=LONG_AGO, held_because="breaker_open")

    one = muster("push", "explain", MAC)[0]

    assert (one["verdict"]["standing"], one["verdict"]["because"]) == ("held", "breaker_open")
    assert one["known"]["wish"]["held_because"] == "breaker_open"
    assert one["known"]["topic"]["breaker"]["cause"] == "apns_unreachable"
    assert one["words"].startswith("Held: so are all pushes of its topic since ")


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_explain_of_nobody_is_absent(muster: CommandLine, as_json: list[str]) -> None:
    code, out, said = muster.run("push", "explain", "nobody", *as_json)

    assert (code, out) == (3, "")
    assert said == "muster: no enrollment nobody is known\n  See `muster devices list`.\n"


def test_status_tells_each_topic_in_figures(muster: CommandLine, engine: SqliteEngine) -> None:
    fleet.add_push_wish(engine, MAC, due_at=LONG_AGO, held_because="breaker_open")
    fleet.add_push_breaker(engine, is_open=True)

    code, out, _ = muster.run("push", "status")

    assert code == 0
    assert "days left. Pushes of com.apple.mgmt.External.test have been held since" in out.splitlines()[0]
    assert "  pushes wanted   0 due, 0 at their time, 1 held: 1 breaker open" in out.splitlines()
    (topic,) = muster("push", "status")["topics"]
    assert (topic["enrollments"], topic["wishes_held"]) == (1, {"breaker_open": 1})
    assert topic["breaker"]["probes"] == 3


def test_status_says_when_nobody_can_be_pushed_for_the_certificates_sake(muster: CommandLine, data_dir: Path) -> None:
    with closing(SqliteEngine(data_dir / "muster.db")) as engine:
        fleet.add_push_target(engine, MAC, None)

        missing = muster.run("push", "status")[1]
        fleet.add_push_certificate(engine, LONG_AGO)
        expired = muster.run("push", "status")[1]

    assert "nobody is pushed, for there is no certificate" in missing
    assert "nobody is pushed, for its certificate expired on 2016-11-22 14:31:07; renew that same one" in expired


def test_status_without_anything_says_how_to_begin(muster: CommandLine) -> None:
    assert muster.run("push", "status")[1] == (
        "There is no push certificate, and nobody to push: begin with `muster push-cert request`.\n"
    )
