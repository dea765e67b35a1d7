"""The secrets that are kept of a device, as its page names them; what they are is shown nowhere in the console."""

from muster.domain.secrets import SecretKind, SecretState
from muster.operations.views.marks import Mark, Shape, Tone

SECRET_KINDS = {
    SecretKind.UNLOCK_TOKEN: "Unlock token",
    SecretKind.BOOTSTRAP_TOKEN: "Bootstrap token",
    SecretKind.FILEVAULT_KEY: "FileVault recovery key",
    SecretKind.RECOVERY_LOCK: "Recovery lock",
    SecretKind.FIRMWARE_PASSWORD: "Firmware password",
    SecretKind.LOCK_PIN: "PIN of a lock or erasure",
    SecretKind.ACTIVATION_LOCK_CODE: "Bypass code of Activation Lock",
    SecretKind.OWN_ACTIVATION_LOCK_CODE: "Bypass code of Activation Lock, made here",
    SecretKind.ADMINISTRATOR_PASSWORD: "Administrator's password",
}

SECRET_STATES = {
    SecretState.PROPOSED: Mark("Sent, not confirmed", Shape.HALF, Tone.BUSY),
    SecretState.IN_FORCE: Mark("In force", Shape.DISC, Tone.GOOD),
    SecretState.REPLACED: Mark("Replaced", Shape.RING, Tone.OVER),
    SecretState.ARCHIVED: Mark("Of an earlier enrollment", Shape.RING, Tone.OVER),
    SecretState.REFUSED: Mark("Refused", Shape.CROSS, Tone.BAD),
    SecretState.WITHDRAWN: Mark("Never sent", Shape.RING, Tone.OVER),
}
