"""How a simulated device is locked, lost and found, restarted, shut down and erased.

Sources: Apple, "Device Lock", "Clear Passcode", "Enable Lost Mode" and the commands beside them, "Erase Device".
"""

from muster.protocol.plist import PlistValue
from muster.simulator.answers import (
    MALFORMED,
    UNFIT,
    Aftermath,
    Answer,
    Respond,
    Responder,
    Situation,
    acknowledge,
    badly_formed,
    refused,
)
from muster.simulator.contents import Keys

LATITUDE, LONGITUDE = 52.5200, 13.4050
"""Where every lost device is, up to a kilometre: in the middle of Berlin."""
SPREAD_DEGREES = 0.01


def device_lock(situation: Situation, keys: Keys) -> Answer:
    """Lock the screen. A Mac wants a PIN of six digits, restarts, and is not heard again until it is entered."""
    if situation.is_mac:
        pin = keys.get("PIN")
        if not _is_pin(pin):
            return badly_formed(situation, "DeviceLock", "PIN")
        situation.contents.lock_pin = str(pin)
        return Answer(aftermath=Aftermath.LOCK)
    return Answer(keys={"MessageResult": "Success" if situation.contents.has_passcode else "NoPasscodeSet"})


def clear_passcode(situation: Situation, keys: Keys) -> Answer:
    """Clear the passcode, given the token that this device handed over."""
    if not situation.contents.unlock_token or keys["UnlockToken"] != situation.contents.unlock_token:
        return refused(MALFORMED, "The unlock token is not valid.")
    situation.contents.has_passcode = False
    return Answer()


def request_unlock_token(situation: Situation, _keys: Keys) -> Answer:
    """Hand over the token of every TokenUpdate once more."""
    if situation.contents.unlock_token is None:
        return refused(UNFIT, "There is no unlock token.")
    return Answer(keys={"UnlockToken": situation.contents.unlock_token})


def enable_lost_mode(situation: Situation, keys: Keys) -> Answer:
    """Show a message or a number on the screen, at least one of which there must be."""
    shown = {key: keys[key] for key in ("Message", "PhoneNumber", "Footnote") if keys.get(key)}
    if "Message" not in shown and "PhoneNumber" not in shown:
        return badly_formed(situation, "EnableLostMode", "Message")
    situation.contents.is_lost = True
    situation.contents.lost_message = shown
    return Answer()


def disable_lost_mode(situation: Situation, _keys: Keys) -> Answer:
    """Be found again; a device that isn't lost has nothing against it."""
    situation.contents.is_lost = False
    situation.contents.lost_message = {}
    return Answer()


def device_location(situation: Situation, _keys: Keys) -> Answer:
    """Tell where the device is, which it does while it is lost only."""
    if not situation.contents.is_lost:
        return _not_lost()
    spread = situation.rng.uniform(-SPREAD_DEGREES, SPREAD_DEGREES)
    return Answer(
        keys={
            "Latitude": round(LATITUDE + spread, 6),
            "Longitude": round(LONGITUDE - spread, 6),
            "HorizontalAccuracy": 35.0,
            "VerticalAccuracy": 12.0,
            "Altitude": 34.0,
            "Speed": -1.0,  # not known, as of a device that lies still
            "Course": -1.0,
            "Timestamp": situation.now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
    )


def play_lost_mode_sound(situation: Situation, _keys: Keys) -> Answer:
    """Make a noise, while lost."""
    return Answer() if situation.contents.is_lost else _not_lost()


def erase_device(_situation: Situation, keys: Keys) -> Answer:
    """Be erased; with ReturnToService the device takes a profile along by which it enrolls again."""
    match keys.get("ReturnToService"):
        case {"Enabled": True, "MDMProfileData": bytes(mobileconfig)}:
            return Answer(aftermath=Aftermath.ERASE, returns_with=mobileconfig)
        case _:
            return Answer(aftermath=Aftermath.ERASE)


def afterwards(aftermath: Aftermath) -> Respond:
    """The answer to a command that is acknowledged first and done then."""

    def respond(_situation: Situation, _keys: Keys) -> Answer:
        return Answer(aftermath=aftermath)

    return respond


def _not_lost() -> Answer:
    return refused(UNFIT, "The device is not in Lost Mode.")


def _is_pin(pin: PlistValue | None) -> bool:
    return isinstance(pin, str) and len(pin) == 6 and pin.isdecimal()


LOCKING_RESPONDERS = {
    "ClearPasscode": Responder(clear_passcode, "clears it, given this device's own unlock token"),
    "ClearRestrictionsPassword": Responder(acknowledge, "acknowledges"),
    "DeviceLocation": Responder(device_location, "tells where it is, in Lost Mode only"),
    "DeviceLock": Responder(
        device_lock, "a Mac is not heard again until its PIN is entered; others tell whether they have a passcode"
    ),
    "DisableLostMode": Responder(disable_lost_mode, "leaves Lost Mode"),
    "EnableLostMode": Responder(enable_lost_mode, "enters Lost Mode"),
    "EraseDevice": Responder(erase_device, "is erased, and returns to service where it was told to"),
    "PlayLostModeSound": Responder(play_lost_mode_sound, "acknowledges, in Lost Mode only"),
    "RequestUnlockToken": Responder(request_unlock_token, "hands over its unlock token"),
    "RestartDevice": Responder(afterwards(Aftermath.RESTART), "acknowledges, and is away for a while"),
    "ShutDownDevice": Responder(afterwards(Aftermath.SHUT_DOWN), "acknowledges, and is off until it is switched on"),
}
