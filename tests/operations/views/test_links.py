"""Links are listed with where they are opened and whether they still open; on both engines."""

from datetime import timedelta

import pytest
from tests.support.runner import NOW, InlineRunner

from muster.domain.access import LinkKind
from muster.operations.enrollment_links import LinkOrder, NewLink, create_links, revoke_links
from muster.operations.views.links import link_address, list_links
from muster.storage.engine import Engine


def made(engine: Engine, **order: object) -> NewLink:
    context = InlineRunner(engine, seed=len(engine.read(lambda tx: list_links(tx, NOW))) + 1).context()
    link_order = LinkOrder(1, timedelta(days=7), **order)  # type: ignore[arg-type]
    [link] = engine.write(lambda tx: create_links(tx, [link_order], context))
    assert isinstance(link, NewLink)
    return link


def test_links_are_listed_with_their_state(engine: Engine) -> None:
    opened, revoked = made(engine, note="open"), made(engine, note="ended")
    context = InlineRunner(engine).context()
    engine.write(lambda tx: revoke_links(tx, [revoked.link.id], context))

    def states(days: int) -> dict[str, str]:
        now = NOW + timedelta(days=days)
        return {one.link.note: one.state for one in engine.read(lambda tx: list_links(tx, now))}

    assert states(0) == {"open": "open", "ended": "revoked"}
    assert states(8) == {"open": "expired", "ended": "revoked"}
    assert opened.token not in repr(engine.read(lambda tx: list_links(tx, NOW)))


@pytest.mark.parametrize("kind", list(LinkKind))
def test_each_kind_has_its_address(engine: Engine, kind: LinkKind) -> None:
    link = made(engine, kind=kind)

    address = link_address("https://mdm.example.com", link)

    is_by_account = kind in {LinkKind.ACCOUNT_USER, LinkKind.ACCOUNT_DEVICE}
    assert address.startswith("https://mdm.example.com/")
    assert address.endswith(f"/{link.link.id if is_by_account else link.token}")
