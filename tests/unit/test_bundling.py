"""Bundles hold what a function needs, the same bytes every time, and say what is amiss."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tablecast.bundling import Bundler
from tablecast.bundling.contents import sizes
from tablecast.bundling.interpreter import compile_bytecode, find_interpreter
from tablecast.bundling.requirements import laid_over, normalised, read_lock
from tablecast.errors import BundleError

PIPELINE = """
from tablecast import Pipeline, Table

orders = Pipeline("orders", table=Table("orders", partition_key="id"))

@orders.consumer("index")
def index(change): pass
"""

HASH = "--hash=sha256:" + "0" * 64


class Index:
    """Installs a package as a module of its own, with an installer's notes; remembers what."""

    def __init__(self):
        self.calls = []

    def __call__(self, requirements, folder, python):
        self.calls.append((tuple(requirement.name for requirement in requirements), python))
        for requirement in requirements:
            module = requirement.name.replace("-", "_")
            (folder / module).mkdir()
            (folder / module / "__init__.py").write_text(f"{requirement.text!r}\n")
            notes = folder / f"{module}.dist-info"
            notes.mkdir()
            (notes / "METADATA").write_text(requirement.name)
            for name in ("RECORD", "INSTALLER"):
                (notes / name).write_text(os.fspath(folder))
            (folder / "bin").mkdir(exist_ok=True)
            (folder / "bin" / module).write_text("#!/any/python")


@pytest.fixture
def index():
    return Index()


@pytest.fixture
def bundler(tmp_path, index):
    """What makes bundlers of a folder with a pipeline in it."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "pipeline.py").write_text("orders = 1\n")

    def make(**options):
        given = {"source": source, "cache": tmp_path / "cache", "install": index, **options}
        return Bundler(**given)

    make.source = source
    return make


def names(bundle):
    return {path.relative_to(bundle.path).as_posix() for path in bundle.path.rglob("*")}


def test_a_relay_carries_packages_and_the_lambda_path_of_tablecast(bundler):
    """Neither the user's source nor the command line, the local runtime and the constructs."""
    found = names(bundler().relay())

    assert {"tablecast/handlers/relay.py", "aws_lambda_powertools", "msgspec"} <= found
    assert not found & {"pipeline.py", "tablecast/cli", "tablecast/local", "tablecast/constructs"}


def test_a_consumer_carries_the_users_source_too(bundler):
    """At the root, where the import path of a function begins."""
    found = names(bundler().consumer())

    assert {"pipeline.py", "tablecast/handlers/consumer.py", "msgspec"} <= found


