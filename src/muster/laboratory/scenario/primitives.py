"""The primitives: every thing that may happen in a scenario, whom it may befall, and its parameters. One table.

The reader checks a file against it, the manual is made from it, and `play` plays each.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Final

from muster.laboratory.scenario.model import Value


class Target(StrEnum):
    """What a primitive befalls."""

    DEVICES = "devices"
    SITE = "site"
    APNS = "apns"
    ADE = "ade"
    SERVER = "server"


class Lasts(Enum):
    """How long it goes on."""

    A_MOMENT = "a moment"
    """`for` means nothing with it."""
    A_WHILE = "for `for`; without it to the end"


class Kind(StrEnum):
    """The type of a parameter, as it is written."""

    TEXT = "text"
    WORD = "one of its words"
    SHARE = "share, 0 to 1"
    COUNT = "whole number, 1 or more"
    FLAG = "true or false"
    DURATION = "duration"
    HOURS = "hours, UTC"
    DEVICE = "name of a device"
    SITE = "name of a site"
    KEYS = "table of keys"


@dataclass(frozen=True, slots=True)
class Parameter:
    """*default* None: it may be left out, and then nothing is meant; *needed*: it may not."""

    name: str
    kind: Kind
    help: str
    default: Value | None = None
    needed: bool = False
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Primitive:
    """*help*: what happens, said for a page. *example*: an event that uses it, TOML without its first line."""

    name: str
    targets: tuple[Target, ...]
    lasts: Lasts
    help: str
    example: str
    parameters: tuple[Parameter, ...] = ()

    def parameter(self, name: str) -> Parameter | None:
        """Its parameter *name*."""
        return next((one for one in self.parameters if one.name == name), None)


WORKERS: Final = (
    "push",
    "review",
    "deferred",
    "answers",
    "sends",
    "resurrections",
    "journal",
    "fleet-days",
    "self-tests",
    "push-certificates",
    "authorities",
    "outbox",
    "own-side",
    "partitions",
    "relay",
)
"""Of the server, all of them: `push` sends pushes, `review` judges, renews and asks for inventory, `deferred` takes in
answers."""
ENDPOINTS: Final = (
    "`/mdm` is of commands and check-ins, `/scep` of identities, `/enroll` of links, `/ade` of Setup Assistant"
)
_DEVICES: Final = (Target.DEVICES,)
_BACK: Final = Parameter(
    "back", Kind.DURATION, "so long after it, it is set up again and enrolls as it did; without it: never"
)
_NEW_DEVICE: Final = Parameter("to", Kind.DEVICE, "which device; without it: a new one of the same kind")

_OF_DEVICES: Final = (
    Primitive(
        "enroll",
        _DEVICES,
        Lasts.A_MOMENT,
        "An enrollment, by the cohort's way: of devices that are not enrolled, or are no more.",
        'on = "macs/3"\nat = "20d"',
        (
            Parameter(
                "ends_after",
                Kind.WORD,
                "the step after which it breaks off; the device stays without an enrollment",
                words=("SCEP", "Authenticate"),
            ),
        ),
    ),
    Primitive(
        "power_off",
        _DEVICES,
        Lasts.A_WHILE,
        "Switched off, or the battery is empty. When it ends the device boots and says hello.",
        'on = "macs"\nshare = 0.1\nat = "10d 4h"\nfor = "5d"',
    ),
    Primitive(
        "restart",
        _DEVICES,
        Lasts.A_MOMENT,
        "Its user restarts it: two minutes off. A client that hung comes to life; a device that was shut down is "
        "switched on; at a Mac that DeviceLock locked they enter the PIN.",
        'on = "macs/1"\nat = "10d 4h"',
    ),
    Primitive(
        "erase",
        _DEVICES,
        Lasts.A_MOMENT,
        "Everything on it is gone. By its user: it asks the server whether to return to service, and nobody is told "
        "more. An administrator sends EraseDevice.",
        'on = "ipads/1"\nat = "10d"\nback = "3h"',
        (
            Parameter("by", Kind.WORD, "who does it", "user", words=("user", "administrator")),
            _BACK,
        ),
    ),
    Primitive(
        "restore_to_same",
        _DEVICES,
        Lasts.A_MOMENT,
        "Restored from a backup of its own, which brings back the identity and the PushMagic of that time; it says so "
        "by a TokenUpdate without Authenticate.",
        'on = "phones/1"\nat = "30d"\nage = "20d"',
        (Parameter("age", Kind.DURATION, "how old the backup is"),),
    ),
    Primitive(
        "restore_to_other",
        _DEVICES,
        Lasts.A_MOMENT,
        "Its backup comes onto other hardware, which speaks with its identity; the old device is put away, off.",
        'on = "phones/1"\nat = "30d"',
        (_NEW_DEVICE, Parameter("age", Kind.DURATION, "how old the backup is")),
    ),
    Primitive(
        "migrate_identity_to",
        _DEVICES,
        Lasts.A_MOMENT,
        "Another device begins to speak with its identity, and this one goes on, too.",
        'on = "macs/1"\nto = "macs/2"\nat = "30d"',
        (_NEW_DEVICE,),
    ),
    Primitive(
        "replace_board",
        _DEVICES,
        Lasts.A_MOMENT,
        "A repair: another UDID under the same serial number. It enrolls again by the cohort's way.",
        'on = "macs/1"\nat = "30d"\nback = "2h"',
        (_BACK,),
    ),
    Primitive(
        "drop_identity",
        _DEVICES,
        Lasts.A_WHILE,
        "The private key is gone from its keychain: it hears pushes and can answer none. The profile stays.",
        'on = "macs/1"\nat = "10d"',
    ),
    Primitive(
        "use_unknown_identity",
        _DEVICES,
        Lasts.A_WHILE,
        "It signs with an identity that the server's authority issued, and that is bound to no enrollment.",
        'on = "macs/1"\nat = "10d"',
    ),
    Primitive(
        "remove_profile",
        _DEVICES,
        Lasts.A_MOMENT,
        "Its owner removes the enrollment profile.",
        'on = "phones"\ncount = 3\nat = "12d"\nreported = false',
        (
            Parameter("reported", Kind.FLAG, "whether its CheckOut reaches the server", True),
            _BACK,
        ),
    ),
    Primitive(
        "change_token",
        _DEVICES,
        Lasts.A_MOMENT,
        "It gets another push token; the former one is dead.",
        'on = "macs/1"\nat = "10d"',
        (Parameter("reported", Kind.FLAG, "whether its TokenUpdate is sent", True),),
    ),
    Primitive(
        "change_magic",
        _DEVICES,
        Lasts.A_WHILE,
        "It heeds no push, for it expects another PushMagic than the server has. Contacts of its own go on.",
        'on = "macs/1"\nat = "10d"',
    ),
    Primitive(
        "ignore_commands",
        _DEVICES,
        Lasts.A_WHILE,
        "It answers pushes and obeys nothing.",
        'on = "macs/1"\nat = "10d"\nanswer = "error"',
        (
            Parameter(
                "answer",
                Kind.WORD,
                "`nothing`: it takes commands and is never heard of them; `error`: it refuses each",
                "nothing",
                words=("nothing", "error"),
            ),
        ),
    ),
    Primitive(
        "answer_error",
        _DEVICES,
        Lasts.A_WHILE,
        "It answers one command with an error.",
        'on = "macs/1"\nat = "10d"\ncommand = "CertificateList"',
        (
            Parameter("command", Kind.TEXT, "its RequestType", needed=True),
            Parameter("code", Kind.COUNT, "ErrorCode, in MCMDMErrorDomain", 12000),
        ),
    ),
    Primitive(
        "lose_answers",
        _DEVICES,
        Lasts.A_WHILE,
        "It carries out one command, and the answer never leaves it.",
        'on = "macs/1"\nat = "10d"\ncommand = "InstallProfile"',
        (Parameter("command", Kind.TEXT, "its RequestType", needed=True),),
    ),
    Primitive(
        "refuse_renewal",
        _DEVICES,
        Lasts.A_WHILE,
        "The renewal of its identity fails at a step, and what was before comes back.",
        'on = "macs"\nat = "0d"\nafter = "SCEP"',
        (
            Parameter(
                "after",
                Kind.WORD,
                "the last step that is done",
                "SCEP",
                words=("SCEP", "Authenticate", "TokenUpdate"),
            ),
        ),
    ),
    Primitive(
        "not_now",
        _DEVICES,
        Lasts.A_WHILE,
        "It answers NotNow to what may be put off: on a Mac all questions, elsewhere none of them, and to answer them "
        "is to obey.",
        'on = "phones"\nat = "5d"\nfor = "20d"\nshare_of_commands = 0.5',
        (
            Parameter("share_of_commands", Kind.SHARE, "how many of them", 1.0),
            Parameter("hours", Kind.HOURS, "only between these times of day"),
        ),
    ),
    Primitive(
        "hang_on",
        _DEVICES,
        Lasts.A_WHILE,
        "It takes one command, and its answer never comes.",
        'on = "macs/1"\nat = "10d"\ncommand = "InstalledApplicationList"\nclient = true',
        (
            Parameter("command", Kind.TEXT, "its RequestType", needed=True),
            Parameter(
                "client", Kind.FLAG, "whether nothing at all leaves the device from then on, until a boot", False
            ),
        ),
    ),
    Primitive(
        "clock_offset",
        (Target.DEVICES, Target.SERVER),
        Lasts.A_WHILE,
        "The clock is wrong by so much.",
        'on = "macs/1"\nat = "10d"\noffset = "-2d"',
        (Parameter("offset", Kind.DURATION, "ahead, or with a minus behind", needed=True),),
    ),
    Primitive(
        "os_update",
        _DEVICES,
        Lasts.A_MOMENT,
        "Another OS: a restart, and new push tokens, of which it tells.",
        'on = "macs"\nat = "10d"\nversion = "26.1"\nbuild = "25B78"',
        (
            Parameter("version", Kind.TEXT, "OSVersion", needed=True),
            Parameter("build", Kind.TEXT, "BuildVersion", needed=True),
        ),
    ),
    Primitive(
        "answer_ddm_only",
        _DEVICES,
        Lasts.A_WHILE,
        "Its command channel is dead: no push is answered. Status reports of declarative management go on "
        "(`ddm = true`).",
        'on = "macs/1"\nat = "10d"',
    ),
    Primitive(
        "stop_ddm",
        _DEVICES,
        Lasts.A_WHILE,
        "Commands are answered, and no status report comes any more (`ddm = true`).",
        'on = "macs/1"\nat = "10d"',
    ),
    Primitive(
        "user_login",
        _DEVICES,
        Lasts.A_WHILE,
        "A user logs in; with `for` they log out again.",
        'on = "macs/1"\nuser = 2\nat = "9h"\nfor = "8h"\nevery = "1d"',
        (Parameter("user", Kind.COUNT, "which one", 1),),
    ),
    Primitive(
        "user_logout",
        _DEVICES,
        Lasts.A_WHILE,
        "A user logs out; with `for` they log in again.",
        'on = "macs/1"\nat = "5d"\nfor = "3d"',
        (Parameter("user", Kind.COUNT, "which one", 1),),
    ),
    Primitive(
        "user_never_appears",
        _DEVICES,
        Lasts.A_WHILE,
        "Users log in, and no channel of theirs ever opens. A channel that is open already stays so: begin it before "
        "they log in for the first time, which on a Mac is when it enrolls. Once it is over, their next login "
        "opens one, such as that after a restart.",
        'on = "macs/1"\nat = "0d"',
    ),
    Primitive(
        "user_dies",
        _DEVICES,
        Lasts.A_WHILE,
        "A user stays logged in, and their channel is heard no more. The device's goes on.",
        'on = "macs/1"\nat = "10d"',
        (Parameter("user", Kind.COUNT, "which one", 1),),
    ),
    Primitive(
        "user_deleted",
        _DEVICES,
        Lasts.A_MOMENT,
        "A user's account is deleted on the device; on a Shared iPad, evicted for room.",
        'on = "carts/1"\nuser = 2\nat = "10d"',
        (Parameter("user", Kind.COUNT, "which one", 1),),
    ),
    Primitive(
        "locked",
        _DEVICES,
        Lasts.A_WHILE,
        "Nobody unlocks it.",
        'on = "phones/1"\nat = "10d"\nfor = "20d"',
        (
            Parameter(
                "how",
                Kind.WORD,
                "`screen`: what may be put off is answered NotNow; `disk`: it was restarted, and nothing leaves it",
                "screen",
                words=("screen", "disk"),
            ),
        ),
    ),
    Primitive(
        "join_network",
        _DEVICES,
        Lasts.A_WHILE,
        "It is carried to another site; with `for` it comes back.",
        'on = "macs"\nshare = 0.2\nat = "10d"\nfor = "2d"\nsite = "cafe"',
        (Parameter("site", Kind.SITE, "where to; without it: a network of its own"),),
    ),
)

_OF_SITES: Final = (
    Primitive(
        "block_apns",
        (Target.SITE,),
        Lasts.A_WHILE,
        "The firewall lets nothing through to APNs. Of what is pushed APNs keeps the last.",
        'on = "school"\nat = "10d"\nfor = "7d"',
    ),
    Primitive(
        "block_server",
        (Target.SITE,),
        Lasts.A_WHILE,
        "The firewall lets nothing through to the server. Pushes arrive.",
        'on = "school"\nat = "10d"\nfor = "7d"',
    ),
    Primitive(
        "intercept_tls",
        (Target.SITE,),
        Lasts.A_WHILE,
        "A middlebox shows a certificate of its own: devices refuse it before they say anything.",
        'on = "school"\nat = "10d"\nfor = "7d"',
    ),
    Primitive(
        "outage",
        (Target.SITE, Target.APNS),
        Lasts.A_WHILE,
        "A site has no network at all. Or APNs refuses every push.",
        'on = "school"\nat = "10d"\nfor = "2d"',
        (
            Parameter(
                "reason",
                Kind.WORD,
                "of APNs: what it answers; `unreachable`: no connection comes about",
                "ServiceUnavailable",
                words=("ServiceUnavailable", "InternalServerError", "Shutdown", "unreachable"),
            ),
        ),
    ),
    Primitive(
        "slow",
        (Target.SITE, Target.APNS),
        Lasts.A_WHILE,
        "Every request takes so much longer.",
        'on = "school"\nat = "10d"\nfor = "2d"\ndelay = "20s"',
        (Parameter("delay", Kind.DURATION, "by how much", needed=True),),
    ),
    Primitive(
        "lose_requests",
        (Target.SITE, Target.DEVICES),
        Lasts.A_WHILE,
        "A share of the requests never arrives, and of the replies as well.",
        'on = "school"\nat = "10d"\nfor = "2d"\nlost = 0.3',
        (Parameter("lost", Kind.SHARE, "how many", needed=True),),
    ),
)

_OF_APNS: Final = (
    Primitive(
        "unregister",
        _DEVICES,
        Lasts.A_WHILE,
        "APNs has forgotten the push tokens that the device has: 410 from now on. With `for` it knows them again.",
        'on = "macs/1"\nat = "10d"',
    ),
    Primitive(
        "stale_unregister",
        _DEVICES,
        Lasts.A_WHILE,
        "APNs answers 410 with a time from before the token was reported: such an answer is out of date.",
        'on = "macs/1"\nat = "10d"\nfor = "3d"',
    ),
    Primitive(
        "reject",
        (Target.DEVICES, Target.APNS),
        Lasts.A_WHILE,
        "APNs refuses pushes with a reason of Apple's list: to these devices, whatever token they have, or of the "
        "whole topic.",
        'on = "macs/1"\nat = "10d"\nreason = "BadDeviceToken"',
        (
            Parameter(
                "reason", Kind.TEXT, "such as BadDeviceToken, DeviceTokenNotForTopic, BadCertificate", needed=True
            ),
        ),
    ),
    Primitive(
        "throttle",
        (Target.DEVICES, Target.APNS),
        Lasts.A_WHILE,
        "APNs takes no more than so many pushes to one token in so long; the others get 429.",
        'on = "apns"\nat = "10d"\nfor = "2d"\npushes = 1\nin = "1h"',
        (
            Parameter("pushes", Kind.COUNT, "how many", 1),
            Parameter("in", Kind.DURATION, "in how long", "1h"),
        ),
    ),
    Primitive(
        "drop_wrong_topic",
        (Target.DEVICES, Target.APNS),
        Lasts.A_WHILE,
        "APNs takes every push, to these devices or of the whole topic, and delivers none, as it may with a topic that "
        "is not the token's.",
        'on = "macs/1"\nat = "10d"',
    ),
)

_OF_ADE: Final = (
    Primitive(
        "unassign",
        _DEVICES,
        Lasts.A_WHILE,
        "The device's enrollment profile is taken off it at Apple; with `for` it is assigned again.",
        'on = "ipads/1"\nat = "10d"',
    ),
    Primitive(
        "assign_elsewhere",
        _DEVICES,
        Lasts.A_WHILE,
        "Somebody assigns it to another service. It stays here until it is erased.",
        'on = "ipads/1"\nat = "10d"\nleaves = "2d"',
        (Parameter("leaves", Kind.DURATION, "so long after it, it is erased and set up there; without it: it stays"),),
    ),
    Primitive(
        "release",
        _DEVICES,
        Lasts.A_MOMENT,
        "The organization gives it up at Apple: it is deleted from the list of devices.",
        'on = "ipads/1"\nat = "10d"\nleaves = "2d"',
        (Parameter("leaves", Kind.DURATION, "so long after it, it is erased; without it: it stays"),),
    ),
    Primitive(
        "token_expired",
        (Target.ADE,),
        Lasts.A_WHILE,
        "Apple refuses the server's token for automated enrollment.",
        'on = "ade"\nat = "10d"\nfor = "5d"',
    ),
)

_OF_THE_SERVER: Final = (
    Primitive(
        "server_down",
        (Target.SERVER,),
        Lasts.A_WHILE,
        "The server is stopped, or has crashed, and is started again.",
        'on = "server"\nat = "10d"\nfor = "7d"',
    ),
    Primitive(
        "worker_dead",
        (Target.SERVER,),
        Lasts.A_WHILE,
        "One of its workers makes no step any more.",
        'on = "server"\nat = "10d"\nfor = "1d"\nworker = "push"',
        (Parameter("worker", Kind.WORD, "its name", needed=True, words=WORKERS),),
    ),
    Primitive(
        "errors",
        (Target.SERVER,),
        Lasts.A_WHILE,
        "A share of the requests is answered 500.",
        'on = "server"\nat = "10d"\nfor = "1d"\nanswered_500 = 0.5',
        (
            Parameter("answered_500", Kind.SHARE, "how many", 1.0),
            Parameter("endpoint", Kind.TEXT, f"only those whose path begins so; {ENDPOINTS}"),
        ),
    ),
    Primitive(
        "push_certificate_expires",
        (Target.SERVER,),
        Lasts.A_WHILE,
        "The push certificate reaches its end; with `for` it is renewed so long after it.",
        'on = "server"\nat = "30d"\nfor = "3d"',
    ),
    Primitive(
        "push_certificate_replaced",
        (Target.SERVER,),
        Lasts.A_WHILE,
        "Somebody uploads a push certificate of another topic. The server keeps the former for whoever enrolled by it; "
        "who enrolls from now on is pushed by the new one. With `for` the former is put back.",
        'on = "server"\nat = "30d"\nfor = "3d"',
        (Parameter("topic", Kind.TEXT, "its topic", "com.apple.mgmt.External.11111111-1111-4111-8111-111111111111"),),
    ),
    Primitive(
        "push_certificate_revoked",
        (Target.SERVER,),
        Lasts.A_WHILE,
        "APNs refuses the push certificate; with `for` a new one is uploaded.",
        'on = "server"\nat = "30d"\nfor = "3d"',
    ),
    Primitive(
        "rotate_ca",
        (Target.SERVER,),
        Lasts.A_MOMENT,
        "A new authority issues identities from now on.",
        'on = "server"\nat = "30d"',
    ),
    Primitive(
        "database_rolled_back",
        (Target.SERVER,),
        Lasts.A_MOMENT,
        "The database is restored from a backup. The journal stays.",
        'on = "server"\nat = "30d"\nage = "2d"',
        (Parameter("age", Kind.DURATION, "how old the backup is", "1d"),),
    ),
    Primitive(
        "proxy_drops_identity",
        (Target.SERVER,),
        Lasts.A_WHILE,
        "The proxy before the server drops the headers that say who speaks.",
        'on = "server"\nat = "10d"\nfor = "1d"',
    ),
    Primitive(
        "tls_changed",
        (Target.SERVER,),
        Lasts.A_WHILE,
        "The server shows a TLS certificate that its devices don't trust: they say nothing.",
        'on = "server"\nat = "10d"\nfor = "1d"',
    ),
)

_OF_ADMINISTRATORS: Final = (
    Primitive(
        "send",
        _DEVICES,
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
        _DEVICES,
        Lasts.A_MOMENT,
        "An administrator has them leave.",
        'on = "macs/1"\nat = "10d"',
    ),
    Primitive(
        "lost_mode",
        _DEVICES,
        Lasts.A_WHILE,
        "An administrator puts them into Lost Mode; with `for`, out of it again.",
        'on = "phones/1"\nat = "10d"\nfor = "2d"',
    ),
)

_OF_WITNESSES: Final = (
    Primitive(
        "sees",
        _DEVICES,
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
        _DEVICES,
        Lasts.A_WHILE,
        "The witnesses on the device itself (agent, edr, osquery) fall silent.",
        'on = "macs/1"\nat = "10d"',
    ),
)

PRIMITIVES: Final[Mapping[str, Primitive]] = MappingProxyType(
    {
        one.name: one
        for one in (
            *_OF_DEVICES,
            *_OF_SITES,
            *_OF_APNS,
            *_OF_ADE,
            *_OF_THE_SERVER,
            *_OF_ADMINISTRATORS,
            *_OF_WITNESSES,
        )
    }
)
"""By name, in the order of the manual."""

OF_DDM: Final = frozenset({"answer_ddm_only", "stop_ddm"})
"""What befalls devices that speak declarative management."""
OF_ADE: Final = tuple(one for one in _OF_ADE if Target.DEVICES in one.targets)
"""What befalls devices that Apple lists."""

SECTIONS: Final = (
    ("Devices", _OF_DEVICES),
    ("Sites", _OF_SITES),
    ("APNs", _OF_APNS),
    ("Automated Device Enrollment", _OF_ADE),
    ("The server itself", _OF_THE_SERVER),
    ("Administrators", _OF_ADMINISTRATORS),
    ("Witnesses", _OF_WITNESSES),
)
"""As the manual is divided."""
