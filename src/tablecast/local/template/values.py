"""
Intrinsic functions and parameters of CloudFormation, resolved to plain values.

Source: CloudFormation template reference, intrinsic functions and pseudo parameters (checked
2026-11-23)
"""

# ruff: noqa: SLF001 - the table of functions belongs to the class
from __future__ import annotations

import base64
import ipaddress
import json
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Final, TypeAlias

from tablecast.errors import InputError

Attribute: TypeAlias = Callable[[str, str | None], Any]
"""Resource and attribute (None for Ref) -> its value; KeyError for a resource that is not there."""

NO_VALUE: Final = "AWS::NoValue"
_NOTHING: Final = object()
_LOOP: Final = "Fn::ForEach::"
_PLACEHOLDER: Final = re.compile(r"\$\{(!?)([^}]*)\}")


class Values:
    """
    Resolves the values of one template.

    Args:
        where: The template as the user knows it, for errors.
        template: The whole of it.
        parameters: Values by name, pseudo parameters among them.
        attribute: Values of resources.
        imports: Exported values of other stacks, by name.
    """

    def __init__(
        self,
        where: str,
        template: Mapping[str, Any],
        *,
        parameters: Mapping[str, Any],
        attribute: Attribute,
        imports: Mapping[str, Any],
    ) -> None:
        self._where = where
        self._mappings = template.get("Mappings", {})
        self._conditions = template.get("Conditions", {})
        self._parameters = parameters
        self._attribute = attribute
        self._imports = imports

    def resolve(self, value: Any) -> Any:
        """
        Return *value* with everything in it resolved; what is `AWS::NoValue` is left out.

        Raises:
            InputError: A function is unknown or malformed, or names what is not there.
        """
        found = self._resolve(value)
        return None if found is _NOTHING else found

    def holds(self, condition: str) -> bool:
        """Return whether a named condition is true."""
        if condition not in self._conditions:
            raise self._bad("Condition", condition, "must be declared in Conditions")
        return bool(self._resolve(self._conditions[condition]))

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, list):
            return [each for each in map(self._resolve, value) if each is not _NOTHING]
        if not isinstance(value, Mapping):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name in _FUNCTIONS:
                return _FUNCTIONS[name](self, argument)
            if name.startswith("Fn::"):
                raise self._bad(name, argument, "is not a function that this runtime knows")
        resolved = ((name, self._resolve(below)) for name, below in value.items())
        return {name: below for name, below in resolved if below is not _NOTHING}

    def _ref(self, name: Any) -> Any:
        if name == NO_VALUE:
            return _NOTHING
        if name in self._parameters:
            return self._parameters[name]
        return self._of(str(name), None)

    def _get_att(self, argument: Any) -> Any:
        parts = argument.split(".", 1) if isinstance(argument, str) else [*argument]
        return self._of(str(parts[0]), str(self._resolve(parts[1])))

    def _of(self, resource: str, attribute: str | None) -> Any:
        try:
            return self._attribute(resource, attribute)
        except KeyError:
            named = resource if attribute is None else f"{resource}.{attribute}"
            raise self._bad(
                "Ref" if attribute is None else "Fn::GetAtt", named, "is not there"
            ) from None

    def _join(self, argument: Any) -> str:
        delimiter, parts = argument
        return str(delimiter).join(str(each) for each in self._resolve(parts))

    def _sub(self, argument: Any) -> str:
        text, given = (argument, {}) if isinstance(argument, str) else argument
        names = {name: self._resolve(value) for name, value in given.items()}

        def replaced(found: re.Match[str]) -> str:
            literal, name = found.groups()
            if literal:
                return f"${{{name}}}"
            if name in names:
                return str(names[name])
            resource, _, attribute = name.strip().partition(".")
            return str(self._get_att([resource, attribute]) if attribute else self._ref(resource))

        return _PLACEHOLDER.sub(replaced, text)

    def _select(self, argument: Any) -> Any:
        index, values = argument
        resolved = self._resolve(values)
        place = int(self._resolve(index))
        if not 0 <= place < len(resolved):
            raise self._bad("Fn::Select", place, "is beyond the list")
        return resolved[place]

    def _if(self, argument: Any) -> Any:
        condition, if_true, if_false = argument
        return self._resolve(if_true if self.holds(str(condition)) else if_false)

    def _find_in_map(self, argument: Any) -> Any:
        name, top, second, *default = [self._resolve(each) for each in argument]
        try:
            return self._mappings[name][str(top)][str(second)]
        except KeyError:
            if default:
                return default[0]["DefaultValue"]
            raise self._bad("Fn::FindInMap", f"{name}.{top}.{second}", "is not there") from None

    def _import(self, argument: Any) -> Any:
        name = self._resolve(argument)
        if name not in self._imports:
            raise self._bad("Fn::ImportValue", name, "is exported by no stack deployed here")
        return self._imports[name]

    def _equals(self, argument: Any) -> bool:
        one, other = [self._resolve(each) for each in argument]
        return bool(str(one) == str(other) if type(one) is not type(other) else one == other)

    def check(self, rules: Mapping[str, Any]) -> None:
        """
        Refuse parameters that a rule of the template does not allow.

        Raises:
            InputError: An assertion fails; the text is the template's own.
        """
        for name, rule in rules.items():
            if "RuleCondition" in rule and not self._resolve(rule["RuleCondition"]):
                continue
            for each in rule.get("Assertions", ()):
                if not self._resolve(each["Assert"]):
                    raise InputError(
                        f"{self._where}: rule {name}",
                        str(each.get("AssertDescription", "its assertion does not hold")),
                        fix="pass another --parameter",
                    )

    def _cidr(self, argument: Any) -> list[str]:
        block, count, *bits = [self._resolve(each) for each in argument]
        try:
            network = ipaddress.ip_network(str(block))
            prefix = network.max_prefixlen - int(bits[0] if bits else 8)
            found = [str(each) for each in islice(network.subnets(new_prefix=prefix), int(count))]
        except ValueError as error:
            raise self._bad("Fn::Cidr", argument, str(error)) from error
        if len(found) < int(count):
            raise self._bad("Fn::Cidr", count, f"{block} has {len(found)} such blocks")
        return found

    def _each_is(self, argument: Any, *, among: bool) -> bool:
        values, allowed = [self._resolve(each) for each in argument]
        return all(value in allowed if among else value == allowed for value in values)

    def _bad(self, name: str, value: Any, rule: str) -> InputError:
        return InputError(f"{self._where}: {name}", rule, got=value)


