"""`muster groups`: devices that are meant together, by a query or by name."""

from collections.abc import Sequence
from typing import Annotated

import typer

from muster.cli.connection import Connection
from muster.cli.device_tables import Verdicts, by_gravity, listed_by, print_devices
from muster.cli.errors import CommandFailed, CommandRefused, ExitCode
from muster.cli.office import AsJson, Database, DataDir, KeyRingFile, Office, open_office
from muster.cli.output import ago, print_json, print_table
from muster.cli.server_calls import Server
from muster.domain.errors import Refusal
from muster.domain.queries.groups import GroupDefinition, name_key
from muster.operations.manage_groups import (
    GroupOrder,
    MembersChanged,
    MembersOrder,
    RenameOrder,
    add_members,
    change_queries,
    create_groups,
    delete_groups,
    remove_members,
    rename_groups,
)
from muster.operations.permit import quoted
from muster.operations.views.device_lists import DeviceRow, find_devices
from muster.operations.views.groups import GroupRow, find_group, list_groups, meaning_of
from muster.operations.views.verdicts import verdicts_of
from muster.protocol.identifiers import DeviceId

app = typer.Typer(help="Groups of devices.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The group's name; case doesn't count.")]
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Devices' ids or serial numbers.")]
WHERE_HELP = "A query: who is in it is always told anew. See the manual's page on queries."


@app.command("create")
def create(
    name: Name,
    where: Annotated[str | None, typer.Option("--where", metavar="QUERY", help=WHERE_HELP)] = None,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a group: with --where by a query, else of devices that are put in (`muster groups add`)."""
    with open_office(data_dir, database, key_ring) as data:
        group = data.run(create_groups, GroupOrder(name, where))
    if as_json:
        print_json(group)
    else:
        print(f"The group {group.name} is there.")


@app.command("query")
def query(
    name: Name,
    where: Annotated[str, typer.Argument(metavar="QUERY", help="The query to have from now on.")],
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Give a group by query another query."""
    with open_office(data_dir, database, key_ring) as data:
        group = data.run(change_queries, GroupOrder(name, where))
    if as_json:
        print_json(group)
    else:
        print(f"The group {group.name} has another query.")


@app.command("add")
def add(
    name: Name,
    device_ids: Ids,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Put devices into a group."""
    with open_office(data_dir, database, key_ring) as data:
        changed = data.run(add_members, MembersOrder(name, _meant(data, device_ids)))
    _print_change(changed, as_json, "put in")


@app.command("remove")
def remove(
    name: Name,
    device_ids: Ids,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Take devices out of a group."""
    with open_office(data_dir, database, key_ring) as data:
        changed = data.run(remove_members, MembersOrder(name, _meant(data, device_ids)))
    _print_change(changed, as_json, "taken out")


def _meant(data: Office, names: Sequence[str]) -> tuple[DeviceId, ...]:
    return tuple(DeviceId(data.channel(one)) for one in names)


def _print_change(changed: MembersChanged, as_json: bool, what: str) -> None:
    if as_json:
        print_json(changed)
    else:
        print(f"{changed.changed} {what}; {changed.members} are in it now.")


@app.command("rename")
def rename(
    name: Name,
    new_name: Annotated[str, typer.Argument(metavar="NEW-NAME")],
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Give a group another name."""
    with open_office(data_dir, database, key_ring) as data:
        group = data.run(rename_groups, RenameOrder(name, new_name))
    if as_json:
        print_json(group)
    else:
        print(f"{name} is called {group.name} now.")


@app.command("delete")
def delete(
    name: Name,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Delete a group; its devices stay as they are."""
    with open_office(data_dir, database, key_ring) as data:
        group = data.run(delete_groups, name)
    if as_json:
        print_json(group)
    else:
        print(f"The group {group.name} is deleted; its devices are as they were.")


@app.command("list")
def list_(
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """List the groups, with how many devices each has now."""
    with open_office(data_dir, database, key_ring) as data:
        now = data.now
        rows = data.ask(
            lambda here: here.view(lambda tx: list_groups(tx, now)),
            lambda there: there.get("/groups", tuple[GroupRow, ...]),
        )
    if as_json:
        print_json(rows)
        return
    print_table(
        ("NAME", "DEVICES", "CREATED", "BY", "QUERY"),
        [
            (
                row.name,
                "?" if row.devices is None else row.devices,
                "" if row.created_at is None else ago(row.created_at, now),
                row.created_by or "with Muster",
                row.query,
            )
            for row in rows
        ],
    )


@app.command("show")
def show(
    name: Name,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Show a group: its query, and the devices in it now."""
    with open_office(data_dir, database, key_ring) as data:
        now = data.now
        group, found, verdicts = data.ask(lambda here: _group_here(here, name), lambda there: _group_there(there, name))
    rows = by_gravity(found, verdicts)
    if as_json:
        print_json({"name": group.name, "query": group.query, "devices": rows})
        return
    print(f"{group.name}: {'devices that were put in' if group.query is None else group.query}\n")
    print_devices(rows, verdicts, now)


Shown = tuple[GroupDefinition | GroupRow, Sequence[DeviceRow], Verdicts]


def _group_here(here: Connection, name: str) -> Shown:
    now = here.now
    group = here.view(lambda tx: find_group(tx, name))
    if group is None:
        raise _absent(name)
    meaning = here.view(lambda tx: meaning_of(tx, group))
    if isinstance(meaning, Refusal):
        raise CommandRefused(meaning)
    found = here.view(lambda tx: find_devices(tx, meaning, now))
    return group, found, here.view(lambda tx: verdicts_of(tx, [row.id for row in found], now))


def _group_there(there: Server, name: str) -> Shown:
    listed = there.get("/groups", tuple[GroupRow, ...])
    group = next((one for one in listed if name_key(one.name) == name_key(name)), None)
    if group is None:
        raise _absent(name)
    return group, *listed_by(there, where=f"group = {quoted(group.name)}")


def _absent(name: str) -> CommandFailed:
    return CommandFailed(f"there is no group {name}", remedy="See `muster groups list`.", code=ExitCode.ABSENT)
