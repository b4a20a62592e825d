"""A pipeline is read in a process of its own; each way a module can fail gets one clear line."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from tablecast.cli.declaration import Declared, Target, read_declaration
from tablecast.errors import LoadError

PIPELINE = """
from tablecast import Change, Pipeline, Table

orders = Pipeline("orders", table=Table("orders", partition_key="id"))

@orders.consumer("search-index", order="none")
def index(change: Change) -> None:
    print(change)
"""


def read(folder: Path, text: str = "pipeline.py", *, seconds_max: float = 20.0) -> Declared:
    """Read the declaration of *text*, relative to *folder*."""
    target = Target.parse(text, folder=folder)
    return asyncio.run(
        read_declaration(target, environment=dict(os.environ), seconds_max=seconds_max)
    )


def refused(folder: Path, text: str = "pipeline.py", **options: float) -> str:
    """Return the text of the error that reading raises."""
    with pytest.raises(LoadError) as raised:
        read(folder, text, **options)
    return str(raised.value).replace(f"{folder}/", "")


def test_the_only_pipeline_of_a_file_is_found(tmp_path):
    """The declaration comes as data, with where it is for the functions."""
    (tmp_path / "pipeline.py").write_text(PIPELINE)

    declared = read(tmp_path)

    assert "pipeline:orders" == declared.module_ref
    assert tmp_path == declared.code_dir
    assert ["search-index"] == [consumer.name for consumer in declared.pipeline.consumers]
    assert "none" == declared.pipeline.consumer_named("search-index").order


def test_a_file_in_a_package_is_imported_as_part_of_it(tmp_path):
    """Its folder is the first one above it that is no package, so relative imports work."""
    package = tmp_path / "shop" / "changes"
    package.mkdir(parents=True)
    (tmp_path / "shop" / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "names.py").write_text("NAME = 'orders'")
    (package / "pipeline.py").write_text("from .names import NAME\n" + PIPELINE)

    declared = read(tmp_path, "shop/changes/pipeline.py:orders")

    assert "shop.changes.pipeline:orders" == declared.module_ref
    assert tmp_path == declared.code_dir


def test_a_module_can_be_named_instead_of_a_file(tmp_path):
    """The form that Lambda and loaders use is understood as well."""
    (tmp_path / "pipeline.py").write_text(PIPELINE)

    assert "pipeline:orders" == read(tmp_path, "pipeline:orders").module_ref


def test_what_a_module_prints_does_not_matter(tmp_path):
    """Megabytes on stdout neither block nor reach the command."""
    (tmp_path / "pipeline.py").write_text("print('x' * 10_000_000)\n" + PIPELINE)

    assert "pipeline:orders" == read(tmp_path).module_ref


def test_a_missing_file_is_one_line(tmp_path):
    """The newcomer in an empty folder is told how to begin."""
    assert (
        "pipeline.py: there is no such file; "
        "name the file of your pipeline, or make a project with: tablecast init"
    ) == refused(tmp_path)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (
            "import not_there\n",
            "pipeline.py: module 'pipeline' imports 'not_there', which is not installed",
        ),
        ("1 / 0\n", "pipeline.py: module 'pipeline' does not import: ZeroDivisionError"),
        ("def f(:\n", "pipeline.py: module 'pipeline' does not import: SyntaxError"),
        (
            "import os\nos._exit(3)\n",
            "pipeline.py: module 'pipeline' ended the process with code 3 while it was imported",
        ),
        (
            "raise SystemExit(4)\n",
            "pipeline.py: module 'pipeline' ended the process with code 4 while it was imported",
        ),
        ("x = 1\n", "pipeline.py: module 'pipeline' must declare a pipeline at its top level"),
        (
            PIPELINE + "\nmore = Pipeline('more', table=Table('more', partition_key='id'))\n",
            "pipeline.py: module 'pipeline' has several pipelines (orders, more); "
            "name one, as in pipeline.py:orders",
        ),
        (
            PIPELINE.replace('order="none"', "timeout_seconds=0"),
            "pipeline.py: module 'pipeline' does not import: DeclarationError: "
            "consumer 'search-index': timeout_seconds must be 1 to 900, got 0",
        ),
    ],
)
def test_a_module_that_cannot_be_used_is_one_line(tmp_path, code, text):
    """The line names the module and what to mend."""
    (tmp_path / "pipeline.py").write_text(code)

    line = refused(tmp_path)

    assert line.startswith(text)
    assert "\n" not in line


def test_a_module_that_hangs_is_ended(tmp_path):
    """The command waits so long and no longer, and the process is gone."""
    (tmp_path / "pipeline.py").write_text(
        "import os, pathlib, time\npathlib.Path('pid').write_text(str(os.getpid()))\ntime.sleep(60)"
    )

    assert "must import within 1 seconds and did not" in refused(tmp_path, seconds_max=1.0)

    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_name_that_is_no_pipeline_is_one_line(tmp_path):
    """A wrong name after the colon says what stands there."""
    (tmp_path / "pipeline.py").write_text(PIPELINE)

    assert "'index' in module 'pipeline' must be a Pipeline, got 'function'" in refused(
        tmp_path, "pipeline.py:index"
    )
    assert "module 'pipeline' has no 'nothing'" in refused(tmp_path, "pipeline.py:nothing")


def test_a_save_is_seen_at_the_next_reading(tmp_path):
    """Nothing is kept from one reading to the next, not even for a change within the second."""
    path = tmp_path / "pipeline.py"
    path.write_text(PIPELINE)
    read(tmp_path)
    path.write_text(PIPELINE.replace("search-index", "search_again".replace("_", "-")))
    os.utime(path, (time.time(), path.stat().st_mtime))

    assert ["search-again"] == [c.name for c in read(tmp_path).pipeline.consumers]
