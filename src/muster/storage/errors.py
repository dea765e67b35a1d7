"""What can go wrong between us and the database."""


class StorageError(Exception):
    """Root of this layer's errors."""


class Unavailable(StorageError):
    """The database can't be reached or stays busy; the same call may succeed later.

    Nothing was written, with one exception that no client of a database can tell apart: the connection was lost while
    the commit was on its way.
    """


class SchemaOutdated(StorageError):
    """The database's schema isn't the one this version works with; the message says what to do."""


class WrongKeyRing(StorageError):
    """The key ring isn't the one this database was sealed with."""


class ServerTooOld(StorageError):
    """The database server is older than the oldest that Muster is tested with."""
