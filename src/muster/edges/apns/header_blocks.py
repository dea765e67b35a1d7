"""Header blocks of pushes: written with what each push shares with the one before it, read with `hpack`.

All pushes of a connection share their authority, topic and constant headers. The first one puts these into the
dynamic table; every later one names them in a byte each, and writes out its path, its apns-id and, when it is another
than the first one's, its expiration. Source: RFC 7541.
"""

from typing import Final, NamedTuple

from hpack import Decoder, HPACKError

from muster.edges.apns.frames import MAX_FRAME_BYTES, ErrorCode, PeerError
from muster.protocol.apns import CONSTANT_HEADERS, DEVICE_PATH, Push

MAX_REPLY_HEADER_BYTES: Final = 16 * 1024
"""A reply's headers, decoded and not; APNs' have two."""

OWN_TABLE_BYTES: Final = 0
"""The dynamic table that we keep for the server's headers: none, so that no block says anything about a later one."""

BARE_200: Final = b"\x88"
"""The first byte of a block that begins with :status 200 (entry 8 of the static table)."""

_TABLE_BYTES: Final = 4096  # of the server's table for our headers, unless it allows less (RFC 9113, 6.5.2)
_ENTRY_OVERHEAD_BYTES: Final = 32  # RFC 7541, 4.1
_FIRST_DYNAMIC_INDEX: Final = 62
_POST, _HTTPS = b"\x83", b"\x87"
_AUTHORITY_INDEX, _PATH_INDEX, _CONTENT_TYPE_INDEX = 1, 4, 31
_STATIC_NAMES: Final = {":authority": _AUTHORITY_INDEX, "content-type": _CONTENT_TYPE_INDEX}
_INDEXING, _WITHOUT_INDEXING = 0x40, 0x00
_INDEX_BITS: Final = {_INDEXING: 6, _WITHOUT_INDEXING: 4}


class _Form(NamedTuple):
    """How the fields around the three that vary are written, in Latin-1, since joining text is the fastest."""

    before_path: str
    after_path: str
    expiration_name: str
    id_name: str


class RequestEncoder:
    """Writes the header blocks of one connection; each block that is returned must be sent, and in that order."""

    def __init__(self, authority: str, topic: str) -> None:
        """Write for *authority* (host, and port unless it is 443); *topic* is the one of nearly every push.

        Raises ValueError when either can't be written.
        """
        _check_writable(authority, topic)
        self._topic = topic
        self._shared = [(":authority", authority), ("apns-topic", topic), *CONSTANT_HEADERS]
        self._path_beginnings: dict[int, str] = {}
        self._expiration: int | None = None
        self._expiration_field = ""
        self._table_bytes = _TABLE_BYTES
        self._prefix = ""
        self._form = self._literal(_INDEXING)
        self._form_after = self._indexed()

    def limit_table(self, limit: int) -> None:
        """Keep the dynamic table within *limit* bytes from the next block on: the server's HEADER_TABLE_SIZE.

        A new size is announced after emptying the table, so that nothing depends on what was evicted.
        """
        size = min(limit, _TABLE_BYTES)
        if size == self._table_bytes:
            return
        self._table_bytes = size
        self._prefix = (b"\x20" + (_integer(size, 5, 0x20) if size else b"")).decode("latin-1")
        is_indexing = size >= self._needed_bytes()
        self._form = self._literal(_INDEXING if is_indexing else _WITHOUT_INDEXING)
        self._form_after = self._indexed() if is_indexing else self._form
        self._expiration = None

    def encode(self, push: Push) -> bytes:
        """Return the block of *push*. Raises ValueError, and changes nothing, when one of its fields can't be
        written."""
        apns_id, token = push.apns_id, push.token.hex()
        form = self._form
        if push.topic != self._topic:
            return self._encode_other_topic(push)
        if not (apns_id.isascii() and apns_id.isprintable()) or len(apns_id) > 64:
            raise ValueError("the apns-id can't be written")
        if push.expiration != self._expiration:
            self._expiration_field = form.expiration_name + _string(str(push.expiration))
            self._expiration = push.expiration
        beginning = self._path_beginnings.get(len(token)) or self._path_beginning(len(token))
        text = (
            f"{self._prefix}{form.before_path}{beginning}{token}{form.after_path}{self._expiration_field}"
            f"{form.id_name}{chr(len(apns_id))}{apns_id}"
        )
        if form is not self._form_after or self._prefix:
            self._prefix = ""
            self._form = self._form_after
            self._expiration = None
        return text.encode("latin-1")

    def _encode_other_topic(self, push: Push) -> bytes:
        """A push for a topic that isn't this certificate's, for APNs to refuse; written without the table."""
        _check_writable(push.apns_id, push.topic)
        fields = [*self._shared, ("apns-expiration", str(push.expiration)), ("apns-id", push.apns_id)]
        fields[1] = ("apns-topic", push.topic)
        path = self._path_beginning(2 * len(push.token)) + push.token.hex()
        authority, *others = (_literal(name, value, _WITHOUT_INDEXING) for name, value in fields)
        block = "".join((self._prefix, (_POST + _HTTPS).decode("latin-1"), authority, path, *others)).encode("latin-1")
        if len(block) > MAX_FRAME_BYTES:
            raise ValueError(f"headers of {len(block)} bytes")
        self._prefix = ""
        return block

    def _path_beginning(self, digits: int) -> str:
        beginning = _integer(_PATH_INDEX, 4, _WITHOUT_INDEXING) + _integer(len(DEVICE_PATH) + digits, 7, 0)
        if digits > MAX_FRAME_BYTES // 2:
            raise ValueError(f"a token of {digits // 2} bytes")
        return self._path_beginnings.setdefault(digits, beginning.decode("latin-1") + DEVICE_PATH)

    def _literal(self, indexing: int) -> _Form:
        """Every field written out, and put into the table if *indexing* says so."""
        authority, *others = (_literal(name, value, indexing) for name, value in self._shared)
        return _Form(
            (_POST + _HTTPS).decode("latin-1") + authority,
            "".join(others),
            _name("apns-expiration", indexing),
            _name("apns-id", indexing),
        )

    def _indexed(self) -> _Form:
        """Every field that the first block has put into the table by its place there: the last one is the first."""
        count = len(self._shared) + 2
        places = [_FIRST_DYNAMIC_INDEX + count - 1 - position for position in range(count)]
        authority, *others = (chr(0x80 | place) for place in places[:-2])
        expiration, apns_id = (_integer(place, 4, _WITHOUT_INDEXING).decode("latin-1") for place in places[-2:])
        return _Form((_POST + _HTTPS).decode("latin-1") + authority, "".join(others), expiration, apns_id)

    def _needed_bytes(self) -> int:
        fields = [*self._shared, ("apns-expiration", "0" * 20), ("apns-id", "0" * 64)]
        return sum(len(name) + len(value) + _ENTRY_OVERHEAD_BYTES for name, value in fields)


