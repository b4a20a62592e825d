"""
Filter patterns: which messages a FilterLogEvents request asks for.

| pattern | matches a message that |
| --- | --- |
| nothing, or white space | is any |
| `ERROR timeout`, `"a phrase"` | has all of them, case and all, also inside a word |
| `?ERROR ?WARN` | has one of them |
| `ERROR -retry` | has no term with a minus sign |
| `%re[a-z]+%` | has a match of the regular expression |
| `{ $.level = "ERROR" && $.n > 3 }` | is JSON and satisfies the conditions |
| `[ip, user, ..., status = 4*]` | has these fields, separated by spaces, in this order |

A term without quotes has letters, digits and underscores only. Terms with a question mark are
ignored besides others, as the user guide says. In a message with fields, text in square brackets
or quotes is one field. A field of a pattern may be without a name.

Source: CloudWatch Logs user guide, Filter pattern syntax (checked 2026-11-23).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from tablecast.local.cloudwatch.filter_expressions import (
    Expression,
    Resolve,
    Test,
    compile_regex,
    invalid_pattern,
    invalid_term,
    match_quoted,
    match_regex,
    unquoted,
)

Matches = Callable[[str], bool]

_WORD: Final = re.compile(r"\w+")
_PATH: Final = re.compile(r"\$(?:\.(?:[\w-]+|\*)|\[(?:[0-9]{1,9}|\*)\])*")
_STEP: Final = re.compile(r"\.([\w-]+|\*)|\[([0-9]+|\*)\]")
_JSON_WORD: Final = re.compile(r"[\w.*+-]+")
_FIELD_NAME: Final = re.compile(r"[\w$-]+")
_FIELD_WORD: Final = re.compile(r"""[^\s,"%()=<>!&|\[\]]+""")
_FIELD: Final = re.compile(r"""\[([^\]]*)\]|"([^"]*)"|(\S+)""")
_ELLIPSES: Final = ("...", "…")


def compile_pattern(pattern: str) -> Matches:
    """
    Return the test for messages that a filter pattern stands for.

    Raises:
        ApiError: InvalidParameterException, as AWS has it: this is no filter pattern.
    """
    text = pattern.strip()
    if not text:
        return lambda _message: True
    if text[0] == "{":
        if text[-1] != "}" or len(text) == 1:
            raise invalid_pattern("If a filter pattern starts with '{' it must end with '}'")
        return _json_pattern(text[1:-1])
    if text[0] == "[":
        if text[-1] != "]" or len(text) == 1:
            raise invalid_pattern("If a filter pattern starts with '[' it must end with ']'")
        return _field_pattern(text[1:-1])
    return _term_pattern(text)


def _term_pattern(text: str) -> Matches:
    tests: dict[str, list[Matches]] = {"": [], "?": [], "-": []}
    at = 0
    while at < len(text):
        sign = text[at] if text[at] in "?-" else ""
        at = _past_space(text, at + len(sign))
        if at == len(text):
            raise invalid_term(sign)
        test, end = _term(text, at)
        tests[sign].append(test)
        at = _past_space(text, end)
        if end == at < len(text):
            raise invalid_term(text[at])
    required, optional, excluded = tests[""], tests["?"], tests["-"]
    if optional and not required and not excluded:
        return lambda message: any(test(message) for test in optional)
    return lambda message: (
        all(test(message) for test in required) and not any(test(message) for test in excluded)
    )


def _term(text: str, at: int) -> tuple[Matches, int]:
    """Return the test for the term at an index, and the index where it ends."""
    if (found := match_quoted(text, at)) is not None:
        if not found[1]:
            raise invalid_term('""')
        term = unquoted(found[1])
        return (lambda message: term in message), found.end()
    if (found := match_regex(text, at)) is not None:
        search = compile_regex(found[1]).search
        return (lambda message: search(message) is not None), found.end()
    if (found := _WORD.match(text, at)) is not None:
        word = found[0]
        return (lambda message: word in message), found.end()
    raise invalid_term(text[at])


def _past_space(text: str, at: int) -> int:
    """Return the index of what follows white space at an index."""
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _json_pattern(text: str) -> Matches:
    test = Expression(text, operand=_PATH, resolve=_path, word=_JSON_WORD).parse()

    def matches(message: str) -> bool:
        try:
            document = json.loads(message)
        except (ValueError, RecursionError):
            return False
        return isinstance(document, dict | list) and test(document)

    return matches


def _path(text: str) -> Resolve:
    """Return the function that finds the values at a path in a JSON document."""
    steps = [
        (name or (int(index) if index != "*" else "*"), bool(name))
        for name, index in _STEP.findall(text)
    ]

    def resolve(document: Any) -> Sequence[Any]:
        values = [document]
        for step, named in steps:
            values = [inner for value in values for inner in _step(value, step, named=named)]
        return values

    return resolve


def _step(value: Any, step: str | int, *, named: bool) -> list[Any]:
    if named and isinstance(value, dict):
        if step == "*" and "*" not in value:
            return list(value.values())
        return [value[step]] if step in value else []
    if not named and isinstance(value, list):
        if isinstance(step, int):
            return value[step : step + 1]
        return value
    return []


def _field_pattern(text: str) -> Matches:
    parts = [part.strip() for part in _split(text)]
    gaps = [index for index, part in enumerate(parts) if part in _ELLIPSES]
    if len(gaps) > 1:
        raise invalid_pattern()
    names: list[str] = []
    tests: list[Test] = []
    for part in parts:
        if part in _ELLIPSES:
            continue
        name = _FIELD_NAME.match(part.lstrip("( "))
        names.append(name[0] if name else "")
        if part and (name is None or name[0] != part):
            tests.append(
                Expression(part, operand=_FIELD_NAME, resolve=_field, word=_FIELD_WORD).parse()
            )
    front = gaps[0] if gaps else len(names)
    back = len(names) - front

    def matches(message: str) -> bool:
        fields = ["".join(found.groups(default="")) for found in _FIELD.finditer(message)]
        if len(fields) < len(names) or (not gaps and len(fields) > len(names)):
            return False
        kept = fields[:front] + fields[len(fields) - back :]
        values = dict(zip(names, kept, strict=True))
        return all(test(values) for test in tests)

    return matches


def _field(name: str) -> Resolve:
    return lambda values: [values[name]] if name in values else []


def _split(text: str) -> list[str]:
    """Cut at commas, but not inside quotes or a regular expression."""
    parts: list[str] = []
    start = at = 0
    while at < len(text):
        found = match_quoted(text, at) or match_regex(text, at)
        if found is not None:
            at = found.end()
            continue
        if text[at] == ",":
            parts.append(text[start:at])
            start = at + 1
        at += 1
    return [*parts, text[start:]]
