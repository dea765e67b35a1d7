"""What administrators do, and what other witnesses of the devices tell."""

from typing import Final

from muster.laboratory.scenario.primitives.forms import DEVICES, Kind, Lasts, Parameter, Primitive

OF_ADMINISTRATORS: Final = (
    Primitive(
        "send",
        DEVICES,
        Lasts.A_MOMENT,
        "An administrator sends a command.",
        'on = "macs"\nat = "1d"\nevery = "1d"\ncommand = "DeviceInformation"\nkeys = { Queries = ["OSVersion"] }',
        (
            Parameter("command", Kind.TEXT, "its RequestType", needed=True),
            Parameter("keys", Kind.KEYS, "its keys"),
            Parameter("user", Kind.COUNT, "to the channel of this user; without it: the device's"),
        ),
    ),
    Primitive(
        "unenroll",
        DEVICES,
        Lasts.A_MOMENT,
        "An administrator has them leave.",
        'on = "macs/1"\nat = "10d"',
    ),
    Primitive(
        "lost_mode",
        DEVICES,
        Lasts.A_WHILE,
        "An administrator puts them into Lost Mode; with `for`, out of it again.",
        'on = "phones/1"\nat = "10d"\nfor = "2d"',
    ),
)

OF_WITNESSES: Final = (
    Primitive(
        "sees",
        DEVICES,
        Lasts.A_WHILE,
        "Another witness keeps telling the server that it sees them, while they are on and have a network. `agent`, "
        "`edr` and `osquery` run on the device and know whether it has an MDM profile; the others don't. The "
        "policy `agent` names the one that should be heard.",
        'on = "macs"\nat = "0d"\nby = "agent"\nagain = "6h"',
        (
            Parameter("by", Kind.WORD, "who", "agent", words=("agent", "edr", "idp", "osquery", "vpn", "wifi")),
            Parameter("again", Kind.DURATION, "how often", "6h"),
            Parameter(
                "says_no_profile",
                Kind.FLAG,
                "whether one on the device says that there is no MDM profile, once that is so",
                True,
            ),
        ),
    ),
    Primitive(
        "agent_dies",
        DEVICES,
        Lasts.A_WHILE,
        "The witnesses on the device itself (agent, edr, osquery) fall silent.",
        'on = "macs/1"\nat = "10d"',
    ),
)
