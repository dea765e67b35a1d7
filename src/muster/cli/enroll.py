"""`muster enroll`: open a way in for devices."""

import re
import sys
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated

import typer

from muster.cli.connection import connect
from muster.cli.errors import CommandFailed, ExitCode
from muster.cli.office import AsJson, Database, DataDir, KeyRingFile, open_office
from muster.cli.output import ago, print_json, print_table
from muster.cli.server_calls import Server
from muster.domain.access import ALL_ACCESS_RIGHTS, EnrollmentLink, IdentityKind, LinkKind
from muster.operations.enrollment_links import (
    MAXIMUM_LIFETIME,
    MAXIMUM_USES,
    MINIMUM_LIFETIME,
    LinkOpened,
    LinkOrder,
    create_links,
    open_links,
    revoke_links,
)
from muster.operations.first_start import lay_foundation
from muster.operations.views.links import BY_ACCOUNT, ListedLink, MadeLink, list_links, made_link
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


UNLIMITED = "unlimited"
_CAPABILITIES = {
    "user-channels": "com.apple.mdm.per-user-connections",
    "bootstrap-token": "com.apple.mdm.bootstraptoken",
    "token": "com.apple.mdm.token",
}
"""ServerCapabilities of the MDM payload, by a word of ours."""


def read_uses(text: str) -> int | None:
    """Read how many devices may use a link; None: any number. Raises BadParameter for anything else."""
    if text == UNLIMITED:
        return None
    if text.isascii() and text.isdigit() and 1 <= int(text[:_DIGITS]) <= MAXIMUM_USES:
        return int(text[:_DIGITS])
    raise typer.BadParameter(f"give 1 to {MAXIMUM_USES}, or {UNLIMITED}", param_hint="--uses")


_DIGITS = 9
"""Of a number of uses that is looked at; all of them are more than the largest there is."""


def read_capabilities(text: str) -> tuple[str, ...]:
    """Read the server's capabilities by their words, or "none". Raises BadParameter for words nobody knows."""
    words = [] if text == "none" else [word.strip() for word in text.split(",")]
    unknown = [word for word in words if word not in _CAPABILITIES]
    if unknown:
        known = ", ".join(_CAPABILITIES)
        raise typer.BadParameter(
            f"give some of {known}, with commas between them, or none", param_hint="--capabilities"
        )
    return tuple(capability for word, capability in _CAPABILITIES.items() if word in words)


