"""`muster incidents`: what many devices have in common that went wrong, one line for one cause."""

from typing import Annotated

import typer

from muster.cli.office import AsJson, Database, DataDir, KeyRingFile, open_office
from muster.cli.output import print_json, print_table
from muster.operations.views.incidents import LIST_LIMIT, IncidentRow, list_incidents


def register(app: typer.Typer) -> None:
    """Add this command to *app*."""
    app.command("incidents")(incidents)


def incidents(
    only_open: Annotated[bool, typer.Option("--open", help="Only those that last.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="How many at most.")] = LIST_LIMIT,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """List what many devices have in common that went wrong: one line for one cause."""
    with open_office(data_dir, database, key_ring) as data:
        rows = data.ask(
            lambda here: here.view(lambda tx: list_incidents(tx, limit=limit, only_open=only_open)),
            lambda there: there.get("/fleet/incidents", tuple[IncidentRow, ...], limit=limit, only_open=only_open),
        )
    if as_json:
        print_json(rows)
        return
    if not rows:
        print("No incident.")
        return
    print_table(
        ("BEGAN (UTC)", "ENDED (UTC)", "REASON", "WHOSE", "ENROLLMENTS", "WHAT"),
        [
            (
                f"{row.began_at:%Y-%m-%d %H:%M}",
                "lasts" if row.ended_at is None else f"{row.ended_at:%Y-%m-%d %H:%M}",
                row.reason,
                "ours" if row.is_ours else "theirs",
                row.channels,
                row.sentence,
            )
            for row in rows
        ],
    )
