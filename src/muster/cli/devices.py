"""`muster devices`: which devices there are, and what is known of one."""

import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import typer

from muster.cli import inventory
from muster.cli.connection import Connection
from muster.cli.device_tables import ListedVerdict, Verdicts, by_gravity, listed_by, print_devices
from muster.cli.errors import CommandFailed, CommandRefused, ExitCode
from muster.cli.office import AsJson, Database, DataDir, KeyRingFile, open_office
from muster.cli.output import ago, print_json, print_table, print_told, without_orders
from muster.cli.server_calls import at
from muster.cli.verdict_lines import print_verdict
from muster.domain.control import saying
from muster.domain.enrollment import EnrollmentState
from muster.domain.errors import Refusal
from muster.operations.ask_for_renewals import AskedRenewal, ask_for_renewals
from muster.operations.note_reach import make_reach_links
from muster.operations.read_query import read_query
from muster.operations.views.device_lists import PAGE_LIMIT, DeviceQuery, DeviceRow, find_devices, list_devices
from muster.operations.views.devices import DeviceDetails
from muster.operations.views.holds import HELD_SHOWN, held_left_out
from muster.operations.views.identities import RenewalRow
from muster.operations.views.one_device import OneDevice, show_one_device
from muster.operations.views.reach import ReachLinkMade
from muster.operations.views.verdicts import VerdictRow, verdicts_of
from muster.protocol.identifiers import ChannelId


class ListOrder(StrEnum):
    """By what a list of devices is ordered."""

    GRAVITY = "gravity"
    ID = "id"


app = typer.Typer(help="Devices and their channels.", no_args_is_help=True)