_FUNCTIONS: Final[Mapping[str, Callable[[Values, Any], Any]]] = {
    "Ref": Values._ref,
    "Fn::GetAtt": Values._get_att,
    "Fn::Join": Values._join,
    "Fn::Sub": Values._sub,
    "Fn::Select": Values._select,
    "Fn::Split": lambda values, argument: str(values._resolve(argument[1])).split(argument[0]),
    "Fn::If": Values._if,
    "Fn::FindInMap": Values._find_in_map,
    "Fn::ImportValue": Values._import,
    "Fn::Base64": lambda values, argument: base64.b64encode(
        str(values._resolve(argument)).encode()
    ).decode(),
    "Fn::Length": lambda values, argument: len(values._resolve(argument)),
    "Fn::ToJsonString": lambda values, argument: json.dumps(
        values._resolve(argument), separators=(",", ":")
    ),
    "Fn::GetAZs": lambda values, argument: [
        f"{values._resolve(argument) or values._parameters['AWS::Region']}{zone}" for zone in "abc"
    ],
    "Fn::Cidr": Values._cidr,
    "Fn::Contains": lambda values, argument: (
        values._resolve(argument[1]) in values._resolve(argument[0])
    ),
    "Fn::EachMemberEquals": lambda values, argument: values._each_is(argument, among=False),
    "Fn::EachMemberIn": lambda values, argument: values._each_is(argument, among=True),
    "Condition": lambda values, argument: values.holds(argument),
    "Fn::Equals": Values._equals,
    "Fn::And": lambda values, argument: all(values._resolve(each) for each in argument),
    "Fn::Or": lambda values, argument: any(values._resolve(each) for each in argument),
    "Fn::Not": lambda values, argument: not values._resolve(argument[0]),
}


def unrolled(value: Any, parameters: Mapping[str, Any], where: str) -> Any:
    """
    Return *value* with the loops in it written out.

    Source: CloudFormation template reference, Fn::ForEach (checked 2026-11-23)

    Args:
        value: A template, or a part of one.
        parameters: Values of its parameters, over which a loop may run.
        where: The template as the user knows it, for errors.
    Raises:
        InputError: A loop is malformed, or runs over nothing that is known.
    """
    if isinstance(value, list):
        return [unrolled(each, parameters, where) for each in value]
    if not isinstance(value, Mapping):
        return value
    found: dict[str, Any] = {}
    for name, below in value.items():
        if not name.startswith(_LOOP):
            found[name] = unrolled(below, parameters, where)
            continue
        rule = "must be a name, a list and a map"
        if not isinstance(below, list) or len(below) != len(("name", "list", "map")):
            raise InputError(f"{where}: {name}", rule, got=below)
        variable, values, body = below
        if isinstance(values, Mapping):
            values = parameters.get(str(values.get("Ref")))
        if not isinstance(values, list) or not isinstance(body, Mapping):
            raise InputError(f"{where}: {name}", rule, got=below)
        for each in values:
            found |= unrolled(_named(body, str(variable), str(each)), parameters, where)
    return found


def _named(value: Any, variable: str, text: str) -> Any:
    """Return the body of a loop for one value of its variable."""
    if isinstance(value, str):
        plain = "".join(character for character in text if character.isalnum())
        return value.replace(f"${{{variable}}}", text).replace(f"&{{{variable}}}", plain)
    if isinstance(value, list):
        return [_named(each, variable, text) for each in value]
    if isinstance(value, Mapping):
        if value == {"Ref": variable}:
            return text
        return {
            _named(name, variable, text): _named(below, variable, text)
            for name, below in value.items()
        }
    return value


def references(value: Any) -> Iterator[str]:
    """Yield the names that *value* refers to: parameters, pseudo parameters and resources."""
    if isinstance(value, list):
        for each in value:
            yield from references(each)
    elif isinstance(value, Mapping):
        for name, below in value.items():
            if name == "Ref" and isinstance(below, str):
                yield below
            elif name == "Fn::GetAtt":
                yield below.partition(".")[0] if isinstance(below, str) else str(below[0])
            elif name == "Fn::Sub":
                text = below if isinstance(below, str) else below[0]
                yield from (
                    found[2].strip().partition(".")[0]
                    for found in _PLACEHOLDER.finditer(text)
                    if not found[1]
                )
                yield from references(below[1] if isinstance(below, list) else {})
            else:
                yield from references(below)
