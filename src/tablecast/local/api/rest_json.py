"""
The REST-JSON protocol, which the Lambda API speaks: requests in, responses out, by a service model.

What the model ties to the path, the query, a header or the raw body is taken from there, the rest
from the JSON body. An operation is found by method and path template, of templates that both fit
the one whose query part (`?find=LayerVersion`) is there too.

Errors carry their name in `x-amzn-errortype`. Their text is `Message` or `message`, as the error's
own shape has it, and `message` for errors that no model knows, as ValidationException.

The model's list of runtimes is not enforced for functions: Lambda answers that with an error of its
own, which allows ARNs too, so the operations do. A request of 70,167,211 bytes or more is refused
whatever it holds; Invoke has a smaller bound of its own.

Source:
    Smithy, "AWS restJson1 protocol" (checked 2026-11-23).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from tablecast.aws.models import ListShape, MapShape, ServiceModel, Shape, StructureShape
from tablecast.local.api.constraints import violations_text
from tablecast.local.api.refusal import ApiError, validation_error
from tablecast.local.api.response import Response, Routed
from tablecast.local.api.shapes import (
    from_text,
    read_json,
    structure_from_json,
    structure_to_json,
    timestamp_to_wire,
)

_JSON: Final = {"content-type": "application/json"}
_REQUEST_BYTES_MAX: Final = 70_167_211
_HTTP_TOO_LARGE: Final = 413
_UNCHECKED: Final[Mapping[str, tuple[str, ...]]] = {
    "CreateFunction": ("Runtime",),
    "PublishLayerVersion": ("CompatibleArchitectures", "CompatibleRuntimes"),
    "UpdateFunctionConfiguration": ("Runtime",),
}
_NO_HEADERS: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class _Template:
    """
    A path that operations are found by.

    Args:
        segments: The path cut at its slashes; a label stands in braces.
        query: Keys and values that must be in the query.
    """

    operation: str
    segments: tuple[str, ...]
    query: tuple[tuple[str, str], ...]

    def match(
        self, segments: Sequence[str], query: Sequence[tuple[str, str]]
    ) -> dict[str, str] | None:
        """Return the values of the labels, None when the path is another."""
        greedy = any(segment.endswith("+}") for segment in self.segments)
        if len(segments) != len(self.segments) and not (
            greedy and len(segments) > len(self.segments)
        ):
            return None
        labels: dict[str, str] = {}
        rest = list(segments)
        for index, segment in enumerate(self.segments):
            if segment.endswith("+}"):
                taken = len(rest) - (len(self.segments) - index - 1)
                labels[segment[1:-2]] = unquote("/".join(rest[:taken]))
                rest = rest[taken:]
                continue
            part = rest.pop(0)
            if segment.startswith("{"):
                labels[segment[1:-1]] = unquote(part)
            elif segment != part:
                return None
        return labels if all(pair in query for pair in self.query) else None


class RestJson:
    """
    Reads requests and writes responses of an API.

    Args:
        model: Model of the API.
    """

    def __init__(self, model: ServiceModel) -> None:
        self._model = model
        self._errors = {
            shape.error_code: shape
            for shape in model.error_shapes
            if isinstance(shape, StructureShape)
        }
        self._templates: dict[str, list[_Template]] = {}
        for name in model.operation_names:
            http = model.operation_model(name).http
            path, _, query = http["requestUri"].partition("?")
            template = _Template(name, tuple(_segments(path)), tuple(_query_part(query)))
            self._templates.setdefault(http["method"], []).append(template)
        for templates in self._templates.values():  # the one that asks for more goes first
            templates.sort(key=lambda template: (-len(template.query), _labels(template)))

    @property
    def model(self) -> ServiceModel:
        """The model of the API."""
        return self._model

    def route(
        self,
        method: str,
        raw_path: str,
        query: Sequence[tuple[str, str]],
        headers: Mapping[str, str] = _NO_HEADERS,  # noqa: ARG002 - other protocols route by them
    ) -> Routed | None:
        """
        Return what a request is for, None when the API has no such thing.

        Args:
            method: HTTP method.
            raw_path: Path as it was sent, percent-encoded.
            query: Keys and values of the query, decoded.
            headers: Not asked here.
        """
        segments = _segments(raw_path)
        for template in self._templates.get(method, []):
            labels = template.match(segments, query)
            if labels is not None:
                return Routed(template.operation, labels)
        return None

    def parse(
        self,
        operation: str,
        uri: Mapping[str, str],
        query: Sequence[tuple[str, str]],
        headers: Mapping[str, str],
        body: bytes,
    ) -> dict[str, Any]:
        """
        Return the parameters of a request by the names of the model.

        Args:
            operation: Name of the operation.
            uri: Values in the path.
            query: Keys and values of the query, decoded.
            headers: Headers by their names in lower case.
            body: The body.

        Raises:
            ApiError: SerializationException for what cannot be read, ValidationException for what
                breaks a constraint of the model, RequestEntityTooLargeException.
        """
        if len(body) >= _REQUEST_BYTES_MAX and operation != "Invoke":
            raise ApiError(
                "RequestEntityTooLargeException",
                f"Request must be smaller than {_REQUEST_BYTES_MAX} bytes for the {operation} "
                "operation",
                status=_HTTP_TOO_LARGE,
            )
        shape = self._model.operation_model(operation).input_shape
        if not isinstance(shape, StructureShape):
            return {}
        request: dict[str, Any] = {}
        payload = shape.serialization.get("payload")
        if payload is None:
            if any("location" not in member.serialization for member in shape.members.values()):
                request.update(structure_from_json(shape, read_json(body)))
        else:
            request.update(_payload(payload, shape.members[payload], body))
        for name, member in shape.members.items():
            value = _elsewhere(name, member, uri, query, headers)
            if value is not None:
                request[name] = value
        text = violations_text(shape, request, unchecked=_UNCHECKED.get(operation, ()))
        if text is not None:
            raise validation_error(text)
        return request

    def render(self, operation: str, result: Mapping[str, Any]) -> Response:
        """
        Return the response to a request that was carried out.

        Args:
            operation: Name of the operation.
            result: Members by the names of the model; those that are None are sent as null in a
                body and left out of the headers. A member that the model ties to the status
                overrides it.
        """
        model = self._model.operation_model(operation)
        status = int(model.http.get("responseCode", 200))
        shape = model.output_shape
        if not isinstance(shape, StructureShape):
            return Response(status)
        headers: dict[str, str] = {}
        for name, member in shape.members.items():
            value = result.get(name)
            match member.serialization.get("location"):
                case "statusCode" if value is not None:
                    status = int(value)
                case "header" if value is not None:
                    headers[member.serialization["name"].lower()] = _header(member, value)
                case "headers" if value is not None:
                    prefix = member.serialization.get("name", "").lower()
                    headers |= {prefix + key.lower(): text for key, text in value.items()}
        payload = shape.serialization.get("payload")
        if payload is not None and not isinstance(shape.members[payload], StructureShape):
            raw = result.get(payload) or b""
            return Response(
                status, _JSON | headers, raw if isinstance(raw, bytes) else raw.encode()
            )
        if status == 204:  # noqa: PLR2004 - No Content
            return Response(status, headers)
        document = structure_to_json(
            *((shape.members[payload], result.get(payload) or {}) if payload else (shape, result))
        )
        return Response(status, _JSON | headers, _dumped(document))

    def render_error(self, error: ApiError) -> Response:
        """Return the response to a request that was refused; a refusal without words says null."""
        shape = self._errors.get(error.code)
        members: dict[str, Any] = {}
        headers: dict[str, str] = {}
        for name, value in error.members.items():
            member = None if shape is None else shape.members.get(name)
            if value is None:
                continue
            if member is not None and member.serialization.get("location") == "header":
                headers[member.serialization["name"].lower()] = _header(member, value)
            else:
                members[name] = value
        text = "Message" if shape is not None and "Message" in shape.members else "message"
        document = {**members, text: error.message or None}
        headers |= _JSON | {"x-amzn-errortype": error.code}
        return Response(error.status, headers, _dumped(document))


def _segments(path: str) -> list[str]:
    """Return the parts of a path between its slashes; a slash at its end counts for nothing."""
    return path.strip("/").split("/")


def _query_part(query: str) -> list[tuple[str, str]]:
    return parse_qsl(query, keep_blank_values=True)


def _labels(template: _Template) -> int:
    return sum(segment.startswith("{") for segment in template.segments)


def _payload(name: str, member: Shape, body: bytes) -> dict[str, Any]:
    if isinstance(member, StructureShape):
        return {name: structure_from_json(member, read_json(body))} if body.strip() else {}
    if not body:
        return {}
    return {name: body if member.type_name == "blob" else body.decode(errors="replace")}


def _elsewhere(
    name: str,
    member: Shape,
    uri: Mapping[str, str],
    query: Sequence[tuple[str, str]],
    headers: Mapping[str, str],
) -> Any:
    """Return a member that is not in the body, None when it is not there."""
    key = member.serialization.get("name", name)
    match member.serialization.get("location"):
        case "uri":
            return from_text(member, uri[key]) if key in uri else None
        case "querystring":
            return _from_query(member, key, query)
        case "header":
            text = headers.get(key.lower())
            return None if text is None else from_text(member, text)
        case "headers":
            prefix = key.lower()
            return {
                header.removeprefix(prefix): text
                for header, text in headers.items()
                if header.startswith(prefix)
            }
        case _:
            return None


def _from_query(member: Shape, key: str, query: Sequence[tuple[str, str]]) -> Any:
    if isinstance(member, MapShape):
        if isinstance(member.value, ListShape):
            many: dict[str, list[str]] = {}
            for name, text in query:
                many.setdefault(name, []).append(text)
            return many or None
        return dict(query) or None
    texts = [text for name, text in query if name == key]
    if not texts:
        return None
    if isinstance(member, ListShape):
        return [from_text(member.member, text) for text in texts]
    return from_text(member, texts[0])


def _header(member: Shape, value: Any) -> str:
    if member.type_name == "timestamp":
        return str(timestamp_to_wire(member, value, default="rfc822"))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _dumped(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
