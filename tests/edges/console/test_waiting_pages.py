"""What waits for a person is decided in the console, once, by those who may."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.edges.console.test_people_pages import form_token, signed_in
from tests.support.browser import Browser, Reply
from tests.support.fleet import add_command, add_device, insert
from tests.support.runner import NOW, InlineRunner

from muster.domain.command_queue import HoldReason
from muster.domain.roles import Role
from muster.storage import schema, tellings


def submit(browser: Browser, path: str, **fields: str) -> Reply:
    return browser.submit(path, {"form_token": form_token(browser), **fields})


def flips(runner: InlineRunner) -> list[bool | None]:
    return [one.is_released for one in runner.engine.read(tellings.flips)]


@pytest.fixture
def flip(runner: InlineRunner) -> None:
    """A mass flip that waits."""
    insert(
        runner.engine,
        sa.insert(schema.mass_flips).values(
            id="FLIP", opened_at=NOW - timedelta(hours=1), count=40, fleet=100, share_percent=10
        ),
    )


@pytest.fixture
def held(runner: InlineRunner) -> None:
    """Two commands that wait."""
    for number in (1, 2):
        add_device(runner.engine, f"DEV-{number}")
        add_command(runner.engine, f"DEV-{number}", f"COMMAND-{number}", "DeviceLock")
    held = sa.update(schema.queue).values(is_withheld=True, held_because=HoldReason.ROLLED_BACK.value)
    runner.engine.write(lambda tx: tx.connection.execute(held))


def test_nothing_waits(ana: Browser) -> None:
    assert "Nothing waits" in ana.get("/waiting").text


@pytest.mark.parametrize(("act", "is_released"), [("release", True), ("drop", False)])
def test_a_mass_flip_is_decided_once(
    ana: Browser, runner: InlineRunner, flip: None, act: str, is_released: bool
) -> None:
    assert "more than 10 % within an hour" in ana.get("/waiting").text

    assert submit(ana, "/waiting/flips", act=act).status == 303
    assert flips(runner) == [is_released]
    assert submit(ana, "/waiting/flips", act=act).status == 400
    assert "Decided before" in ana.get("/waiting").text


def test_commands_are_decided_one_by_one_or_all(ana: Browser, runner: InlineRunner, held: None) -> None:
    assert "Let all 2 go out" in ana.get("/waiting").text

    assert submit(ana, "/waiting/commands", act="drop", command="COMMAND-1").status == 303
    assert "Let all 1 go out" in ana.get("/waiting").text
    assert submit(ana, "/waiting/commands", act="release", all="yes").status == 303
    assert "Nothing waits" in ana.get("/waiting").text


@pytest.mark.parametrize(
    "fields", [{}, {"act": "burn", "all": "yes"}, {"act": "drop"}, {"act": "drop", "command": "X"}]
)
def test_what_no_form_sends_is_refused(ana: Browser, held: None, fields: dict[str, str]) -> None:
    assert submit(ana, "/waiting/commands", **fields).status == 400
    assert submit(ana, "/waiting/flips", act="burn").status == 400


def test_only_those_who_may_decide(ana: Browser, runner: InlineRunner, flip: None, held: None) -> None:
    eve = signed_in(runner, "eve", Role.HELPDESK)

    page = eve.get("/waiting")
    assert (page.status, "Let all" in page.text, "Tell nobody" in page.text) == (200, False, False)
    assert submit(eve, "/waiting/flips", act="drop").status == 403
    assert submit(eve, "/waiting/commands", act="drop", all="yes").status == 403
    assert ana.submit("/waiting/flips", {"act": "drop"}).status == 400
    assert flips(runner) == [None]
