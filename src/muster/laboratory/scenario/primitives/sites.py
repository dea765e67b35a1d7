"""What may befall the networks of sites."""

from typing import Final

from muster.laboratory.scenario.primitives.forms import Kind, Lasts, Parameter, Primitive, Target

OF_SITES: Final = (
    Primitive(
        "block_apns",
        (Target.SITE,),
        Lasts.A_WHILE,
        "The firewall lets nothing through to APNs. Of what is pushed APNs keeps the last.",
        'on = "school"\nat = "10d"\nfor = "7d"',
    ),
    Primitive(
        "block_server",
        (Target.SITE,),
        Lasts.A_WHILE,
        "The firewall lets nothing through to the server. Pushes arrive.",
        'on = "school"\nat = "10d"\nfor = "7d"',
    ),
    Primitive(
        "intercept_tls",
        (Target.SITE,),
        Lasts.A_WHILE,
        "A middlebox shows a certificate of its own: devices refuse it before they say anything.",
        'on = "school"\nat = "10d"\nfor = "7d"',
    ),
    Primitive(
        "outage",
        (Target.SITE, Target.APNS),
        Lasts.A_WHILE,
        "A site has no network at all. Or APNs refuses every push.",
        'on = "school"\nat = "10d"\nfor = "2d"',
        (
            Parameter(
                "reason",
                Kind.WORD,
                "of APNs: what it answers; `unreachable`: no connection comes about",
                "ServiceUnavailable",
                words=("ServiceUnavailable", "InternalServerError", "Shutdown", "unreachable"),
            ),
        ),
    ),
    Primitive(
        "slow",
        (Target.SITE, Target.APNS),
        Lasts.A_WHILE,
        "Every request takes so much longer.",
        'on = "school"\nat = "10d"\nfor = "2d"\ndelay = "20s"',
        (Parameter("delay", Kind.DURATION, "by how much", needed=True),),
    ),
    Primitive(
        "lose_requests",
        (Target.SITE, Target.DEVICES),
        Lasts.A_WHILE,
        "A share of the requests never arrives, and of the replies as well.",
        'on = "school"\nat = "10d"\nfor = "2d"\nlost = 0.3',
        (Parameter("lost", Kind.SHARE, "how many", needed=True),),
    ),
)
