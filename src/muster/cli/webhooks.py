"""`muster webhooks`: other systems are told of events by signed requests."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from muster.cli.errors import CommandFailed, ExitCode
from muster.cli.office import AsJson, Database, DataDir, KeyRingFile, open_office
from muster.cli.output import ago, print_json, print_table
from muster.cli.server_calls import at
from muster.domain.webhooks import FORMER_SECRET_FOR, BodyFormat, SubscriptionState
from muster.operations.manage_webhooks import (
    NewWebhook,
    ReplayOrder,
    StateOrder,
    WebhookOrder,
    add_webhooks,
    remove_webhooks,
    replay_deliveries,
    rotate_secrets,
    set_webhook_states,
    try_webhooks,
)
from muster.operations.views.webhooks import LIST_LIMIT, DeliveryRow, WebhookRow, list_deliveries, list_webhooks

app = typer.Typer(help="Webhooks: other systems are told of events by signed requests.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The webhook's name.")]


@app.command("add")
def add(
    name: Name,
    url: Annotated[str, typer.Argument(metavar="URL", help="Where requests go: https://...")],
    events: Annotated[
        list[str] | None,
        typer.Option("--event", metavar="TYPE", help="An event to tell, or control.* and the like; default: all."),
    ] = None,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="The URL may lead to an address that is not public.")
    ] = False,
    allow_http: Annotated[bool, typer.Option("--allow-http", help="The URL may be http://, unencrypted.")] = False,
    body_format: Annotated[
        BodyFormat,
        typer.Option("--format", help="What bodies look like; micromdm: what devices say, and nothing else."),
    ] = BodyFormat.MUSTER,
    secret_file: Annotated[
        Path | None, typer.Option("--secret-file", help="File with a secret that the receiver has already.")
    ] = None,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Add a webhook, and print the secret by which its requests are signed. It is shown this once."""
    order = WebhookOrder(
        name,
        url,
        tuple(events or ()),
        body_format,
        allows_plain=allow_http,
        allows_private=allow_private,
        secret=None if secret_file is None else _read(secret_file),
    )
    with open_office(data_dir, database, key_ring) as data:
        made = data.run(add_webhooks, order)
    _print_secret(made, as_json, f"{made.name} is told from now on; the line above is its secret.")


