"""What is wrong with an answer: told beside it, and never in the way of what can be read of it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """Something in an answer that is not as Apple has it. *key_path* is where (`ProfileList[2].PayloadUUID`), empty for
    the answer as a whole; *what* says it in a few words and holds no value."""

    key_path: str
    what: str
