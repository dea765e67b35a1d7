"""What a simulated device does about the people who use it, and about Setup Assistant.

Sources: Apple, "User List", "Delete User", "Log Out User", "Account Configuration", "Set Auto Admin Password",
"Device Configured", "User Configured".
"""

from muster.protocol.plist import PlistValue
from muster.simulator.answers import MALFORMED, UNFIT, Aftermath, Answer, Responder, Situation, refused
from muster.simulator.contents import Keys
from muster.simulator.facts import User, make_uuid

FIRST_UID = 501
"""What macOS gives its first user."""


def user_list(situation: Situation, _keys: Keys) -> Answer:
    """Everybody with an account, and who is logged in."""
    listed: list[PlistValue] = [
        _mac_user(number, user, is_logged_in=is_logged_in) if situation.is_mac else _shared_user(user, is_logged_in)
        for number, (user, is_logged_in) in enumerate(situation.users.items())
    ]
    return Answer(keys={"Users": listed})


def delete_user(situation: Situation, keys: Keys) -> Answer:
    """Delete the account of one who isn't logged in, or on a Shared iPad those of all such."""
    if keys.get("DeleteAllUsers") is True and not situation.is_mac:
        away = tuple(user for user, is_logged_in in situation.users.items() if not is_logged_in)
        return Answer(aftermath=Aftermath.DELETE_USERS, users=away)
    user = _find(situation, keys.get("UserName"))
    if user is None:
        return _no_such_user()
    if situation.users[user]:
        return refused(UNFIT, "The user is logged in.")
    return Answer(aftermath=Aftermath.DELETE_USERS, users=(user,))


def log_out_user(situation: Situation, _keys: Keys) -> Answer:
    """Log out who uses this Shared iPad."""
    present = tuple(user for user, is_logged_in in situation.users.items() if is_logged_in)
    if not present:
        return refused(UNFIT, "Nobody is logged in.")
    return Answer(aftermath=Aftermath.LOG_OUT, users=present)


def unlock_user_account(situation: Situation, keys: Keys) -> Answer:
    """Unlock an account after too many wrong passwords."""
    return Answer() if _find(situation, keys["UserName"]) is not None else _no_such_user()


def account_configuration(situation: Situation, keys: Keys) -> Answer:
    """Take down what accounts Setup Assistant is to make; only while it waits. Administrators are made at once."""
    if not situation.is_awaiting_configuration:
        return refused(UNFIT, "The device is not awaiting configuration.")
    situation.contents.account_configuration = keys
    items = keys.get("AutoSetupAdminAccounts")
    for item in items if isinstance(items, list) else []:
        match item:
            case {"shortName": str(short_name), "passwordHash": bytes(password_hash)}:
                situation.contents.auto_admins[(make_uuid(situation.rng), short_name)] = password_hash
    return Answer()


def set_auto_admin_password(situation: Situation, keys: Keys) -> Answer:
    """Change the password of an administrator that AccountConfiguration made."""
    for guid, short_name in situation.contents.auto_admins:
        password_hash = keys["passwordHash"]
        if guid == keys["GUID"] and isinstance(password_hash, bytes):
            situation.contents.auto_admins[guid, short_name] = password_hash
            return Answer()
    return _no_such_user()


def leave_setup_assistant(_situation: Situation, _keys: Keys) -> Answer:
    """Let who waits go on: the device, or on its channel the user of a Shared iPad."""
    return Answer(aftermath=Aftermath.LEAVE_SETUP_ASSISTANT)


def _find(situation: Situation, user_name: PlistValue | None) -> User | None:
    return next((user for user in situation.users if user.short_name == user_name), None)


def _no_such_user() -> Answer:
    return refused(MALFORMED, "There is no such user.")


def _mac_user(number: int, user: User, *, is_logged_in: bool) -> Keys:
    return {
        "UserName": user.short_name,
        "FullName": user.long_name,
        "UID": FIRST_UID + number,
        "UserGUID": user.guid,
        "IsLoggedIn": is_logged_in,
        "MobileAccount": False,
        "HasSecureToken": True,
    }


def _shared_user(user: User, is_logged_in: bool) -> Keys:
    return {
        "UserName": user.short_name,
        "IsLoggedIn": is_logged_in,
        "HasDataToSync": False,
        "DataQuota": 2_000_000_000,
        "DataUsed": 300_000_000,
    }


PEOPLE_RESPONDERS = {
    "AccountConfiguration": Responder(account_configuration, "obeys while it waits in Setup Assistant, else an error"),
    "DeleteUser": Responder(delete_user, "deletes who isn't logged in"),
    "DeviceConfigured": Responder(leave_setup_assistant, "leaves Setup Assistant"),
    "LogOutUser": Responder(log_out_user, "logs out who uses the Shared iPad"),
    "SetAutoAdminPassword": Responder(set_auto_admin_password, "changes it where AccountConfiguration made that user"),
    "UnlockUserAccount": Responder(unlock_user_account, "acknowledges where there is that user"),
    "UserConfigured": Responder(leave_setup_assistant, "lets the user of a Shared iPad go on"),
    "UserList": Responder(user_list, "lists who has an account, and who is logged in"),
}
