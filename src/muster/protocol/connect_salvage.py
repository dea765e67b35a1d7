"""What can be saved of a report that is no property list: who answers which command, and how.

A device sends its answer again until it is accepted, and takes no command before. A report whose body it never manages
to write well - a name in some list that is no UTF-8, a list nested beyond every bound - would end its channel, so its
head is picked out of the text, and the rest is kept as it came.
"""

import re
from collections.abc import Mapping
from typing import Final

_NAMES: Final = (
    "CommandUUID|EnrollmentID|EnrollmentUserID|Status|UDID|UserID|UserLongName|UserShortName"  # all of them strings
)
_PAIR: Final = re.compile(rf"<key>({_NAMES})</key>[ \t\r\n]*+<string>([^<&]{{1,255}}+)</string>")
_ANSWERS: Final = frozenset({"Acknowledged", "Error", "CommandFormatError", "NotNow"})


def salvage_head(body: bytes) -> Mapping[str, str] | None:
    """The keys of a report's head that stand as text in *body*, an XML property list or what was to be one.

    None when there is no CommandUUID with a status that answers it, and when a key is there with two values, for which
    of them is the head's can't be told. Whether the values are sound is not checked.
    """
    found: dict[str, str] = {}
    for name, value in _PAIR.findall(body.decode("utf-8", "replace")):
        if found.setdefault(name, value) != value:
            return None
    return found if "CommandUUID" in found and found.get("Status") in _ANSWERS else None
