"""
An image as an instance of the user's class: a dataclass or a Pydantic model.

Dataclass: each field takes the attribute of its name; attributes without a field are ignored, and a
field without an attribute takes its default. A number becomes the int or float that the annotation
says (`int`, `float`, or either with `| None`); a map becomes the dataclass that it says. All else
is passed as decoded. A field that is `init=False` is left to the class.

Pydantic: `model_validate` gets the decoded image; aliases, validators and conversions are the
model's own. Such a class is known by that method, so Pydantic itself is not imported.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, TypeAlias, TypeVar, Union, get_args, get_origin, get_type_hints

from tablecast.errors import MalformedRecordError, UsageError

ModelT = TypeVar("ModelT")

Conversion: TypeAlias = Callable[[Mapping[str, Any], str], ModelT]
"""Decoded image and its place in the record -> instance of the model."""

_Converter: TypeAlias = Callable[[Any, str], Any]


def conversion_to(model: type[ModelT]) -> Conversion[ModelT]:
    """
    Return the function that makes an instance of *model* from a decoded image and its place.

    It is worked out once for a model.

    The place is where the image stands in the record, for error texts. The function raises
    MalformedRecordError when the image does not fit the model; its text names the field and no
    value, for images stay out of logs.

    Raises:
        UsageError: *model* is neither a dataclass nor a Pydantic model, or an annotation in it
            names something that does not exist.
    """
    anything: Any = model
    if isinstance(anything, type):
        found = _conversion_to(anything)
        if found is not None:
            return found
    raise UsageError("model", "must be a dataclass or a Pydantic model", got=model)


@lru_cache(maxsize=256)
def _conversion_to(model: type) -> Conversion[Any] | None:
    validate = getattr(model, "model_validate", None)
    if callable(validate):
        return _pydantic_conversion(model, validate)
    return _dataclass_conversion(model) if dataclasses.is_dataclass(model) else None


def _pydantic_conversion(
    model: type[ModelT], validate: Callable[[Any], ModelT]
) -> Conversion[ModelT]:
    def convert(image: Mapping[str, Any], place: str) -> ModelT:
        try:
            return validate(image)
        except ValueError as error:
            field, why = _first_reason(error)
            raise MalformedRecordError(
                f"{place}.{field}" if field else place,
                rule=f"as {model.__name__} wants it ({why})",
                got=_type_at(image, field),
            ) from None  # The cause would print the image.

    return convert


def _first_reason(error: ValueError) -> tuple[str, str]:
    """Return the field that a validation error names first, and what is wrong with it."""
    errors = getattr(error, "errors", None)
    if callable(errors):
        for reason in errors(include_input=False, include_url=False, include_context=False):
            return ".".join(map(str, reason["loc"])), str(reason["msg"])
    return "", type(error).__name__


def _type_at(image: Mapping[str, Any], field: str) -> str:
    """Return the type name of what stands at *field*."""
    value: Any = image
    for name in field.split(".") if field else ():
        if not isinstance(value, Mapping) or name not in value:
            return "nothing"
        value = value[name]
    return type(value).__name__


def _dataclass_conversion(model: type[Any]) -> Conversion[Any]:
    try:
        hints = get_type_hints(model)
    except (NameError, TypeError) as error:
        raise UsageError(
            "model",
            f"the annotations of {model.__name__} must name classes that exist ({error})",
            fix="import them at run time, not only while type-checking",
        ) from error
    plan = tuple(
        (field.name, _converter(hints[field.name]), _is_required(field))
        for field in dataclasses.fields(model)
        if field.init
    )

    def convert(image: Mapping[str, Any], place: str) -> Any:
        arguments = {}
        for name, converter, required in plan:
            if name in image:
                value = image[name]
                arguments[name] = (
                    value if converter is None else converter(value, f"{place}.{name}")
                )
            elif required:
                raise MalformedRecordError(
                    f"{place}.{name}", rule=f"there, for {model.__name__} needs it", got="nothing"
                )
        try:
            return model(**arguments)
        except (TypeError, ValueError) as error:
            raise MalformedRecordError(
                place, rule=f"as {model.__name__} wants it", got=f"{type(error).__name__} from it"
            ) from error

    return convert


def _is_required(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing


def _converter(annotation: Any) -> _Converter | None:
    """Return what brings a decoded value to *annotation*; None when it is passed as it is."""
    if get_origin(annotation) in (Union, UnionType):
        others = [each for each in get_args(annotation) if each is not NoneType]
        return _converter(others[0]) if len(others) == 1 else None
    if annotation is int:
        return _to_int
    if annotation is float:
        return _to_float
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        return _to_dataclass(annotation)
    return None


def _to_int(value: Any, place: str) -> Any:
    if not isinstance(value, Decimal):
        return value
    whole = int(value)
    if whole != value:
        raise MalformedRecordError(place, rule="a whole number", got="a fraction")
    return whole


def _to_float(value: Any, place: str) -> Any:
    del place  # Every number in DynamoDB's range has a nearest float.
    return float(value) if isinstance(value, Decimal) else value


def _to_dataclass(model: type[Any]) -> _Converter:
    def convert(value: Any, place: str) -> Any:
        if not isinstance(value, Mapping):
            return value
        return conversion_to(model)(value, place)  # Looked up late: a model may hold its own kind.

    return convert
