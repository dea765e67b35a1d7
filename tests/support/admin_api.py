"""The interface for programs over a small site, and a program that shows a token."""

import json
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any

from starlette.applications import Starlette
from tests.support.browser import Browser, Reply
from tests.support.site import Site

from muster.domain.roles import Role
from muster.edges.api.application import DEFAULT_REQUESTS_PER_MINUTE, AdminApi, mounted_at_root
from muster.edges.api.endpoints import Site as ApiSite
from muster.edges.api.openapi import ROOT
from muster.operations.manage_tokens import NewToken, TokenOrder, create_tokens

US = "https://mdm.example"
_NUMBERS = count()


def mounted(site: Site, *, requests_per_minute: int = DEFAULT_REQUESTS_PER_MINUTE) -> Starlette:
    """Return the application that has the interface where it is."""
    api = AdminApi(site.runner, ApiSite(site.runner.policy, US), requests_per_minute=requests_per_minute)
    return Starlette(routes=[mounted_at_root(api)])


def make_token(site: Site, role: Role = Role.OWNER, *groups: str) -> str:
    """Return the secret of a new token."""
    order = TokenOrder(f"{role.value} {next(_NUMBERS)}", role, timedelta(days=1), groups)
    made = site.do(create_tokens, order)[0]
    assert isinstance(made, NewToken), made
    return made.secret


@dataclass(slots=True)
class Program:
    """A program that asks with *token*; with none where that is empty."""

    browser: Browser
    token: str

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Reply:
        """Send one request; *body* as JSON, bytes as they are."""
        said = [(name.replace("_", "-"), value) for name, value in headers.items()]
        if self.token:
            said.append(("authorization", f"Bearer {self.token}"))
        octets = b""
        if body is not None:
            said.append(("content-type", "application/json"))
            octets = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.browser.ask(method, f"{ROOT}{path}", said, octets)

    def get(self, path: str, **headers: str) -> Any:
        """Fetch what has to be there."""
        reply = self.ask("GET", path, **headers)
        assert reply.status == 200, reply.text
        return reply.json()

    def post(self, path: str, body: object = None, **headers: str) -> Any:
        """Send what has to be done."""
        reply = self.ask("POST", path, body, **headers)
        assert reply.status in (200, 201, 204), reply.text
        return reply.json() if reply.body else None


def program(site: Site, role: Role = Role.OWNER, *groups: str, requests_per_minute: int = 600) -> Program:
    """Return a program with a token of its own, and with an application of its own."""
    app = mounted(site, requests_per_minute=requests_per_minute)
    return Program(Browser(app), make_token(site, role, *groups))
