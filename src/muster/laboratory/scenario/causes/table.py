"""The truth of each primitive: what is right to say of a device that it befell, from when on. One table.

Causes that leave the same traces share their reasons: naming either is right. What a platform makes ineffective makes
nothing true.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from muster.domain.control.reasons import Reason
from muster.laboratory.scenario.causes import (
    ade,
    coming_and_going,
    declarative,
    obedience,
    ourselves,
    pushes,
    restoring,
    silence,
    users,
)
from muster.laboratory.scenario.causes.terms import A_DAY, ONE_DAY_ON, Cause
from muster.laboratory.scenario.claims import Claim
from muster.laboratory.scenario.life import Life
from muster.laboratory.scenario.played import Episode


def _nothing(_life: Life, _number: int, _episode: Episode) -> list[Claim]:
    return []


CAUSES: Final[Mapping[str, Cause]] = MappingProxyType(
    {
        "enroll": coming_and_going.enroll,
        "power_off": silence.power_off,
        "restart": _nothing,
        "erase": coming_and_going.erase,
        "restore_to_same": restoring.restore_to_same,
        "restore_to_other": restoring.restore_to_other,
        "migrate_identity_to": restoring.migrate_identity_to,
        "replace_board": restoring.replace_board,
        "drop_identity": silence.drop_identity,
        "use_unknown_identity": silence.use_unknown_identity,
        "remove_profile": coming_and_going.remove_profile,
        "change_token": pushes.change_token,
        "change_magic": pushes.no_push,
        "ignore_commands": obedience.ignore_commands,
        "answer_error": obedience.answer_error,
        "lose_answers": obedience.lose_answers,
        "refuse_renewal": obedience.refuse_renewal,
        "not_now": obedience.not_now,
        "hang_on": obedience.hang_on,
        "clock_offset": ourselves.clock_offset,
        "os_update": _nothing,
        "answer_ddm_only": declarative.answer_ddm_only,
        "stop_ddm": declarative.stop_ddm,
        "user_login": _nothing,  # by who is logged in: see truth
        "user_logout": _nothing,
        "user_never_appears": users.user_never_appears,
        "user_dies": users.user_dies,
        "user_deleted": users.user_deleted,
        "locked": obedience.locked,
        "join_network": _nothing,
        "block_apns": pushes.block_apns,
        "block_server": silence.blocked,
        "intercept_tls": silence.blocked,
        "outage": pushes.outage,
        "slow": pushes.slow,
        "lose_requests": silence.lose_requests,
        "unregister": pushes.unregister,
        "stale_unregister": pushes.stale_unregister,
        "reject": pushes.reject,
        "throttle": _nothing,
        "drop_wrong_topic": pushes.no_push,
        "unassign": ade.unassign,
        "assign_elsewhere": ade.assign_elsewhere,
        "release": ade.release,
        "token_expired": _nothing,
        "server_down": ourselves.ours(Reason.OWN_DOWNTIME, None),
        "worker_dead": ourselves.worker_dead,
        "errors": ourselves.errors,
        "push_certificate_expires": ourselves.push_certificate,
        "push_certificate_replaced": ourselves.push_certificate,
        "push_certificate_revoked": ourselves.push_certificate,
        "rotate_ca": _nothing,
        "database_rolled_back": ourselves.ours(Reason.DATABASE_ROLLED_BACK, None),
        "proxy_drops_identity": ourselves.ours(Reason.OWN_PROXY_DROPS_IDENTITY, A_DAY, Reason.OWN_ERRORS),
        "tls_changed": ourselves.ours(Reason.OWN_TLS_CHANGED, ONE_DAY_ON),
        "send": coming_and_going.send,
        "unenroll": coming_and_going.unenroll,
        "lost_mode": _nothing,
        "sees": _nothing,
        "agent_dies": _nothing,
    }
)
"""By primitive; every primitive has its line."""
