"""Read protobuf messages field by field, without a schema and without copying.

The wire format: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

VARINT, LENGTH_DELIMITED = 0, 2
FIXED_BYTES: Final = {1: 8, 5: 4}  # by wire type
MAX_VARINT_BYTES = 10


@dataclass(frozen=True, slots=True)
class Field:
    """A field: an int, or a view of the bytes of any other wire type. ``end``: offset of the next field.

    ``end`` is greater than the length of a message that was cut off within the field.
    """

    number: int
    wire_type: int
    value: int | memoryview
    end: int


def read_fields(message: memoryview) -> Iterator[Field]:
    """Yield the outermost fields of a message in order."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        wire_type = tag & 7
        value: int | memoryview
        if wire_type == VARINT:
            value, position = _varint(message, position)
        else:
            size = FIXED_BYTES.get(wire_type)
            if size is None:
                size, position = _varint(message, position)
            value = message[position : position + size]
            position += size
        yield Field(tag >> 3, wire_type, value, position)


def fields_by_number(message: memoryview) -> defaultdict[int, list[Any]]:
    """Return the values of a message's fields by field number. Raises ValueError for a truncated message."""
    values: defaultdict[int, list[Any]] = defaultdict(list)
    for field in read_fields(message):
        if field.end > len(message):
            raise ValueError("truncated message")
        values[field.number].append(field.value)
    return values


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """Return a number and the offset after it, which is beyond the message if the number is cut off."""
    value = shift = 0
    for end, byte in enumerate(message[position : position + MAX_VARINT_BYTES], position + 1):
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, end
    return value, len(message) + 1
