"""NanoMDM's HTTP API, where it is switched on."""

from importlib.metadata import version

from starlette.routing import BaseRoute

from muster.edges.nanomdm.activation_lock import asks_apple_at
from muster.edges.nanomdm.routes import make_closed_door, make_nanomdm_api
from muster.operations.ports import Runner
from muster.settings import Settings


def familiar_door(settings: Settings, runner: Runner) -> list[BaseRoute]:
    """Make its routes; without a key they say that there is nothing."""
    if settings.nanomdm_api_key is None:
        return make_closed_door()
    trusted = settings.escrow_unlock_ca
    return make_nanomdm_api(
        runner,
        settings.nanomdm_api_key.get_secret_value(),
        version=version("muster-mdm"),
        ask_apple=asks_apple_at(settings.escrow_unlock_url, None if trusted is None else trusted.read_bytes()),
        takes_over=settings.migration_ca is not None,
    )
