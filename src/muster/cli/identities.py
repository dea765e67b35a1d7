"""`muster identities`: how long devices' identities last, and how their renewals stand."""

from datetime import timedelta
from typing import Annotated

import typer

from muster.cli.connection import Connection
from muster.cli.enroll import read_duration
from muster.cli.office import AsJson, Database, DataDir, KeyRingFile, open_office
from muster.cli.output import print_json, print_table
from muster.operations.views.identities import IdentityQuery, IdentityRow, list_identities

app = typer.Typer(help="Identities of devices.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Identities of devices."""


@app.command("list")
def list_(
    expires_within: Annotated[
        str | None, typer.Option("--expires-within", help="Only those that end so soon, or have ended: 60d, 2w.")
    ] = None,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """List the identities of enrolled devices, the earliest end first."""
    within = None if expires_within is None else read_duration(expires_within, "--expires-within")
    with open_office(data_dir, database, key_ring) as data:
        rows = data.ask(
            lambda here: _read(here, within),
            lambda there: list(there.pages("/identities", IdentityRow, expires_within_seconds=_seconds(within))),
        )
    if as_json:
        print_json(rows)
        return
    if not rows:
        print("No identities end so soon." if within is not None else "No device is enrolled.")
        return
    print_table(
        ("DEVICE", "SERIAL", "NAME", "ENDS", "DAYS LEFT", "RENEWAL", "WHY", "ATTEMPTS", "LAST FAILURE"),
        [
            (
                row.device_id,
                row.serial_number,
                row.name,
                f"{row.not_after:%Y-%m-%d}",
                row.days_left,
                row.renewal.state.value.replace("_", " "),
                None if row.renewal.reason is None else row.renewal.reason.value.replace("_", " "),
                row.renewal.attempts,
                None if row.renewal.failure is None else row.renewal.failure.value.replace("_", " "),
            )
            for row in rows
        ],
    )


def _seconds(within: timedelta | None) -> int | None:
    return None if within is None else int(within.total_seconds())


def _read(data: Connection, within: timedelta | None) -> list[IdentityRow]:
    now, policy = data.now, data.settings.policy()
    until = None if within is None else now + within
    rows: list[IdentityRow] = []
    query: IdentityQuery | None = IdentityQuery(until)
    while query is not None:
        page = data.view_within(
            lambda tx, bounds, query=query: list_identities(tx, query, now, policy, bounds)  # type: ignore[misc]
        )
        rows += page.rows
        query = None if page.next_after is None else IdentityQuery(until, page.next_after)
    return rows
