"""Every command that a simulated device answers, by its RequestType."""

from collections.abc import Mapping
from types import MappingProxyType

from muster.simulator.answers import Responder
from muster.simulator.applications import APPLICATION_RESPONDERS
from muster.simulator.device_settings import SETTINGS_RESPONDERS
from muster.simulator.escrow import ESCROW_RESPONDERS
from muster.simulator.inventory import INVENTORY_RESPONDERS
from muster.simulator.locking import LOCKING_RESPONDERS
from muster.simulator.os_updates import UPDATE_RESPONDERS
from muster.simulator.people import PEOPLE_RESPONDERS
from muster.simulator.profiles import PROFILE_RESPONDERS
from muster.simulator.remote import REMOTE_RESPONDERS

RESPONDERS: Mapping[str, Responder] = MappingProxyType(
    INVENTORY_RESPONDERS
    | PROFILE_RESPONDERS
    | APPLICATION_RESPONDERS
    | SETTINGS_RESPONDERS
    | LOCKING_RESPONDERS
    | ESCROW_RESPONDERS
    | PEOPLE_RESPONDERS
    | UPDATE_RESPONDERS
    | REMOTE_RESPONDERS
)
