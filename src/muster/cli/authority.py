"""`muster authority`: who issues devices' identities."""

import sys
from typing import Annotated

import typer

from muster.cli.connection import Connection, connect
from muster.cli.errors import CommandFailed, ExitCode
from muster.cli.office import AsJson, Database, DataDir, KeyRingFile, open_office
from muster.cli.output import print_json, print_table
from muster.operations.rotate_authority import rotate_authorities
from muster.operations.views.authorities import AuthorityRow, list_authorities

app = typer.Typer(help="The authority that issues devices' identities.", no_args_is_help=True)


@app.command("show")
def show(
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Show the authorities, the current one first, with the devices whose identities are theirs."""
    with open_office(data_dir, database, key_ring) as data:
        rows = data.ask(
            lambda here: here.view(list_authorities),
            lambda there: there.get("/authorities", tuple[AuthorityRow, ...]),
        )
    if as_json:
        print_json(rows)
        return
    if not rows:
        print("There is no authority yet: the first start makes one.")
        return
    print_table(
        ("NAME", "SHA-256", "ISSUES SINCE", "ENDS", "CURRENT", "DEVICES", "NOT RENEWABLE"),
        [
            (
                row.name,
                row.fingerprint.hex()[:16],
                f"{row.created_at:%Y-%m-%d}",
                f"{row.not_after:%Y-%m-%d}",
                "yes" if row.is_current else "",
                row.devices,
                row.not_renewable,
            )
            for row in rows
        ],
    )


@app.command("rotate")
def rotate(
    yes: Annotated[bool, typer.Option("--yes", help="Do it: the consequences are known.")] = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a new authority; the identities of all devices are then renewed, a share each day.

    The authorities before it stay trusted, so that no device is cut off.
    """
    with connect(data_dir, database, key_ring) as data:
        print(_consequences(data), file=sys.stderr)
        if not yes:
            raise CommandFailed("nothing was done", remedy="Give --yes to do it.", code=ExitCode.USAGE)
        made = data.run(rotate_authorities, data.settings.organization)
    if as_json:
        print_json(made)
        return
    print(f"{made.name} ({made.fingerprint.hex()[:16]}) issues from now on, until {made.not_after:%Y-%m-%d}.")


def _consequences(data: Connection) -> str:
    rows: tuple[AuthorityRow, ...] = data.view(list_authorities)
    devices, not_renewable = sum(row.devices for row in rows), sum(row.not_renewable for row in rows)
    days = data.settings.rotation_days
    pace = "at once" if days == 0 else f"over {days} days, about {-(-(devices - not_renewable) // days)} a day"
    said = (
        f"A new authority will issue every identity from now on. {devices - not_renewable} devices will be sent a "
        f"renewal, {pace}; until theirs is used, their present identities stay good."
    )
    if not_renewable:
        said += (
            f"\n{not_renewable} more can't be renewed, for their enrollment profile is not known; "
            "they keep their identities until these end."
        )
    return said
