"""
What the lean client takes from the environment, read once.

| variable | meaning |
| --- | --- |
| `AWS_DEFAULT_REGION`, `AWS_REGION` | region; Lambda sets both |
| `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN` | keys; Lambda sets them |
| `AWS_CREDENTIAL_EXPIRATION` | when set, botocore watches over the keys |
| `AWS_ENDPOINT_URL_SQS`, `..._SSM`, `..._S3`, then `AWS_ENDPOINT_URL` | other endpoints |
| `AWS_IGNORE_CONFIGURED_ENDPOINT_URLS` | `true`: not those |
| `AWS_USE_FIPS_ENDPOINT`, `AWS_USE_DUALSTACK_ENDPOINT` | `true`: endpoints of that kind |
| `AWS_CA_BUNDLE`, `REQUESTS_CA_BUNDLE` | file of certificates to trust |
"""

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, Self

from tablecast.aws.lean_endpoints import SERVICES, Service
from tablecast.aws.sigv4 import Keys
from tablecast.errors import UsageError


class LeanSettings(NamedTuple):  # A dataclass costs a cold start three times as much.
    """
    What the lean client needs to know.

    Args:
        region: Region; None when the environment has none and botocore has to be asked.
        keys: Keys; None when botocore has to be asked.
        endpoint_urls: Endpoints that were set, by service.
        fips: Whether FIPS endpoints are used.
        dual_stack: Whether dual-stack endpoints are used.
        ca_bundle: File of the certificates to trust; None for the system's.
    """

    region: str | None
    keys: Keys | None = None
    endpoint_urls: Mapping[Service, str] = MappingProxyType({})
    fips: bool = False
    dual_stack: bool = False
    ca_bundle: str | None = None

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None) -> Self:
        """
        Return the settings of *environment*, the process's own when omitted.

        Raises:
            UsageError: A key has characters that no key has; the text does not show it.
        """
        given = os.environ if environment is None else environment  # noqa: TID251 - read once here
        return cls(
            region=given.get("AWS_DEFAULT_REGION") or given.get("AWS_REGION") or None,
            keys=_keys(given),
            endpoint_urls=_endpoint_urls(given),
            fips=_true(given, "AWS_USE_FIPS_ENDPOINT"),
            dual_stack=_true(given, "AWS_USE_DUALSTACK_ENDPOINT"),
            ca_bundle=given.get("AWS_CA_BUNDLE") or given.get("REQUESTS_CA_BUNDLE") or None,
        )


def _keys(given: Mapping[str, str]) -> Keys | None:
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    key_id, secret = (given.get(name, "") for name in names)
    token = given.get("AWS_SECURITY_TOKEN") or given.get("AWS_SESSION_TOKEN") or None
    if not (key_id and secret) or given.get("AWS_CREDENTIAL_EXPIRATION"):
        return None
    for name, value in (*zip(names, (key_id, secret), strict=True), ("AWS_SESSION_TOKEN", token)):
        if value and not (value.isascii() and value.isprintable() and " " not in value):
            raise UsageError(
                f"environment variable {name}",
                "must be one line of ASCII without spaces",
                fix="set it as AWS gave it",
            )
    return Keys(key_id, secret, token)


def _endpoint_urls(given: Mapping[str, str]) -> dict[Service, str]:
    if _true(given, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"):
        return {}
    found = {
        service: given.get(f"AWS_ENDPOINT_URL_{service.upper()}") or given.get("AWS_ENDPOINT_URL")
        for service in SERVICES
    }
    return {service: url for service, url in found.items() if url}


def _true(given: Mapping[str, str], name: str) -> bool:
    return given.get(name, "").lower() == "true"
