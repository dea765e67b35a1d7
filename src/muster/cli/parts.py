"""The parts of the command line, each loaded when one of its commands is called: all of them together take seconds."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, wraps
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from muster.cli.places import check_place


@dataclass(frozen=True, slots=True)
class Part:
    """A command, or a group of them: its *help* in the list of all, and the *modules* of `muster.cli` that make it.

    Of a group the first module has its `app`, and those after it `register` more commands of it. A command that stands
    by itself is registered by its module.
    """

    help: str
    modules: tuple[str, ...]
    is_group: bool = True


PARTS: Final[Mapping[str, Part]] = {
    "init": Part(
        "Make the key ring, the schema, the certification authority and a sign-in link. Safe to run again.",
        ("server",),
        is_group=False,
    ),
    "serve": Part("Serve devices and administrators until stopped.", ("server",), is_group=False),
    "check": Part(
        "Check the settings and the files they name, and print what will be used, secrets masked.",
        ("server",),
        is_group=False,
    ),
    "migrate": Part(
        "Bring the database's schema to this version; an embedded database is backed up first.",
        ("server",),
        is_group=False,
    ),
    "demo": Part(
        "Run the real server with simulated devices and a simulated push service, all on this machine.",
        ("demo",),
        is_group=False,
    ),
    "lab": Part("The laboratory: simulated fleets in virtual time.", ("lab",)),
    "status": Part(
        "Tell how much of the fleet is under control, why not the rest, and what needs a person.",
        ("status",),
        is_group=False,
    ),
    "why": Part("Tell why a device is held to be as it is, rule by rule.", ("why",), is_group=False),
    "timeline": Part("Tell a device's story, the oldest first.", ("timeline",), is_group=False),
    "enroll": Part("Enrollment links and profiles.", ("enroll",)),
    "devices": Part("Devices and their channels.", ("devices", "letting_go", "return_to_service", "secrets")),
    "groups": Part("Groups of devices.", ("groups",)),
    "identities": Part("Identities of devices.", ("identities",)),
    "authority": Part("The authority that issues devices' identities.", ("authority",)),
    "commands": Part(
        "Commands and what became of them.",
        ("commands", "command_types", "send_command", "held_commands", "send_by_query", "queue_commands"),
    ),
    "journal": Part("The journal of check-ins, outside the database.", ("journal",)),
    "profiles": Part("Configuration profiles, and what became of them.", ("profiles",)),
    "accounts": Part("Accounts on devices, each in a profile of its own.", ("accounts",)),
    "apps": Part("Managed apps, and what became of them.", ("apps",)),
    "incidents": Part(
        "List what many devices have in common that went wrong: one line for one cause.", ("incidents",), is_group=False
    ),
    "flips": Part(
        "Mass flips: so many devices out of control at once that others are told only upon your word.", ("flips",)
    ),
    "signals": Part("Shared Signals: receivers learn whether devices are compliant (OpenID SSF, CAEP).", ("signals",)),
    "webhooks": Part("Webhooks: other systems are told of events by signed requests.", ("webhooks",)),
    "recover": Part(
        "Show what is done to bring a device back under control: what was found, what was done, and what comes next.",
        ("recover",),
        is_group=False,
    ),
    "act": Part("Do to everyone whom a query finds what is done to one.", ("act",)),
    "push": Part("Pushes.", ("push",)),
    "push-cert": Part("Push certificates, which let the server wake devices.", ("push_cert",)),
    "secrets": Part(
        "Secrets of devices: what opens them. They outlive re-enrollment and the device's record.", ("secrets",)
    ),
    "users": Part("People who sign in to enroll devices.", ("users",)),
    "directory": Part(
        "Network users of Macs: their passwords, for the policy network_users set to digest.", ("directory",)
    ),
    "return-to-service": Part(
        "Whether devices that are erased by hand enroll by themselves again; never, unless it is allowed here.",
        ("return_to_service",),
    ),
    "admins": Part("Administrators.", ("admins",)),
    "tokens": Part("Tokens, by which programs do what their role allows.", ("tokens",)),
    "policy": Part("Policies that hold from the moment they are set.", ("policy", "control_policy")),
    "witnesses": Part(
        "Agents, sign-ins, networks and the like that may say of devices that they were seen.", ("witnesses",)
    ),
    "report": Part("Signed reports of what was under control, and their verification.", ("report",)),
    "import": Part("Bring enrollments over from another server.", ("imports",)),
    "audit": Part("The log of who did what.", ("audit",)),
}
"""By name, in the order of the help. The help stands in the modules as well, and a test compares them."""


class UnloadedPart(TyperCommand):
    """What stands for a part until one of its commands is called, or completed."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Load the part, and have it take its arguments."""
        return self.load().make_context(info_name, args, parent, **extra)

    def load(self) -> TyperCommand | TyperGroup:
        """Return the command or group itself."""
        assert self.name is not None, "parts have names"
        return _load(self.name)


def add_parts(root: TyperGroup) -> None:
    """Add every part to *root*, unloaded."""
    for name, part in PARTS.items():
        root.add_command(UnloadedPart(name, help=part.help, rich_markup_mode=root.rich_markup_mode), name)


@cache  # registering commands a second time would list them twice
def _load(name: str) -> TyperCommand | TyperGroup:
    part = PARTS[name]
    first, *others = (import_module(f"muster.cli.{module}") for module in part.modules)
    around = typer.Typer()
    if part.is_group:
        for other in others:
            other.register(first.app)
        around.add_typer(first.app, name=name)
    else:
        first.register(around)
    loaded = typer.main.get_group(around).commands[name]
    assert isinstance(loaded, TyperCommand | TyperGroup), "made by Typer"
    _have_place_checked(loaded, name)
    return loaded


def _have_place_checked(command: TyperCommand | TyperGroup, words: str) -> None:
    """Have each command of a part look first whether it can be where it is told to be."""
    if isinstance(command, TyperGroup):
        for name, child in command.commands.items():
            assert isinstance(child, TyperCommand | TyperGroup), "made by Typer"
            _have_place_checked(child, f"{words} {name}")
        return
    work = command.callback
    assert work is not None, "commands do something"

    @wraps(work)
    def done(**given: Any) -> Any:
        check_place(words, given)
        return work(**given)

    command.callback = done
