"""How a device introduces itself before it is enrolled: its signed MachineInfo, read off the event loop."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from muster.domain.errors import Refusal, RefusalCode
from muster.edges.device.http import BodyReader, BodyTooLarge, Request
from muster.protocol.device_signature import MAX_SIGNED_BYTES
from muster.protocol.errors import BadSignature, MalformedMessage, RefusedAlgorithm
from muster.protocol.machine_info import (
    MACHINE_INFO_HEADER,
    SignedMachineInfo,
    decode_machine_info,
    decode_machine_info_header,
)


@dataclass(frozen=True, slots=True)
class IntroductionReader:
    """Reads what devices say of themselves. *roots* (DER) are who vouches for devices, *allow_legacy* is about their
    signatures."""

    bodies: BodyReader
    roots: Sequence[bytes]
    allow_legacy: bool

    async def from_body(self, request: Request, *, is_vouched: bool) -> SignedMachineInfo | Refusal:
        """Read the body of a POST. Without *is_vouched* nobody has to vouch for the signer.

        Raises ClientGone and TooManyBodies.
        """
        try:
            async with self.bodies.body(request, MAX_SIGNED_BYTES) as body:
                roots = self.roots if is_vouched else None
                return await _read(lambda: decode_machine_info(body, roots=roots, allow_legacy=self.allow_legacy))
        except BodyTooLarge as error:
            return Refusal(RefusalCode.BODY_TOO_LARGE, str(error))

    async def from_header(self, request: Request) -> SignedMachineInfo | Refusal:
        """Read the header of a GET."""
        header = request.header(MACHINE_INFO_HEADER.encode())
        if header is None:
            return Refusal(
                RefusalCode.SIGNATURE_MISSING,
                "this page is for devices in Setup Assistant, which say who they are",
                "Use an enrollment link of another kind here.",
            )
        text = header.decode("latin-1")
        return await _read(lambda: decode_machine_info_header(text, roots=self.roots, allow_legacy=self.allow_legacy))


async def _read(decode: Callable[[], SignedMachineInfo]) -> SignedMachineInfo | Refusal:
    try:
        return await asyncio.get_running_loop().run_in_executor(None, decode)
    except MalformedMessage as error:
        return Refusal(RefusalCode.BODY_MALFORMED, f"the MachineInfo can't be read: {error}")
    except BadSignature as error:
        return Refusal(RefusalCode.SIGNATURE_BAD, f"the MachineInfo is not signed by a device: {error}")
    except RefusedAlgorithm as error:
        return Refusal(RefusalCode.ALGORITHM_REFUSED, f"the MachineInfo is signed by what is refused: {error}")
