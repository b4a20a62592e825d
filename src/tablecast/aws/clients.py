"""
The AWS clients of a function: lean ones, or botocore's where the environment asks for them.

| `TABLECAST_AWS_CLIENT` | what is used |
| --- | --- |
| unset, `lean` | the lean client; botocore's where a proxy is set, which it does not speak |
| `botocore` | botocore's, with all of its settings and configuration files |
"""

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from tablecast.aws.objects import Objects
from tablecast.errors import UsageError
from tablecast.ports import Gate, SendBatch

if TYPE_CHECKING:
    from tablecast.aws.lean_client import LeanClient

CLIENT_VARIABLE: Final = "TABLECAST_AWS_CLIENT"

_PROXIES: Final = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")


class AwsClients(NamedTuple):  # A dataclass costs a cold start three times as much.
    """
    What a function asks of AWS; threads may share it.

    Args:
        send: Sends a batch of messages once.
        load_parameters: Returns the parameters below a path, by name without the path.
        find_queue_url: Returns the URL of a queue that is named by name or URL.
        objects: Puts and gets objects.
        gate: Returns the gate in a table that is named.
    """

    send: SendBatch
    load_parameters: Callable[[str], Mapping[str, str]]
    find_queue_url: Callable[[str], str]
    objects: Objects
    gate: Callable[[str], Gate]


def aws_clients(environment: Mapping[str, str] | None = None) -> AwsClients:
    """
    Return the clients that *environment* asks for, the process's own when omitted.

    No connection is made. botocore reads more of its process's environment than is given here.

    Raises:
        UsageError: `TABLECAST_AWS_CLIENT` names no client, or a key has impossible characters.
    """
    given = os.environ if environment is None else environment  # noqa: TID251 - read once here
    chosen = given.get(CLIENT_VARIABLE) or "lean"
    if chosen not in {"lean", "botocore"}:
        raise UsageError(
            f"environment variable {CLIENT_VARIABLE}", "must be lean or botocore", got=chosen
        )
    if chosen == "botocore" or any(given.get(name) for name in _PROXIES):
        return _botocore_clients()
    return _lean_clients(given)


def _lean_clients(environment: Mapping[str, str]) -> AwsClients:
    from tablecast.aws.lean_client import LeanClient  # noqa: PLC0415 - only the chosen is loaded
    from tablecast.aws.lean_s3 import LeanObjects  # noqa: PLC0415
    from tablecast.aws.lean_settings import LeanSettings  # noqa: PLC0415
    from tablecast.aws.lean_sqs import LeanSqsSendBatch, find_queue_url  # noqa: PLC0415
    from tablecast.aws.lean_ssm import load_parameters  # noqa: PLC0415

    client = LeanClient(LeanSettings.read(environment))
    return AwsClients(
        send=LeanSqsSendBatch(client),
        load_parameters=partial(load_parameters, client),
        find_queue_url=partial(find_queue_url, client),
        objects=LeanObjects(client),
        gate=partial(_lean_gate, client),
    )


def _botocore_clients() -> AwsClients:
    from tablecast.aws.s3 import S3Objects  # noqa: PLC0415 - only the chosen is loaded
    from tablecast.aws.sqs import SqsSendBatch, find_queue_url  # noqa: PLC0415
    from tablecast.aws.ssm import load_parameters  # noqa: PLC0415

    return AwsClients(
        send=SqsSendBatch(),
        load_parameters=load_parameters,
        find_queue_url=find_queue_url,
        objects=S3Objects(),
        gate=_botocore_gate,
    )


def _lean_gate(client: "LeanClient", table: str) -> Gate:
    from tablecast.aws.gate import TableGate  # noqa: PLC0415 - most consumers have none
    from tablecast.aws.lean_dynamodb import call_dynamodb  # noqa: PLC0415

    return TableGate(partial(call_dynamodb, client), table)


def _botocore_gate(table: str) -> Gate:
    from tablecast.aws.dynamodb import call_dynamodb  # noqa: PLC0415 - most consumers have none
    from tablecast.aws.gate import TableGate  # noqa: PLC0415

    return TableGate(call_dynamodb, table)
