"""`muster recover`: what is done is shown, and a person's word is carried out."""

import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.cli.conftest import FORMER, MAC
from tests.support.command_line import CommandLine

from muster.domain.control.reasons import Reason
from muster.domain.control.recovery import Run
from muster.protocol.identifiers import ChannelId
from muster.storage import recoveries
from muster.storage.recoveries import Recovery
from muster.storage.schema import channels
from muster.storage.sqlite import SqliteEngine


@pytest.fixture(autouse=True)
def _fresh(data_dir: Path) -> None:
    """The Mac has just enrolled, by the real clock, which the command line looks at: nothing is found against it."""
    began = datetime.now(UTC) - timedelta(minutes=30)
    mac = sa.update(channels).where(channels.c.id == MAC)
    engine = SqliteEngine(data_dir / "muster.db")
    fresh = mac.values(first_seen_at=began, enrolled_at=began, last_contact_at=began + timedelta(minutes=20))
    engine.write(lambda tx: tx.connection.execute(fresh))
    engine.close()


@pytest.fixture
def _disobeys(data_dir: Path) -> None:
    """The Mac comes and doesn't obey, and something is done about it since an hour; the former device is gone."""
    since = datetime.now(UTC) - timedelta(hours=1)
    of_mac = Recovery("one", ChannelId(MAC), Run(Reason.NOT_OBEYING, since), since + timedelta(days=1))
    of_former = Recovery("two", ChannelId(FORMER), Run(Reason.PROFILE_REMOVED, since))
    engine = SqliteEngine(data_dir / "muster.db")
    some = [of_mac.noting(since, "started", "it comes and doesn't obey"), of_former]
    engine.write(lambda tx: recoveries.record(tx, some))
    engine.close()


@pytest.mark.usefixtures("_disobeys")
def test_what_goes_on_is_listed_and_shown(muster: CommandLine) -> None:
    listed = muster("recover", "--list")
    table = muster.run("recover", "--list")[1]
    shown = muster("recover", MAC)
    text = muster.run("recover", MAC)[1]

    assert {(one["channel_id"], one["reason"]) for one in listed} == {(MAC, "not_obeying"), (FORMER, "profile_removed")}
    assert "not_obeying" in table
    assert [one["reason"] for one in shown["recoveries"]] == ["not_obeying"]
    assert "started: it comes and doesn't obey" in text
    assert f"{MAC} is under control (none): " in text


def test_nothing_goes_on(muster: CommandLine) -> None:
    assert muster.run("recover", "--list")[1] == "Nothing is being recovered.\n"


@pytest.mark.usefixtures("_disobeys")
def test_a_dry_run_tells_the_steps(muster: CommandLine) -> None:
    text = muster.run("recover", MAC, "--dry-run")[1]
    plan = muster("recover", MAC, "--dry-run")

    assert "this would be done" in text
    assert [(one["reason"], one["kind"]) for one in plan] == [("not_obeying", "probe")]


def test_nothing_would_be_done_for_a_device_that_is_well(muster: CommandLine) -> None:
    assert "Nothing would be done." in muster.run("recover", MAC, "--dry-run")[1]


@pytest.mark.usefixtures("_disobeys")
def test_link_that_was_confirmed_is_shown_once_and_drawn(
    muster: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSTER_PUBLIC_URL", "https://mdm.example.org")
    drawn = tmp_path / "link.svg"

    done = muster("recover", FORMER, "--confirm", "re_enroll", "--svg", str(drawn))

    assert str(done["url"]).startswith("https://mdm.example.org/enroll/")
    assert ET.parse(drawn).getroot().tag.endswith("svg")


@pytest.mark.usefixtures("_disobeys")
def test_recovery_is_stopped_once(muster: CommandLine) -> None:
    code, _, said = muster.run("recover", MAC, "--stop")
    again, _, refused = muster.run("recover", MAC, "--stop")

    assert code == 0
    assert "nothing more is done for not_obeying" in said
    assert again != 0
    assert "no recovery" in refused


@pytest.mark.usefixtures("_disobeys")
def test_recovery_is_put_off(muster: CommandLine) -> None:
    code, out, said = muster.run("recover", MAC, "--put-off", "7d")
    (shown,) = muster("recover", MAC)["recoveries"]

    assert (code, out) == (0, "")
    assert said.startswith(f"{MAC}: put off until ")
    assert shown["next_at"] is not None
    assert "put_off" in [one["step"] for one in shown["log"]]


@pytest.mark.usefixtures("_disobeys")
def test_programs_are_told_until_when_it_is_put_off(muster: CommandLine) -> None:
    done = muster("recover", MAC, "--put-off", "30d")

    assert done["id"] == MAC
    assert done["steps"][0].startswith("put off until ")


@pytest.mark.usefixtures("_disobeys")
def test_nothing_is_put_off_for_longer_than_a_person_remembers(muster: CommandLine) -> None:
    code, _, said = muster.run("recover", MAC, "--put-off", "31d")
    (shown,) = muster("recover", MAC)["recoveries"]

    assert code == 2
    assert "30 days at most" in said
    assert "put_off" not in [one["step"] for one in shown["log"]]


@pytest.mark.parametrize(
    "words",
    [
        ["recover"],
        ["recover", MAC, "--list"],
        ["recover", MAC, "--now", "--stop"],
        ["recover", MAC, "--put-off", "7d", "--stop"],
        ["recover", MAC, "--put-off", "soon"],
        ["recover", MAC, "--put-off", "1d"],
        ["recover", "--list", "--put-off", "1d"],
        ["recover", MAC, "--confirm", "format_disk"],
        ["recover", MAC, "--confirm", "restart"],
        ["recover", "nobody"],
        ["recover", "nobody", "--now"],
    ],
)
def test_orders_that_make_no_sense_are_refused(muster: CommandLine, words: list[str]) -> None:
    code, out, said = muster.run(*words)

    assert (code != 0, out) == (True, "")
    assert said
