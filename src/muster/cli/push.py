"""`muster push`: wake a device."""

import sys
from typing import Annotated

import typer

from muster.cli.connection import AsJson, Database, DataDir, KeyRingFile, connect
from muster.cli.output import print_json
from muster.operations.ask_for_push import ask_for_push
from muster.protocol.identifiers import ChannelId

app = typer.Typer(help="Pushes.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Pushes."""


@app.command("send")
def send(
    channel_id: Annotated[str, typer.Argument(metavar="ID", help="A device's or user channel's id.")],
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Have the server push a channel at once, so that it connects."""
    with connect(data_dir, database, key_ring) as data:
        data.run(ask_for_push, ChannelId(channel_id))
    if as_json:
        print_json({"id": channel_id, "wanted": True})
        return
    print(f"The running server pushes {channel_id} within a second or two.", file=sys.stderr)
