"""`muster devices inventory` and `refresh`: what a device said of itself, and asking it anew."""

import sys
from datetime import datetime
from typing import Annotated

import typer

from muster.cli.connection import Connection
from muster.cli.errors import CommandFailed, CommandRefused, ExitCode
from muster.cli.office import AsJson, Database, DataDir, KeyRingFile, open_office
from muster.cli.output import ago, print_json, print_table
from muster.cli.server_calls import at
from muster.domain.errors import Refusal
from muster.domain.inventory.kinds import InventoryKind
from muster.operations.ask_for_inventory import AskedInventory, InventoryOrder, ask_now
from muster.operations.views.inventory import CHANGES_SHOWN, Inventory, KindInventory, show_inventory
from muster.protocol.identifiers import ChannelId

ITEMS_SHOWN = 100_000
"""Of each list, at a server elsewhere: more than a device has of anything."""

ChannelArgument = Annotated[
    str, typer.Argument(metavar="ID", help="The device's id or serial number, or the id of a channel of its.")
]


def show(
    channel_id: ChannelArgument,
    kind: Annotated[InventoryKind | None, typer.Option("--kind", help="Only what this question was answered.")] = None,
    history: Annotated[bool, typer.Option("--history", help="What changed, instead of what is.")] = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what a device said of itself, and how long ago; what should be newer by now is marked with an asterisk."""
    with open_office(data_dir, database, key_ring) as data:
        now, shown = data.now, data.channel(channel_id)
        found = data.ask(
            lambda here: _inventory_here(here, shown, kind),
            lambda there: there.find(
                at("devices", shown, "inventory"), Inventory, kind=kind, changes=CHANGES_SHOWN, items=ITEMS_SHOWN
            ),
        )
    if found is None:
        raise CommandFailed(
            f"no device {channel_id} is known", remedy="See `muster devices list`.", code=ExitCode.ABSENT
        )
    if as_json:
        print_json(found.changes if history else found)
    elif history:
        _print_history(found, now)
    elif not found.kinds:
        print("Nothing is known yet. `muster devices refresh` asks the device.")
    else:
        for one in found.kinds:
            _print_kind(one, now)


def _inventory_here(here: Connection, channel_id: ChannelId, kind: InventoryKind | None) -> Inventory | None:
    policy, now = here.settings.policy(), here.now
    interval, others_every = policy.inventory_interval, policy.inventory_others_every
    return here.view(
        lambda tx: show_inventory(tx, channel_id, interval, now, kind=kind, others_every=others_every),
        about=[channel_id],
    )


def refresh(
    channel_ids: Annotated[
        list[str],
        typer.Argument(metavar="ID...", help="Devices' ids or serial numbers, or ids of users' channels."),
    ],
    kinds: Annotated[
        list[InventoryKind] | None, typer.Option("--kind", help="Only this question; may be given several times.")
    ] = None,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Ask devices about themselves now; the answers are there seconds after they come."""
    with open_office(data_dir, database, key_ring) as data:
        orders = [InventoryOrder(data.channel(channel_id), tuple(kinds or ())) for channel_id in channel_ids]
        outcomes = data.run_all(ask_now, orders)
    asked = [outcome for outcome in outcomes if isinstance(outcome, AskedInventory)]
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
    if as_json:
        print_json(asked)
    for one in asked:
        print(f"{one.channel_id}: asked {', '.join(one.kinds) or 'nothing'}.", file=sys.stderr)
        if one.unfit:
            print(f"{one.channel_id}: it can't answer {', '.join(one.unfit)}.", file=sys.stderr)
    for refusal in refused[1:]:
        print(f"{refusal.message}.", file=sys.stderr)
    if refused:
        raise CommandRefused(refused[0])


def _print_kind(one: KindInventory, now: datetime) -> None:
    mark = "*" if one.is_stale else ""
    learned = "never as a whole" if one.learned_at is None else f"{ago(one.learned_at, now)}{mark}"
    count = f", {len(one.items)}" if one.is_list else ""
    print(f"{one.title}{count} ({one.kind.value}, learned {learned})")
    if one.facts:
        print_table(
            ("FACT", "VALUE", "LEARNED"),
            [
                (
                    f"  {fact.key}",
                    f"{fact.words} (not of Apple's type)" if fact.is_odd else fact.words,
                    f"{ago(fact.learned_at, now)}{'*' if fact.is_stale else ''}",
                )
                for fact in one.facts
            ],
        )
    if one.items:
        print_table(
            ("IDENTIFIER", "NAME", "VERSION", "SINCE", "CHANGED"),
            [
                (f"  {item.identifier}", item.name, item.version, ago(item.since, now), ago(item.changed_at, now))
                for item in one.items
            ],
        )
    print()


def _print_history(found: Inventory, now: datetime) -> None:
    if not found.changes:
        print("Nothing has changed since it was first asked.")
        return
    print_table(("LEARNED", "KIND", "CHANGE"), [(ago(one.at, now), one.kind, one.words) for one in found.changes])
