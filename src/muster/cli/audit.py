"""`muster audit`: read the log of what was done, and verify that it is whole."""

from typing import Annotated

import typer

from muster.cli.connection import AsJson, Database, DataDir, KeyRingFile, connect
from muster.cli.errors import CommandFailed
from muster.cli.output import print_json, print_table
from muster.operations.views.audit import list_acts, verify_chain

app = typer.Typer(help="The log of who did what.", no_args_is_help=True)


@app.command("list")
def list_(
    act: Annotated[
        str | None,
        typer.Option("--act", metavar="ACT", help="Only this act, such as secret.reveal, or secret for all."),
    ] = None,
    subject: Annotated[
        str | None, typer.Option("--subject", metavar="ID", help="Only what was done to this: a device, a command.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="How many at most.")] = 100,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """List what was done, the latest first: when, by whom, and to what."""
    with connect(data_dir, database, key_ring) as data:
        rows = data.view(lambda tx: list_acts(tx, limit=limit, act=act, subject=subject))
    if as_json:
        print_json(rows)
        return
    if not rows:
        print("No such act.")
        return
    print_table(
        ("NUMBER", "AT (UTC)", "BY", "ACT", "SUBJECT", "DETAIL"),
        [
            (
                row.sequence,
                f"{row.at:%Y-%m-%d %H:%M:%S}",
                row.actor_name,
                row.act,
                row.subject,
                ", ".join(f"{name} {value}" for name, value in row.detail.items() if value not in (None, "")),
            )
            for row in rows
        ],
    )


@app.command("verify")
def verify(
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Hold each row against the hash over it and all before it. Keep the last hash elsewhere to compare it later."""
    with connect(data_dir, database, key_ring) as data:
        found = data.view(verify_chain)
    if as_json:
        print_json({"rows": found.rows, "broken_at": found.broken_at, "last_hash": found.last_hash.hex()})
    elif found.broken_at is None:
        print(f"{found.rows:,} acts are as they were written; the last hash is {found.last_hash.hex()}.")
    if found.broken_at is not None:
        raise CommandFailed(
            f"the audit log was changed: number {found.broken_at:,} is missing, or not as it was written",
            remedy="`muster audit list --limit 100` and a backup show what differs.",
        )
