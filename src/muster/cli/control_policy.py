"""`muster policy control`: the limits by which control is judged, for all devices and for groups."""

import sys
from collections import Counter
from collections.abc import Mapping
from typing import Annotated

import typer

from muster.cli.connection import Connection
from muster.cli.errors import CommandFailed, CommandRefused, ExitCode
from muster.cli.office import AsJson, Database, DataDir, KeyRingFile, Office, open_office
from muster.cli.output import ago, print_json, print_table
from muster.cli.server_calls import Server, at
from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.policy_settings import SETTINGS, read_settings, texts_of
from muster.domain.errors import Refusal
from muster.operations.control_policies import BlastRadius, Stored, radius_of
from muster.operations.set_control_policies import (
    ControlPolicyOrder,
    order_control_policies,
    planned_policies,
    set_control_policies,
)
from muster.operations.views.control_policies import (
    ChannelLimits,
    ControlPolicyChanged,
    ControlPolicyRow,
    PolicyPreview,
    list_control_policies,
    policy_of_channel,
)
from muster.protocol.identifiers import ChannelId

app = typer.Typer(help="Limits by which control is judged, for all devices and for groups.", no_args_is_help=True)

_LIST = "\n\n".join(f"{one.name}: {one.help}" for one in SETTINGS.values())
_DEFAULTS = texts_of(ControlPolicy())

Shown = tuple[tuple[ControlPolicyRow, ...], Mapping[str, str] | None]

Group = Annotated[
    str | None, typer.Option("--group", metavar="NAME", help="For the devices of this group; else for all.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say which channels would change their state, and do nothing.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it, without counting who would change state.")]


def register(policy: typer.Typer) -> None:
    """Add `control` to `muster policy`."""
    policy.add_typer(app, name="control")


