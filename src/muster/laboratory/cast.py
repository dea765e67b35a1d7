"""Who takes part in a demonstration: mostly healthy devices, and a few with a story that an administrator will meet."""

from dataclasses import dataclass
from enum import Enum, auto
from random import Random

from muster.protocol.connect import ErrorItem
from muster.simulator.behaviour import Behaviour
from muster.simulator.facts import DeviceFacts, Platform, User, make_facts, make_uuid


class Story(Enum):
    """What will happen to a device beside answering."""

    NONE = auto()
    COLLEAGUE_LOGS_IN = auto()
    """A second person logs in to the Mac, and gets a channel of their own."""
    PUTS_OFF = auto()
    """Its screen is locked half of the time: NotNow."""
    FAILS = auto()
    """One command always fails."""
    FALLS_SILENT = auto()
    """It is heard no more, and nobody knows why."""
    CHECKS_OUT = auto()
    """Its owner removes the enrollment profile."""
    IS_LOST = auto()
    """Its owner has lost it: the administrator puts it into Lost Mode and asks where it is."""
    SLEEPS = auto()
    """It is off now and then; APNs keeps what is pushed meanwhile."""


class Way(Enum):
    """By which way a device comes in."""

    LINK = auto()
    """Its owner opens an enrollment link."""
    SETUP_ASSISTANT = auto()
    """It belongs to the organization, and enrolls while it is set up (Automated Device Enrollment)."""


@dataclass(frozen=True, slots=True)
class Part:
    """One device, its story, how it behaves for that, and for a Mac the person who uses it."""

    facts: DeviceFacts
    story: Story
    behaviour: Behaviour
    user: User | None

    @property
    def way(self) -> Way:
        """The iPads and the Apple TVs are the organization's own."""
        owned = (Platform.IPAD, Platform.APPLE_TV)
        return Way.SETUP_ASSISTANT if self.facts.platform in owned else Way.LINK


FAILING = "CertificateList"
NOT_NOW_SHARE = 0.5

_LEADS = (
    # told in the order in which they are listed; a small demonstration has the first few
    (Platform.MAC, Story.COLLEAGUE_LOGS_IN),
    (Platform.IPHONE, Story.PUTS_OFF),
    (Platform.IPAD, Story.NONE),
    (Platform.MAC, Story.FAILS),
    (Platform.IPHONE, Story.FALLS_SILENT),
    (Platform.IPAD, Story.CHECKS_OUT),
    (Platform.MAC, Story.SLEEPS),
    (Platform.APPLE_TV, Story.NONE),
    (Platform.IPHONE, Story.IS_LOST),
)
_OTHERS = (Platform.MAC, Platform.IPHONE, Platform.MAC, Platform.IPHONE, Platform.IPAD)

_NAMES = (
    ("noor", "Noor Haddad"),
    ("jonas", "Jonas Weber"),
    ("amara", "Amara Okafor"),
    ("luis", "Luis Ortega"),
    ("mei", "Mei Tanaka"),
    ("ines", "Inês Carvalho"),
    ("petra", "Petra Novák"),
    ("sam", "Sam Whitfield"),
)


def make_cast(count: int, rng: Random) -> list[Part]:
    """Draw *count* devices, each another; those with a story come first."""
    return [_part(number, rng) for number in range(count)]


def make_person(number: int, rng: Random) -> User:
    """A person with a name; the names come round again."""
    short_name, long_name = _NAMES[number % len(_NAMES)]
    return User(make_uuid(rng), short_name, long_name)


def _part(number: int, rng: Random) -> Part:
    if number < len(_LEADS):
        platform, story = _LEADS[number]
    else:
        platform, story = _OTHERS[number % len(_OTHERS)], Story.NONE
    user = make_person(number, rng) if platform is Platform.MAC else None
    return Part(make_facts(platform, rng), story, _behaviour(story), user)


def _behaviour(story: Story) -> Behaviour:
    if story is Story.PUTS_OFF:
        return Behaviour(not_now_share=NOT_NOW_SHARE)
    if story is Story.FAILS:
        words = "The certificates could not be read."
        return Behaviour(failing={FAILING: (ErrorItem(12000, "MCMDMErrorDomain", words, words),)})
    return Behaviour()
