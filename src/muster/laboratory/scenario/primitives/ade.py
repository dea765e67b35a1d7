"""What may happen to devices on Apple's list, and to the server's access to it."""

from typing import Final

from muster.laboratory.scenario.primitives.forms import DEVICES, Kind, Lasts, Parameter, Primitive, Target

OF_AUTOMATED_ENROLLMENT: Final = (
    Primitive(
        "unassign",
        DEVICES,
        Lasts.A_WHILE,
        "The device's enrollment profile is taken off it at Apple; with `for` it is assigned again.",
        'on = "ipads/1"\nat = "10d"',
    ),
    Primitive(
        "assign_elsewhere",
        DEVICES,
        Lasts.A_WHILE,
        "Somebody assigns it to another service. It stays here until it is erased.",
        'on = "ipads/1"\nat = "10d"\nleaves = "2d"',
        (Parameter("leaves", Kind.DURATION, "so long after it, it is erased and set up there; without it: it stays"),),
    ),
    Primitive(
        "release",
        DEVICES,
        Lasts.A_MOMENT,
        "The organization gives it up at Apple: it is deleted from the list of devices.",
        'on = "ipads/1"\nat = "10d"\nleaves = "2d"',
        (Parameter("leaves", Kind.DURATION, "so long after it, it is erased; without it: it stays"),),
    ),
    Primitive(
        "token_expired",
        (Target.ADE,),
        Lasts.A_WHILE,
        "Apple refuses the server's token for automated enrollment.",
        'on = "ade"\nat = "10d"\nfor = "5d"',
    ),
)