def test_the_handlers_of_a_bundle_need_nothing_else_of_tablecast(bundler):
    """They import in a new process that has the bundle, and this machine's packages."""
    bundle = bundler(install=lambda _lock, _folder, _python: None).consumer()
    (bundle.path / "pipeline.py").write_text(PIPELINE)
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import tablecast\n"
        "assert tablecast.__file__.startswith(sys.argv[1])\n"
        "import tablecast.handlers.relay, tablecast.handlers.consumer\n"
        "import tablecast.aws.clients; tablecast.aws.clients.aws_clients({'AWS_REGION': 'x',"
        "'TABLECAST_AWS_CLIENT': 'botocore'})\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, str(bundle.path)],
        env={
            "TABLECAST_PIPELINE": "orders",
            "TABLECAST_CONSUMER": "index",
            "TABLECAST_MODULE": "pipeline:orders",
            "TABLECAST_JOURNAL_DIR": str(bundle.path.parent),
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert ("", 0) == (done.stderr, done.returncode)


def test_an_installers_notes_are_left_out(bundler):
    """They name the machine and the folder, which would change the bytes."""
    found = names(bundler().consumer())

    assert "msgspec.dist-info/METADATA" in found
    assert not {path for path in found if path.endswith(("RECORD", "INSTALLER"))}
    assert "bin" not in found


def test_what_tools_write_into_a_source_folder_is_left_out(bundler):
    """Hidden files, bytecode, virtual environments, a cloud assembly."""
    for name in (".env", ".git/config", "__pycache__/a.pyc", "cdk.out/x", "my-venv/pyvenv.cfg"):
        path = bundler.source / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("secret")

    before = names(bundler().consumer())

    assert not {path for path in before if path.startswith((".", "cdk.out", "my-venv"))}


def test_an_unchanged_bundle_comes_from_the_cache(bundler, index):
    """Nothing is installed twice, by a second process either."""
    first = [bundler().relay(), bundler().consumer()]
    second = [bundler().relay(), bundler().consumer()]

    assert first == second
    assert 1 == len(index.calls)


def test_a_changed_source_keeps_the_installed_packages(bundler, index):
    """A saved file costs a copy, not an installation."""
    first = bundler().consumer()
    (bundler.source / "pipeline.py").write_text("orders = 2\n")
    second = bundler().consumer()

    assert first.key != second.key
    assert 1 == len(index.calls)
    assert "orders = 1\n" == (first.path / "pipeline.py").read_text()
    assert "orders = 2\n" == (second.path / "pipeline.py").read_text()


def test_two_folders_two_caches_and_another_umask_give_the_same_key(tmp_path, index):
    """The bytes depend on what goes in alone."""
    keys = []
    for place, umask in (("a", 0o022), ("b", 0o077)):
        before = os.umask(umask)
        try:
            source = tmp_path / place / "source"
            source.mkdir(parents=True)
            (source / "pipeline.py").write_text("orders = {'a', 'b', 'c'}\n")
            bundler = Bundler(
                source=source,
                cache=tmp_path / place / "cache",
                install=index,
            )
            bundle = bundler.consumer()
        finally:
            os.umask(before)
        keys.append(bundle.key)
        assert {0o644, 0o755} == {path.stat().st_mode & 0o777 for path in bundle.path.rglob("*")}

    assert keys[0] == keys[1]


def test_bytecode_is_the_same_in_two_folders_and_is_never_stale(tmp_path):
    """It names files below /var/task, and Python takes it whatever the date of its source."""
    written = []
    for place in ("a", "b"):
        folder = tmp_path / place
        (folder / "inner").mkdir(parents=True)
        (folder / "inner" / "code.py").write_text("NAMES = {'x', 'y', 'z'}\nhere = lambda: 1\n")
        compile_bytecode(folder, interpreter=Path(sys.executable))
        (found,) = folder.rglob("*.pyc")
        os.utime(folder / "inner" / "code.py", (0, 0))
        written.append(found.read_bytes())

    assert written[0] == written[1]
    assert 0b01 == int.from_bytes(written[0][4:8], "little")  # PEP 552: by hash, unchecked
    assert b"/var/task/inner/code.py" in written[0]


def test_a_python_that_is_not_here_is_told_and_goes_without_bytecode(bundler, monkeypatch):
    """Slower starts are no reason to refuse."""
    monkeypatch.setattr("tablecast.bundling.bundler.find_interpreter", lambda minor: None)
    told = []
    bundle = bundler(progress=told.append).relay()

    assert [line for line in told if "no Python 3.13 on this machine" in line]
    assert not {name for name in names(bundle) if name.endswith(".pyc")}


def test_an_interpreter_is_asked_which_version_it_is(tmp_path, monkeypatch):
    """A shim that does not run, or runs another version, is passed over."""
    find_interpreter.cache_clear()
    for place, program in (("a", "exit 127"), ("b", "echo 3.98"), ("c", "echo 3.99")):
        (tmp_path / place).mkdir()
        (tmp_path / place / "python3.99").write_text(f"#!/bin/sh\n{program}\n")
        (tmp_path / place / "python3.99").chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join(str(tmp_path / place) for place in "abc"))

    assert tmp_path / "c" / "python3.99" == find_interpreter("3.99")
    assert find_interpreter("3.98") is None


def test_a_failed_installation_leaves_nothing(bundler, tmp_path):
    """The next attempt begins anew."""

    def broken(_requirements, folder, _python):
        (folder / "half").write_text("")
        raise BundleError("package x 1", "must have a wheel")

    with pytest.raises(BundleError, match="package x 1"):
        bundler(install=broken).relay()

    assert [] == list((tmp_path / "cache").iterdir())


def test_the_users_pins_count(bundler, index):
    """A package that both pin has the user's version, and Tablecast comes from here."""
    (bundler.source / "requirements.txt").write_text(
        f"Msg_Spec==1 {HASH}\nmsgspec==9.9 {HASH}\ntablecast==0.1 {HASH}\n"
    )
    bundle = bundler().consumer()

    assert f"'msgspec==9.9 {HASH}'\n" == (bundle.path / "msgspec/__init__.py").read_text()
    assert "msg-spec" in index.calls[-1][0]
    assert "tablecast" not in index.calls[-1][0]


@pytest.mark.parametrize(
    "line",
    ["requests", "requests>=2", f"requests>=2 {HASH}", "requests==2.0", "-r other.txt", "-e .",
     "requests @ file:///x", "https://example.com/x.whl"],
)  # fmt: skip
def test_a_requirements_file_that_is_no_lock_is_refused(bundler, line):
    """What is deployed must not depend on the day; the line says how to lock."""
    (bundler.source / "requirements.txt").write_text(f"# ours\n{line}\n")

    with pytest.raises(BundleError, match=r"requirements\.txt: must .* uv pip compile"):
        bundler().consumer()


