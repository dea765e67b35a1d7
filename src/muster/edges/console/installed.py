"""What a device was told to install, as its page shows it: profiles and apps."""

from muster.domain.installed_profiles import ProfileState
from muster.domain.managed_apps import AppState
from muster.operations.views.marks import Mark, Shape, Tone

PROFILE_STATES = {
    ProfileState.SENT: Mark("Sent", Shape.HALF, Tone.BUSY),
    ProfileState.INSTALLED: Mark("Installed", Shape.DISC, Tone.GOOD),
    ProfileState.FAILED: Mark("Failed", Shape.CROSS, Tone.BAD),
    ProfileState.REMOVING: Mark("Being removed", Shape.HALF, Tone.BUSY),
    ProfileState.REMOVED: Mark("Removed", Shape.RING, Tone.OVER),
    ProfileState.MISSING: Mark("Missing", Shape.TRIANGLE, Tone.WARNING),
    ProfileState.DRIFTED: Mark("Another in its place", Shape.TRIANGLE, Tone.WARNING),
    ProfileState.REPLACED: Mark("Replaced", Shape.RING, Tone.OVER),
}

APP_STATES = {
    AppState.SENT: Mark("Sent", Shape.HALF, Tone.BUSY),
    AppState.INSTALLING: Mark("Installing", Shape.HALF, Tone.BUSY),
    AppState.MANAGED: Mark("Managed", Shape.DISC, Tone.GOOD),
    AppState.FAILED: Mark("Failed", Shape.CROSS, Tone.BAD),
    AppState.REMOVING: Mark("Being removed", Shape.HALF, Tone.BUSY),
    AppState.REMOVED: Mark("Removed", Shape.RING, Tone.OVER),
    AppState.MISSING: Mark("Missing", Shape.TRIANGLE, Tone.WARNING),
    AppState.REPLACED: Mark("Replaced", Shape.RING, Tone.OVER),
}
