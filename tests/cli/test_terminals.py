"""What devices say of themselves is printed, and never obeyed by the terminal."""

import plistlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.cli.conftest import MAC
from tests.cli.test_commands import answer
from tests.support.command_line import CommandLine
from tests.support.fleet import add_device, add_user
from tests.support.runner import NOW

from muster.domain.renewal import RenewalReason
from muster.domain.renewal_failures import RenewalFailure
from muster.storage import schema
from muster.storage.sqlite import SqliteEngine

HOSTILE = "E\x1b]0;t\x07\x1b[31mvil\r\n\x9b2JX\u202e"
OTHER = "22222222-2222-4333-8444-555555555555"
COMMANDS = (
    ("status",),
    ("incidents",),
    ("devices", "list"),
    ("devices", "show", OTHER),
    ("devices", "inventory", OTHER),
    ("why", OTHER),
    ("timeline", OTHER),
    ("recover", OTHER),
    ("act", "push", "--where", f"id = '{OTHER}'", "--dry-run"),
    ("commands", "list", OTHER),
    ("profiles", "list", OTHER),
    ("apps", "list", OTHER),
    ("push", "explain", OTHER),
    ("push", "explain", f"{OTHER}:U"),
    ("identities", "list"),
    ("report", "control"),
)


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_names_of_devices_are_no_orders_to_the_terminal(
    muster: CommandLine, data_dir: Path, arguments: tuple[str, ...]
) -> None:
    engine = SqliteEngine(data_dir / "muster.db", synchronous="OFF")
    add_device(engine, OTHER, name=HOSTILE, serial_number=HOSTILE, os_version=HOSTILE, contacts=[NOW])
    add_user(engine, OTHER, "U", HOSTILE)
    engine.close()

    code, printed, said = muster.run(*arguments)

    assert code == 0, said
    assert not [one for one in printed + said if one != "\n" and not one.isprintable()]


def test_what_a_device_says_of_its_renewal_is_no_order_to_the_terminal(muster: CommandLine, data_dir: Path) -> None:
    engine = SqliteEngine(data_dir / "muster.db", synchronous="OFF")
    ends_at = datetime.now(UTC) + timedelta(days=20)
    add_device(engine, OTHER, name="Mac", contacts=[NOW], identity_not_after=ends_at, is_profile_known=True)
    failed = sa.insert(schema.renewals).values(
        device_id=OTHER,
        epoch=1,
        reason=RenewalReason.EXPIRING,
        opened_at=NOW,
        attempts=1,
        failures=1,
        sent_at=NOW,
        failed_at=NOW,
        failure=RenewalFailure.DECLINED,
        failure_text=HOSTILE,
    )
    engine.write(lambda tx: tx.connection.execute(failed))
    engine.close()

    _, printed, _ = muster.run("devices", "show", OTHER)

    assert "It says: E" in printed
    assert not [one for one in printed if one != "\n" and not one.isprintable()]


def test_name_is_one_line(muster: CommandLine, data_dir: Path) -> None:
    engine = SqliteEngine(data_dir / "muster.db", synchronous="OFF")
    add_device(engine, OTHER, name="Ada\nIn control.", contacts=[NOW])
    add_user(engine, OTHER, "U", "ada\nIn control.")
    engine.close()

    shown = [muster.run(*words)[1] for words in (("devices", "show", OTHER), ("push", "explain", f"{OTHER}:U"))]

    assert [line for text in shown for line in text.splitlines() if line.startswith("In control.")] == []
    assert all("Ada\ufffdIn control." in text for text in shown)


def test_answer_of_a_device_is_no_order_to_the_terminal(muster: CommandLine, data_dir: Path) -> None:
    command_uuid = muster("commands", "send", MAC, "DeviceInformation", "--set", 'Queries=["DeviceName"]')[
        "command_uuid"
    ]
    said = {"QueryResponses": {"DeviceName": "E\u202evil\x9b2J"}, "Status": "Acknowledged", "UDID": MAC}
    answer(data_dir, command_uuid, plistlib.dumps(said))

    code, printed, _ = muster.run("commands", "show", command_uuid)

    assert code == 0
    assert "vil" in printed
    assert not [one for one in printed if one != "\n" and not one.isprintable()]
