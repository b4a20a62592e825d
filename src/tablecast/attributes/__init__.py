"""
DynamoDB JSON to Python values and back, exactly.

| type | DynamoDB JSON, as in Lambda's event | Python |
| --- | --- | --- |
| S | `{"S": "x"}` | str |
| N | `{"N": "1.5"}` | Decimal; an int is taken too |
| B | `{"B": "eA=="}` (base64) | bytes; bytearray and memoryview are taken too |
| SS, NS, BS | `{"SS": ["x"]}` | set of str, Decimal, bytes; a frozenset is taken too |
| M | `{"M": {"a": {"S": "x"}}}` | dict; any mapping is taken |
| L | `{"L": [{"S": "x"}]}` | list; a tuple is taken too |
| NULL | `{"NULL": true}` | None |
| BOOL | `{"BOOL": true}` | bool |

No result depends on the caller's decimal context. Decoding takes every decimal numeral, also what
an emulator stores beyond DynamoDB's precision; encoding refuses what DynamoDB would refuse.

Source:
    DynamoDB API reference, AttributeValue; developer guide, "Supported data types" (checked
    2026-11-23).
"""

from __future__ import annotations

from tablecast.attributes.decoding import decode_item, decode_value, parse_binary, same_value
from tablecast.attributes.encoding import encode_item, encode_value
from tablecast.attributes.forms import NESTING_LEVELS_MAX, AttributeValue, Image
from tablecast.attributes.numbers import number_text, parse_number

__all__ = [
    "NESTING_LEVELS_MAX",
    "AttributeValue",
    "Image",
    "decode_item",
    "decode_value",
    "encode_item",
    "encode_value",
    "number_text",
    "parse_binary",
    "parse_number",
    "same_value",
]
