"""
Conditions of filter patterns: comparisons joined by `&&` and `||`, with parentheses.

    expression  = conjunction *( "||" conjunction )
    conjunction = condition *( "&&" condition )
    condition   = "(" expression ")" | operand operator value
                | operand "IS" ( "NULL" | "TRUE" | "FALSE" ) | operand "NOT" "EXISTS"
    operator    = "=" | "!=" | "=!" | "<" | "<=" | ">" | ">="
    value       = a quoted text | %a regular expression% | a bare word

What an operand is depends on the kind of pattern: a path into a JSON document, or the name of a
field. A `*` at the beginning or the end of a text stands for any characters, elsewhere for itself.

Where AWS does not say: an array or object, a missing property and null satisfy no comparison, not
even `!=`; a number in the pattern is compared with a number in text by value.

Source: CloudWatch Logs user guide, Filter pattern syntax (checked 2026-11-23); the texts of errors
are from public reports of them.
"""

from __future__ import annotations

import operator
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Final

from tablecast.local.api.refusal import ApiError

Test = Callable[[Any], bool]
Resolve = Callable[[Any], Sequence[Any]]

REGEXES_MAX: Final = 2

_DEPTH_MAX: Final = 32
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_OPERATOR: Final = re.compile(r"!=|=!|<=|>=|=|<|>")
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_REGEX: Final = re.compile(r"%((?:[^%\\]|\\.)+)%")
_REGEX_TEXT: Final = re.compile(r"(?:[A-Za-z0-9:_#=@/;,\-^$?\[\]{}|*+. \n\t]|\\[\x20-\x7e])+")
_WORDS: Final = re.compile(r"(IS)\s+(NULL|TRUE|FALSE)\b|(NOT)\s+(EXISTS)\b", re.IGNORECASE)
_SPECIAL: Final = re.compile(r"[^\w\s]+")
_ORDERS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def invalid_pattern(message: str = "Invalid filter pattern") -> ApiError:
    """Return the refusal of a filter pattern."""
    return ApiError("InvalidParameterException", message)


def invalid_term(term: str) -> ApiError:
    """Return the refusal of a filter pattern with characters where they do not belong."""
    return invalid_pattern(f"Invalid character(s) in term '{term}'")


def unquoted(text: str) -> str:
    """Return what a quoted text stands for, given without its quotes."""
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def match_quoted(text: str, at: int) -> re.Match[str] | None:
    """Find a quoted text at an index; its group 1 is the inside."""
    return _QUOTED.match(text, at)


def match_regex(text: str, at: int) -> re.Match[str] | None:
    """Find a regular expression between percent signs at an index; its group 1 is the inside."""
    return _REGEX.match(text, at)


