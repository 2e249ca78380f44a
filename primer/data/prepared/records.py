"""Serializes token ids to the records of seqio's caches and GPT-Neo's data sets, and reads them.

A record is a serialized tf.train.Example with one feature, a list of int64. Filling protobuf's
Python objects takes 60 to 90 nanoseconds per token, a tenth of the time of tokenization; therefore
numpy encodes the ids of a whole batch at once.
"""

import functools

import numpy as np

_BITS = 7  # Bits of a number in each byte of a protobuf varint; the eighth: more bytes follow.
_MORE = 0x80
_LENGTH_DELIMITED = 2
_BLOCK_BYTES = 1 << 14  # Of the encoded ids, whose tokens are counted.


def examples(feature: str, ids: np.ndarray, ends: np.ndarray) -> list[bytes]:
    """Returns the records of several documents.

    Args:
        feature: the name under which the ids are stored.
        ids: the ids of all documents, one after the other, [tokens], none negative.
        ends: where each document's ids begin, and the last one's end, [documents + 1].
    """
    payload, positions = _varints(np.asarray(ids))
    bounds = positions[np.asarray(ends)].tolist()
    pairs = zip(bounds, bounds[1:], strict=False)
    return [_header(feature, end - start) + payload[start:end] for start, end in pairs]


@functools.lru_cache(maxsize=1 << 14)
def _header(feature, size):
    """Returns Example{features{feature{key, value{int64_list{value}}}}} up to the encoded ids.

    Args:
        feature: the key.
        size: bytes of the encoded ids.
    """
    int64_list = _key(1, size) if size else b""
    value = _key(3, len(int64_list) + size) + int64_list
    entry = _field(1, feature.encode()) + _key(2, len(value) + size) + value
    features = _key(1, len(entry) + size) + entry
    return _key(1, len(features) + size) + features


def _field(number, content):
    return _key(number, len(content)) + content


def _key(number, size):
    """Returns the bytes before the content, of `size` bytes, of field `number`."""
    return bytes((number << 3 | _LENGTH_DELIMITED,)) + _varint(size)


def _varint(number):
    parts = bytearray()
    while number >= _MORE:
        parts.append(number & (_MORE - 1) | _MORE)
        number >>= _BITS
    parts.append(number)
    return bytes(parts)


def _varints(numbers):
    """Returns the joined varints of all numbers, and where each begins and the last ends."""
    width = max(1, -(-int(numbers.max(initial=0)).bit_length() // _BITS))
    lengths = np.ones(len(numbers), np.uint8)
    for place in range(1, width):
        lengths += numbers >= 1 << (_BITS * place)
    # Each number gets the bytes of the longest; the mask below then selects those that it needs.
    parts = np.empty([len(numbers), width], np.uint8)
    for place in range(width):
        more = (lengths > place + 1).view(np.uint8) * np.uint8(_MORE)
        parts[:, place] = (numbers >> (_BITS * place)) & (_MORE - 1) | more
    positions = np.zeros(len(numbers) + 1, np.int64)
    np.cumsum(lengths, out=positions[1:])
    return parts[np.arange(width) < lengths[:, None]].tobytes(), positions


class EncodedIds:
    """The encoded ids of a record of `examples`, of which any part can be taken.

    Args:
        record: the record.
        feature: the name under which it has its ids.
        tokens: the number of its ids.
    """

    def __init__(self, record: bytes, feature: str, tokens: int) -> None:
        self._record = record
        self._tokens = tokens
        self._begin = _content_start(record, feature)
        self._counts: np.ndarray | None = None

    @property
    def size(self) -> int:
        """The bytes of the record."""
        return len(self._record)

    def between(self, first: int, last: int) -> bytes:
        """Returns the encoded ids from number `first` to before number `last`."""
        if last <= first:
            return b""
        begin = self._begin if first == 0 else self._end_of(first)
        end = len(self._record) if last == self._tokens else self._end_of(last)
        return self._record[begin:end]

    def _end_of(self, number):
        """Returns where the first `number` ids end, in the record."""
        encoded = np.frombuffer(self._record, np.uint8, offset=self._begin)
        if self._counts is None:
            blocks = [
                np.count_nonzero(encoded[start : start + _BLOCK_BYTES] < _MORE)
                for start in range(0, len(encoded), _BLOCK_BYTES)
            ]
            self._counts = np.cumsum([0, *blocks])
        block = int(np.searchsorted(self._counts, number - 1, "right")) - 1
        start = block * _BLOCK_BYTES
        ends = np.flatnonzero(encoded[start : start + _BLOCK_BYTES] < _MORE)
        return self._begin + start + int(ends[number - 1 - self._counts[block]]) + 1


def _content_start(record, feature):
    """Returns where the encoded ids begin in a record of `examples`, behind its header."""
    # The header depends on the size of the ids, and its own size changes with it by a few bytes.
    smallest = max(0, len(record) - len(_header(feature, len(record))))
    for size in range(smallest, len(record)):
        header = _header(feature, size)
        if len(header) + size == len(record) and record.startswith(header):
            return len(header)
    raise ValueError(f"a record of {len(record):,} bytes has no list of {feature!r} alone")


def encode(ids: np.ndarray) -> bytes:
    """Returns the joined varints of ids."""
    return _varints(ids)[0]


def decode(encoded: bytes) -> np.ndarray:
    """Returns the ids of joined varints, [tokens] int32."""
    content = np.frombuffer(encoded, np.uint8)
    ends = (content < _MORE).nonzero()[0]
    begins = np.zeros_like(ends)
    begins[1:] = ends[:-1] + 1
    payload = (content & (_MORE - 1)).astype(np.int32)
    ids = payload[begins]
    longer = (ends > begins).nonzero()[0]
    place = 1
    while len(longer):
        ids[longer] |= payload[begins[longer] + place] << (_BITS * place)
        place += 1
        longer = longer[ends[longer] >= begins[longer] + place]
    return ids
