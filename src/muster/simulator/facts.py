"""What a simulated device is: the facts it reports about itself and never changes."""

from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import assert_never
from uuid import UUID

from muster.protocol.identifiers import SHARED_IPAD_USER_ID, Identifiers
from muster.protocol.os_family import OsFamily

SERIAL_ALPHABET = "0123456789CDFGHJKLMNPQRTVWXY"
"""Of the ten random characters which Apple's serial numbers have today: no vowels, nothing that looks like a digit."""


class Platform(StrEnum):
    """The families of devices which are simulated."""

    MAC = "Mac"
    IPHONE = "iPhone"
    IPAD = "iPad"
    APPLE_TV = "Apple TV"

    @property
    def family(self) -> OsFamily:
        """The systems that run on it."""
        match self:
            case Platform.MAC:
                return OsFamily.MACOS
            case Platform.IPHONE | Platform.IPAD:
                return OsFamily.IOS
            case Platform.APPLE_TV:
                return OsFamily.TVOS
            case _:
                assert_never(self)


@dataclass(frozen=True, slots=True)
class Product:
    """One model: Apple's ProductName, ModelName and the order number that stands for Model, and its storage in GB."""

    product_name: str
    model_name: str
    model: str
    capacity_gb: float


PRODUCTS: dict[Platform, tuple[Product, ...]] = {
    Platform.MAC: (
        Product("Mac15,3", "MacBook Pro", "Mac15,3", 494.38),
        Product("Mac14,2", "MacBook Air", "Mac14,2", 245.11),
        Product("Mac16,10", "Mac mini", "Mac16,10", 494.38),
        Product("Mac15,5", "iMac", "Mac15,5", 994.66),
    ),
    Platform.IPHONE: (
        Product("iPhone16,1", "iPhone", "MTQA3", 119.04),
        Product("iPhone14,7", "iPhone", "MPVN3", 119.04),
        Product("iPhone17,3", "iPhone", "MYEF3", 238.35),
    ),
    Platform.IPAD: (
        Product("iPad13,18", "iPad", "MPQ03", 59.60),
        Product("iPad14,8", "iPad", "MUWC3", 119.04),
    ),
    Platform.APPLE_TV: (Product("AppleTV14,1", "Apple TV", "MN873", 59.60),),
}

INTEL_MAC = Product("MacBookPro16,1", "MacBook Pro", "MacBookPro16,1", 494.38)
"""A Mac of the kind that has firmware passwords. It is never drawn; whoever wants it gives it to a device."""

RELEASES: dict[Platform, tuple[tuple[str, str], ...]] = {
    Platform.MAC: (("15.5", "24F74"), ("15.4.1", "24E263"), ("14.7.6", "23H626")),
    Platform.IPHONE: (("18.5", "22F76"), ("18.4.1", "22E252"), ("17.7.2", "21H221")),
    Platform.IPAD: (("18.5", "22F76"), ("18.4.1", "22E252"), ("17.7.8", "21H440")),
    Platform.APPLE_TV: (("18.5", "22L572"), ("18.4.1", "22L255")),
}
"""OSVersion and BuildVersion, the newest first."""

CHIPS = ("00008101", "00008110", "00008120", "00008130", "00008140")
"""The first half of the UDID of today's iPhones and iPads."""


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """One device. enrollment_id: set in a user enrollment, where the device names neither UDID nor serial number."""

    platform: Platform
    product: Product
    udid: str
    serial_number: str
    device_name: str
    os_version: str
    build_version: str
    wifi_mac: str
    bluetooth_mac: str
    imei: str | None
    is_supervised: bool
    enrollment_id: str | None

    @property
    def is_apple_silicon(self) -> bool:
        """Whether this is a Mac of the kind that has recovery locks; the older ones have firmware passwords."""
        return self.platform is Platform.MAC and self.product.product_name.startswith("Mac1")

    @property
    def is_user_enrollment(self) -> bool:
        """Whether this device belongs to its user, and says little about itself."""
        return self.enrollment_id is not None

    @property
    def user_agent(self) -> str:
        """The User-Agent of its MDM client."""
        return "MDM-OSX/1.0 mdmclient/1900" if self.platform is Platform.MAC else "MDM/1.0"

    @property
    def identifiers(self) -> Identifiers:
        """How its device channel names itself."""
        if self.enrollment_id is not None:
            return Identifiers(enrollment_id=self.enrollment_id)
        return Identifiers(udid=self.udid)


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who logs in: on a Mac known by GeneratedUID, on a Shared iPad by the account in *short_name*."""

    guid: str
    short_name: str
    long_name: str


def make_facts(
    platform: Platform, rng: Random, *, is_supervised: bool = True, is_user_enrollment: bool = False
) -> DeviceFacts:
    """A plausible device of *platform*, drawn from *rng*: equal generators give equal devices."""
    product = rng.choice(PRODUCTS[platform])
    os_version, build_version = rng.choice(RELEASES[platform])
    serial_number = "".join(rng.choices(SERIAL_ALPHABET, k=10))
    return DeviceFacts(
        platform=platform,
        product=product,
        udid=_udid(platform, rng),
        serial_number=serial_number,
        device_name=f"{product.model_name} {serial_number[-4:]}",
        os_version=os_version,
        build_version=build_version,
        wifi_mac=_mac_address(rng, ":"),
        bluetooth_mac=_mac_address(rng, "-" if platform is Platform.MAC else ":"),
        imei=f"35 {rng.randrange(10**6):06} {rng.randrange(10**6):06} {rng.randrange(10)}"
        if platform is Platform.IPHONE
        else None,
        is_supervised=is_supervised and not is_user_enrollment,
        enrollment_id=make_uuid(rng) if is_user_enrollment else None,
    )


def make_user(rng: Random) -> User:
    """A person, drawn from *rng*."""
    number = rng.randrange(1000, 10000)
    return User(guid=make_uuid(rng), short_name=f"user{number}", long_name=f"User {number}")


def user_identifiers(facts: DeviceFacts, user: User) -> Identifiers:
    """How *user*'s channel on this device names itself. Raises ValueError where a device has no users."""
    match facts.platform, facts.enrollment_id:
        case Platform.MAC, None:
            return Identifiers(
                udid=facts.udid, user_id=user.guid, user_short_name=user.short_name, user_long_name=user.long_name
            )
        case Platform.MAC, str(enrollment_id):
            return Identifiers(enrollment_id=enrollment_id, enrollment_user_id=user.guid, user_long_name=user.long_name)
        case Platform.IPAD, None:
            return Identifiers(
                udid=facts.udid,
                user_id=SHARED_IPAD_USER_ID,
                user_short_name=user.short_name,
                user_long_name=user.long_name,
            )
        case _:
            raise ValueError(f"a device such as this {facts.platform.value} has no users")


def make_uuid(rng: Random) -> str:
    """A random UUID in upper case, as Apple writes them."""
    return str(UUID(int=rng.getrandbits(128), version=4)).upper()


def _udid(platform: Platform, rng: Random) -> str:
    if platform is Platform.MAC:
        return make_uuid(rng)
    return f"{rng.choice(CHIPS)}-{rng.getrandbits(53):016X}"


def _mac_address(rng: Random, separator: str) -> str:
    octets = bytearray(rng.randbytes(6))
    octets[0] &= 0xFC  # universally administered, one station
    return octets.hex(separator)
