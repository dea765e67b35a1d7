"""People who sign in to enroll devices."""

from dataclasses import dataclass
from typing import Annotated

from muster.domain.enrollment_users import MAXIMUM_PASSWORD_CHARACTERS, EnrollmentUser
from muster.domain.permissions import Permission
from muster.edges.api.endpoints import Call, endpoint
from muster.edges.api.limits import Limits
from muster.operations.enrollment_users import UserOrder, add_enrollment_users, disable_users, set_passwords
from muster.operations.permit import of_fleet
from muster.storage import enrollment_users

Password = Annotated[str, Limits("Its hash alone is kept.", 1, MAXIMUM_PASSWORD_CHARACTERS)]


@endpoint("GET", "/enrollment-users")
async def list_enrollment_users(call: Call) -> tuple[EnrollmentUser, ...]:
    """List the people who may enroll devices, and those who might once."""
    return await call.see(of_fleet(lambda tx: tuple(enrollment_users.all_users(tx))))


@dataclass(frozen=True, slots=True)
class UserBody:
    """Somebody who may enroll devices. *user_name*: a Managed Apple Account or an e-mail address."""

    user_name: Annotated[str, Limits("", 1, 320, is_plain=True)]
    password: Password


@endpoint("POST", "/enrollment-users", needs=Permission.ENROLL, status=201, refuses=(409,))
async def add_enrollment_user(call: Call, body: UserBody) -> EnrollmentUser:
    """Add a person who may enroll devices where signing in is asked for."""
    return await call.do(add_enrollment_users, UserOrder(body.user_name, body.password))


@dataclass(frozen=True, slots=True)
class PasswordBody:
    """The password that somebody is to have."""

    password: Password


@endpoint("PUT", "/enrollment-users/{user_name}/password", needs=Permission.ENROLL, refuses=(404,))
async def set_enrollment_password(call: Call, user_name: str, body: PasswordBody) -> EnrollmentUser:
    """Give a person another password; one who was disabled may sign in again."""
    return await call.do(set_passwords, UserOrder(user_name, body.password))


@endpoint("DELETE", "/enrollment-users/{user_name}", needs=Permission.ENROLL, refuses=(404,))
async def disable_enrollment_user(call: Call, user_name: str) -> EnrollmentUser:
    """Let a person sign in no more. Devices that are enrolled stay so."""
    return await call.do(disable_users, user_name)


ENDPOINTS = (list_enrollment_users, add_enrollment_user, set_enrollment_password, disable_enrollment_user)
