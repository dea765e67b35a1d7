"""Which identities are known."""

from tests.support.site import Site, identity_of, print_of

from muster.operations.views.identities import is_known_identity
from muster.storage.engine import Engine


def test_identity_that_was_issued_is_known_and_a_strangers_is_not(engine: Engine) -> None:
    site = Site(engine)
    identity = site.identity()

    assert engine.read(lambda tx: is_known_identity(tx, print_of(identity)))
    assert not engine.read(lambda tx: is_known_identity(tx, print_of(identity_of(1, 1))))
