"""Checks of single values, each with one error text in the house format."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final

from tablecast import codec
from tablecast.errors import DeclarationError

NAME_RULE: Final = "a lower-case letter, then up to 39 lower-case letters, digits and hyphens"
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,39}")


def name_of(where: str, value: Any) -> str:
    """Return *value*, which must be the name of a pipeline or a consumer."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        fix = ""
        if isinstance(value, str) and _NAME.fullmatch(mended := _mended(value)):
            fix = f"write {mended!r}"
        raise DeclarationError(where, f"name must be {NAME_RULE}", got=value, fix=fix)
    return value


def whole_number(
    where: str, option: str, value: Any, *, least: int, most: int, fix_most: str = ""
) -> int:
    """Return *value*, which must be an integer within bounds; *fix_most* advises who is over."""
    if type(value) is not int or not least <= value <= most:
        over = type(value) is int and value > most
        raise DeclarationError(
            where,
            f"{option} must be {least} to {most}",
            got=value,
            fix=fix_most if over else "" if type(value) is int else "write a whole number",
        )
    return value


def boolean(where: str, option: str, value: Any) -> bool:
    """Return *value*, which must be True or False."""
    if not isinstance(value, bool):
        raise DeclarationError(where, f"{option} must be True or False", got=value)
    return value


def choice(where: str, option: str, value: Any, choices: Collection[str]) -> Any:
    """Return *value*, which must be one of *choices*."""
    if not isinstance(value, str) or value not in choices:
        rule = f"{option} must be {listed(choices)}"
        raise DeclarationError(where, rule, got=value, fix=nearest(value, choices))
    return value


def strings(where: str, option: str, value: Any, *, what: str, example: str) -> tuple[str, ...]:
    """
    Return the distinct strings of a collection, sorted when it has no order of its own.

    Args:
        where: The place, for the error text.
        option: Name of the option.
        value: What the user gave; a lone string is the common mistake and answered as such.
        what: What the strings are, in the plural.
        example: The option rightly written.
    """
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        fix = f"write {option}={_wrapped(value)}" if isinstance(value, str) else f"write {example}"
        raise DeclarationError(where, f"{option} must be {what}", got=value, fix=fix)
    found = list(value)
    for element in found:
        if not isinstance(element, str):
            raise DeclarationError(
                where, f"{option} must be {what}", got=element, fix=f"write {example}"
            )
    return tuple(sorted(found) if isinstance(value, AbstractSet) else dict.fromkeys(found))


def known(where: str, what: str, names: Iterable[Any], known_names: Collection[str]) -> None:
    """Refuse the first of *names* that is not known, with the nearest one that is."""
    for name in names:
        if name not in known_names:
            raise DeclarationError(
                where,
                f"there is no {what} {name!r}",
                fix=nearest(name, known_names) or f"known are {listed(sorted(known_names), 'and')}",
            )


def nearest(value: Any, choices: Collection[str]) -> str:
    """Return `did you mean 'x'?`, or nothing when no choice is near."""
    if isinstance(value, str):
        import difflib  # noqa: PLC0415 - only a mistake needs it

        by_folded = {choice.casefold(): choice for choice in choices}
        found = difflib.get_close_matches(value.casefold(), by_folded, n=1)
        if found:
            return f"did you mean {by_folded[found[0]]!r}?"
    return ""


def listed(names: Collection[str], word: str = "or") -> str:
    """Return `'a', 'b' or 'c'`."""
    texts = [repr(name) for name in names]
    return f"{', '.join(texts[:-1])} {word} {texts[-1]}" if len(texts) > 1 else "".join(texts)


def _mended(name: str) -> str:
    """Return the name that was probably meant: `SearchIndex` and `search_index` alike."""
    hyphened = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name)
    return re.sub(r"[^a-z0-9]+", "-", hyphened.lower()).strip("-")


def _wrapped(value: str) -> str:
    """Return source text of the collection that holds *value* alone."""
    return f"({value!r},)"


def parsed_json(where: str, text: str) -> Any:
    """Return the value of JSON *text*."""
    try:
        return codec.loads(text)
    except ValueError as error:
        raise DeclarationError(where, f"must be JSON ({error})", got=text) from error
