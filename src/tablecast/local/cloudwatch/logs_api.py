"""The Logs API: the operations on groups, streams and events, and how it refuses long names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tablecast.local.api.json_rpc import JsonRpc
from tablecast.local.api.refusal import ApiError
from tablecast.local.api.shapes import read_json
from tablecast.local.cloudwatch.log_events import LogEvents
from tablecast.local.cloudwatch.log_groups import LogGroups
from tablecast.local.cloudwatch.log_names import bad_parameter
from tablecast.local.cloudwatch.log_store import LogStore
from tablecast.local.cloudwatch.log_streams import LogStreams
from tablecast.local.lambdas.ports import Operation, Part

NAME_LENGTH_MAX: Final = 512


class LogsApi:
    """
    All operations of the Logs API that this runtime has.

    Args:
        store: Where groups, streams and events are.
        clock: Epoch seconds.
        further: Further parts, which need more than the store.
    """

    def __init__(
        self, store: LogStore, *, clock: Callable[[], float], further: Sequence[Part] = ()
    ) -> None:
        self._parts: tuple[Part, ...] = (
            LogGroups(store, clock=clock),
            LogStreams(store, clock=clock),
            LogEvents(store, clock=clock),
            *further,
        )

    @property
    def operations(self) -> dict[str, Operation]:
        """The operations by name, as in `FilterLogEvents`."""
        return {
            name: operation for part in self._parts for name, operation in part.operations.items()
        }


class LogsProtocol(JsonRpc):
    """
    The JSON protocol of the Logs API, which has words of its own for a name that is too long.

    Source: AWS-validated recordings of public test suites (checked 2026-11-23).
    """

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
            uri: Not asked here.
            query: Not asked here.
            headers: Not asked here.
            body: The body.

        Raises:
            ApiError: It cannot be read, or breaks a constraint.
        """
        try:
            return super().parse(operation, uri, query, headers, body)
        except ApiError as error:
            if error.code == "InvalidParameterException" and _has_long_name(read_json(body)):
                raise bad_parameter(
                    "Invalid LogGroup or LogStream, both must have length less than or equal to "
                    f"{NAME_LENGTH_MAX}."
                ) from error
            raise


def _has_long_name(document: Any) -> bool:
    return isinstance(document, dict) and any(
        len(str(document.get(name, ""))) > NAME_LENGTH_MAX
        for name in ("logGroupName", "logStreamName")
    )
