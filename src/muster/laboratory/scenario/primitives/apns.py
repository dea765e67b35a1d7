"""What may befall pushes at APNs."""

from typing import Final

from muster.laboratory.scenario.primitives.forms import DEVICES, Kind, Lasts, Parameter, Primitive, Target

OF_APNS: Final = (
    Primitive(
        "unregister",
        DEVICES,
        Lasts.A_WHILE,
        "APNs has forgotten the push tokens that the device has: 410 from now on. With `for` it knows them again.",
        'on = "macs/1"\nat = "10d"',
    ),
    Primitive(
        "stale_unregister",
        DEVICES,
        Lasts.A_WHILE,
        "APNs answers 410 with a time from before the token was reported: such an answer is out of date.",
        'on = "macs/1"\nat = "10d"\nfor = "3d"',
    ),
    Primitive(
        "reject",
        (Target.DEVICES, Target.APNS),
        Lasts.A_WHILE,
        "APNs refuses pushes with a reason of Apple's list: to these devices, whatever token they have, or of the "
        "whole topic.",
        'on = "macs/1"\nat = "10d"\nreason = "BadDeviceToken"',
        (
            Parameter(
                "reason", Kind.TEXT, "such as BadDeviceToken, DeviceTokenNotForTopic, BadCertificate", needed=True
            ),
        ),
    ),
    Primitive(
        "throttle",
        (Target.DEVICES, Target.APNS),
        Lasts.A_WHILE,
        "APNs takes no more than so many pushes to one token in so long; the others get 429.",
        'on = "apns"\nat = "10d"\nfor = "2d"\npushes = 1\nin = "1h"',
        (
            Parameter("pushes", Kind.COUNT, "how many", 1),
            Parameter("in", Kind.DURATION, "in how long", "1h"),
        ),
    ),
    Primitive(
        "drop_wrong_topic",
        (Target.DEVICES, Target.APNS),
        Lasts.A_WHILE,
        "APNs takes every push, to these devices or of the whole topic, and delivers none, as it may with a topic that "
        "is not the token's.",
        'on = "macs/1"\nat = "10d"',
    ),
)
