"""The primitives: every thing that may happen in a scenario, whom it may befall, and its parameters. One table.

The reader checks a file against it, the manual is made from it, and `play` plays each.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from muster.laboratory.scenario.primitives.ade import OF_AUTOMATED_ENROLLMENT
from muster.laboratory.scenario.primitives.apns import OF_APNS
from muster.laboratory.scenario.primitives.devices import OF_DEVICES
from muster.laboratory.scenario.primitives.forms import Primitive, Target
from muster.laboratory.scenario.primitives.people import OF_ADMINISTRATORS, OF_WITNESSES
from muster.laboratory.scenario.primitives.server import OF_THE_SERVER
from muster.laboratory.scenario.primitives.sites import OF_SITES

PRIMITIVES: Final[Mapping[str, Primitive]] = MappingProxyType(
    {
        one.name: one
        for one in (
            *OF_DEVICES,
            *OF_SITES,
            *OF_APNS,
            *OF_AUTOMATED_ENROLLMENT,
            *OF_THE_SERVER,
            *OF_ADMINISTRATORS,
            *OF_WITNESSES,
        )
    }
)
"""By name, in the order of the manual."""

OF_DDM: Final = frozenset({"answer_ddm_only", "stop_ddm"})
"""What befalls devices that speak declarative management."""

OF_ADE: Final = tuple(one for one in OF_AUTOMATED_ENROLLMENT if Target.DEVICES in one.targets)
"""What befalls devices that Apple lists."""

SECTIONS: Final = (
    ("Devices", OF_DEVICES),
    ("Sites", OF_SITES),
    ("APNs", OF_APNS),
    ("Automated Device Enrollment", OF_AUTOMATED_ENROLLMENT),
    ("The server itself", OF_THE_SERVER),
    ("Administrators", OF_ADMINISTRATORS),
    ("Witnesses", OF_WITNESSES),
)
"""As the manual is divided."""
