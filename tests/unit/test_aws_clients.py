"""Which clients a function gets, with which keys, and what they load."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from tablecast.aws.clients import aws_clients
from tablecast.aws.lean_credentials import botocore_keys, keys_source
from tablecast.aws.lean_settings import LeanSettings
from tablecast.aws.lean_sqs import LeanSqsSendBatch
from tablecast.aws.sigv4 import Keys
from tablecast.aws.sqs import SqsSendBatch
from tablecast.errors import AwsError, UsageError

LAMBDA = {
    "AWS_REGION": "eu-central-1",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "AKID",
    "AWS_SECRET_ACCESS_KEY": "a-secret",
    "AWS_SESSION_TOKEN": "a-token",
}


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without anything of AWS."""
    for name in os.environ:
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    return monkeypatch


@pytest.mark.parametrize(
    ("variables", "kind"),
    [
        ({}, LeanSqsSendBatch),
        ({"TABLECAST_AWS_CLIENT": ""}, LeanSqsSendBatch),
        ({"TABLECAST_AWS_CLIENT": "lean"}, LeanSqsSendBatch),
        ({"TABLECAST_AWS_CLIENT": "botocore"}, SqsSendBatch),
        ({"HTTPS_PROXY": "http://proxy:3128"}, SqsSendBatch),
        ({"http_proxy": "http://proxy:3128"}, SqsSendBatch),
        ({"HTTPS_PROXY": ""}, LeanSqsSendBatch),
    ],
    ids=str,
)
def test_the_environment_chooses_the_client(variables: Any, kind: Any, quiet: Any) -> None:
    """Lean, unless botocore is asked for or a proxy has to be spoken to."""
    assert isinstance(aws_clients(LAMBDA | variables).send, kind)


def test_a_client_that_there_is_not_is_refused() -> None:
    """With the two that there are."""
    with pytest.raises(UsageError, match="TABLECAST_AWS_CLIENT: must be lean or botocore, got 'x'"):
        aws_clients({"TABLECAST_AWS_CLIENT": "x"})


def test_lambdas_environment_is_all_it_takes() -> None:
    """Region and keys; no text of the settings shows a secret."""
    settings = LeanSettings.read(LAMBDA)

    assert "eu-central-1" == settings.region
    assert Keys("AKID", "a-secret", "a-token") == settings.keys
    assert "a-secret" not in repr(settings)
    assert "a-token" not in repr(settings)
    assert settings.keys == keys_source(settings.keys)("sqs.SendMessageBatch")


@pytest.mark.parametrize(
    ("variables", "keys"),
    [
        ({"AWS_SESSION_TOKEN": ""}, Keys("AKID", "a-secret")),
        ({"AWS_SECURITY_TOKEN": "older"}, Keys("AKID", "a-secret", "older")),
        ({"AWS_ACCESS_KEY_ID": ""}, None),
        ({"AWS_SECRET_ACCESS_KEY": ""}, None),
        ({"AWS_CREDENTIAL_EXPIRATION": "2026-11-23T10:15:00Z"}, None),
    ],
    ids=str,
)
def test_keys_that_are_not_whole_or_not_lasting_are_left_to_botocore(
    variables: dict[str, str], keys: Keys | None
) -> None:
    """It knows where else to look, and when to look again."""
    assert keys == LeanSettings.read(LAMBDA | variables).keys


@pytest.mark.parametrize(
    "name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]
)
@pytest.mark.parametrize("value", ["s3cret\n", "s3cret\r\nX-Evil: 1", "s3 cret", "s3cr\u00e9t"])
def test_keys_that_would_spoil_a_header_are_refused(name: str, value: str) -> None:
    """The text names the variable and keeps the value to itself."""
    with pytest.raises(UsageError, match=name) as raised:
        LeanSettings.read(LAMBDA | {name: value})

    assert "s3" not in str(raised.value)


def test_botocore_is_asked_for_keys_that_the_environment_lacks(quiet: Any, tmp_path: Any) -> None:
    """Its chain has profiles, containers and more, and refreshes what it finds."""
    from tablecast.aws import lean_credentials

    lean_credentials._session.cache_clear()
    file = tmp_path / "credentials"
    file.write_text("[default]\naws_access_key_id = from-a\naws_secret_access_key = file\n")
    quiet.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))

    assert Keys("from-a", "file") == botocore_keys("sqs.SendMessageBatch")
    assert "eu-central-1" == lean_credentials.botocore_region()


def test_no_keys_anywhere_is_an_aws_error(quiet: Any) -> None:
    """As botocore says it; trying again does not help."""
    from tablecast.aws import lean_credentials

    lean_credentials._session.cache_clear()
    with pytest.raises(AwsError) as raised:
        botocore_keys("sqs.SendMessageBatch")

    assert ("NoCredentialsError", 0, False) == (
        raised.value.code,
        raised.value.status,
        raised.value.retryable,
    )


def test_the_lean_clients_load_neither_botocore_nor_a_heavy_part_of_the_library() -> None:
    """A cold start pays for every module; TLS comes with the first connection that needs it."""
    never = ("asyncio", "boto3", "botocore", "email", "http.client", "ssl", "urllib.request")
    code = (
        "import sys; from tablecast.aws.clients import aws_clients; aws_clients(); "
        f"print(*[name for name in {never!r} if name in sys.modules])"
    )
    environment = LAMBDA | {"PATH": os.environ["PATH"]}

    loaded = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    ).stdout.split()

    assert [] == loaded
