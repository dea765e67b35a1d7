"""The rules, in the order of thought: each a pure function of a dossier, a policy and the time.

A rule's docstring begins with the question that it asks, as `muster why` prints it. It finds something, finds nothing
and knows when time alone may change that (`NotYet`), or finds nothing. Of findings that are equally grave the first
counts, so what says more of a cause stands before what says less.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final, TypeAlias

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.dossier import Dossier
from muster.domain.control.finding import Finding, NotYet
from muster.domain.control.rules import (
    ade,
    ddm,
    ends,
    enrollment,
    identity,
    inventory,
    obedience,
    ours,
    push,
    push_path,
    refused,
    users,
    witnesses,
)
from muster.domain.control.rules.silence import silence

Rule: TypeAlias = Callable[[Dossier, ControlPolicy, datetime], Finding | NotYet | None]

RULES: Final[tuple[Rule, ...]] = (
    # is it us?
    ours.database_rolled_back,
    ours.own_clock_wrong,
    ours.own_proxy_drops_identity,
    ours.own_tls_changed,
    ours.own_errors,
    ours.own_worker_dead,
    ours.push_certificate_expired,
    ours.push_topic_refused,
    ours.apns_outage,
    ours.own_fault_over,
    ours.ade_token_expired,
    # is the end on record?
    ends.unenrolled_by_us,
    ends.erased_by_us,
    ends.user_ended_enrollment,
    ends.user_evicted,
    ends.never_completed,
    ends.profile_removed,
    ends.hardware_replaced,
    ends.taken_by_other_service,
    ends.released,
    # did it knock and get refused?
    refused.identity_expired_and_refused,
    refused.identity_unrecognized,
    refused.restored_older_backup,
    refused.device_clock_wrong,
    # is it on its way in?
    enrollment.enrollment_incomplete,
    enrollment.erased_reenrolling,
    enrollment.record_deleted_while_enrolled,
    enrollment.stuck_awaiting_configuration,
    enrollment.awaiting_user_sign_in,
    # is the user there, and the device?
    users.user_not_logged_in,
    users.device_of_user_lost,
    # what did APNs say of the token? A witness who says that the profile is gone says more.
    witnesses.profile_removed_unreported,
    push.push_token_unregistered,
    push.push_token_bad,
    push.push_topic_mismatch,
    push.push_throttled,
    # the arithmetic of identities
    identity.identity_expired,
    identity.identity_missing,
    identity.identity_cloned,
    identity.restored_other_device,
    identity.identity_renewal_refused,
    identity.identity_expiring,
    identity.ca_changed,
    # does it live, though not as it should?
    ddm.mdm_dead_ddm_alive,
    users.user_channel_dead,
    witnesses.network_blocks_server,
    witnesses.alive_elsewhere,
    push_path.push_magic_wrong,
    push_path.push_path_blocked,
    # will it come back to us?
    ade.ade_profile_unassigned,
    ade.ade_assigned_elsewhere,
    # it comes; does it obey?
    enrollment.not_yet_proved,
    obedience.command_blocks_queue,
    obedience.always_not_now,
    obedience.client_hung,
    ddm.ddm_dead,
    users.user_channel_missing,
    inventory.no_inventory,
    obedience.not_obeying,
    # is it silent?
    silence,
    # what is only shown
    obedience.acknowledgement_lost,
    inventory.lost_mode,
    inventory.duplicate_serial,
    witnesses.agent_dead,
)
