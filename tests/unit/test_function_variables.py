"""A function sees Lambda's variables and its own, and nothing of the machine's."""

from __future__ import annotations

import sys
from dataclasses import fields

import pytest

from tablecast.errors import LocalRuntimeError
from tablecast.local.model import FunctionSpec
from tablecast.local.variables import check_variables, function_variables

SPEC_FIELDS = {field.name for field in fields(FunctionSpec)}


def variables(tmp_path, *, environment=None, opt=None, **options):
    """Return the variables of a function; *options* are of its specification, or its own ones."""
    own = {name: value for name, value in options.items() if name not in SPEC_FIELDS}
    spec = FunctionSpec(
        name="echo",
        handler="app.echo",
        code_dir=tmp_path,
        environment=own,
        memory_mb=256,
        **{name: value for name, value in options.items() if name in SPEC_FIELDS},
    )
    return function_variables(
        spec,
        log_stream="2026/01/01/[$LATEST]ab",
        temporary_dir=tmp_path / "tmp",
        environment={} if environment is None else environment,
        opt=opt,
    )


def test_lambdas_variables_are_set(tmp_path):
    """What a handler may rely on is there."""
    found = variables(tmp_path)

    assert {
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python3.{sys.version_info.minor}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_FUNCTION_NAME": "echo",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/echo",
        "AWS_LAMBDA_LOG_STREAM_NAME": "2026/01/01/[$LATEST]ab",
        "AWS_REGION": "us-east-1",
        "LAMBDA_TASK_ROOT": str(tmp_path),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(tmp_path),
        "TMPDIR": str(tmp_path / "tmp"),
        "TZ": ":UTC",
        "_HANDLER": "app.echo",
    }.items() <= found.items()


def test_little_of_the_machine_is_passed_on(tmp_path):
    """Where programs are; whose files and settings they are not."""
    found = variables(
        tmp_path,
        environment={
            "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
            "AWS_PROFILE": "production",
            "AWS_SESSION_TOKEN": "secret",
            "HOME": "/home/me",
            "MY_TOKEN": "secret",
            "PATH": "/usr/bin",
            "VIRTUAL_ENV": "/venv",
        },
    )

    assert {"AWS_PROFILE", "MY_TOKEN", "VIRTUAL_ENV"}.isdisjoint(found)
    assert "secret" not in found.values()
    assert ("/usr/bin", "http://127.0.0.1:1") == (found["PATH"], found["AWS_ENDPOINT_URL"])
    assert str(tmp_path / "tmp") == found["HOME"]


def test_without_credentials_there_are_dummies(tmp_path):
    """The data services ask for some and do not look at them."""
    found = variables(tmp_path)

    assert ("test", "test") == (found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"])


def test_the_region_is_the_functions(tmp_path):
    """One region, under both names, whatever the pool's environment says."""
    found = variables(tmp_path, environment={"AWS_REGION": "eu-west-1"}, region="eu-central-1")

    assert ("eu-central-1", "eu-central-1") == (found["AWS_REGION"], found["AWS_DEFAULT_REGION"])


def test_a_version_has_its_own_names(tmp_path):
    """What was deployed says which runtime, which version and which log group it has."""
    found = variables(tmp_path, version="7", runtime="python3.12", log_group="mine")

    assert {
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.12",
        "AWS_LAMBDA_FUNCTION_VERSION": "7",
        "AWS_LAMBDA_LOG_GROUP_NAME": "mine",
    }.items() <= found.items()


def test_the_runtime_client_is_told_of_json_logs_only(tmp_path):
    """Level and format are not there with text, as on Lambda."""
    text = variables(tmp_path)
    plain = variables(tmp_path, log_format="JSON")
    level = variables(tmp_path, log_format="JSON", application_log_level="ERROR")

    assert {"AWS_LAMBDA_LOG_FORMAT", "AWS_LAMBDA_LOG_LEVEL"}.isdisjoint(text)
    assert ("JSON", "INFO") == (plain["AWS_LAMBDA_LOG_FORMAT"], plain["AWS_LAMBDA_LOG_LEVEL"])
    assert "ERROR" == level["AWS_LAMBDA_LOG_LEVEL"]


def test_tracing_finds_its_daemon_where_lambda_has_it(tmp_path):
    """The address as one and in two parts."""
    found = variables(tmp_path)

    assert "169.254.79.129:2000" == found["AWS_XRAY_DAEMON_ADDRESS"]
    assert ("169.254.79.129", "2000") == (
        found["_AWS_XRAY_DAEMON_ADDRESS"],
        found["_AWS_XRAY_DAEMON_PORT"],
    )


def test_layers_are_on_every_path(tmp_path):
    """After the code, programs and libraries of one's own; before other modules."""
    opt = tmp_path / "opt"
    for folder in ("bin", "lib", "python/lib/python3.12/site-packages"):
        (opt / folder).mkdir(parents=True)
    found = variables(
        tmp_path,
        environment={"PATH": "/usr/bin", "PYTHONPATH": "/parent"},
        opt=opt,
        runtime="python3.12",
    )

    assert (
        f"{tmp_path}:{opt}/python/lib/python3.12/site-packages:{opt}/python:/parent"
        == (found["PYTHONPATH"])
    )
    assert (f"/usr/bin:{opt}/bin", f"{opt}/lib") == (found["PATH"], found["LD_LIBRARY_PATH"])


def test_a_functions_own_variables_win_over_defaults(tmp_path):
    """It may choose its time zone, its endpoint, and add to the import path."""
    found = variables(
        tmp_path,
        environment={"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "PYTHONPATH": "/parent"},
        AWS_ENDPOINT_URL="http://127.0.0.1:2",
        PYTHONPATH="/layer",
        TZ="Europe/Berlin",
    )

    assert ("http://127.0.0.1:2", "Europe/Berlin") == (found["AWS_ENDPOINT_URL"], found["TZ"])
    assert f"{tmp_path}:/layer:/parent" == found["PYTHONPATH"]


def test_reserved_variables_are_refused(tmp_path):
    """As CreateFunction would."""
    spec = FunctionSpec(
        name="echo",
        handler="app.echo",
        code_dir=tmp_path,
        environment={"_HANDLER": "x", "AWS_REGION": "y", "MINE": "z"},
    )

    with pytest.raises(LocalRuntimeError, match="got 'AWS_REGION, _HANDLER'; rename them"):
        check_variables(spec)
