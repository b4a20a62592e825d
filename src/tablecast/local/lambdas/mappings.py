"""
The event source mapping operations of the Lambda API.

A mapping answers to its UUID. Creation checks parameters, function, source and duplicates in this
order, as recorded answers show; `mapping_request` has the rules of the request, `mapping_lifecycle`
what happens then. Listing knows a function by the ARN that the mapping was made with, qualifier
included, and goes from the oldest mapping to the newest, which no record of AWS contradicts, 100
a page at most.

A third mapping of one stream is made, as AWS makes it, with a warning: a shard has two readers.

Source:
    AWS-validated recordings of public test suites; Lambda API Reference (checked 2026-11-23).
"""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid4, uuid5

from tablecast.local.api.call import PARTITION, Call
from tablecast.local.api.refusal import (
    BAD_REQUEST,
    ApiError,
    conflict,
    invalid_parameter,
    not_found,
    user_error,
)
from tablecast.local.documents import Documents
from tablecast.local.lambdas.mapping_lifecycle import (
    SETTLED,
    TAGS_KIND,
    MappingKey,
    MappingLifecycle,
    StoredMapping,
)
from tablecast.local.lambdas.mapping_record import changed_record, new_record, record_kind
from tablecast.local.lambdas.mapping_request import (
    SourceKind,
    check_batch,
    check_creation,
    check_parameters,
    refuse_other_sources,
    source_kind,
)
from tablecast.local.lambdas.mapping_source import check_stream, visibility_timeout_seconds
from tablecast.local.lambdas.ports import (
    Clients,
    Delays,
    FindFunction,
    MappingHost,
    Operation,
    Target,
)
from tablecast.local.model import (
    REGION,
    QueueMappingSpec,
    StreamMappingSpec,
    function_arn,
    queue_arn,
)

_LOG: Final = logging.getLogger(__name__)
_PAGE_MAX: Final = 100
_READERS_MAX: Final = 2
_MILLISECONDS: Final = 3


