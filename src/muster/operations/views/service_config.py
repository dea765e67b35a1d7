"""What tools that prepare devices are told of this server."""

from dataclasses import dataclass

from muster.storage import installations, policies
from muster.storage.engine import Transaction


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """*profile_identifier* is that of enrollment profiles; *has_ade_link*: devices may enroll at /ade."""

    profile_identifier: str
    has_ade_link: bool


def read_service_facts(tx: Transaction) -> ServiceFacts:
    """Read them."""
    here = installations.read(tx)
    assert here is not None, "the first start records the installation"
    return ServiceFacts(here.profile_identifier, policies.read(tx).ade_link is not None)