@app.command("list")
def list_(
    search: Annotated[str, typer.Option("--search", help="Only those whose id, serial number or name has this.")] = "",
    state: Annotated[EnrollmentState | None, typer.Option("--state", help="Only those in this state.")] = None,
    where: Annotated[
        str | None,
        typer.Option(
            "--where", metavar="QUERY", help="Only those whom this finds: \"platform = 'macOS' and os_version < '26'\"."
        ),
    ] = None,
    order: Annotated[ListOrder, typer.Option("--order", help="By what they are ordered.")] = ListOrder.GRAVITY,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """List devices with their verdicts, the gravest first."""
    if where is not None and (search or state is not None):
        raise typer.BadParameter(
            "leave --search and --state out: a query has `name contains` and `state =`", param_hint="--where"
        )
    with open_office(data_dir, database, key_ring) as data:
        now = data.now
        rows, verdicts = data.ask(
            lambda here: _found_here(here, search, state, where),
            lambda there: listed_by(there, search=search or None, state=state, where=where),
        )
    if order is ListOrder.GRAVITY:
        rows = by_gravity(rows, verdicts)
    if as_json:
        print_json([{**asdict(row), **_control(verdicts.get(row.id))} for row in rows])
    elif rows or search or where is not None or state is not None:
        print_devices(rows, verdicts, now)
    else:
        print("No devices. `muster enroll link` makes a link that enrolls one.")


def _found_here(
    here: Connection, search: str, state: EnrollmentState | None, where: str | None
) -> tuple[list[DeviceRow], Verdicts]:
    now = here.now
    rows = _all_devices(here, search, state) if where is None else find_here(here, where)
    ids = [row.id for row in rows]
    return rows, here.view(lambda tx: verdicts_of(tx, ids, now), about=ids)


def find_here(here: Connection, where: str) -> list[DeviceRow]:
    """Find the devices that a query means. Raises CommandRefused for one that can't be read."""
    now, query = here.now, here.view(lambda tx: read_query(tx, where), about=())
    if isinstance(query, Refusal):
        raise CommandRefused(query)
    return list(here.view_within(lambda tx, within: find_devices(tx, query, now, within)))


def _control(verdict: VerdictRow | ListedVerdict | None) -> dict[str, object]:
    """Return what programs are told of a verdict in a list; all of it is in `devices show`."""
    if verdict is None:
        return dict.fromkeys(("control", "reason", "control_since", "proof", "forecast"))
    return {
        "control": verdict.state,
        "reason": verdict.reason,
        "control_since": verdict.since,
        "proof": verdict.proof_level,
        "forecast": verdict.forecast,
    }


def _all_devices(data: Connection, search: str, state: EnrollmentState | None) -> list[DeviceRow]:
    rows: list[DeviceRow] = []
    after: ChannelId | None = None
    while True:
        query = DeviceQuery(search, None if state is None else state.value, after, PAGE_LIMIT)
        page = data.view_within(
            lambda tx, within, query=query: list_devices(tx, query, within)  # type: ignore[misc]
        )
        rows += page.rows
        after = page.next_after
        if after is None:
            return rows


@app.command("show")
def show(
    device_id: Annotated[
        str, typer.Argument(metavar="ID", help="The device's id or serial number, or the id of a channel of its.")
    ],
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Show everything known of one device."""
    with open_office(data_dir, database, key_ring) as data:
        # a user channel's id is its device's, a colon, and the user's
        channel_id, now = ChannelId(data.channel(device_id).partition(":")[0]), data.now
        found = data.ask(
            lambda here: here.view(
                lambda tx: show_one_device(tx, channel_id, now, here.settings.policy()), about=[channel_id]
            ),
            lambda there: there.find(at("devices", channel_id), OneDevice),
        )
    if found is None:
        raise CommandFailed(
            f"no device {device_id} is known", remedy="See `muster devices list`.", code=ExitCode.ABSENT
        )
    details, verdicts, renewal = found.details, found.verdicts, found.renewal
    if as_json:
        print_json({**asdict(details), "renewal": renewal, "verdicts": verdicts})
        return
    print_verdict(details, verdicts, now)
    _print_details(details, renewal, verdicts, now)


@app.command("renew")
def renew(
    device_ids: Annotated[list[str], typer.Argument(metavar="ID...", help="The devices' UDIDs or EnrollmentIDs.")],
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Renew the identities of devices now, whenever they end."""
    with open_office(data_dir, database, key_ring) as data:
        outcomes = data.run_all(ask_for_renewals, [ChannelId(device_id) for device_id in device_ids])
    asked = [outcome for outcome in outcomes if isinstance(outcome, AskedRenewal)]
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
    if as_json:
        print_json(asked)
    for one in asked:
        what = "waits already, and the device is pushed again" if one.is_waiting else "is sent within a minute"
        print(f"{one.device_id}: its renewal {what}.", file=sys.stderr)
    for refusal in refused[1:]:
        print(f"{refusal.message}.", file=sys.stderr)
    if refused:
        raise CommandRefused(refused[0])


@app.command("reach-link")
def reach_link(
    device_id: Annotated[str, typer.Argument(metavar="ID", help="The device's id.")],
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Print a link for a browser on the device: it tells whether the device reaches this server, and that is kept."""
    with open_office(data_dir, database, key_ring) as data:
        made = data.ask(
            lambda here: _reach_link(here, ChannelId(device_id)),
            lambda there: there.send("POST", at("devices", device_id, "reach-link"), ReachLinkMade),
        )
    if as_json:
        print_json(made)
        return
    print(made.url)
    print(f"Good until {made.expires_at:%Y-%m-%d %H:%M} UTC.", file=sys.stderr)


def _reach_link(here: Connection, device_id: ChannelId) -> ReachLinkMade:
    made = here.run(make_reach_links, device_id)
    return ReachLinkMade(made.device_id, f"{here.terms().public_url}/reach/{made.token}", made.expires_at)


app.command("inventory")(inventory.show)
app.command("refresh")(inventory.refresh)


def _print_details(
    details: DeviceDetails, renewal: RenewalRow | None, verdicts: Mapping[ChannelId, VerdictRow], now: datetime
) -> None:
    device = details.device
    sentence = _sentence(device, now, is_in_setup=bool(details.facts.get("awaiting_configuration")))
    print(f"\n{saying.capital(sentence)}")
    print()
    facts = {"id": device.id, "kind": device.kind, **details.facts, "identity expires": device.identity_not_after}
    for name, value in facts.items():
        if value is not None and name not in _FOR_QUERIES:
            said = without_orders(str(_shown(name, value, now)))
            print(f"  {_NAMES.get(name, name.replace('_', ' ')):<26}{said}")
    if details.same_serial:
        print(f"  {'same serial as':<26}{without_orders(', '.join(details.same_serial))}")
    if renewal is not None and renewal.words:
        print_told(f"\n{renewal.words}")
    if details.departure is not None:
        print_told(f"\n{details.departure.words}")
    _print_holds(details)
    print("\nChannels")
    print_table(
        ("ID", "KIND", "STATE", "CONTROL", "USER", "ON CONSOLE", "LAST CONTACT", "LAST PROOF", "WAITING"),
        [
            (
                c.id,
                c.kind,
                c.state,
                saying.STATES[verdicts[c.id].state] if c.id in verdicts else "",
                c.user_short_name,
                {None: "", True: "yes", False: "no"}[c.is_on_console],
                ago(c.last_contact_at, now),
                ago(c.last_proof_at, now),
                c.commands_waiting,
            )
            for c in details.channels
        ],
    )
    print("\nEvidence")
    print_table(
        ("LAST", "SIGNAL", "WHAT", "TIMES", "EPOCH", "FROM"),
        [(ago(e.last_at, now), e.signal, e.observed_class, e.count, e.epoch, e.source) for e in details.evidence],
    )


def _print_holds(details: DeviceDetails) -> None:
    """Say what is paused, and what waits for somebody's word, each with the commands for it."""
    for pause in details.pauses:
        print_told(f"\n{pause.words}")
    for one in details.held[:HELD_SHOWN]:
        print_told(f"\n{one.words}")
    left_out = held_left_out(details.held)
    if left_out is not None:
        print(f"\n{left_out}")


_FOR_QUERIES = frozenset({"os_version_key"})
"""Facts that are kept in a form for comparing, and stand beside the one that people read."""
_NAMES = {"inventory_at": "learned by inventory"}


def _shown(name: str, value: object, now: datetime) -> str:
    if isinstance(value, datetime):
        return ago(value, now) if name == "inventory_at" else f"{value:%Y-%m-%d}"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _sentence(device: DeviceRow, now: datetime, *, is_in_setup: bool) -> str:
    """Say in one sentence where the device stands."""
    contact = f"last contact {ago(device.last_contact_at, now)}"
    waiting = {0: "nothing waits", 1: "1 command waits"}.get(
        device.commands_waiting, f"{device.commands_waiting} commands wait"
    )
    if device.ended_at is not None:
        return f"ended {ago(device.ended_at, now)} ({device.ended_reason}); {contact}."
    if device.enrolled_at is None:
        return f"enrolling since {ago(device.first_seen_at, now)}; its TokenUpdate is still to come."
    where = ", in Setup Assistant" if is_in_setup else ""
    return f"enrolled {ago(device.enrolled_at, now)}{where}; {contact}; {waiting}."
