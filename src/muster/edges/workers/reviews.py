"""The review worker: each channel is looked at when its review is due, and what is found due is done."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

import structlog

from muster.crypto.keys import RSAPrivateKey
from muster.domain.errors import Refusal
from muster.operations.account_profiles import IDENTITY_KEY_BITS
from muster.operations.ports import Runner
from muster.operations.renew_accounts import AccountRenewal, renew_accounts
from muster.operations.renew_identities import RenewalOrder, renew_identities
from muster.operations.review_channels import review_channels
from muster.operations.tend_queues import tend_queues
from muster.protocol.identifiers import ChannelId
from muster.storage.errors import Unavailable

log = structlog.get_logger("muster.reviews")


class ReviewWorker:
    """Reviews the channels that are due, and renews identities and the certificates of accounts.

    *sign* signs profiles; *new_rsa_key* makes a key of so many bits, off the event loop and outside transactions.
    """

    def __init__(
        self, runner: Runner, sign: Callable[[bytes], bytes], new_rsa_key: Callable[[int], RSAPrivateKey]
    ) -> None:
        self._runner = runner
        self._sign = sign
        self._new_rsa_key = new_rsa_key

    async def step(self) -> datetime | None:
        """Review everything that is due; returns when the next review is."""
        while True:
            reviewed = (await self._runner.write(review_channels, [None]))[0]
            for channel_id, what in reviewed.not_judged:
                log.error("channel_not_judged", enrollment_id=channel_id, because=what)
            if reviewed.to_tend:
                await self._tend(reviewed.to_tend)
            for device_id in reviewed.to_renew:
                await self._renew(device_id)
            for account_id in reviewed.accounts_to_renew:
                await self._renew_account(account_id)
            if not reviewed.more:
                return reviewed.next_due_at

    async def _tend(self, channel_ids: Sequence[ChannelId]) -> None:
        """Close what expired and let out what is tried again; a fault of ours keeps no other work waiting."""
        try:
            await self._runner.write(tend_queues, channel_ids)
        except Unavailable:
            raise
        except Exception:
            log.exception("queues_not_tended", channels=len(channel_ids))

    async def _renew(self, device_id: ChannelId) -> None:
        """Do what is due about one device's identity; a fault with one device keeps no other waiting."""
        try:
            is_sent = (await self._runner.write(renew_identities, [RenewalOrder(device_id, self._sign)]))[0]
        except Unavailable:
            raise
        except Exception:
            log.exception("identity_not_renewed", enrollment_id=device_id)
            return
        if is_sent:
            log.info("renewal_sent", enrollment_id=device_id)

    async def _renew_account(self, account_id: str) -> None:
        """Send an account its next certificate; a fault with one account keeps no other waiting."""
        try:
            key = await asyncio.get_running_loop().run_in_executor(None, self._new_rsa_key, IDENTITY_KEY_BITS)
            outcome = (await self._runner.write(renew_accounts, [AccountRenewal(account_id, key)]))[0]
        except Unavailable:
            raise
        except Exception:
            log.exception("account_not_renewed", account=account_id)
            return
        if isinstance(outcome, Refusal):
            log.warning("account_not_renewed", account=account_id, because=outcome.message)
        elif outcome is not None:
            log.info("account_renewed", account=account_id, enrollment_id=outcome.channel_id)
