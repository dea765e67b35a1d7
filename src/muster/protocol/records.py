"""Records that are made by the hundred thousand: frozen for whoever reads and checks the code, cheap to make.

A frozen dataclass sets each field by a call of its own, for several times what the plain one costs; judging a fleet
made so many that it was a sixth of all work. The type checker, which all code passes, keeps these as unchanged as
others. They compare and hash by their fields, as others do.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:
    from dataclasses import dataclass

    def record(*, frozen, slots):
        """Make a dataclass that is *frozen* to the type checker alone."""
        assert frozen, "what changes is no record"
        return dataclass(slots=slots, unsafe_hash=True)


__all__ = ["record"]