@app.command("show")
def show(
    device_id: Annotated[
        str | None, typer.Option("--device", metavar="ID", help="The limits by which this channel is judged.")
    ] = None,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what is set for groups, in the order in which they decide, and for all; and what stands unset."""
    with open_office(data_dir, database, key_ring) as data:
        now = data.now
        rows, of_device = data.ask(
            lambda here: _shown_here(here, device_id), lambda there: _shown_there(there, device_id)
        )
    if device_id is not None:
        if of_device is None:
            raise CommandFailed(f"no channel {device_id} is known", code=ExitCode.ABSENT)
        if as_json:
            print_json(of_device)
        else:
            print_table(("SETTING", "VALUE"), list(of_device.items()))
        return
    if as_json:
        print_json({"set": rows, "defaults": _DEFAULTS})
        return
    if rows:
        told = [
            (row.group or "(all)", name, value, ago(row.changed_at, now), row.changed_by)
            for row in rows
            for name, value in row.settings.items()
        ]
        print_table(("GROUP", "SETTING", "VALUE", "SET", "BY"), told)
        for row in rows:
            if row.fault:
                print(f"No effect: {row.fault}.", file=sys.stderr)
        print()
    print_table(("SETTING", "DEFAULT", "WHAT"), [(name, _DEFAULTS[name], SETTINGS[name].help) for name in SETTINGS])


@app.command("set", help=f"Set limits, as in `tolerance=10d contact_window=36h`.\n\n{_LIST}")
def set_(
    settings: Annotated[list[str], typer.Argument(metavar="SETTING=VALUE...", help="What to set.")],
    group: Group = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Set limits."""
    try:
        read = read_settings(settings)
    except ValueError as error:
        raise CommandFailed(str(error), code=ExitCode.USAGE) from error
    with open_office(data_dir, database, key_ring) as data:
        _change(data, ControlPolicyOrder(group, read), dry_run=dry_run, yes=yes, as_json=as_json)


@app.command("unset")
def unset(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[SETTING...]", help="What to unset; everything where none is named.")
    ] = None,
    group: Group = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Unset limits, so that what is set for other groups, for all, or by itself holds."""
    with open_office(data_dir, database, key_ring) as data:
        order = ControlPolicyOrder(group, {}, names or (), unset_all=not names)
        _change(data, order, dry_run=dry_run, yes=yes, as_json=as_json)


@app.command("order")
def order(
    names: Annotated[
        list[str], typer.Argument(metavar="GROUP...", help="Every group that has limits, the first one decides.")
    ],
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Say which group decides where a device is in several: each limit is that of the first that sets it."""
    with open_office(data_dir, database, key_ring) as data:
        told = data.run(order_control_policies, names)
    if as_json:
        print_json(told)
        return
    print(f"The order is {', '.join(told)}.", file=sys.stderr)


def _shown_here(here: Connection, device_id: str | None) -> Shown:
    rows = here.view(list_control_policies)
    if device_id is None:
        return rows, None
    return rows, here.look(lambda tx, ctx: policy_of_channel(tx, ChannelId(device_id), ctx))


def _shown_there(there: Server, device_id: str | None) -> Shown:
    rows = there.get("/control-policies", tuple[ControlPolicyRow, ...])
    if device_id is None:
        return rows, None
    found = there.find(at("devices", device_id, "control-policy"), ChannelLimits)
    return rows, None if found is None else found.settings


def _change(data: Office, order: ControlPolicyOrder, *, dry_run: bool, yes: bool, as_json: bool) -> None:
    if dry_run or not yes:
        radius = data.ask(lambda here: _radius(here, order), lambda there: _radius_there(there, order))
        if as_json and dry_run:
            print_json(
                {
                    "channels": radius.channels,
                    "changes": [
                        {"before": before, "after": after, "channels": count}
                        for (before, after), count in sorted(radius.changes.items())
                    ],
                }
            )
        else:
            _print_radius(radius)
        if dry_run:
            return
        if radius.changed:
            raise CommandFailed("nothing was done", remedy="Give --yes to do it.", code=ExitCode.USAGE)
    done = data.ask(lambda here: _set_here(here, order), lambda there: _set_there(there, order))
    if as_json:
        print_json(done)
        return
    whom = "all" if done.group is None else f"the group {done.group}"
    told = ", ".join(f"{name}={value}" for name, value in done.settings.items()) or "nothing"
    print(f"Set for {whom} from now on: {told}.", file=sys.stderr)


def _radius(data: Connection, order: ControlPolicyOrder) -> BlastRadius:
    stored = data.look(lambda tx, ctx: planned_policies(tx, order, ctx))
    if isinstance(stored, Refusal):
        raise CommandRefused(stored)
    radius = BlastRadius()
    after = _part(data, None, stored, radius)
    while after is not None:
        after = _part(data, after, stored, radius)
    return radius


def _set_here(here: Connection, order: ControlPolicyOrder) -> ControlPolicyChanged:
    done = here.run(set_control_policies, order)
    return ControlPolicyChanged(done.group, done.settings, done.former)


def _set_there(there: Server, order: ControlPolicyOrder) -> ControlPolicyChanged:
    return there.send("PUT", "/control-policies", ControlPolicyChanged, _body(order))


def _body(order: ControlPolicyOrder) -> dict[str, object]:
    return {name: getattr(order, name) for name in ("group", "settings", "unset", "unset_all")}


def _radius_there(there: Server, order: ControlPolicyOrder) -> BlastRadius:
    told = there.send("POST", "/control-policies/preview", PolicyPreview, _body(order))
    return BlastRadius(told.channels, Counter({(one.before, one.after): one.channels for one in told.changes}))


def _part(data: Connection, after: ChannelId | None, stored: Stored, radius: BlastRadius) -> ChannelId | None:
    # in parts, so that no transaction lasts long
    return data.look(lambda tx, ctx: radius_of(tx, after, stored, ctx, radius))


def _print_radius(radius: BlastRadius) -> None:
    print(
        f"{radius.channels:,} channels would be judged by other limits; {radius.changed:,} would change their state.",
        file=sys.stderr,
    )
    for (before, after), count in sorted(radius.changes.items()):
        print(f"  {before.value} to {after.value}: {count:,}", file=sys.stderr)
