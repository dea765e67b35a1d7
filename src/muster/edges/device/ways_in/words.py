"""What management means, in words for the people whose devices are enrolled."""

_RIGHTS = (
    (2, "install and remove settings, such as those for Wi-Fi and mail"),
    (4096, "install and remove apps"),
    (16, "see the device's model, name, serial number and system version"),
    (32, "see its network addresses"),
    (256, "see which apps are installed"),
    (1024, "see whether it is encrypted and has a passcode"),
    (4, "lock it and remove its passcode"),
    (8, "erase it"),
)
"""Rights of the MDM payload's AccessRights (Apple, "MDM") that mean something to people, the mildest first."""


def what_rights_allow(access_rights: int) -> list[str]:
    """Say what an organization with *access_rights* can do to a device."""
    return [words for bit, words in _RIGHTS if access_rights & bit]