def test_a_module_that_would_hide_a_package_is_refused(bundler):
    """Which of the two is imported would be chance."""
    (bundler.source / "msgspec.py").write_text("")

    with pytest.raises(BundleError, match=r"got 'msgspec\.py'; rename it"):
        bundler().consumer()


@pytest.mark.parametrize("target", ["/etc", "..", "."])
def test_a_link_out_of_the_source_is_refused(bundler, target):
    """It would carry files that nobody meant to send, or go round for ever."""
    (bundler.source / "link").symlink_to(target)

    with pytest.raises(BundleError, match="a link must lead to"):
        bundler().consumer()


def test_a_link_within_the_source_is_followed(bundler):
    """Its content is sent."""
    (bundler.source / "other.py").symlink_to("pipeline.py")

    assert "orders = 1\n" == (bundler().consumer().path / "other.py").read_text()


def test_what_unpacks_to_more_than_lambda_takes_is_refused(bundler, tmp_path):
    """The largest parts are named."""

    def large(_requirements, folder, _python):
        with (folder / "model.bin").open("wb") as file:
            file.truncate(260 * 1024 * 1024)

    with pytest.raises(BundleError, match=r"at most 262 MB, got '27\d MB'.*model\.bin 273 MB"):
        bundler(install=large).consumer()


@pytest.mark.parametrize("python", ["3.11", "3.15", "3", ""])
def test_a_python_that_lambda_does_not_have_for_it_is_refused(bundler, python):
    """The line says which there are."""
    with pytest.raises(BundleError, match="must be one of 3.12, 3.13, 3.14"):
        bundler(python=python)


def test_a_source_or_requirements_that_is_not_there_is_refused(bundler, tmp_path):
    """By name."""
    with pytest.raises(BundleError, match="source: must be a folder"):
        bundler(source=tmp_path / "none")
    with pytest.raises(BundleError, match="requirements: must be a file"):
        bundler(requirements=tmp_path / "none")


def test_steps_that_take_time_are_told(bundler):
    """Once for an installation."""
    told = []
    bundler(progress=told.append).relay()

    assert [line for line in told if "installing" in line] == [
        "installing 5 packages for arm64 and Python 3.13"
    ]


def test_a_lock_is_read_over_continued_lines_and_comments():
    """As the tools that write locks lay them out."""
    text = f"# by a tool\nA_b.c==1.0 ; python_version < '3.14' \\\n    {HASH} \\\n    {HASH}\n    # via x\n\nd==2 {HASH}\n"

    found = read_lock(text, where="requirements.txt")

    assert ["a-b-c", "d"] == [requirement.name for requirement in found]
    assert f"A_b.c==1.0 ; python_version < '3.14' {HASH} {HASH}" == found[0].text


def test_a_lock_over_another_is_sorted_by_name():
    """The same packages are the same bundle, whichever file names them."""
    below = read_lock(f"b==1 {HASH}\na==1 {HASH}\n", where="x")
    above = read_lock(f"b==2 {HASH}\n", where="y")

    merged = laid_over(below, above, without=frozenset({"c"}))

    assert [f"a==1 {HASH}", f"b==2 {HASH}"] == [requirement.text for requirement in merged]
    assert "a-b" == normalised("A._b")


@pytest.mark.e2e
def test_a_real_relay_bundle_is_small_and_has_arm64_wheels_only(tmp_path):
    """At most 3 MB zipped, with bytecode when this machine has that Python."""
    told = []
    bundle = Bundler(source=tmp_path, cache=tmp_path / "cache", progress=told.append).relay()

    archive = tmp_path / "relay.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(bundle.path.rglob("*")):
            file.write(path, path.relative_to(bundle.path))
    natives = [path.name for path in bundle.path.rglob("*.so")]
    assert archive.stat().st_size <= 3_000_000
    assert natives
    assert all("aarch64-linux-gnu" in name for name in natives)
    assert {"tablecast", "aws_lambda_powertools", "msgspec", "backports"} <= set(sizes(bundle.path))


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("lock", "rule"),
    [
        ("pywin32==311 --hash=sha256:" + "0" * 64, "must have a wheel for arm64 Linux"),
        ("docopt==0.6.2 --hash=sha256:" + "0" * 64, "must have a wheel for arm64 Linux"),
    ],
)
def test_a_package_without_a_wheel_for_arm64_is_named(tmp_path, lock, rule):
    """One line: which package, for what, and what to do."""
    (tmp_path / "requirements.txt").write_text(f"{lock}\n")
    name, _, version = lock.partition(" ")[0].partition("==")

    with pytest.raises(BundleError, match=f"package {name} {version}: {rule}"):
        Bundler(source=tmp_path, cache=tmp_path / "cache").consumer()

    assert not [path for path in Path(tmp_path / "cache").iterdir() if "making" in path.name]
