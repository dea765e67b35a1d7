"""What may befall the server itself."""

from typing import Final

from muster.laboratory.scenario.primitives.forms import Kind, Lasts, Parameter, Primitive, Target

WORKERS: Final = (
    "push",
    "review",
    "deferred",
    "answers",
    "sends",
    "resurrections",
    "journal",
    "fleet-days",
    "self-tests",
    "push-certificates",
    "authorities",
    "outbox",
    "own-side",
    "partitions",
    "relay",
)
"""Of the server, all of them: `push` sends pushes, `review` judges, renews and asks for inventory, `deferred` takes in
answers."""

ENDPOINTS: Final = (
    "`/mdm` is of commands and check-ins, `/scep` of identities, `/enroll` of links, `/ade` of Setup Assistant"
)

OF_THE_SERVER: Final = (
    Primitive(
        "server_down",
        (Target.SERVER,),
        Lasts.A_WHILE,
        "The server is stopped, or has crashed, and is started again.",
        'on = "server"\nat = "10d"\nfor = "7d"',
    ),
    Primitive(
        "worker_dead",
        (Target.SERVER,),
        Lasts.A_WHILE,
        "One of its workers makes no step any more.",
        'on = "server"\nat = "10d"\nfor = "1d"\nworker = "push"',
        (Parameter("worker", Kind.WORD, "its name", needed=True, words=WORKERS),),
    ),
    Primitive(
        "errors",
        (Target.SERVER,),
        Lasts.A_WHILE,
        "A share of the requests is answered 500.",
        'on = "server"\nat = "10d"\nfor = "1d"\nanswered_500 = 0.5',
        (
            Parameter("answered_500", Kind.SHARE, "how many", 1.0),
            Parameter("endpoint", Kind.TEXT, f"only those whose path begins so; {ENDPOINTS}"),
        ),
    ),
    Primitive(
        "push_certificate_expires",
        (Target.SERVER,),
        Lasts.A_WHILE,
        "The push certificate reaches its end; with `for` it is renewed so long after it.",
        'on = "server"\nat = "30d"\nfor = "3d"',
    ),
    Primitive(
        "push_certificate_replaced",
        (Target.SERVER,),
        Lasts.A_WHILE,
        "Somebody uploads a push certificate of another topic. The server keeps the former for whoever enrolled by it; "
        "who enrolls from now on is pushed by the new one. With `for` the former is put back.",
        'on = "server"\nat = "30d"\nfor = "3d"',
        (Parameter("topic", Kind.TEXT, "its topic", "com.apple.mgmt.External.11111111-1111-4111-8111-111111111111"),),
    ),
    Primitive(
        "push_certificate_revoked",
        (Target.SERVER,),
        Lasts.A_WHILE,
        "APNs refuses the push certificate; with `for` a new one is uploaded.",
        'on = "server"\nat = "30d"\nfor = "3d"',
    ),
    Primitive(
        "rotate_ca",
        (Target.SERVER,),
        Lasts.A_MOMENT,
        "A new authority issues identities from now on.",
        'on = "server"\nat = "30d"',
    ),
    Primitive(
        "database_rolled_back",
        (Target.SERVER,),
        Lasts.A_MOMENT,
        "The database is restored from a backup. The journal stays.",
        'on = "server"\nat = "30d"\nage = "2d"',
        (Parameter("age", Kind.DURATION, "how old the backup is", "1d"),),
    ),
    Primitive(
        "proxy_drops_identity",
        (Target.SERVER,),
        Lasts.A_WHILE,
        "The proxy before the server drops the headers that say who speaks.",
        'on = "server"\nat = "10d"\nfor = "1d"',
    ),
    Primitive(
        "tls_changed",
        (Target.SERVER,),
        Lasts.A_WHILE,
        "The server shows a TLS certificate that its devices don't trust: they say nothing.",
        'on = "server"\nat = "10d"\nfor = "1d"',
    ),
)
