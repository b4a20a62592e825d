"""
Keys for the lean client: Lambda's from the environment, all others through botocore.

Lambda puts its keys into the environment of a process once, and replaces the process before they
expire. Where there are none (a laptop with profiles, SnapStart, containers whose keys come from
`AWS_CONTAINER_CREDENTIALS_FULL_URI`), botocore's chain finds them and refreshes them by its rules;
it is imported then and not before.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

from tablecast.aws.sigv4 import Keys
from tablecast.errors import AwsError

if TYPE_CHECKING:
    import botocore.session

KeysOf: TypeAlias = Callable[[str], Keys]
"""Name of an operation, for an error's text -> the keys to sign it with."""


def keys_source(keys: Keys | None) -> KeysOf:
    """Return what gives the keys of each request: *keys*, or botocore's when there are none."""
    return botocore_keys if keys is None else lambda _: keys


def botocore_keys(operation: str) -> Keys:
    """
    Return the keys that botocore's chain finds, refreshed when they are about to expire.

    Raises:
        AwsError: It finds none, or cannot refresh them.
    """
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError  # noqa: PLC0415

    from tablecast.aws.refusal import refusal  # noqa: PLC0415 - botocore, see above

    try:
        found = _session().get_credentials()
        if found is None:
            raise NoCredentialsError
        frozen = found.get_frozen_credentials()
    except (BotoCoreError, ClientError) as error:
        raise refusal(operation, error) from error
    if not (frozen.access_key and frozen.secret_key):
        raise AwsError(
            operation,
            code="PartialCredentialsError",
            message="the credentials lack a key",
            status=0,
            retryable=False,
        )
    return Keys(frozen.access_key, frozen.secret_key, frozen.token)


def botocore_region() -> str | None:
    """Return the region that AWS's configuration files name, None when they name none."""
    region: str | None = _session().get_config_variable("region")
    return region


@cache
def _session() -> botocore.session.Session:
    import botocore.session  # noqa: PLC0415 - see above

    return botocore.session.get_session()
