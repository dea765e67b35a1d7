"""What isn't for devices, put together: health, witnesses, signals, the API, and the console at every other address."""

from starlette.applications import Starlette
from starlette.routing import Mount

from muster.bootstrap.data_directory import Surroundings
from muster.bootstrap.familiar_door import familiar_door
from muster.bootstrap.identity_provider import identity_provider, provider_roles
from muster.bootstrap.runners import ViewRunner
from muster.crypto.sealing import KeyRing
from muster.edges.api.application import AdminApi, mounted_at_root
from muster.edges.api.endpoints import Site
from muster.edges.console.app import make_console
from muster.edges.health.readiness import Check
from muster.edges.health.routes import make_health
from muster.edges.signals.routes import make_signals_api
from muster.edges.witness.routes import make_witness_api
from muster.operations.views.readiness import check_clock, check_disk, check_journal, check_key_ring, check_schema
from muster.settings import Settings
from muster.storage import migrate


def make_administration(settings: Settings, around: Surroundings, ring: KeyRing, views: ViewRunner) -> Starlette:
    """Make the application that answers whatever isn't a device's."""
    checks: dict[str, Check] = {
        "schema": lambda tx: check_schema(tx, migrate.head()),
        "key_ring": lambda tx: check_key_ring(tx, ring),
        "journal": check_journal,
        "disk": lambda tx: check_disk(tx, around.disk(settings.data_dir)),
        "clock": lambda tx: check_clock(tx, views.now()),
    }
    console = make_console(
        views,
        secure_cookies=settings.effective_public_url.startswith("https://"),
        public_url=settings.effective_public_url,
        policy=settings.policy(),
        provider=identity_provider(settings, views.now),
        provider_roles=provider_roles(settings),
    )
    routes = [
        *make_health(views, checks),
        *make_witness_api(views),
        *make_signals_api(views),
        *familiar_door(settings, views),
        mounted_at_root(_admin_api(settings, views)),
    ]
    return Starlette(routes=[*routes, Mount("/", app=console)])


def _admin_api(settings: Settings, views: ViewRunner) -> AdminApi:
    site = Site(settings.policy(), settings.effective_public_url, settings.organization)
    return AdminApi(views, site, requests_per_minute=settings.api_requests_per_minute)
