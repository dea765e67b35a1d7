"""What may befall devices and their users."""

from typing import Final

from muster.laboratory.scenario.primitives.forms import DEVICES, Kind, Lasts, Parameter, Primitive, Target

_BACK: Final = Parameter(
    "back", Kind.DURATION, "so long after it, it is set up again and enrolls as it did; without it: never"
)
_NEW_DEVICE: Final = Parameter("to", Kind.DEVICE, "which device; without it: a new one of the same kind")

OF_DEVICES: Final = (
    Primitive(
        "enroll",
        DEVICES,
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
        DEVICES,
        Lasts.A_WHILE,
        "Switched off, or the battery is empty. When it ends the device boots and says hello.",
        'on = "macs"\nshare = 0.1\nat = "10d 4h"\nfor = "5d"',
    ),
    Primitive(
        "restart",
        DEVICES,
        Lasts.A_MOMENT,
        "Its user restarts it: two minutes off. A client that hung comes to life; a device that was shut down is "
        "switched on; at a Mac that DeviceLock locked they enter the PIN.",
        'on = "macs/1"\nat = "10d 4h"',
    ),
    Primitive(
        "erase",
        DEVICES,
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
        DEVICES,
        Lasts.A_MOMENT,
        "Restored from a backup of its own, which brings back the identity and the PushMagic of that time; it says so "
        "by a TokenUpdate without Authenticate.",
        'on = "phones/1"\nat = "30d"\nage = "20d"',
        (Parameter("age", Kind.DURATION, "how old the backup is"),),
    ),
    Primitive(
        "restore_to_other",
        DEVICES,
        Lasts.A_MOMENT,
        "Its backup comes onto other hardware, which speaks with its identity; the old device is put away, off.",
        'on = "phones/1"\nat = "30d"',
        (_NEW_DEVICE, Parameter("age", Kind.DURATION, "how old the backup is")),
    ),
    Primitive(
        "migrate_identity_to",
        DEVICES,
        Lasts.A_MOMENT,
        "Another device begins to speak with its identity, and this one goes on, too.",
        'on = "macs/1"\nto = "macs/2"\nat = "30d"',
        (_NEW_DEVICE,),
    ),
    Primitive(
        "replace_board",
        DEVICES,
        Lasts.A_MOMENT,
        "A repair: another UDID under the same serial number. It enrolls again by the cohort's way.",
        'on = "macs/1"\nat = "30d"\nback = "2h"',
        (_BACK,),
    ),
    Primitive(
        "drop_identity",
        DEVICES,
        Lasts.A_WHILE,
        "The private key is gone from its keychain: it hears pushes and can answer none. The profile stays.",
        'on = "macs/1"\nat = "10d"',
    ),
    Primitive(
        "use_unknown_identity",
        DEVICES,
        Lasts.A_WHILE,
        "It signs with an identity that the server's authority issued, and that is bound to no enrollment.",
        'on = "macs/1"\nat = "10d"',
    ),
    Primitive(
        "remove_profile",
        DEVICES,
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
        DEVICES,
        Lasts.A_MOMENT,
        "It gets another push token; the former one is dead.",
        'on = "macs/1"\nat = "10d"',
        (Parameter("reported", Kind.FLAG, "whether its TokenUpdate is sent", True),),
    ),
    Primitive(
        "change_magic",
        DEVICES,
        Lasts.A_WHILE,
        "It heeds no push, for it expects another PushMagic than the server has. Contacts of its own go on.",
        'on = "macs/1"\nat = "10d"',
    ),
    Primitive(
        "ignore_commands",
        DEVICES,
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
        DEVICES,
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
        DEVICES,
        Lasts.A_WHILE,
        "It carries out one command, and the answer never leaves it.",
        'on = "macs/1"\nat = "10d"\ncommand = "InstallProfile"',
        (Parameter("command", Kind.TEXT, "its RequestType", needed=True),),
    ),
    Primitive(
        "refuse_renewal",
        DEVICES,
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
        DEVICES,
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
        DEVICES,
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
        DEVICES,
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
        DEVICES,
        Lasts.A_WHILE,
        "Its command channel is dead: no push is answered. Status reports of declarative management go on "
        "(`ddm = true`).",
        'on = "macs/1"\nat = "10d"',
    ),
    Primitive(
        "stop_ddm",
        DEVICES,
        Lasts.A_WHILE,
        "Commands are answered, and no status report comes any more (`ddm = true`).",
        'on = "macs/1"\nat = "10d"',
    ),
    Primitive(
        "user_login",
        DEVICES,
        Lasts.A_WHILE,
        "A user logs in; with `for` they log out again.",
        'on = "macs/1"\nuser = 2\nat = "9h"\nfor = "8h"\nevery = "1d"',
        (Parameter("user", Kind.COUNT, "which one", 1),),
    ),
    Primitive(
        "user_logout",
        DEVICES,
        Lasts.A_WHILE,
        "A user logs out; with `for` they log in again.",
        'on = "macs/1"\nat = "5d"\nfor = "3d"',
        (Parameter("user", Kind.COUNT, "which one", 1),),
    ),
    Primitive(
        "user_never_appears",
        DEVICES,
        Lasts.A_WHILE,
        "Users log in, and no channel of theirs ever opens. A channel that is open already stays so: begin it before "
        "they log in for the first time, which on a Mac is when it enrolls. Once it is over, their next login "
        "opens one, such as that after a restart.",
        'on = "macs/1"\nat = "0d"',
    ),
    Primitive(
        "user_dies",
        DEVICES,
        Lasts.A_WHILE,
        "A user stays logged in, and their channel is heard no more. The device's goes on.",
        'on = "macs/1"\nat = "10d"',
        (Parameter("user", Kind.COUNT, "which one", 1),),
    ),
    Primitive(
        "user_deleted",
        DEVICES,
        Lasts.A_MOMENT,
        "A user's account is deleted on the device; on a Shared iPad, evicted for room.",
        'on = "carts/1"\nuser = 2\nat = "10d"',
        (Parameter("user", Kind.COUNT, "which one", 1),),
    ),
    Primitive(
        "locked",
        DEVICES,
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
        DEVICES,
        Lasts.A_WHILE,
        "It is carried to another site; with `for` it comes back.",
        'on = "macs"\nshare = 0.2\nat = "10d"\nfor = "2d"\nsite = "cafe"',
        (Parameter("site", Kind.SITE, "where to; without it: a network of its own"),),
    ),
)
