"""Lists keep to the bounds of whoever is limited to groups, on either engine."""

from datetime import timedelta

import pytest
from tests.support.fleet import add_device
from tests.support.runner import NOW

from muster.domain.control.reasons import Reason
from muster.domain.control.recovery import Run
from muster.domain.policy import Policy
from muster.domain.queries.parser import parse_query
from muster.operations.views.identities import IdentityQuery, list_identities
from muster.operations.views.recoveries import list_recoveries
from muster.protocol.identifiers import ChannelId
from muster.storage import recoveries
from muster.storage.engine import Engine
from muster.storage.queries import Bounds
from muster.storage.recoveries import Recovery


@pytest.fixture
def fleet(engine: Engine) -> Engine:
    """Two devices, each with an identity, and something done for it."""
    for id_, serial in (("A", "ONE"), ("B", "TWO")):
        add_device(engine, id_, serial_number=serial, identity_not_after=NOW + timedelta(days=30))
        one = Recovery(id_, ChannelId(id_), Run(Reason.SILENT, NOW))
        engine.write(lambda tx, one=one: recoveries.record(tx, [one]))  # type: ignore[misc]
    return engine


@pytest.mark.parametrize(
    ("bounds", "ids"), [(None, ["A", "B"]), ("serial = 'ONE'", ["A"]), ("serial = 'NONE'", []), ("name = 'x'", [])]
)
def test_lists_keep_to_bounds(fleet: Engine, bounds: str | None, ids: list[str]) -> None:
    within = None if bounds is None else Bounds(parse_query(bounds), NOW)

    identities = fleet.read(lambda tx: list_identities(tx, IdentityQuery(), NOW, Policy(), within))
    under_way = fleet.read(lambda tx: list_recoveries(tx, within=within))

    assert [row.device_id for row in identities.rows] == ids
    assert [row.channel_id for row in under_way] == ids
