"""A statement of what was under control at one time, signed, so that others can hold it against what they are told.

Three files: the statement (counts, policies, roots), a detached signature over it, and the entries, one line for each
channel, whose Merkle root the statement has. So one device's entry can be proved without showing the others'.
"""