@app.command("link")
def link(
    kind: Annotated[LinkKind, typer.Option("--kind", help="By which way devices come in.")] = LinkKind.PROFILE,
    uses: Annotated[
        str, typer.Option("--uses", metavar="N|unlimited", help="How many devices may enroll with it.")
    ] = "1",
    expires: Annotated[str, typer.Option("--expires", help="How long it is good for: 30m, 12h, 7d, 2w.")] = "7d",
    note: Annotated[str, typer.Option("--note", help="What it is for, for people.")] = "",
    sign_in: Annotated[
        bool, typer.Option("--sign-in", help="People sign in before they get a profile (`muster users`).")
    ] = False,
    serial: Annotated[
        list[str] | None, typer.Option("--serial", help="A serial number it is for; may be given several times.")
    ] = None,
    access_rights: Annotated[
        int, typer.Option("--access-rights", min=1, max=ALL_ACCESS_RIGHTS, help="AccessRights of the MDM payload.")
    ] = ALL_ACCESS_RIGHTS,
    capabilities: Annotated[
        str, typer.Option("--capabilities", help="What the profile says the server can do, or none.")
    ] = ",".join(_CAPABILITIES),
    identity: Annotated[
        IdentityKind, typer.Option("--identity", help="How the device gets its identity.")
    ] = IdentityKind.SCEP,
    removable: Annotated[
        bool,
        typer.Option("--removable/--not-removable", help="Whether people may remove the profile; heeded in ADE only."),
    ] = True,
    required_os: Annotated[
        str | None, typer.Option("--required-os", help="Version that a device in ADE updates to before it enrolls.")
    ] = None,
    required_build: Annotated[
        str | None, typer.Option("--required-build", help="Build of --required-os, where that isn't enough.")
    ] = None,
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """Make an enrollment link: whoever opens it on a device can enroll it."""
    lifetime = read_duration(expires)
    if not MINIMUM_LIFETIME <= lifetime <= MAXIMUM_LIFETIME:
        raise typer.BadParameter("a link is good for a minute at least and ten years at most", param_hint="--expires")
    order = LinkOrder(
        read_uses(uses),
        lifetime,
        note,
        access_rights,
        kind,
        read_capabilities(capabilities),
        identity,
        is_removal_disallowed=not removable,
        requires_sign_in=sign_in,
        serial_numbers=frozenset(one.strip().upper() for one in serial) if serial else None,
        required_os_version=required_os,
        required_build_version=required_build,
    )
    with open_office(data_dir, database, key_ring) as data:
        made = data.ask(
            lambda here: made_link(here.run(create_links, order), here.terms().public_url),
            lambda there: _made_there(there, order),
        )
    if as_json:
        print_json({name: getattr(made, name) for name in ("url", "token", "id", "kind", "uses", "expires_at")})
        return
    url = made.url
    print(url)
    devices = {None: "any number of devices", 1: "one device"}.get(order.uses_allowed, f"{order.uses_allowed} devices")
    print(f"Good for {devices} until {made.expires_at:%Y-%m-%d %H:%M} UTC.", file=sys.stderr)
    if kind in BY_ACCOUNT:
        policy = f'muster policy set account_driven \'{{"default": "{made.id}"}}\''
        print(f"Devices find it once a policy names it: {policy}", file=sys.stderr)
    if kind is LinkKind.ADE and sign_in:
        print(f"Give devices {url}/web as their configuration_web_url, on which people sign in.", file=sys.stderr)
    if order.is_removal_disallowed and kind is not LinkKind.ADE:
        print("People can remove the profile all the same: devices heed this in ADE only.", file=sys.stderr)


@app.command("links")
def links(
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
    as_json: AsJson = False,
) -> None:
    """List enrollment links, the newest first. Their secrets are not kept, so they can't be shown again."""
    with open_office(data_dir, database, key_ring) as data:
        now = data.now
        listed = data.ask(
            lambda here: here.view(lambda tx: list_links(tx, now)),
            lambda there: there.get("/links", tuple[ListedLink, ...]),
        )
    if as_json:
        print_json([{**_fields(one.link), "created_by": one.created_by, "state": _state(one)} for one in listed])
        return
    print_table(
        ("ID", "KIND", "STATE", "USES", "EXPIRES", "MADE", "BY", "NOTE"),
        [
            (
                one.link.id,
                one.link.kind.value,
                _state(one),
                f"{one.link.uses} of {one.link.uses_allowed or UNLIMITED}",
                f"{one.link.expires_at:%Y-%m-%d %H:%M}",
                ago(one.link.created_at, now),
                one.created_by,
                one.link.note,
            )
            for one in listed
        ],
    )


def _fields(link: EnrollmentLink) -> dict[str, object]:
    serials = link.serial_numbers
    return {**asdict(link), "serial_numbers": None if serials is None else sorted(serials)}


def _state(one: ListedLink) -> str:
    return one.state.replace("_", " ")


def _made_there(there: Server, order: LinkOrder) -> MadeLink:
    serials = order.serial_numbers
    body = {
        "kind": order.kind,
        "uses": order.uses_allowed,
        "lifetime_seconds": int(order.lifetime.total_seconds()),
        "note": order.note,
        "requires_sign_in": order.requires_sign_in,
        "serial_numbers": None if serials is None else sorted(serials),
        "access_rights": order.access_rights,
        "capabilities": order.capabilities,
        "identity": order.identity_kind,
        "removable": not order.is_removal_disallowed,
        "required_os_version": order.required_os_version,
        "required_build_version": order.required_build_version,
    }
    return there.send("POST", "/links", MadeLink, body)


@app.command("revoke")
def revoke(
    link_id: Annotated[str, typer.Argument(metavar="ID", help="The link's id, from `muster enroll links`.")],
    data_dir: DataDir = None,
    database: Database = None,
    key_ring: KeyRingFile = None,
) -> None:
    """Withdraw a link, and the profiles that were fetched by it and not installed. What is enrolled stays."""
    with open_office(data_dir, database, key_ring) as data:
        data.run(revoke_links, link_id)
    print(f"{link_id} enrolls no more devices.")


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
    from muster.bootstrap.profiles import profile_signer  # noqa: PLC0415 - loads what other commands need not

    token = link_or_token.rstrip("/").rpartition("/")[2]
    with connect(data_dir, database, key_ring) as data:
        opened = data.run(open_links, LinkOpened(token, data.terms(), by_administrator=True))
        content = encode_enrollment_profile(opened)
        if not unsigned:
            foundation = data.run(lay_foundation, data.settings.organization)
            content = profile_signer(data.settings, foundation).sign(content)
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()
