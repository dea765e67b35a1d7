"""The table of permissions is whole, and a role has what those before it have."""

import pytest

from muster.domain.permissions import LEAST_ROLE, Permission, allows, to_send
from muster.domain.roles import Role
from muster.domain.secrets import SecretKind, needed_to_reveal


def test_every_permission_has_a_least_role() -> None:
    assert set(LEAST_ROLE) == set(Permission)


@pytest.mark.parametrize("permission", Permission)
def test_an_owner_may_do_everything(permission: Permission) -> None:
    assert allows(Role.OWNER, permission)


def test_a_viewer_sees_and_does_nothing_else() -> None:
    assert [one for one in Permission if allows(Role.VIEWER, one)] == [Permission.SEE]


@pytest.mark.parametrize(("lower", "higher"), list(zip(tuple(Role), tuple(Role)[1:], strict=False)))
def test_a_role_has_what_those_before_it_have(lower: Role, higher: Role) -> None:
    has = {one for one in Permission if allows(lower, one)}

    assert has < {one for one in Permission if allows(higher, one)}


@pytest.mark.parametrize("kind", SecretKind)
def test_every_kind_of_secret_has_its_permission(kind: SecretKind) -> None:
    assert needed_to_reveal(kind) is LEAST_ROLE[Permission(f"reveal.{kind.value}")]


@pytest.mark.parametrize(
    ("request_type", "permission"),
    [
        ("EraseDevice", Permission.ERASE),
        ("DeviceLock", Permission.HELP),
        ("DeviceInformation", Permission.WAKE),
        ("InstallProfile", Permission.COMMAND),
        ("SomethingApplesNew", Permission.COMMAND),
    ],
)
def test_what_a_command_takes(request_type: str, permission: Permission) -> None:
    assert to_send(request_type) is permission
