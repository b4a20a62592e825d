"""Event source mappings live as AWS lets them live: states, answers, refusals."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from tablecast.errors import AwsError
from tablecast.local.api.call import Call
from tablecast.local.api.refusal import ApiError, not_found
from tablecast.local.documents import Documents
from tablecast.local.lambdas.mappings import Mappings, declared_mapping_id
from tablecast.local.lambdas.ports import Delays, Target
from tablecast.local.model import QueueMappingSpec, StreamMappingSpec

CALL = Call()
NOW = 1_700_000_000.1234
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:"
TABLE = "arn:aws:dynamodb:us-east-1:000000000000:table/t"
STREAM = f"{TABLE}/stream/2026-01-01T00:00:00.000"
QUEUE = "arn:aws:sqs:us-east-1:000000000000:q"
FIFO = "arn:aws:sqs:us-east-1:000000000000:q.fifo"
KINESIS = "arn:aws:kinesis:us-east-1:000000000000:stream/s"
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


class Host:
    """Remembers what it was told to run."""

    def __init__(self):
        self.running = {}
        self.told = []
        self.unreachable = False
        self.results = {}

    async def start(self, config):
        if self.unreachable:
            raise AwsError("x", code="Lost", message="no answer", status=0, retryable=True)
        self.told.append(("start", config.enabled))
        self.running[config.id] = config

    async def update(self, config):
        self.told.append(("update", config.enabled))
        self.running[config.id] = config

    async def delete(self, mapping_id):
        self.told.append(("delete", mapping_id in self.running))
        self.running.pop(mapping_id, None)

    def last_processing_result(self, mapping_id):
        return self.results.get(mapping_id, "No records processed")


class Client:
    """The data services, as far as mappings ask them."""

    def __init__(self):
        self.streams = {STREAM}
        self.queues = {"q": 30, "q.fifo": 30}

    async def call(self, service, operation, request, *, retries=0):
        if operation == "DescribeStream":
            if request["StreamArn"] in self.streams:
                return {}
            raise _refused("ResourceNotFoundException")
        name = request.get("QueueName") or request["QueueUrl"].rsplit("/", 1)[-1]
        if name not in self.queues:
            raise _refused("QueueDoesNotExist")
        if operation == "GetQueueUrl":
            return {"QueueUrl": f"http://localhost/{name}"}
        arn = f"arn:aws:sqs:us-east-1:000000000000:{name}"
        return {"Attributes": {"QueueArn": arn, "VisibilityTimeout": str(self.queues[name])}}


def _refused(code):
    return AwsError("x", code=code, message="gone", status=400, retryable=False)


@dataclass
class Account:
    """Mappings among fakes."""

    documents: Documents = field(default_factory=Documents)
    host: Host = field(default_factory=Host)
    client: Client = field(default_factory=Client)
    functions: dict[str, int] = field(default_factory=lambda: {"f": 3, "g": 3})
    warnings: list[str] = field(default_factory=list)
    mappings: Mappings = field(init=False)

    def __post_init__(self):
        ids = (f"{number:08d}-0000-0000-0000-000000000000" for number in range(1, 1_000))
        self.mappings = Mappings(
            self.documents,
            self.find,
            self.host,
            lambda region: self.client,
            delays=Delays(0, 0, (0, 0)),
            clock=lambda: NOW,
            new_id=lambda: next(ids),
            warn=lambda mapping_id, text: self.warnings.append(text),
        )

    def find(self, call, function_name, qualifier=None):
        parts = function_name.removeprefix(FUNCTION).split(":")
        if parts[0] not in self.functions:
            raise not_found(f"Function not found: {FUNCTION}{parts[0]}")
        return Target(
            name=parts[0],
            region=call.region,
            version="$LATEST",
            qualifier=None,
            invoked_arn=FUNCTION + ":".join(parts),
            configuration={"Timeout": self.functions[parts[0]]},
        )

    async def create(self, *, settled=True, **request):
        answer = await self.mappings.create_event_source_mapping(CALL, request)
        if settled:
            await self.mappings.wait_settled()
        return answer

    async def stream(self, **request):
        request = {
            "FunctionName": "f",
            "EventSourceArn": STREAM,
            "StartingPosition": "TRIM_HORIZON",
        } | request
        return await self.create(**request)

    async def queue(self, **request):
        return await self.create(**{"FunctionName": "f", "EventSourceArn": QUEUE} | request)

    async def get(self, uuid):
        return await self.mappings.get_event_source_mapping(CALL, {"UUID": uuid})

    async def update(self, uuid, **request):
        return await self.mappings.update_event_source_mapping(CALL, {"UUID": uuid, **request})

    async def delete(self, uuid):
        return await self.mappings.delete_event_source_mapping(CALL, {"UUID": uuid})

    async def listed(self, **request):
        return await self.mappings.list_event_source_mappings(CALL, request)


@pytest.fixture
def account():
    return Account()


def refused(coroutine):
    """Code, message and status of a refusal."""
    with pytest.raises(ApiError) as error:
        asyncio.run(coroutine)
    return error.value.code, error.value.message, error.value.status


def invalid(message):
    return "InvalidParameterValueException", message, 400


def unsupported(name):
    return invalid(f"Unsupported {name} parameter for given event source mapping type.")


def test_a_stream_mapping_is_shown_with_all_its_defaults(account):
    """Recorded from AWS."""
    expected = {
        "BatchSize": 100,
        "BisectBatchOnFunctionError": False,
        "DestinationConfig": {"OnFailure": {}},
        "EventSourceArn": STREAM,
        "EventSourceMappingArn": "arn:aws:lambda:us-east-1:000000000000:event-source-mapping:"
        "00000001-0000-0000-0000-000000000000",
        "FunctionArn": f"{FUNCTION}f",
        "FunctionResponseTypes": [],
        "LastModified": 1_700_000_000.123,
        "LastProcessingResult": "No records processed",
        "MaximumBatchingWindowInSeconds": 0,
        "MaximumRecordAgeInSeconds": -1,
        "MaximumRetryAttempts": -1,
        "ParallelizationFactor": 1,
        "StartingPosition": "TRIM_HORIZON",
        "State": "Creating",
        "StateTransitionReason": "User action",
        "TumblingWindowInSeconds": 0,
        "UUID": "00000001-0000-0000-0000-000000000000",
    }

    async def script():
        assert expected == await account.stream()
        assert expected | {"State": "Enabled"} == await account.get(expected["UUID"])

    asyncio.run(script())


def test_a_queue_mapping_is_shown_with_less(account):
    """Recorded from AWS."""
    expected = {
        "BatchSize": 10,
        "EventSourceArn": QUEUE,
        "EventSourceMappingArn": "arn:aws:lambda:us-east-1:000000000000:event-source-mapping:"
        "00000001-0000-0000-0000-000000000000",
        "FunctionArn": f"{FUNCTION}f",
        "FunctionResponseTypes": [],
        "LastModified": 1_700_000_000.123,
        "MaximumBatchingWindowInSeconds": 0,
        "State": "Creating",
        "StateTransitionReason": "USER_INITIATED",
        "UUID": "00000001-0000-0000-0000-000000000000",
    }

    assert expected == asyncio.run(account.queue())


def test_what_says_something_is_shown_and_what_is_empty_is_not(account):
    """An empty list of filters is no filter."""

    async def script():
        criteria = {"Filters": [{"Pattern": '{"body": {"a": [1]}}'}]}
        scaling = {"MaximumConcurrency": 2}
        full = await account.queue(FilterCriteria=criteria, ScalingConfig=scaling)
        assert (criteria, scaling) == (full["FilterCriteria"], full["ScalingConfig"])
        empty = await account.queue(
            FunctionName="g", FilterCriteria={"Filters": []}, ScalingConfig={}, MetricsConfig={}
        )
        assert not {"FilterCriteria", "ScalingConfig", "MetricsConfig"} & set(empty)

    asyncio.run(script())


def test_the_function_is_named_by_the_arn_that_was_asked_for(account):
    """A qualifier stays."""

    async def script():
        plain = await account.queue(FunctionName="f")
        alias = await account.queue(FunctionName="f:live")
        assert f"{FUNCTION}f" == plain["FunctionArn"]
        assert f"{FUNCTION}f:live" == alias["FunctionArn"]

    asyncio.run(script())


def test_the_engine_is_told_what_the_mapping_says(account):
    """When the creation has ended."""

    async def script():
        answer = await account.stream(
            settled=False,
            BatchSize=7,
            ParallelizationFactor=2,
            MaximumRetryAttempts=1,
            MaximumRecordAgeInSeconds=60,
            BisectBatchOnFunctionError=True,
            FunctionResponseTypes=["ReportBatchItemFailures"],
            FilterCriteria={"Filters": [{"Pattern": '{"eventName": ["INSERT"]}'}]},
            DestinationConfig={"OnFailure": {"Destination": QUEUE}},
        )
        assert {} == account.host.running
        await account.mappings.wait_settled()
        config = account.host.running[answer["UUID"]]
        assert (7, 2, 1, 60) == (
            config.batch_size,
            config.parallelization_factor,
            config.maximum_retry_attempts,
            config.maximum_record_age_seconds,
        )
        assert config.bisect_batch_on_function_error
        assert config.report_batch_item_failures
        assert ('{"eventName": ["INSERT"]}',) == config.filters
        assert (QUEUE, f"{FUNCTION}f") == (config.on_failure, config.function_arn)

    asyncio.run(script())


def test_a_queue_mapping_knows_the_timeouts_of_queue_and_function(account):
    """They decide how long messages stay invisible."""
    account.client.queues["q"] = 90
    account.functions["f"] = 60

    answer = asyncio.run(account.queue(ScalingConfig={"MaximumConcurrency": 5}))

    config = account.host.running[answer["UUID"]]
    assert (90, 60, 5) == (
        config.visibility_timeout_seconds,
        config.function_timeout_seconds,
        config.maximum_concurrency,
    )


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({}, "Unrecognized event source."),
        ({"EventSourceArn": TABLE}, "Unrecognized event source."),
        ({"EventSourceArn": "arn:aws:s3:::bucket"}, "Unrecognized event source."),
        (
            {"EventSourceArn": STREAM},
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy "
            "constraint: Member must not be null.",
        ),
        (
            {"EventSourceArn": STREAM, "StartingPosition": "AT_TIMESTAMP"},
            f"Unsupported starting position for arn type: {STREAM}",
        ),
        (
            {
                "EventSourceArn": STREAM,
                "StartingPosition": "LATEST",
                "StartingPositionTimestamp": MOMENT,
            },
            "Timestamp only valid with StartingPosition AT_TIMESTAMP",
        ),
        (
            {"EventSourceArn": QUEUE, "StartingPosition": "LATEST"},
            "StartingPosition is not valid for SQS event sources.",
        ),
        (
            {"EventSourceArn": QUEUE, "BatchSize": 11},
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is "
            "greater than 10",
        ),
        (
            {"EventSourceArn": FIFO, "MaximumBatchingWindowInSeconds": 1},
            "Batching window is not supported for FIFO queues",
        ),
        (
            {
                "EventSourceArn": STREAM,
                "StartingPosition": "LATEST",
                "MaximumRecordAgeInSeconds": 59,
            },
            "MaximumRecordAgeInSeconds must be either -1 (forever) or between 60 and 604800 "
            "(inclusive)",
        ),
        (
            {"EventSourceArn": QUEUE, "FunctionName": "missing"},
            "Function does not exist",
        ),
        (
            {"EventSourceArn": f"{QUEUE}2"},
            "Error occurred while ReceiveMessage. "
            "SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. "
            "SQS Error Message: The specified queue does not exist.",
        ),
        (
            {"EventSourceArn": f"{STREAM}2", "StartingPosition": "LATEST"},
            f"Stream not found: {STREAM}2",
        ),
        (
            {"EventSourceArn": KINESIS, "StartingPosition": "LATEST"},
            "The local runtime runs event source mappings of DynamoDB streams and SQS queues only.",
        ),
        (
            {"EventSourceArn": KINESIS},
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy "
            "constraint: Member must not be null.",
        ),
        (
            {"SelfManagedEventSource": {}},
            "Required 'sourceAccessConfigurations' parameter is missing.",
        ),
    ],
)
def test_a_creation_that_aws_refuses_is_refused_in_its_words(account, request_, message):
    """Each is an InvalidParameterValueException."""
    assert invalid(message) == refused(account.create(**{"FunctionName": "f"} | request_))


@pytest.mark.parametrize(
    ("arn", "name", "value"),
    [
        (QUEUE, "DestinationConfig", {"OnFailure": {"Destination": QUEUE}}),
        (QUEUE, "ParallelizationFactor", 2),
        (QUEUE, "MaximumRetryAttempts", 2),
        (QUEUE, "TumblingWindowInSeconds", 2),
        (QUEUE, "Topics", ["t"]),
        (STREAM, "ScalingConfig", {"MaximumConcurrency": 2}),
        (STREAM, "ProvisionedPollerConfig", {"MinimumPollers": 2}),
        (STREAM, "DestinationConfig", {"OnSuccess": {"Destination": QUEUE}}),
        (STREAM, "MetricsConfig", {"Metrics": ["KafkaMetrics"]}),
    ],
)
def test_a_parameter_that_the_source_has_not_is_refused(account, arn, name, value):
    """It is named."""
    position = {"StartingPosition": "LATEST"} if arn == STREAM else {}
    creation = account.create(FunctionName="f", EventSourceArn=arn, **position, **{name: value})

    assert unsupported(name) == refused(creation)


@pytest.mark.parametrize(
    "pattern", [None, "", "text", '"text"', "[]", '{"eventSource": "aws:sqs"}']
)
def test_a_filter_that_is_no_pattern_is_refused(account, pattern):
    """Recorded from AWS."""
    entry = {} if pattern is None else {"Pattern": pattern}
    creation = account.queue(FilterCriteria={"Filters": [entry]})

    assert invalid("Invalid filter pattern definition.") == refused(creation)


@pytest.mark.parametrize("arn", [f"{QUEUE}.fifo", f"{FUNCTION}f"])
def test_a_destination_that_takes_no_records_is_refused(account, arn):
    """FIFO queues and functions are none."""
    creation = account.stream(DestinationConfig={"OnFailure": {"Destination": arn}})

    code, message, _ = refused(creation)

    assert "InvalidParameterValueException" == code
    assert arn in message


def test_a_queue_whose_visibility_timeout_is_shorter_than_the_function_is_refused(account):
    """Both numbers are told."""
    account.functions["f"] = 60
    expected = invalid(
        "Queue visibility timeout: 30 seconds is less than Function timeout: 60 seconds"
    )

    assert expected == refused(account.queue())


def test_a_second_mapping_of_queue_and_function_is_refused(account):
    """The text names the first."""
    asyncio.run(account.queue())
    message = (
        f'An event source mapping with SQS arn (" {QUEUE} ") and function (" f ") already exists. '
        "Please update or delete the existing mapping with UUID "
        "00000001-0000-0000-0000-000000000000"
    )

    assert ("ResourceConflictException", message, 409) == refused(account.queue())


def test_a_second_mapping_of_stream_and_function_is_refused(account):
    """In other words than for a queue."""
    asyncio.run(account.stream())
    message = (
        f'The event source arn (" {STREAM} ") and function (" f ") provided mapping already '
        "exists. Please update or delete the existing mapping with UUID "
        "00000001-0000-0000-0000-000000000000"
    )

    assert ("ResourceConflictException", message, 409) == refused(account.stream())


def test_a_third_reader_of_a_stream_is_warned_about(account):
    """It is made all the same."""

    async def script():
        for qualifier in ("", ":a", ":b"):
            await account.stream(FunctionName=f"f{qualifier}")

    asyncio.run(script())

    assert 3 == len(account.host.running)
    assert 1 == len(account.warnings)
    assert account.warnings[0].startswith(f"reader 3 of {STREAM}")


def test_a_mapping_that_is_created_disabled_is_disabled_at_once(account):
    """It is started when it is enabled."""

    async def script():
        answer = await account.queue(Enabled=False)
        assert "Disabled" == answer["State"]
        assert [] == account.host.told
        assert "Enabling" == (await account.update(answer["UUID"], Enabled=True))["State"]
        await account.mappings.wait_settled()
        assert "Enabled" == (await account.get(answer["UUID"]))["State"]
        assert [("start", True)] == account.host.told

    asyncio.run(script())


def test_states_follow_each_other(account):
    """Disabling, Disabled, Enabling, Enabled, Updating, Deleting, gone."""

    async def script():
        uuid = (await account.stream())["UUID"]
        for request, during, after in (
            ({"Enabled": False}, "Disabling", "Disabled"),
            ({"BatchSize": 5}, "Updating", "Disabled"),
            ({"Enabled": True}, "Enabling", "Enabled"),
            ({"BatchSize": 6}, "Updating", "Enabled"),
        ):
            assert during == (await account.update(uuid, **request))["State"]
            await account.mappings.wait_settled()
            assert after == (await account.get(uuid))["State"]
        assert [("start", True), *[("update", on) for on in (False, False, True, True)]] == (
            account.host.told
        )
        assert "Deleting" == (await account.delete(uuid))["State"]
        assert "Deleting" == (await account.get(uuid))["State"]
        await account.mappings.wait_settled()
        assert {} == account.host.running

    asyncio.run(script())
    uuid = "00000001-0000-0000-0000-000000000000"
    expected = ("ResourceNotFoundException", "The resource you requested does not exist.", 404)
    assert expected == refused(account.get(uuid))
    assert expected == refused(account.update(uuid))
    assert expected == refused(account.delete(uuid))


def test_a_mapping_on_its_way_to_another_state_is_in_use(account):
    """It can be neither changed nor deleted."""

    async def script():
        uuid = (await account.stream(settled=False))["UUID"]
        for attempt, verb in (
            (account.update(uuid, BatchSize=1), "update"),
            (account.delete(uuid), "delete"),
        ):
            with pytest.raises(ApiError) as error:
                await attempt
            assert ("ResourceInUseException", 400) == (error.value.code, error.value.status)
            text = f"Cannot {verb} the event source mapping because it is in use."
            assert text == error.value.message
        await account.mappings.wait_settled()

    asyncio.run(script())


def test_an_update_changes_what_it_names_and_empties_what_is_empty(account):
    """An empty destination, filter list and scaling are taken away."""

    async def script():
        uuid = (
            await account.stream(
                BatchSize=3,
                FilterCriteria={"Filters": [{"Pattern": '{"eventName": ["INSERT"]}'}]},
                DestinationConfig={"OnFailure": {"Destination": QUEUE}},
            )
        )["UUID"]
        answer = await account.update(
            uuid,
            FunctionName="g",
            FilterCriteria={"Filters": []},
            DestinationConfig={"OnFailure": {"Destination": ""}},
        )
        await account.mappings.wait_settled()
        assert "FilterCriteria" not in answer
        assert {"OnFailure": {}} == answer["DestinationConfig"]
        assert (3, f"{FUNCTION}g") == (answer["BatchSize"], answer["FunctionArn"])
        config = account.host.running[uuid]
        assert ((), None, f"{FUNCTION}g") == (
            config.filters,
            config.on_failure,
            config.function_arn,
        )

    asyncio.run(script())


def test_an_update_is_checked_with_what_the_mapping_has(account):
    """The window may come from before."""
    uuid = asyncio.run(account.queue(MaximumBatchingWindowInSeconds=1))["UUID"]
    asyncio.run(account.update(uuid, BatchSize=100))
    account.mappings = Account(documents=account.documents).mappings
    other = asyncio.run(account.queue(FunctionName="g"))["UUID"]

    code, message, _ = refused(account.update(other, BatchSize=100))

    assert "InvalidParameterValueException" == code
    assert message.startswith("Maximum batch window in seconds must be greater than 0")


def test_an_update_to_a_missing_function_is_refused(account):
    """As a creation is."""
    uuid = asyncio.run(account.stream())["UUID"]

    assert invalid("Function does not exist") == refused(
        account.update(uuid, FunctionName="missing")
    )


def test_mappings_are_listed_by_function_and_source_in_pages(account):
    """A qualifier is another function; unknown names list nothing."""

    async def script():
        for name in ("f", "f:live", "g"):
            await account.queue(FunctionName=name)
        await account.stream(FunctionName="f")
        arns = [each["FunctionArn"] for each in (await account.listed())["EventSourceMappings"]]
        assert 4 == len(arns)
        for name in ("f", f"{FUNCTION}f", "000000000000:function:f"):
            found = await account.listed(FunctionName=name)
            assert 2 == len(found["EventSourceMappings"])
        assert 1 == len((await account.listed(FunctionName="f:live"))["EventSourceMappings"])
        assert 3 == len((await account.listed(EventSourceArn=QUEUE))["EventSourceMappings"])
        assert {"EventSourceMappings": []} == await account.listed(FunctionName="unknown")
        page = await account.listed(MaxItems=3)
        assert 3 == len(page["EventSourceMappings"])
        rest = await account.listed(MaxItems=3, Marker=page["NextMarker"])
        assert arns[3:] == [each["FunctionArn"] for each in rest["EventSourceMappings"]]
        assert "NextMarker" not in rest

    asyncio.run(script())


def test_filters_under_a_key_are_not_listed(account):
    """GetEventSourceMapping shows them."""

    async def script():
        answer = await account.queue(
            KMSKeyArn="arn:aws:kms:us-east-1:000000000000:key/k",
            FilterCriteria={"Filters": [{"Pattern": '{"body": ["a"]}'}]},
        )
        assert "FilterCriteria" in await account.get(answer["UUID"])
        (listed,) = (await account.listed())["EventSourceMappings"]
        assert "FilterCriteria" not in listed
        assert "KMSKeyArn" in listed

    asyncio.run(script())


def test_tags_of_a_creation_are_kept_until_the_mapping_is_gone(account):
    """They are not part of the answer."""

    async def script():
        answer = await account.queue(Tags={"a": "b"})
        key = (answer["EventSourceMappingArn"],)
        assert "Tags" not in answer
        assert {"a": "b"} == account.documents.get("tags", key)
        await account.delete(answer["UUID"])
        await account.mappings.wait_settled()
        assert account.documents.get("tags", key) is None

    asyncio.run(script())


def test_the_last_result_is_what_the_host_tells(account):
    """Of streams; a queue has none."""

    async def script():
        uuid = (await account.stream())["UUID"]
        account.host.results[uuid] = "OK"
        assert "OK" == (await account.get(uuid))["LastProcessingResult"]

    asyncio.run(script())


def test_a_source_that_cannot_be_reached_is_tried_again(account):
    """The mapping is enabled meanwhile, and tells the problem."""
    account.host.unreachable = True

    async def script():
        uuid = (await account.stream())["UUID"]
        shown = await account.get(uuid)
        assert ("Enabled", "PROBLEM: no answer") == (shown["State"], shown["LastProcessingResult"])
        account.host.unreachable = False
        await account.update(uuid, BatchSize=2)
        await account.mappings.wait_settled()
        assert [uuid] == list(account.host.running)
        assert "No records processed" == (await account.get(uuid))["LastProcessingResult"]

    asyncio.run(script())


def test_mappings_come_back_after_a_restart(account):
    """What was on its way arrives, what was disabled stays so."""

    async def before():
        await account.stream()
        await account.queue(Enabled=False)
        await account.queue(FunctionName="g", settled=False)
        await account.mappings.aclose()

    async def after(again):
        await again.mappings.resume()
        await again.mappings.wait_settled()
        states = [each["State"] for each in (await again.listed())["EventSourceMappings"]]
        assert ["Enabled", "Disabled", "Enabled"] == states
        assert 2 == len(again.host.running)

    asyncio.run(before())
    asyncio.run(after(Account(documents=account.documents)))


def test_a_mapping_of_an_application_is_enabled_at_once_under_a_lasting_id(account):
    """Declared again, it goes on as what it is now; dropped, it is gone."""

    async def script():
        spec = StreamMappingSpec(id="relay", table="t", function="f", batch_size=9)
        uuid = await account.mappings.adopt_stream(spec, STREAM)
        assert declared_mapping_id("relay") == uuid
        shown = await account.get(uuid)
        assert ("Enabled", 9) == (shown["State"], shown["BatchSize"])
        changed = StreamMappingSpec(id="relay", table="t", function="f", batch_size=8)
        assert uuid == await account.mappings.adopt_stream(changed, STREAM)
        assert 8 == account.host.running[uuid].batch_size
        queue = QueueMappingSpec(id="worker", queue="q", function="g", maximum_concurrency=2)
        other = await account.mappings.adopt_queue(queue)
        assert 2 == account.host.running[other].maximum_concurrency
        await account.mappings.drop("relay")
        await account.mappings.drop("nothing")
        assert [other] == list(account.host.running)

    asyncio.run(script())


def test_a_mapping_of_an_application_waits_for_its_declaration_after_a_restart(account):
    """One that is not declared any more does not come back."""
    spec = StreamMappingSpec(id="relay", table="t", function="f")
    asyncio.run(account.mappings.adopt_stream(spec, STREAM))

    async def after(again):
        await again.mappings.resume()
        await again.mappings.wait_settled()
        assert {"EventSourceMappings": []} == await again.listed()
        assert {} == again.host.running

    asyncio.run(after(Account(documents=account.documents)))
