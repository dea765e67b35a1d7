"""What a query can ask for: each field's name, its type and the words it may have.

A field of `device_facts` of the same name needs its line here and nothing else; where others come from is said in
`storage/queries.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from muster.domain.access import LinkKind
from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState, Forecast
from muster.domain.enrollment import EnrollmentState
from muster.protocol.identifiers import ChannelKind
from muster.protocol.os_family import OsFamily


class FieldKind(StrEnum):
    """Of what type a field is; it decides what can be asked of it."""

    TEXT = "text"
    WORD = "word"
    """One of a few words."""
    VERSION = "version"
    """Compared number by number: 26.10 is later than 26.9."""
    NUMBER = "number"
    FLAG = "true or false"
    INSTANT = "time"
    LIST = "list"
    """Identifiers of which a device has many: its apps, its profiles."""
    GROUP = "group"


@dataclass(frozen=True, slots=True)
class Field:
    """One field. *words* are those that it may have, in the case in which they are stored; none where any will do."""

    name: str
    kind: FieldKind
    help: str
    words: tuple[str, ...] = ()


_ALL: Final = (
    Field("id", FieldKind.TEXT, "the id of the device: its UDID, or the EnrollmentID of a user's own device"),
    Field("serial", FieldKind.TEXT, "serial number"),
    Field("name", FieldKind.TEXT, "the device's name"),
    Field("platform", FieldKind.WORD, "operating system; iPadOS goes as iOS", tuple(OsFamily)),
    Field("model", FieldKind.TEXT, "what the device calls its model: MacBook Pro, or Mac14,2 where it says no more"),
    Field("product", FieldKind.TEXT, "ProductName, such as Mac14,2"),
    Field("os_version", FieldKind.VERSION, "version of the operating system"),
    Field("build", FieldKind.TEXT, "build of the operating system, such as 25B78"),
    Field("state", FieldKind.WORD, "of the enrollment", tuple(EnrollmentState)),
    Field("kind", FieldKind.WORD, "of the channel: a device's or a user's", tuple(ChannelKind)),
    Field("is_supervised", FieldKind.FLAG, "whether the device is supervised"),
    Field("is_multi_user", FieldKind.FLAG, "whether it is a Shared iPad"),
    Field("is_automated_enrollment", FieldKind.FLAG, "whether it came by Automated Device Enrollment, as a Mac says"),
    Field("is_user_approved", FieldKind.FLAG, "whether the user approved the enrollment of a Mac"),
    Field("is_enrollment_removable", FieldKind.FLAG, "whether the user can remove the enrollment profile"),
    Field("has_enrollment_profile", FieldKind.FLAG, "whether the enrollment profile is among its profiles"),
    Field("has_identity_certificate", FieldKind.FLAG, "whether its identity is among its certificates"),
    Field("has_locked_profiles", FieldKind.FLAG, "whether it has managed profiles that the user can't simply remove"),
    Field("is_passcode_present", FieldKind.FLAG, "whether it has a passcode"),
    Field("is_passcode_compliant", FieldKind.FLAG, "whether its passcode is what its profiles ask for"),
    Field("is_disk_encrypted", FieldKind.FLAG, "whether FileVault is on"),
    Field("is_firewall_enabled", FieldKind.FLAG, "whether a Mac's firewall is on"),
    Field("is_sip_enabled", FieldKind.FLAG, "whether a Mac's System Integrity Protection is on"),
    Field("is_recovery_locked", FieldKind.FLAG, "whether a Mac has a recovery lock"),
    Field("is_activation_locked", FieldKind.FLAG, "whether its owner's Activation Lock is on"),
    Field("is_lost", FieldKind.FLAG, "whether it is in lost mode"),
    Field("total_capacity", FieldKind.NUMBER, "its storage, in GB"),
    Field("available_capacity", FieldKind.NUMBER, "what is free of its storage, in GB"),
    Field("wifi_mac", FieldKind.TEXT, "address of its Wi-Fi"),
    Field("inventory_at", FieldKind.INSTANT, "when it last told of itself"),
    Field("user", FieldKind.TEXT, "short name of the user of a user's channel"),
    Field("account", FieldKind.TEXT, "Managed Apple Account by which it enrolled"),
    Field("link", FieldKind.TEXT, "id of the enrollment link by which its present enrollment came"),
    Field("way", FieldKind.WORD, "by which way its present enrollment came", tuple(LinkKind)),
    Field("enrolled", FieldKind.INSTANT, "when its present enrollment began"),
    Field("first_seen", FieldKind.INSTANT, "when it was heard of first"),
    Field("last_contact", FieldKind.INSTANT, "when it was heard last"),
    Field("last_proof", FieldKind.INSTANT, "when it last did what a command asked"),
    Field("control", FieldKind.WORD, "its verdict; unknown before the first", tuple(ControlState)),
    Field("reason", FieldKind.WORD, "the reason of its verdict", tuple(Reason)),
    Field("control_since", FieldKind.INSTANT, "since when it is in that state, whenever that was noticed"),
    Field("proof", FieldKind.NUMBER, "how well proved: 4 obeyed, 3 in contact, 2 signed, 1 pushed, 0 nothing"),
    Field("forecast", FieldKind.WORD, "what brings it back under control", tuple(Forecast)),
    Field("identity_expires", FieldKind.INSTANT, "until when its identity certificate is valid"),
    Field("push_refused", FieldKind.INSTANT, "since when APNs takes no pushes for it; unknown where it does"),
    Field("is_paused", FieldKind.FLAG, "whether its queue is paused"),
    Field("has_parked_command", FieldKind.FLAG, "whether it was handed a command again and again and never answered"),
    Field("app", FieldKind.LIST, "identifier of an app it has, such as com.apple.Pages"),
    Field("profile", FieldKind.LIST, "PayloadIdentifier of a profile it has"),
    Field("certificate", FieldKind.LIST, "SHA-256 of a certificate it has"),
    Field("group", FieldKind.GROUP, "name of a group it is in"),
)

FIELDS: Final[Mapping[str, Field]] = MappingProxyType({field.name: field for field in _ALL})
"""By name, in the order of the manual."""

OF_VERDICTS: Final = frozenset({"control", "reason", "control_since", "proof", "forecast"})
"""Fields of what is held of a channel: a policy by which it is judged can't depend on them."""
