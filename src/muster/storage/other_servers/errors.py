"""What can be wrong with what another server keeps."""


class Unreadable(Exception):
    """It is not what it is taken for, or out of reach; the message says why, *remedy* what to do."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy
