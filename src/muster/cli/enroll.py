"""`muster enroll`: open a way in for devices."""

import re
import sys
from datetime import timedelta
from typing import Annotated

import typer

from muster.bootstrap.profiles import profile_signer
from muster.cli.connection import AsJson, Database, DataDir, KeyRingFile, connect
from muster.cli.errors import CommandFailed, ExitCode
from muster.cli.output import print_json
from muster.domain.access import ALL_ACCESS_RIGHTS
from muster.operations.enrollment_links import (
    MAXIMUM_LIFETIME,
    MAXIMUM_USES,
    MINIMUM_LIFETIME,
    LinkOpened,
    LinkOrder,
    create_links,
    open_links,
)
from muster.operations.first_start import lay_foundation
from muster.protocol.profile import encode_enrollment_profile

app = typer.Typer(help="Enrollment links and profiles.", no_args_is_help=True)

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_DURATION = re.compile(r"([1-9][0-9]{0,8})([mhdw])")


def read_duration(text: str, option: str = "--expires") -> timedelta:
    """Read a duration such as 30m, 12h, 7d or 2w, given as *option*. Raises BadParameter for anything else."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise typer.BadParameter("give a number and a unit: 30m, 12h, 7d or 2w", param_hint=option)
    try:
        return int(match[1]) * _UNITS[match[2]]
    except OverflowError:
        raise typer.BadParameter("too long", param_hint=option) from None


@app.command("link")
def link(
    uses: Annotated[
        int, typer.Option("--uses", min=1, max=MAXIMUM_USES, help="How many devices may enroll with it.")
    ] = 1,
    expires: Annotated[str, typer.Option("--expires", help="How long it is good for: 30m, 12h, 7d, 2w.")] = "7d",
    note: Annotated[str, typer.Option("--note", help="What it is for, for people.")] = "",
    access_rights: Annotated[
        int, typer.Option("--access-rights", min=1, max=ALL_ACCESS_RIGHTS, help="AccessRights of the MDM payload.")
    ] = ALL_ACCESS_RIGHTS,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Make an enrollment link: whoever opens it on a device can enroll it."""
    lifetime = read_duration(expires)
    if not MINIMUM_LIFETIME <= lifetime <= MAXIMUM_LIFETIME:
        raise typer.BadParameter("a link is good for a minute at least and ten years at most", param_hint="--expires")
    with connect(data_dir, database, key_ring) as data:
        made = data.run(create_links, LinkOrder(uses, lifetime, note, access_rights))
        url = f"{data.terms().public_url}/enroll/{made.token}"
    if as_json:
        fields = {"url": url, "token": made.token, "id": made.link.id, "uses": uses, "expires_at": made.link.expires_at}
        print_json(fields)
        return
    print(url)
    devices = "one device" if uses == 1 else f"{uses} devices"
    print(f"Good for {devices} until {made.link.expires_at:%Y-%m-%d %H:%M} UTC.", file=sys.stderr)


@app.command("profile")
def profile(
    link_or_token: Annotated[str, typer.Argument(metavar="LINK", help="An enrollment link's URL, or its token.")],
    unsigned: Annotated[bool, typer.Option("--unsigned", help="The bare property list, not signed.")] = False,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
) -> None:
    """Print the enrollment profile that opening LINK gives: it enrolls one device."""
    if not unsigned and sys.stdout.isatty():
        raise CommandFailed(
            "a signed profile is binary", remedy="Redirect it into a .mobileconfig file.", code=ExitCode.USAGE
        )
    token = link_or_token.rstrip("/").rpartition("/")[2]
    with connect(data_dir, database, key_ring) as data:
        opened = data.run(open_links, LinkOpened(token, data.terms()))
        content = encode_enrollment_profile(opened)
        if not unsigned:
            foundation = data.run(lay_foundation, data.settings.organization)
            content = profile_signer(data.settings, foundation).sign(content)
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()