class Mappings:
    """
    Event source mappings.

    Args:
        documents: Where they are kept.
        find: Finds functions.
        host: Runs them.
        clients: Clients of the data services.
        delays: How long their state changes take.
        clock: Tells the time in epoch seconds.
        new_id: Makes UUIDs.
        warn: Gets the UUID of a mapping and what a person may want to know of it; by default a
            line in the log.
    """

    def __init__(
        self,
        documents: Documents,
        find: FindFunction,
        host: MappingHost,
        clients: Clients,
        *,
        delays: Delays,
        clock: Callable[[], float],
        new_id: Callable[[], str] = lambda: str(uuid4()),
        warn: Callable[[str, str], None] | None = None,
    ) -> None:
        self._documents = documents
        self._find = find
        self._clients = clients
        self._clock = clock
        self._new_id = new_id
        self._warn = warn or _log_warning
        self._life = MappingLifecycle(documents, find, host, clients, delays=delays, clock=clock)

    @property
    def operations(self) -> dict[str, Operation]:
        """The operations by name."""
        return {
            "CreateEventSourceMapping": self.create_event_source_mapping,
            "GetEventSourceMapping": self.get_event_source_mapping,
            "UpdateEventSourceMapping": self.update_event_source_mapping,
            "DeleteEventSourceMapping": self.delete_event_source_mapping,
            "ListEventSourceMappings": self.list_event_source_mappings,
        }

    async def create_event_source_mapping(
        self, call: Call, request: dict[str, Any]
    ) -> dict[str, Any]:
        """Carry out CreateEventSourceMapping."""
        kind = source_kind(request)
        check_creation(request, kind)
        target = self._function(call, request["FunctionName"])
        refuse_other_sources(kind)
        await self._check_source(kind, request["EventSourceArn"], target)
        self._check_duplicate(call.region, kind, request["EventSourceArn"], target)
        mapping_id = self._new_id()
        mapping_arn = _mapping_arn(call, mapping_id)
        record = new_record(
            request,
            kind,
            mapping_id=mapping_id,
            mapping_arn=mapping_arn,
            function_arn=target.invoked_arn,
        )
        self._warn_of_readers(call.region, record)
        if request.get("Tags"):
            self._documents.put(TAGS_KIND, (mapping_arn,), request["Tags"])
        enabled = request.get("Enabled", True)
        mapping = self._stored(record, target, enabled=enabled, created_at=self._clock())
        return self._begin(call.region, mapping, "Creating" if enabled else "Disabled")

    async def get_event_source_mapping(self, call: Call, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out GetEventSourceMapping."""
        return self._life.shown(self._mapping(call, request))

    async def update_event_source_mapping(
        self, call: Call, request: dict[str, Any]
    ) -> dict[str, Any]:
        """Carry out UpdateEventSourceMapping."""
        mapping = self._mapping(call, request)
        _check_settled(mapping, "update")
        kind, source_arn = record_kind(mapping.record), mapping.record["EventSourceArn"]
        check_parameters(request, kind, source_arn)
        record = changed_record(mapping.record, request)
        check_batch(record, kind, source_arn)
        timeout_seconds = mapping.function_timeout_seconds
        if "FunctionName" in request:
            target = self._function(call, request["FunctionName"])
            if kind == "queue":
                await self._check_source(kind, source_arn, target)
            if target.invoked_arn != mapping.record["FunctionArn"]:
                self._check_duplicate(call.region, kind, source_arn, target)
            record["FunctionArn"] = target.invoked_arn
            timeout_seconds = _timeout_seconds(target)
        enabled = request.get("Enabled", mapping.enabled)
        state = "Updating"
        if enabled != mapping.enabled:
            state = "Enabling" if enabled else "Disabling"
        changed = StoredMapping(
            record=record,
            enabled=enabled,
            created_at=mapping.created_at,
            function_timeout_seconds=timeout_seconds,
            declared=mapping.declared,
        )
        return self._begin(call.region, changed, state)

    async def delete_event_source_mapping(
        self, call: Call, request: dict[str, Any]
    ) -> dict[str, Any]:
        """Carry out DeleteEventSourceMapping."""
        mapping = self._mapping(call, request)
        _check_settled(mapping, "delete")
        return self._begin(call.region, mapping, "Deleting", modified=False)

    async def list_event_source_mappings(
        self, call: Call, request: dict[str, Any]
    ) -> dict[str, Any]:
        """Carry out ListEventSourceMappings."""
        found = list(self._life.all_of(call.region))
        if "FunctionName" in request:
            arn = _function_arn(call, request["FunctionName"])
            found = [each for each in found if each.record["FunctionArn"] == arn]
        if "EventSourceArn" in request:
            arn = request["EventSourceArn"]
            found = [each for each in found if each.record["EventSourceArn"] == arn]
        start = _position(request.get("Marker", ""))
        end = start + min(request.get("MaxItems", _PAGE_MAX), _PAGE_MAX)
        answer: dict[str, Any] = {
            "EventSourceMappings": [_listed(self._life.shown(each)) for each in found[start:end]]
        }
        if end < len(found):
            answer["NextMarker"] = _marker(end)
        return answer

    async def adopt_stream(self, spec: StreamMappingSpec, stream_arn: str) -> str:
        """
        Have a stream mapping of an application, Enabled at once; replaces an earlier one.

        Args:
            spec: The mapping.
            stream_arn: ARN of the stream of its table.

        Returns:
            Its UUID, the same for the same `spec.id`.

        Raises:
            ApiError: A value is one that Lambda would refuse, or the function is not there.
        """
        request: dict[str, Any] = {
            "EventSourceArn": stream_arn,
            "FunctionName": function_arn(spec.function),
            "StartingPosition": spec.starting_position,
            "BatchSize": spec.batch_size,
            "MaximumBatchingWindowInSeconds": spec.maximum_batching_window_seconds,
            "ParallelizationFactor": spec.parallelization_factor,
            "MaximumRetryAttempts": spec.maximum_retry_attempts,
            "MaximumRecordAgeInSeconds": spec.maximum_record_age_seconds,
            "BisectBatchOnFunctionError": spec.bisect_batch_on_function_error,
            "DestinationConfig": {"OnFailure": {"Destination": spec.on_failure or ""}},
            **_common(spec),
        }
        return await self._adopt(spec.id, request, enabled=spec.enabled)

    async def adopt_queue(self, spec: QueueMappingSpec) -> str:
        """
        Have a queue mapping of an application, Enabled at once; replaces an earlier one.

        Args:
            spec: The mapping.

        Returns:
            Its UUID, the same for the same `spec.id`.

        Raises:
            ApiError: A value is one that Lambda would refuse, or the function is not there.
        """
        request: dict[str, Any] = {
            "EventSourceArn": queue_arn(spec.queue),
            "FunctionName": function_arn(spec.function),
            "BatchSize": spec.batch_size,
            "MaximumBatchingWindowInSeconds": spec.maximum_batching_window_seconds,
            **_common(spec),
        }
        if spec.maximum_concurrency is not None:
            request["ScalingConfig"] = {"MaximumConcurrency": spec.maximum_concurrency}
        return await self._adopt(spec.id, request, enabled=spec.enabled)

    async def drop(self, spec_id: str) -> None:
        """Delete a mapping of an application at once; harmless when it is not there."""
        await self._life.forget((REGION, declared_mapping_id(spec_id)))

    async def resume(self) -> None:
        """Go on with the mappings that the documents hold, after a restart."""
        self._life.resume()

    async def wait_settled(self) -> None:
        """Return when no mapping is on its way to another state."""
        await self._life.wait_settled()

    async def aclose(self) -> None:
        """Let go of all timers; drivers are the host's to stop."""
        await self._life.aclose()

    async def _adopt(self, spec_id: str, request: dict[str, Any], *, enabled: bool) -> str:
        call = Call(region=REGION)
        kind = source_kind(request)
        check_creation(request, kind)
        target = self._function(call, request["FunctionName"])
        mapping_id = declared_mapping_id(spec_id)
        key = (REGION, mapping_id)
        record = new_record(
            request,
            kind,
            mapping_id=mapping_id,
            mapping_arn=_mapping_arn(call, mapping_id),
            function_arn=target.invoked_arn,
        )
        earlier = self._life.get(key)
        created_at = self._clock() if earlier is None else earlier.created_at
        record |= {"State": "Enabled", "LastModified": self._now()}
        self._life.keep(
            key,
            self._stored(record, target, enabled=enabled, created_at=created_at, declared=True),
        )
        await self._life.settle(key)
        return mapping_id

    def _mapping(self, call: Call, request: Mapping[str, Any]) -> StoredMapping:
        mapping = self._life.get((call.region, request["UUID"]))
        if mapping is None:
            raise not_found("The resource you requested does not exist.")
        return mapping

    def _function(self, call: Call, name: str) -> Target:
        try:
            return self._find(call, name)
        except ApiError as error:
            if error.code == "ResourceNotFoundException":
                raise invalid_parameter("Function does not exist") from error
            raise

    async def _check_source(self, kind: SourceKind, arn: str, target: Target) -> None:
        if kind == "stream":
            await check_stream(self._clients, arn)
            return
        visibility_seconds = await visibility_timeout_seconds(self._clients, arn)
        timeout_seconds = _timeout_seconds(target)
        if visibility_seconds < timeout_seconds:
            raise invalid_parameter(
                f"Queue visibility timeout: {visibility_seconds} seconds is less than "
                f"Function timeout: {timeout_seconds} seconds"
            )

    def _check_duplicate(
        self, region: str, kind: SourceKind, source_arn: str, target: Target
    ) -> None:
        for each in self._life.all_of(region):
            record = each.record
            if (record["EventSourceArn"], record["FunctionArn"]) != (
                source_arn,
                target.invoked_arn,
            ):
                continue
            pair = f'(" {source_arn} ") and function (" {target.name} ")'
            rest = (
                "already exists. Please update or delete the existing mapping with UUID "
                f"{record['UUID']}"
            )
            raise conflict(
                f"An event source mapping with SQS arn {pair} {rest}"
                if kind == "queue"
                else f"The event source arn {pair} provided mapping {rest}"
            )

    def _warn_of_readers(self, region: str, record: Mapping[str, Any]) -> None:
        if record_kind(record) != "stream":
            return
        arn = record["EventSourceArn"]
        readers = 1 + sum(
            each.record["EventSourceArn"] == arn and each.state != "Deleting"
            for each in self._life.all_of(region)
        )
        if readers > _READERS_MAX:
            self._warn(
                record["UUID"],
                f"reader {readers} of {arn}: a shard has {_READERS_MAX} readers at most, "
                "AWS would throttle all of them",
            )

    def _stored(
        self,
        record: dict[str, Any],
        target: Target,
        *,
        enabled: bool,
        created_at: float,
        declared: bool = False,
    ) -> StoredMapping:
        return StoredMapping(
            record=record,
            enabled=enabled,
            created_at=created_at,
            function_timeout_seconds=_timeout_seconds(target),
            declared=declared,
        )

    def _begin(
        self, region: str, mapping: StoredMapping, state: str, *, modified: bool = True
    ) -> dict[str, Any]:
        """Put a mapping into a state; return what the request that did it answers."""
        mapping.record["State"] = state
        if modified:
            mapping.record["LastModified"] = self._now()
        key: MappingKey = (region, mapping.record["UUID"])
        if state in SETTLED:
            self._life.keep(key, mapping)
        else:
            self._life.begin(key, mapping)
        return self._life.shown(mapping)

    def _now(self) -> float:
        return round(self._clock(), _MILLISECONDS)


def declared_mapping_id(spec_id: str) -> str:
    """Return the UUID of an application's mapping."""
    return str(uuid5(NAMESPACE_URL, f"tablecast:event-source-mapping:{spec_id}"))


def _common(spec: StreamMappingSpec | QueueMappingSpec) -> dict[str, Any]:
    return {
        "FunctionResponseTypes": ["ReportBatchItemFailures"]
        if spec.report_batch_item_failures
        else [],
        "FilterCriteria": {"Filters": [{"Pattern": pattern} for pattern in spec.filters]},
    }


def _check_settled(mapping: StoredMapping, verb: str) -> None:
    if mapping.state not in SETTLED:
        raise user_error(
            "ResourceInUseException",
            f"Cannot {verb} the event source mapping because it is in use.",
            status=BAD_REQUEST,
        )


def _timeout_seconds(target: Target) -> int:
    return int(target.configuration.get("Timeout", 3))


def _mapping_arn(call: Call, mapping_id: str) -> str:
    return (
        f"arn:{PARTITION}:lambda:{call.region}:{call.account_id}:event-source-mapping:{mapping_id}"
    )


def _function_arn(call: Call, name: str) -> str:
    """Return the ARN that a name, a partial ARN or an ARN stands for; nothing need be there."""
    if name.startswith("arn:"):
        return name
    parts = name.split(":")
    if "function" in parts[:-1]:
        parts = parts[parts.index("function") + 1 :]
    prefix = f"arn:{PARTITION}:lambda:{call.region}:{call.account_id}:function:"
    return prefix + ":".join(parts)


def _listed(record: dict[str, Any]) -> dict[str, Any]:
    """Return a mapping as lists show it: filters under a key of the customer's stay closed."""
    if "KMSKeyArn" in record:
        record.pop("FilterCriteria", None)
    return record


def _marker(position: int) -> str:
    return base64.urlsafe_b64encode(str(position).encode()).decode()


def _position(marker: str) -> int:
    if not marker:
        return 0
    try:
        return max(0, int(base64.urlsafe_b64decode(marker)))
    except (ValueError, binascii.Error) as error:
        raise invalid_parameter("Invalid marker.") from error


def _log_warning(mapping_id: str, text: str) -> None:
    _LOG.warning("event source mapping %s: %s", mapping_id, text)
