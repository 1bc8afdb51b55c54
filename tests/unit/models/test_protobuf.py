from __future__ import annotations

import pytest

from lipsync.models.protobuf import LENGTH_DELIMITED, VARINT, Field, fields_by_number, read_fields

# Examples of https://protobuf.dev/programming-guides/encoding/
NUMBER = bytes.fromhex("089601")  # field 1: 150
TEXT = bytes.fromhex("120774657374696e67")  # field 2: "testing"
FIXED32, FIXED64 = bytes.fromhex("1d01000000"), bytes.fromhex("210200000000000000")  # fields 3 and 4


def fields(message: bytes) -> list[Field]:
    return list(read_fields(memoryview(message)))


def test_fields_of_all_wire_types_are_read_in_order():
    found = fields(NUMBER + TEXT + FIXED32 + FIXED64)
    assert [(field.number, field.wire_type) for field in found] == [(1, VARINT), (2, LENGTH_DELIMITED), (3, 5), (4, 1)]
    assert found[0].value == 150
    assert [bytes(field.value) for field in found[1:]] == [b"testing", FIXED32[1:], FIXED64[1:]]
    assert [field.end for field in found] == [3, 12, 17, 26]


def test_repeated_fields_keep_their_order():
    values = fields_by_number(memoryview(NUMBER + TEXT + b"\x08\x01"))
    assert values[1] == [150, 1]
    assert bytes(values[2][0]) == b"testing"
    assert values[9] == []


@pytest.mark.parametrize("message", [NUMBER, TEXT, FIXED32, FIXED64])
def test_a_message_cut_within_a_field_is_truncated(message):
    for length in range(1, len(message)):
        assert fields(message[:length])[-1].end > length
        with pytest.raises(ValueError, match="truncated message"):
            fields_by_number(memoryview(message[:length]))


def test_a_number_of_more_than_ten_bytes_is_truncated():
    with pytest.raises(ValueError, match="truncated message"):
        fields_by_number(memoryview(b"\x08" + b"\xff" * 11))
