"""How each primitive is played. One table."""

from collections.abc import Mapping
from typing import Final

from muster.laboratory.scenario.acts.behaviour import BEHAVIOUR_ACTS
from muster.laboratory.scenario.acts.coming_and_going import COMING_ACTS
from muster.laboratory.scenario.acts.network import NETWORK_ACTS
from muster.laboratory.scenario.acts.parts import Act
from muster.laboratory.scenario.acts.power_and_places import POWER_ACTS
from muster.laboratory.scenario.acts.restoring import RESTORING_ACTS, take_backup
from muster.laboratory.scenario.acts.server_and_people import SERVER_ACTS, copy_database
from muster.laboratory.scenario.acts.tokens import TOKEN_ACTS
from muster.laboratory.scenario.acts.users import USER_ACTS

ACTS: Final[Mapping[str, Act]] = {
    **BEHAVIOUR_ACTS,
    **POWER_ACTS,
    **COMING_ACTS,
    **RESTORING_ACTS,
    **TOKEN_ACTS,
    **USER_ACTS,
    **NETWORK_ACTS,
    **SERVER_ACTS,
}
"""By primitive; every primitive has its line in one of them."""
PRELUDES: Final[Mapping[str, Act]] = {
    "restore_to_same": take_backup,
    "restore_to_other": take_backup,
    "database_rolled_back": copy_database,
}
"""What has to be done `age` before an event."""
