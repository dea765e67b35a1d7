"""What is kept of a device stands on its page, and never what it is; so does who sits before a Mac."""

from datetime import timedelta

from tests.support import fleet
from tests.support.browser import Browser
from tests.support.runner import NOW, InlineRunner

from muster.domain.secrets import SecretKind, SecretState
from muster.edges.console.device_pages import SECRETS_SHOWN
from muster.edges.console.secrets import SECRET_KINDS, SECRET_STATES
from muster.protocol.identifiers import DeviceId
from muster.storage import escrow, user_logins
from muster.storage.escrow import SealedSecret

HOSTILE = "<b>'\" {{ 7*7 }}"
SEALED = b"what-is-sealed"


def keep(runner: InlineRunner, name: str, origin: str) -> None:
    secret = SealedSecret(name, SEALED, 1, NOW)
    runner.engine.write(lambda tx: escrow.add(tx, DeviceId("A"), SecretKind.FILEVAULT_KEY, secret, origin=origin))


def test_every_kind_and_state_has_words() -> None:
    assert SECRET_KINDS.keys() == set(SecretKind)
    assert SECRET_STATES.keys() == set(SecretState)


def test_page_tells_what_is_kept_and_not_what_it_is(runner: InlineRunner, ana: Browser) -> None:
    fleet.add_device(runner.engine, "A")
    keep(runner, "one", HOSTILE)

    text = ana.get("/devices/A").text

    assert "FileVault recovery key" in text
    assert "helpdesk" in text
    assert HOSTILE not in text
    assert SEALED.decode() not in text


def test_page_says_how_many_secrets_are_left_out(runner: InlineRunner, ana: Browser) -> None:
    fleet.add_device(runner.engine, "A")
    for number in range(SECRETS_SHOWN + 2):
        keep(runner, f"secret {number}", "SecurityInfo")

    assert "2 more are not shown" in ana.get("/devices/A").text


def test_page_without_secrets_has_no_section_of_them(runner: InlineRunner, ana: Browser) -> None:
    fleet.add_device(runner.engine, "A")

    assert 'id="secrets"' not in ana.get("/devices/A").text


def test_page_tells_who_of_several_users_sits_before_the_mac(runner: InlineRunner, ana: Browser) -> None:
    fleet.add_device(runner.engine, "A")
    noor, luis = fleet.add_user(runner.engine, "A", "N", "noor"), fleet.add_user(runner.engine, "A", "L", "luis")
    at = NOW - timedelta(hours=2)
    runner.engine.write(lambda tx: user_logins.set_console(tx, noor, at, is_on_console=True))
    runner.engine.write(lambda tx: user_logins.set_console(tx, luis, at, is_on_console=False))

    text = ana.get("/devices/A").text

    assert text.count(">at the Mac, ") == 1
    assert text.count(">not at the Mac, ") == 1