class ReplyDecoder:
    """Reads the header blocks of a server that was told to keep no table."""

    def __init__(self) -> None:
        self._hpack = Decoder(MAX_REPLY_HEADER_BYTES)
        self._hpack.header_table_size = OWN_TABLE_BYTES
        self._hpack.max_allowed_table_size = OWN_TABLE_BYTES

    def decode(self, block: bytes) -> dict[str, str]:
        """Return the fields of *block*, of several with one name the last; bytes beyond ASCII are read as Latin-1.

        Raises PeerError when it is none or too long.
        """
        try:
            fields = self._hpack.decode(block, raw=True)
            return {bytes(name).decode("latin-1"): bytes(value).decode("latin-1") for name, value in fields}
        except (HPACKError, ValueError, IndexError) as error:
            # not in its own words, which may hold the whole block
            words = f"headers that can't be read: {type(error).__name__}"
            raise PeerError(ErrorCode.COMPRESSION_ERROR, words) from error


def _check_writable(*values: str) -> None:
    """Raise ValueError unless HTTP/2 allows each of *values* as a field's, and ours does not need more than a frame."""
    for value in values:
        if not (value.isascii() and value.isprintable()) or len(value) > 1024:
            raise ValueError("a header can't be written")


def _literal(name: str, value: str, indexing: int) -> str:
    return _name(name, indexing) + _string(value)


def _name(name: str, indexing: int) -> str:
    """The beginning of a literal field up to its name (RFC 7541, 6.2.1 and 6.2.2)."""
    index = _STATIC_NAMES.get(name, 0)
    beginning = _integer(index, _INDEX_BITS[indexing], indexing).decode("latin-1")
    return beginning if index else beginning + _string(name)


def _string(text: str) -> str:
    """A string without Huffman's code, which costs more time than its bytes do (RFC 7541, 5.2)."""
    return _integer(len(text), 7, 0).decode("latin-1") + text


def _integer(value: int, bits: int, flags: int) -> bytes:
    """*value* in a prefix of *bits* beside *flags*, and as many bytes as it needs after it (RFC 7541, 5.1)."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes((flags | value,))
    encoded = [flags | limit]
    value -= limit
    while value >= 128:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
