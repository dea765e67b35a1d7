"""Which commands can ask a server elsewhere, which need to be where the server is, and which ask nobody.

Every command stands in one of the three.
"""

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from muster.cli.acting import SERVER
from muster.cli.errors import CommandFailed, ExitCode

ELSEWHERE: Final = frozenset(
    {
        "act group",
        "act inventory",
        "act list",
        "act push",
        "act recover",
        "admins disable",
        "admins enable",
        "admins link",
        "admins list",
        "admins reset",
        "admins sessions",
        "admins set-role",
        "admins set-scope",
        "apps configure",
        "apps install",
        "apps list",
        "apps remove",
        "apps verify",
        "audit export",
        "audit list",
        "audit verify",
        "authority show",
        "commands cancel",
        "commands clear",
        "commands held",
        "commands list",
        "commands pause",
        "commands release",
        "commands resume",
        "commands send",
        "commands sends",
        "commands show",
        "devices clear-passcode",
        "devices inventory",
        "devices list",
        "devices reach-link",
        "devices refresh",
        "devices reject",
        "devices renew",
        "devices return-to-service",
        "devices show",
        "devices unenroll",
        "enroll link",
        "enroll links",
        "enroll revoke",
        "flips drop",
        "flips list",
        "flips release",
        "groups add",
        "groups create",
        "groups delete",
        "groups list",
        "groups query",
        "groups remove",
        "groups rename",
        "groups show",
        "identities list",
        "import profile",
        "incidents",
        "policy control order",
        "policy control set",
        "policy control show",
        "policy control unset",
        "policy set",
        "policy show",
        "profiles install",
        "profiles list",
        "profiles remove",
        "profiles verify",
        "push explain",
        "push send",
        "push status",
        "push-cert list",
        "push-cert request",
        "push-cert show",
        "push-cert upload",
        "push-cert vendor request",
        "push-cert vendor upload",
        "recover",
        "return-to-service allow",
        "return-to-service forbid",
        "return-to-service show",
        "secrets administrator",
        "secrets clear",
        "secrets find",
        "secrets list",
        "secrets reveal",
        "secrets rotate",
        "secrets verify",
        "signals key list",
        "signals key rotate",
        "signals receiver add",
        "signals receiver list",
        "signals receiver remove",
        "signals receiver rotate-token",
        "signals stream disable",
        "signals stream pause",
        "signals stream resume",
        "status",
        "timeline",
        "tokens create",
        "tokens list",
        "tokens revoke",
        "users add",
        "users disable",
        "users list",
        "users set-password",
        "webhooks add",
        "webhooks deliveries",
        "webhooks disable",
        "webhooks list",
        "webhooks pause",
        "webhooks remove",
        "webhooks replay",
        "webhooks resume",
        "webhooks rotate-secret",
        "webhooks show",
        "webhooks test",
        "why",
        "witnesses add",
        "witnesses list",
        "witnesses remove",
        "witnesses rotate",
    }
)
"""These ask the server that --server names, where one is named."""

ASKS_NOBODY: Final = frozenset(
    {"commands describe", "commands types", "demo", "lab list", "lab run", "report prove", "report verify"}
)
"""These need no data of a server."""

_FILES: Final = "it works on files of the server's"
_KEYS: Final = "it works with keys that stay there"
_NO_ADDRESS: Final = "the interface for programs has no address for it"

_HERE_ALONE: dict[str, str] = {
    "check": _FILES,
    "init": _FILES,
    "migrate": _FILES,
    "serve": "it is the server",
    "journal list": _FILES,
    "journal replay": _FILES,
    "directory list": _FILES,
    "directory remove": _FILES,
    "directory set-password": _FILES,
    "enroll profile": _KEYS,
    "secrets filevault-profile": _KEYS,
    "report control": _KEYS,
    "report compare": "it reads all that was held at a time, device by device",
    "import micromdm": "it reads the other server's data beside this one's",
    "import nanomdm": "it reads the other server's data beside this one's",
    "authority rotate": "who issues identities is changed by who sits at the server alone",
    **dict.fromkeys(
        (
            "accounts assign",
            "accounts change",
            "accounts list",
            "accounts remove",
            "accounts renew-certificate",
            "accounts set-password",
            "accounts template change",
            "accounts template create",
            "accounts template list",
            "accounts template remove",
            "accounts template show",
        ),
        _NO_ADDRESS,
    ),
}

HERE_ALONE: Final[Mapping[str, str]] = MappingProxyType(_HERE_ALONE)
"""These need to be where the server is, and why."""


def check_place(words: str, given: Mapping[str, Any]) -> None:
    """Raise CommandFailed where a server elsewhere is named and the command can't ask it, or is told of data that is
    here as well. *given*: the command's arguments."""
    if SERVER.get() is None or words in ASKS_NOBODY:
        return
    if words not in ELSEWHERE:
        raise CommandFailed(
            f"`muster {words}` works on the server itself alone: {HERE_ALONE[words]}",
            remedy="Run it there, without --server (MUSTER_SERVER).",
            code=ExitCode.USAGE,
        )
    data_dir = given.get("data_dir")
    is_here = data_dir is not None and str(data_dir) != os.environ.get("MUSTER_DATA_DIR")
    if is_here or given.get("database") is not None or given.get("key_ring") is not None:
        raise CommandFailed(
            "--server names a server elsewhere, and so its data isn't here",
            remedy="Leave --data-dir, --database and --key-ring out, or --server (MUSTER_SERVER).",
            code=ExitCode.USAGE,
        )
