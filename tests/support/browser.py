"""A browser for tests: speaks ASGI to an application, keeps cookies, follows nothing by itself."""

import asyncio
import json
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import unquote, urlencode

from starlette.types import ASGIApp


@dataclass(frozen=True, slots=True)
class Reply:
    """What the application answered; header names are in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    def header(self, name: str) -> str | None:
        """Return the first header of this name."""
        return next((value for each, value in self.headers if each == name), None)

    def cookies(self) -> dict[str, str]:
        """Return the Set-Cookie lines by the cookie's name."""
        lines = [value for name, value in self.headers if name == "set-cookie"]
        return {line.partition("=")[0]: line for line in lines}

    def json(self) -> Any:
        """Return the body read as JSON."""
        return json.loads(self.body)


@dataclass(slots=True)
class Browser:
    """One visitor of *app*, by plain HTTP on localhost."""

    app: ASGIApp
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, target: str, headers: Iterable[tuple[str, str]] = ()) -> Reply:
        """Fetch *target*, a path with its query."""
        return self.ask("GET", target, headers)

    def post(self, target: str, headers: Iterable[tuple[str, str]] = (("sec-fetch-site", "same-origin"),)) -> Reply:
        """Send an empty form, as one of our own pages does unless *headers* say otherwise."""
        return self.ask("POST", target, headers)

    def submit(self, target: str, fields: Mapping[str, str]) -> Reply:
        """Send a form with *fields*, as one of our own pages does."""
        headers = (("sec-fetch-site", "same-origin"), ("content-type", "application/x-www-form-urlencoded"))
        return self.ask("POST", target, headers, urlencode(fields).encode())

    def ask(self, method: str, target: str, headers: Iterable[tuple[str, str]] = (), body: bytes = b"") -> Reply:
        """Send one request."""
        return asyncio.run(self._ask(method, target, headers, body))

    async def _ask(self, method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes) -> Reply:
        path, _, query = target.partition("?")
        lines = [("host", "localhost"), *headers]
        if self.cookies:
            lines.append(("cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items())))
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in lines],
            "client": ("127.0.0.1", 5000),
            "server": ("localhost", 80),
        }
        sent: list[MutableMapping[str, Any]] = []

        bodies = [body]

        async def receive() -> MutableMapping[str, Any]:
            if not bodies:
                await asyncio.Event().wait()  # the visitor stays, and says nothing more
            return {"type": "http.request", "body": bodies.pop(), "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        try:
            await self.app(scope, receive, send)
        except Exception:
            # servers log what an application raises after it has answered
            if not sent:
                raise
        reply = Reply(
            sent[0]["status"],
            tuple((name.decode().lower(), value.decode("latin-1")) for name, value in sent[0]["headers"]),
            b"".join(message.get("body", b"") for message in sent[1:]),
        )
        self._keep(reply)
        return reply

    def _keep(self, reply: Reply) -> None:
        for line in reply.cookies().values():
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
