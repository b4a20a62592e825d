"""A new project overwrites nothing and has a name that works."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tablecast.cli.init import name_from, run_init, scaffold_files
from tablecast.cli.output import Output
from tablecast.errors import UsageError

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial" / "first-pipeline.md"


def quiet(mode: str = "plain") -> Output:
    """Return an output that nobody reads."""
    return Output(mode, stdout=io.StringIO(), stderr=io.StringIO())


def test_a_project_has_a_pipeline_a_test_and_a_readme(tmp_path):
    """The folder is made, and its name is the pipeline's."""
    run_init(tmp_path / "shop", name=None, force=False, output=quiet())

    files = {path.name for path in (tmp_path / "shop").iterdir()}
    assert {"pipeline.py", "test_pipeline.py", "README.md", ".gitignore"} == files
    assert 'Pipeline("shop", table=table)' in (tmp_path / "shop" / "pipeline.py").read_text()


def test_files_that_are_there_are_named_and_left_alone(tmp_path):
    """Nothing is written, not even the files that are not there."""
    (tmp_path / "README.md").write_text("mine")

    with pytest.raises(UsageError, match=r"has README\.md already, and nothing was written"):
        run_init(tmp_path, name="shop", force=False, output=quiet())

    assert ["README.md"] == [path.name for path in tmp_path.iterdir()]
    assert "mine" == (tmp_path / "README.md").read_text()


def test_force_overwrites(tmp_path):
    """Whoever says --force means it."""
    (tmp_path / "README.md").write_text("mine")

    run_init(tmp_path, name="shop", force=True, output=quiet())

    assert (tmp_path / "README.md").read_text().startswith("# shop\n")


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("shop", "shop"),
        ("My Shop_2", "my-shop"),
        ("2024-orders", "orders"),
        ("店", "orders"),
        ("ab", "orders"),
        ("x" * 60, "x" * 40),
    ],
)
def test_the_name_follows_the_folder(folder, name):
    """Where a folder's name cannot be a pipeline's, the next best thing is taken."""
    assert name == name_from(folder)


@pytest.mark.parametrize("name", ["Shop", "a", "shop_1", "-shop", "x" * 41])
def test_a_name_that_no_pipeline_can_have_is_refused(tmp_path, name):
    """The rule is said, and nothing is written."""
    with pytest.raises(UsageError, match="--name: must be a lower-case letter"):
        run_init(tmp_path, name=name, force=False, output=quiet())

    assert [] == list(tmp_path.iterdir())


def test_as_json_it_says_what_it_made(tmp_path):
    """A program learns the name and the files."""
    output = quiet("json")

    run_init(tmp_path / "shop", name="my-orders", force=False, output=output)

    said = json.loads(output._stdout.getvalue())
    assert "my-orders" == said["name"]
    assert "pipeline.py" in said["files"]


def test_the_tutorial_shows_what_init_makes(tmp_path):
    """Every Python block of the tutorial stands in the project that it tells of."""
    made = "\n".join(file.text for file in scaffold_files(tmp_path, "orders"))
    blocks = re.findall(r"```python\n(.*?)```", TUTORIAL.read_text(), re.DOTALL)

    assert 2 == len(blocks)
    for block in blocks:
        assert block in made


def test_what_it_makes_is_formatted_and_free_of_findings(tmp_path):
    """A project begins clean, also with a long name."""
    for file in scaffold_files(tmp_path, "a-name-of-twenty-nine-letters"):
        file.path.write_text(file.text)
    ruff = Path(sys.executable).with_name("ruff")

    for command in (["check", "--select", "E,F,I,B,UP"], ["format", "--check"]):
        ended = subprocess.run(
            [ruff, *command, "--isolated", "--line-length", "100", "."],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

        assert 0 == ended.returncode, ended.stdout
