"""`muster signals`: receivers of OpenID Shared Signals learn whether devices are compliant."""

import sys
from typing import Annotated

import typer

from muster.cli.office import AsJson, Database, DataDir, KeyRingFile, open_office
from muster.cli.output import print_json, print_table
from muster.domain.signals import SigningKey
from muster.domain.webhooks import SubscriptionState
from muster.operations.manage_signals import (
    NewReceiver,
    ReceiverOrder,
    TurnOrder,
    add_receivers,
    remove_receivers,
    rotate_keys,
    rotate_receivers,
    turn_streams,
)
from muster.operations.views.signals import KeyMade, KeyRow, ReceiverRow, list_keys, list_receivers

app = typer.Typer(
    help="Shared Signals: receivers learn whether devices are compliant (OpenID SSF, CAEP).", no_args_is_help=True
)
receiver_app = typer.Typer(help="Who may set up a stream.", no_args_is_help=True)
stream_app = typer.Typer(help="Streams, each of one receiver.", no_args_is_help=True)
key_app = typer.Typer(help="Keys that sign what receivers are told.", no_args_is_help=True)
app.add_typer(receiver_app, name="receiver")
app.add_typer(stream_app, name="stream")
app.add_typer(key_app, name="key")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The receiver's name.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Why, for the receiver to read.")]


@receiver_app.command("add")
def add(
    name: Name,
    audience: Annotated[str, typer.Option("--audience", help="As the receiver calls itself, usually a URL.")],
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="It may be pushed to at an address that is not public.")
    ] = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Let a receiver in, and print its token. It is shown this once."""
    with open_office(data_dir, database, key_ring) as data:
        made = data.run(add_receivers, ReceiverOrder(name, audience, allow_private))
    _print_token(made, as_json)


@receiver_app.command("rotate-token")
def rotate_token(
    name: Name,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Give a receiver another token, and print it; the former one is good no more."""
    with open_office(data_dir, database, key_ring) as data:
        made = data.run(rotate_receivers, name)
    _print_token(made, as_json)


@receiver_app.command("list")
def list_(
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """List receivers, their streams, and how it goes with them."""
    with open_office(data_dir, database, key_ring) as data:
        rows = data.ask(
            lambda here: here.view(list_receivers),
            lambda there: there.get("/signals/receivers", tuple[ReceiverRow, ...]),
        )
    if as_json:
        print_json(rows)
        return
    if not rows:
        print("No receivers. `muster signals receiver add` lets one in.")
        return
    print_table(
        ("NAME", "AUDIENCE", "STREAM", "DELIVERY", "WAITING", "NOT COMPLIANT", "LAST ERROR"),
        [
            (
                row.name,
                row.audience,
                row.status or "not set up",
                row.method or "",
                row.waiting,
                row.not_compliant,
                row.last_error or "",
            )
            for row in rows
        ],
    )


@receiver_app.command("remove")
def remove(
    name: Name,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
) -> None:
    """Remove a receiver, its stream, and all that waits for it."""
    with open_office(data_dir, database, key_ring) as data:
        data.run(remove_receivers, name)
    print(f"{name} is told no more.", file=sys.stderr)


@stream_app.command("pause")
def pause(
    name: Name,
    reason: Reason = None,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
) -> None:
    """Keep what a receiver would be told for later; the stream tells the receiver so first."""
    _turn(TurnOrder(name, SubscriptionState.PAUSED, reason), data_dir, database, key_ring)


@stream_app.command("disable")
def disable(
    name: Name,
    reason: Reason = None,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
) -> None:
    """Drop what a receiver would be told; the stream tells the receiver so first."""
    _turn(TurnOrder(name, SubscriptionState.DISABLED, reason), data_dir, database, key_ring)


@stream_app.command("resume")
def resume(
    name: Name,
    reason: Reason = None,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
) -> None:
    """Go on with a stream; one that was disabled begins with what changed."""
    _turn(TurnOrder(name, SubscriptionState.ENABLED, reason), data_dir, database, key_ring)


@key_app.command("list")
def list_of_keys(
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """List the keys that receivers are shown."""
    with open_office(data_dir, database, key_ring) as data:
        now = data.now
        rows = data.ask(
            lambda here: here.view(lambda tx: list_keys(tx, now)),
            lambda there: there.get("/signals/keys", tuple[KeyRow, ...]),
        )
    if as_json:
        print_json(rows)
        return
    print_table(
        ("KEY", "MADE (UTC)", "SIGNS FROM (UTC)", "NOW"),
        [
            (
                row.kid,
                f"{row.created_at:%Y-%m-%d %H:%M}",
                f"{row.signs_from:%Y-%m-%d %H:%M}",
                "signs" if row.is_signing else "",
            )
            for row in rows
        ],
    )


@key_app.command("rotate")
def rotate(
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Make another key: published now, it signs from tomorrow on, when receivers know it."""
    with open_office(data_dir, database, key_ring) as data:
        key = data.ask(
            lambda here: _key_made(here.run(rotate_keys, None)),
            lambda there: there.send("POST", "/signals/keys", KeyMade),
        )
    if as_json:
        print_json(key)
        return
    print(f"{key.kid} signs from {key.signs_from:%Y-%m-%d %H:%M} UTC on.", file=sys.stderr)


def _key_made(key: SigningKey) -> KeyMade:
    return KeyMade(key.kid, key.signs_from)


def _turn(order: TurnOrder, data_dir: DataDir, database: Database, key_ring: KeyRingFile) -> None:
    with open_office(data_dir, database, key_ring) as data:
        data.run(turn_streams, order)
    print(f"The stream of {order.name} is {order.state.value}.", file=sys.stderr)


def _print_token(made: NewReceiver, as_json: bool) -> None:
    if as_json:
        print_json({"name": made.receiver.name, "audience": made.receiver.audience, "token": made.token})
        return
    print(made.token)
    print(f"{made.receiver.name} may set up its stream; the line above is its token.", file=sys.stderr)