@app.command("rotate-secret")
def rotate_secret(
    name: Name,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Give a webhook another secret, and print it. For a day requests are signed by both."""
    with open_office(data_dir, database, key_ring) as data:
        made = data.run(rotate_secrets, name)
        until = data.now + FORMER_SECRET_FOR
    _print_secret(made, as_json, f"The former secret is good until {until:%Y-%m-%d %H:%M} UTC.")


@app.command("list")
def list_(
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """List webhooks, and how it goes with them."""
    with open_office(data_dir, database, key_ring) as data:
        rows = data.ask(
            lambda here: here.view(list_webhooks), lambda there: there.get("/webhooks", tuple[WebhookRow, ...])
        )
        now = data.now
    if as_json:
        print_json(rows)
        return
    if not rows:
        print("No webhooks. `muster webhooks add` adds one.")
        return
    print_table(
        ("NAME", "STATE", "WAITING", "OLDEST", "FAILING", "URL"),
        [
            (
                row.name,
                row.state,
                row.waiting,
                "" if row.oldest_waiting_at is None else ago(row.oldest_waiting_at, now),
                "" if row.failing_since is None else f"{row.failures} times since {ago(row.failing_since, now)}",
                row.url,
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
    """Show all that is known of a webhook, but for its secret."""
    with open_office(data_dir, database, key_ring) as data:
        rows = data.ask(
            lambda here: here.view(lambda tx: list_webhooks(tx, name)),
            lambda there: tuple(one for one in there.get("/webhooks", tuple[WebhookRow, ...]) if one.name == name),
        )
    if not rows:
        raise _absent(name)
    if as_json:
        print_json(rows[0])
        return
    row = rows[0]
    facts: list[tuple[str, object]] = [
        ("Name", row.name),
        ("URL", row.url),
        ("State", row.state),
        ("Told", ", ".join(row.event_types) or "everything"),
        ("Format", row.format),
        ("Private addresses", "allowed" if row.allows_private else "refused"),
        ("Added (UTC)", _minute(row.created_at)),
        ("Waiting", row.waiting),
        ("Oldest waiting (UTC)", _minute(row.oldest_waiting_at)),
        ("Failures in a row", row.failures),
        ("Failing since (UTC)", _minute(row.failing_since)),
        ("Asked again (UTC)", _minute(row.retry_at)),
        ("Last error", row.last_error or ""),
        ("Former secret until (UTC)", _minute(row.former_secret_until)),
    ]
    print_table(("WHAT", "IS"), [(what, is_) for what, is_ in facts if is_ != ""])


@app.command("test")
def try_out(
    name: Name,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Send a webhook an event of type webhook.test; `muster webhooks deliveries` shows what became of it."""
    with open_office(data_dir, database, key_ring) as data:
        event = data.run(try_webhooks, name)
    if as_json:
        print_json({"event_id": event.id})
        return
    print(f"The event {event.id} is on its way.", file=sys.stderr)


@app.command("pause")
def pause(
    name: Name,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
) -> None:
    """Send a webhook nothing; what happens meanwhile is kept for later."""
    _set_state(StateOrder(name, SubscriptionState.PAUSED), data_dir, database, key_ring)


@app.command("disable")
def disable(
    name: Name,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
) -> None:
    """Send a webhook nothing, and keep nothing of what happens meanwhile; what waits already is kept."""
    _set_state(StateOrder(name, SubscriptionState.DISABLED), data_dir, database, key_ring)


@app.command("resume")
def resume(
    name: Name,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
) -> None:
    """Go on with a webhook: with one that fails, at once."""
    _set_state(StateOrder(name, SubscriptionState.ENABLED), data_dir, database, key_ring)


@app.command("remove")
def remove(
    name: Name,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
) -> None:
    """Remove a webhook, with all that waits for it."""
    with open_office(data_dir, database, key_ring) as data:
        data.run(remove_webhooks, name)
    print(f"{name} is told no more.", file=sys.stderr)


@app.command("deliveries")
def deliveries(
    name: Name,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="How many of each at most.")] = LIST_LIMIT,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """List what waits for a webhook, then what was delivered, the latest first. Two weeks of it are kept."""
    with open_office(data_dir, database, key_ring) as data:
        rows = data.ask(
            lambda here: here.view(lambda tx: list_deliveries(tx, name, limit=limit)),
            lambda there: there.find(at("webhooks", name, "deliveries"), tuple[DeliveryRow, ...], limit=limit),
        )
    if rows is None:
        raise _absent(name)
    if as_json:
        print_json(rows)
        return
    if not rows:
        print("Nothing.")
        return
    print_table(
        ("HAPPENED (UTC)", "DELIVERED (UTC)", "ATTEMPTS", "EVENT", "ENROLLMENT", "ID", "WHY NOT YET"),
        [
            (
                _minute(row.at),
                _minute(row.delivered_at),
                row.attempts,
                row.event_type,
                row.channel_id,
                row.event_id,
                row.last_error or "",
            )
            for row in rows
        ],
    )


@app.command("replay")
def replay(
    name: Name,
    since: Annotated[
        datetime | None,
        typer.Option("--since", help="Only what happened since then, UTC.", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M"]),
    ] = None,
    event: Annotated[str | None, typer.Option("--event", metavar="ID", help="Only this event.")] = None,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Send events once more that were delivered, under the ids they had, in their order."""
    order = ReplayOrder(name, None if since is None else since.replace(tzinfo=UTC), event)
    with open_office(data_dir, database, key_ring) as data:
        replayed = data.run(replay_deliveries, order)
    if as_json:
        print_json(replayed)
        return
    print(f"{replayed.count:,} {'event goes' if replayed.count == 1 else 'events go'} out again.", file=sys.stderr)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"{path} can't be read: {error}", code=ExitCode.USAGE) from error


def _set_state(order: StateOrder, data_dir: DataDir, database: Database, key_ring: KeyRingFile) -> None:
    with open_office(data_dir, database, key_ring) as data:
        data.run(set_webhook_states, order)
    print(f"{order.name} is {order.state.value}.", file=sys.stderr)


def _print_secret(made: NewWebhook, as_json: bool, words: str) -> None:
    if as_json:
        print_json({"name": made.name, "url": made.url, "secret": made.secret})
        return
    print(made.secret)
    print(words, file=sys.stderr)


def _absent(name: str) -> CommandFailed:
    return CommandFailed(
        f"there is no webhook {name}", remedy="`muster webhooks list` lists them.", code=ExitCode.ABSENT
    )


def _minute(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M}"
