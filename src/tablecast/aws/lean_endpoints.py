"""
Where the lean client sends: the endpoints of SQS, SSM and S3 in every partition.

The URL of a queue does not decide it: a request goes to the endpoint of the region, and the URL is
one of its parameters, as botocore does it. One thing is done otherwise: S3 in us-east-1 is asked at
its regional endpoint, where botocore goes on to use the global one of old.

Source:
    botocore 1.43.106, `partitions.json` and the services' `endpoint-rule-set-1.json` (checked
    2026-11-23); `tests/unit/test_aws_endpoints.py` holds this module to all their regions.
"""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, Self, TypeAlias, get_args

from tablecast.aws.lean_http import Origin
from tablecast.aws.sigv4 import percent_encoded
from tablecast.errors import UsageError

Service: TypeAlias = Literal["sqs", "ssm", "s3", "dynamodb"]
SERVICES: Final[tuple[Service, ...]] = get_args(Service)

_LABEL_CHARACTERS_MAX: Final = 63
_BUCKET_CHARACTERS_MIN: Final = 3


class Endpoint(NamedTuple):
    """
    Where the requests of a service go.

    Args:
        origin: Where to connect to.
        host: Value of the header `Host`.
        path: Path, empty for none; that of an object comes after it.
        given: Whether the user has set it; buckets then stand in the path.
    """

    origin: Origin
    host: str
    path: str
    given: bool

    @classmethod
    def parse(cls, url: str, *, where: str, given: bool = True) -> Self:
        """
        Return the endpoint of a URL.

        Raises:
            UsageError: It is not `http://` or `https://` with a host.
        """
        scheme, _, rest = url.partition("://")
        authority, slash, path = rest.partition("/")
        name, port = _authority(authority.lower())
        tls = scheme.lower() == "https"
        number = int(port) if port.isascii() and port.isdigit() else 0
        if (
            scheme.lower() not in {"http", "https"}
            or not name
            or not authority.isprintable()
            or any(character in url for character in "@?# ")
            or (port and not 0 < number < 1 << 16)
        ):
            raise UsageError(
                where, "must be http://host or https://host, with a port or without", got=url
            )
        usual = 443 if tls else 80
        number = number or usual
        host = name if number == usual else f"{name}:{number}"
        return cls(Origin(name.strip("[]"), number, tls), host, slash + path, given=given)


class _Partition(NamedTuple):
    suffix: str
    dual_stack_suffix: str


_COMMERCIAL: Final = _Partition("amazonaws.com", "api.aws")
_PARTITIONS: Final[Mapping[str, _Partition]] = {
    "cn-": _Partition("amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    "eu-isoe-": _Partition("cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
    "eusc-": _Partition("amazonaws.eu", "api.amazonwebservices.eu"),
    "us-gov-": _COMMERCIAL,
    "us-iso-": _Partition("c2s.ic.gov", "api.aws.ic.gov"),
    "us-isob-": _Partition("sc2s.sgov.gov", "api.aws.scloud"),
    "us-isof-": _Partition("csp.hci.ic.gov", "api.aws.hci.ic.gov"),
}


def endpoint(
    service: Service,
    region: str,
    *,
    endpoint_url: str | None = None,
    fips: bool = False,
    dual_stack: bool = False,
) -> Endpoint:
    """
    Return where the requests of a service go.

    Args:
        service: Which.
        region: Region.
        endpoint_url: What the user has set; None for AWS's own.
        fips: Whether it has to be a FIPS endpoint.
        dual_stack: Whether it has to be reachable by IPv6, too.
    Raises:
        UsageError: The region is none, or the settings exclude each other.
    """
    if not _is_region(region):
        raise UsageError("environment variable AWS_DEFAULT_REGION", "must be a region", got=region)
    if endpoint_url is not None:
        where = f"environment variable AWS_ENDPOINT_URL_{service.upper()} or AWS_ENDPOINT_URL"
        if fips or dual_stack:
            raise UsageError(
                where,
                "cannot be set together with AWS_USE_FIPS_ENDPOINT or AWS_USE_DUALSTACK_ENDPOINT",
                got=endpoint_url,
                fix="set one of them",
            )
        return Endpoint.parse(endpoint_url, where=where)
    host = _s3_host if service == "s3" else _host
    url = f"https://{host(service, region, fips=fips, dual_stack=dual_stack)}"
    return Endpoint.parse(url, where=service, given=False)


def object_address(at: Endpoint, bucket: str, key: str) -> tuple[Origin, str, str]:
    """
    Return where to connect to, the header `Host` and the path for an object.

    A bucket is part of the host where its name can be, and of the path where the endpoint was set
    by the user or the name has dots, which no certificate covers.
    """
    base, name = at.path.rstrip("/"), percent_encoded(key)
    if at.given or not _is_label(bucket):
        return at.origin, at.host, f"{base}/{percent_encoded(bucket)}/{name}"
    host = f"{bucket}.{at.host}"
    return at.origin._replace(host=host), host, f"{base}/{name}"


def _partition(region: str) -> _Partition:
    found = (each for prefix, each in _PARTITIONS.items() if region.startswith(prefix))
    return next(found, _COMMERCIAL)


def _host(service: str, region: str, *, fips: bool, dual_stack: bool) -> str:
    partition = _partition(region)
    if dual_stack:
        name = f"{service}-fips" if fips else service
        return f"{name}.{region}.{partition.dual_stack_suffix}"
    # The plain endpoints of the GovCloud regions are FIPS endpoints themselves.
    name = f"{service}-fips" if fips and not region.startswith("us-gov-") else service
    return f"{name}.{region}.{partition.suffix}"


def _s3_host(_service: str, region: str, *, fips: bool, dual_stack: bool) -> str:
    name = "s3-fips" if fips else "s3"
    if dual_stack:
        name += ".dualstack"
    return f"{name}.{region}.{_partition(region).suffix}"


def _authority(authority: str) -> tuple[str, str]:
    """Return host and port; the host of an IPv6 address keeps its brackets."""
    if authority.startswith("["):
        host, bracket, port = authority.partition("]")
        return (host + bracket if bracket else ""), port.removeprefix(":")
    host, _, port = authority.partition(":")
    return host, port


def _is_region(text: str) -> bool:
    return (
        text.isascii()
        and text.replace("-", "").isalnum()
        and not text.startswith(("-", "fips-"))
        and not text.endswith(("-", "-fips"))
        and len(text) <= _LABEL_CHARACTERS_MAX
        and "-" in text
    )


def _is_label(bucket: str) -> bool:
    """Return whether a bucket's name can stand in front of a host."""
    return (
        _BUCKET_CHARACTERS_MIN <= len(bucket) <= _LABEL_CHARACTERS_MAX
        and bucket.isascii()
        and bucket.replace("-", "").isalnum()
        and bucket == bucket.lower()
        and not bucket.startswith("-")
        and not bucket.endswith("-")
    )
