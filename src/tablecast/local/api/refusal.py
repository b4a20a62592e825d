"""The answer to a request that is refused, as AWS words it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from tablecast.errors import TablecastError

BAD_REQUEST: Final = 400
NOT_FOUND: Final = 404
CONFLICT: Final = 409
TOO_MANY_REQUESTS: Final = 429
SERVICE_EXCEPTION: Final = 500


class ApiError(TablecastError):
    """
    A request is refused.

    Args:
        code: Name of the error, as in `ResourceNotFoundException`.
        message: Its text, word for word as AWS has it.
        status: HTTP status.
        members: Further members of the error's shape; None of `Type` leaves it out. A Lambda error
            has `Type: User` in its body, but for validation errors.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int = BAD_REQUEST,
        members: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self.code = code
        self.message = message
        self.status = status
        self.members = dict(members)
        super().__init__(f"{code}: {message}")


def user_error(code: str, message: str, *, status: int = BAD_REQUEST, **members: Any) -> ApiError:
    """Return a refusal of the Lambda API for which the caller is to blame: `Type` is `User`."""
    return ApiError(code, message, status=status, members={"Type": "User", **members})


def not_found(message: str) -> ApiError:
    """Return ResourceNotFoundException."""
    return user_error("ResourceNotFoundException", message, status=NOT_FOUND)


def invalid_parameter(message: str) -> ApiError:
    """Return InvalidParameterValueException."""
    return user_error("InvalidParameterValueException", message)


def conflict(message: str) -> ApiError:
    """Return ResourceConflictException."""
    return user_error("ResourceConflictException", message, status=CONFLICT)


def validation_error(message: str) -> ApiError:
    """Return ValidationException, whose body has no `Type`."""
    return ApiError("ValidationException", message)