def compile_regex(text: str) -> re.Pattern[str]:
    """
    Compile a regular expression of the kind that filter patterns have.

    Raises:
        ApiError: It has characters that are not allowed, or is none.
    """
    if not _REGEX_TEXT.fullmatch(text):
        raise invalid_term(text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sets that a later Python may read otherwise
            return re.compile(text, re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        raise invalid_term(text) from error


def text_of(value: Any) -> str | None:
    """Return a scalar as text; None for what no text is compared with."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case _:
            return None


def equals(wanted: str) -> Callable[[str], bool]:
    """Return the test for a text with a `*` at its beginning, at its end, or at both."""
    if wanted.strip("*") == "" and wanted:
        return lambda _text: True
    first, last = wanted.startswith("*"), wanted.endswith("*")
    middle = wanted[first : len(wanted) - last]
    if first and last:
        return lambda text: middle in text
    if first:
        return lambda text: text.endswith(middle)
    if last:
        return lambda text: text.startswith(middle)
    return lambda text: text == wanted


def _number(value: Any) -> float | None:
    """Return a value as a number; None when it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value)
    return None


class Expression:
    """
    Parser of the conditions in one pattern.

    Args:
        text: The pattern, or the part of it that has the conditions.
        operand: What an operand looks like.
        resolve: Makes the function that finds an operand's values; none when it is missing.
        word: What a bare word looks like.
    """

    def __init__(
        self,
        text: str,
        *,
        operand: re.Pattern[str],
        resolve: Callable[[str], Resolve],
        word: re.Pattern[str],
    ) -> None:
        self._text = text
        self._operand = operand
        self._resolve = resolve
        self._word = word
        self._at = 0
        self._depth = 0
        self._regexes = 0

    def parse(self) -> Test:
        """
        Return the test that the whole text stands for.

        Raises:
            ApiError: It is none.
        """
        test = self._expression()
        if self._at < len(self._text):
            raise self._unexpected()
        return test

    def _expression(self) -> Test:
        tests = [self._conjunction()]
        while self._take("||"):
            tests.append(self._conjunction())
        return tests[0] if len(tests) == 1 else lambda value: any(test(value) for test in tests)

    def _conjunction(self) -> Test:
        tests = [self._condition()]
        while self._take("&&"):
            tests.append(self._condition())
        return tests[0] if len(tests) == 1 else lambda value: all(test(value) for test in tests)

    def _condition(self) -> Test:
        if self._take("("):
            self._depth += 1
            if self._depth > _DEPTH_MAX:
                raise invalid_pattern()
            test = self._expression()
            if not self._take(")"):
                raise self._unexpected()
            self._depth -= 1
            return test
        found = self._operand.match(self._text, self._at)
        if found is None:
            raise self._unexpected()
        self._skip_to(found.end())
        resolve = self._resolve(found[0])
        words = _WORDS.match(self._text, self._at)
        if words is not None:
            self._skip_to(words.end())
            return _word_test(resolve, (words[2] or words[4]).upper())
        sign = _OPERATOR.match(self._text, self._at)
        if sign is None:
            raise self._unexpected()
        self._skip_to(sign.end())
        return self._comparison(resolve, "!=" if sign[0] == "=!" else sign[0])

    def _comparison(self, resolve: Resolve, sign: str) -> Test:
        at = self._at
        equality = sign in {"=", "!="}
        negated = sign == "!="
        if (found := _QUOTED.match(self._text, at)) is not None:
            if not equality:
                raise invalid_pattern()
            self._skip_to(found.end())
            return _text_test(resolve, equals(unquoted(found[1])), negated=negated)
        if (found := _REGEX.match(self._text, at)) is not None:
            self._regexes += 1
            if not equality or self._regexes > REGEXES_MAX:
                raise invalid_pattern()
            self._skip_to(found.end())
            search = compile_regex(found[1]).search
            return _text_test(resolve, lambda text: search(text) is not None, negated=negated)
        found = self._word.match(self._text, at)
        if found is None:
            raise self._unexpected()
        self._skip_to(found.end())
        if _NUMBER.fullmatch(found[0]):
            return _number_test(resolve, _ORDERS[sign], found[0], equality, negated)
        if not equality:
            raise invalid_pattern()
        return _text_test(resolve, equals(found[0]), negated=negated)

    def _take(self, token: str) -> bool:
        self._skip_to(self._at)
        if not self._text.startswith(token, self._at):
            return False
        self._skip_to(self._at + len(token))
        return True

    def _skip_to(self, at: int) -> None:
        """Go on at an index, or at what follows white space there."""
        while at < len(self._text) and self._text[at].isspace():
            at += 1
        self._at = at

    def _unexpected(self) -> ApiError:
        """Return the refusal of what is at the current index."""
        for run in _SPECIAL.finditer(self._text):
            if run.start() <= self._at < run.end():
                return invalid_term(run[0])
        return invalid_pattern()


def _word_test(resolve: Resolve, word: str) -> Test:
    if word == "EXISTS":
        return lambda value: not resolve(value)
    wanted = {"NULL": None, "TRUE": True, "FALSE": False}[word]
    return lambda value: any(found is wanted for found in resolve(value))


def _text_test(resolve: Resolve, same: Callable[[str], bool], *, negated: bool) -> Test:
    def test(value: Any) -> bool:
        texts = [text for text in map(text_of, resolve(value)) if text is not None]
        return any(same(text) is not negated for text in texts)

    return test


def _number_test(
    resolve: Resolve,
    order: Callable[[Any, Any], bool],
    literal: str,
    equality: bool,  # noqa: FBT001 - private, and called in one place
    negated: bool,  # noqa: FBT001
) -> Test:
    wanted = float(literal)

    def test(value: Any) -> bool:
        for found in resolve(value):
            number = _number(found)
            if number is not None:
                if order(number, wanted):
                    return True
            elif equality and (text := text_of(found)) is not None and (text == literal) != negated:
                return True
        return False

    return test
