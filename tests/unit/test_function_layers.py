"""Layers become one folder, in which the later of two files in one place counts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tablecast.local.opt import merge, mountable


def layer(folder, **files):
    """Make a layer; names of *files* have `__` for `/`."""
    for name, text in files.items():
        place = folder / name.replace("__", "/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return folder


def files_of(folder):
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_one_layer_is_itself(tmp_path):
    """Nothing is copied."""
    one = layer(tmp_path / "one", a="1")

    assert one == merge([one], tmp_path / "merged")


def test_the_later_layer_wins_file_by_file(tmp_path):
    """Folders that both have hold the files of both."""
    one = layer(tmp_path / "one", python__a="1", python__b="1", only="1")
    two = layer(tmp_path / "two", python__b="2", python__c__d="2")
    merged = merge([one, two], tmp_path / "merged")

    assert {"python/a": "1", "python/b": "2", "only": "1", "python/c/d": "2"} == files_of(merged)
    assert "1" == (one / "python" / "b").read_text()


def test_a_file_takes_the_place_of_a_folder(tmp_path):
    """Whatever was there before."""
    one = layer(tmp_path / "one", a__b="1")
    two = layer(tmp_path / "two", a="2")

    assert {"a": "2"} == files_of(merge([one, two], tmp_path / "merged"))


def test_a_folder_takes_the_place_of_a_file(tmp_path):
    """The other way round as well."""
    one = layer(tmp_path / "one", a="1")
    two = layer(tmp_path / "two", a__b="2")

    assert {"a/b": "2"} == files_of(merge([one, two], tmp_path / "merged"))


def test_the_order_is_part_of_it(tmp_path):
    """Two functions may have the same layers in another order."""
    one = layer(tmp_path / "one", a="1")
    two = layer(tmp_path / "two", a="2")
    folder = tmp_path / "merged"

    assert {"a": "2"} == files_of(merge([one, two], folder))
    assert {"a": "1"} == files_of(merge([two, one], folder))
    assert merge([one, two], folder) == merge([one, two], folder)


def test_a_layer_that_is_not_there_is_an_error(tmp_path):
    """And nothing half merged is left in the way."""
    one = layer(tmp_path / "one", a="1")

    with pytest.raises(FileNotFoundError):
        merge([one, tmp_path / "two"], tmp_path / "merged")


def test_what_python_needs_is_not_hidden():
    """Nothing is mounted over the place that code or Python come from."""
    assert not mountable(Path("/opt/code"), ())
    assert not mountable(Path("/code"), ("/opt/modules",))
    expected = not any(part.startswith("/opt/") for part in (sys.prefix, sys.base_prefix))
    assert expected is mountable(Path("/code"), ()) or not Path("/opt").is_dir()
