"""Chromium adds a passkey and signs in by it: our pages, script and policies, and an authenticator of its own."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from tests.support.chromium import chromium
from tests.support.runner import InlineRunner

from muster.edges.console.app import make_console
from muster.operations.sign_in import create_sign_in_links

AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@contextmanager
def serving(runner: InlineRunner) -> Iterator[str]:
    """Serve the console on loopback, under the name by which browsers take plain HTTP for safe."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://localhost:{listening.getsockname()[1]}"
        app: Any = make_console(runner, secure_cookies=False, public_url=url)
        # streams of events have no end: a page that is still open when the test ends keeps nobody waiting
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])))
        thread.start()
        try:
            while not server.started:
                time.sleep(0.02)
            yield url
        finally:
            server.should_exit = True
            thread.join()


@pytest.mark.witness("chromium")
def test_a_passkey_is_added_and_signs_in(runner: InlineRunner, tmp_path: Path) -> None:
    [link] = runner.engine.write(lambda tx: create_sign_in_links(tx, ["ana"], runner.context()))
    with serving(runner) as url, chromium(tmp_path / "profile") as browser:
        browser.tell("WebAuthn.enable")
        browser.tell("WebAuthn.addVirtualAuthenticator", options=AUTHENTICATOR)
        browser.open(f"{url}/sign-in/{link.token}")
        browser.run("document.querySelector('form button').click()")
        browser.wait_for("location.pathname === '/devices'")

        browser.open(f"{url}/me")
        browser.wait_for("document.querySelector('[data-passkey=register]').hidden === false")
        browser.run("document.querySelector('[data-passkey=register] button').click()")
        browser.wait_for("document.querySelector('form[action^=\"/me/passkeys/\"]')")
        browser.shoot(tmp_path / "account.png")

        browser.run("document.querySelector('.who button').click()")
        browser.wait_for("location.pathname === '/sign-in'")
        browser.wait_for("document.querySelector('[data-passkey=sign-in]').hidden === false")
        browser.shoot(tmp_path / "sign-in.png")
        browser.run("document.querySelector('[data-passkey=sign-in] button').click()")
        browser.wait_for("location.pathname === '/devices'")

        browser.open(f"{url}/me")
        assert "passkey" in browser.run("document.querySelector('#sessions').closest('section').innerText")
