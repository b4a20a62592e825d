"""Requests go where botocore sends them, in every region that it knows."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import EndpointProviderError
from botocore.loaders import create_loader

from tablecast.aws.lean_endpoints import Endpoint, endpoint, object_address
from tablecast.aws.lean_settings import LeanSettings
from tablecast.errors import UsageError

LOADER = create_loader()
PARTITIONS = LOADER.load_data("partitions")
REGIONS = [
    region
    for partition in PARTITIONS["partitions"]
    for region in partition["regions"]
    if not region.endswith("-global")
]
KINDS = [(False, False), (True, False), (False, True), (True, True)]
QUEUE = "https://sqs.us-east-1.amazonaws.com/000000000000/orders"


class Seen(Exception):  # noqa: N818 - it carries what was seen
    """Stops a request of botocore before it is sent."""


def provider(service: str) -> EndpointProvider:
    rules = LOADER.load_service_model(service, "endpoint-rule-set-1")
    return EndpointProvider(rules, PARTITIONS)


@pytest.mark.parametrize("service", ["sqs", "ssm", "dynamodb"])
@pytest.mark.parametrize(("fips", "dual_stack"), KINDS)
def test_every_region_has_botocores_endpoint(service: Any, fips: bool, dual_stack: bool) -> None:
    """In all partitions, with and without FIPS and dual stack."""
    rules = provider(service)
    for region in REGIONS:
        found = rules.resolve_endpoint(Region=region, UseFIPS=fips, UseDualStack=dual_stack)

        assert (
            found.url
            == f"https://{endpoint(service, region, fips=fips, dual_stack=dual_stack).host}"
        )


@pytest.mark.parametrize("bucket", ["bucket", "bu-2-ck", "buc.ket"])
@pytest.mark.parametrize(("fips", "dual_stack"), KINDS)
def test_every_bucket_has_botocores_url(bucket: str, fips: bool, dual_stack: bool) -> None:
    """As a part of the host or, with dots in its name, of the path; in every region."""
    rules = provider("s3")
    for region in REGIONS:
        try:
            found = rules.resolve_endpoint(
                Region=region, UseFIPS=fips, UseDualStack=dual_stack, Bucket=bucket
            )
        except EndpointProviderError:
            assert fips  # "Partition does not support FIPS": nothing is there to agree on.
            assert region.startswith("cn-")
            continue

        at = endpoint("s3", region, fips=fips, dual_stack=dual_stack)
        origin, host, path = object_address(at, bucket, "k")
        assert (f"{found.url}/k", host) == (f"https://{host}{path}", origin.host)


def url_of_botocore(service: str, operation: str, parameters: dict[str, Any]) -> str:
    """Return the URL that botocore sends a request to, by its process's environment."""
    seen: list[str] = []

    def stop(request: Any, **_: Any) -> None:
        seen.append(request.url)
        raise Seen

    session = botocore.session.Session()
    session.register_component("data_loader", LOADER)
    client = session.create_client(
        service,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )
    client.meta.events.register("before-send", stop)
    with pytest.raises(Seen):
        getattr(client, operation)(**parameters)
    client.close()
    return seen[0]


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"AWS_ENDPOINT_URL": "http://localhost:4566"},
        {"AWS_ENDPOINT_URL": "http://localhost:4566/"},
        {"AWS_ENDPOINT_URL": "http://localhost:4566/below/here"},
        {"AWS_ENDPOINT_URL": "http://localhost:4566/below/"},
        {"AWS_ENDPOINT_URL": "https://vpce-1.sqs.eu-west-1.vpce.amazonaws.com"},
        {"AWS_ENDPOINT_URL": "http://[::1]:4566"},
        {"AWS_ENDPOINT_URL": "http://a:1", "AWS_ENDPOINT_URL_SQS": "http://b:2"},
        {"AWS_ENDPOINT_URL": "http://a:1", "AWS_ENDPOINT_URL_S3": "http://b:2"},
        {"AWS_ENDPOINT_URL_SSM": "http://b:2"},
        {"AWS_ENDPOINT_URL": "http://a:1", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
        {"AWS_USE_FIPS_ENDPOINT": "true"},
        {"AWS_USE_FIPS_ENDPOINT": "True", "AWS_USE_DUALSTACK_ENDPOINT": "true"},
        {"AWS_DEFAULT_REGION": "cn-north-1"},
        {"AWS_DEFAULT_REGION": "us-gov-west-1", "AWS_USE_FIPS_ENDPOINT": "true"},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        # The region of a queue's URL decides nothing.
        ("sqs", "send_message_batch", {"QueueUrl": QUEUE}),
        ("sqs", "send_message_batch", {"QueueUrl": QUEUE.replace("us-east-1", "eu-west-1")}),
        ("sqs", "send_message_batch", {"QueueUrl": "https://queue.amazonaws.com/0/orders"}),
        ("sqs", "send_message_batch", {"QueueUrl": "http://localhost:1/0/orders.fifo"}),
        ("ssm", "get_parameters_by_path", {"Path": "/tablecast/orders/"}),
        ("s3", "put_object", {"Bucket": "bucket", "Key": "a b/\u00fc+~*", "Body": b""}),
        ("s3", "put_object", {"Bucket": "buc.ket", "Key": "k", "Body": b""}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value.values())),
)
def test_the_environment_sends_requests_where_botocore_sends_them(
    service: Any,
    operation: str,
    parameters: dict[str, Any],
    variables: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Endpoint variables, FIPS, dual stack and partitions; whatever a queue's URL says."""
    environment = {"AWS_DEFAULT_REGION": "eu-central-1"} | variables
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    if operation == "send_message_batch":
        parameters = {**parameters, "Entries": [{"Id": "m", "MessageBody": "body"}]}

    expected = url_of_botocore(service, operation, parameters)

    settings = LeanSettings.read(environment)
    at = endpoint(
        service,
        str(settings.region),
        endpoint_url=settings.endpoint_urls.get(service),
        fips=settings.fips,
        dual_stack=settings.dual_stack,
    )
    host, path = at.host, at.path or "/"
    if service == "s3":
        _, host, path = object_address(at, parameters["Bucket"], parameters["Key"])
    assert expected.rstrip("/") == f"http{'s' * at.origin.tls}://{host}{path}".rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:4566",
        "ftp://localhost",
        "http://",
        "http://user:secret@localhost",
        "http://localhost:0",
        "http://localhost:99999",
        "http://localhost:http",
        "http://local host",
        "http://localhost/?a=b",
        "http://localhost\r\nX: y",
    ],
)
def test_an_endpoint_that_is_no_address_is_refused(url: str) -> None:
    """With the variables that it may come from."""
    with pytest.raises(UsageError, match="AWS_ENDPOINT_URL_SQS or AWS_ENDPOINT_URL: must be http"):
        endpoint("sqs", "us-east-1", endpoint_url=url)


@pytest.mark.parametrize(
    "region",
    ["", "us", "-us-east-1", "us-east-1-", "us_east_1", "a.b-c", "fips-us-east-1", "\u00fc-1"],
)
def test_a_region_that_is_none_is_refused(region: str) -> None:
    """A host is made of it."""
    with pytest.raises(UsageError, match="AWS_DEFAULT_REGION: must be a region"):
        endpoint("sqs", region)


def test_an_endpoint_of_ones_own_has_no_fips_variant() -> None:
    """Botocore refuses the two together as well."""
    with pytest.raises(UsageError, match="cannot be set together"):
        endpoint("sqs", "us-east-1", endpoint_url="http://localhost:1", fips=True)


def test_a_usual_port_is_not_part_of_the_host() -> None:
    """The signature covers the header `Host` as it is sent."""
    hosts = [
        Endpoint.parse(url, where="test").host
        for url in ("http://A:80", "https://a:443/x", "https://a:80", "http://[::1]:4566")
    ]

    assert ["a", "a", "a:80", "[::1]:4566"] == hosts
