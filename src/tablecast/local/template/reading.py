"""
Templates as they come: a cloud assembly with its stages, or one CloudFormation or SAM file.

Where a function's code is, a cloud assembly says in `<stack>.assets.json`: the template's S3Key is
the `objectKey` there. A template file names folders beside itself, as SAM's `CodeUri` does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from tablecast.errors import InputError
from tablecast.local.template.sam import expanded

_STACK: Final = "aws:cloudformation:stack"
_ASSEMBLY: Final = "cdk:cloud-assembly"


@dataclass(frozen=True, slots=True)
class Stack:
    """
    A stack to deploy.

    Args:
        name: Its name.
        where: Its template as the user knows it.
        template: The template, SAM expanded.
        folder: What relative paths start from.
        assets: Files and folders by the S3 key under which the template names them.
        needs: Names of stacks that come before it.
    """

    name: str
    where: str
    template: Mapping[str, Any]
    folder: Path
    assets: Mapping[str, Path] = field(default_factory=dict)
    needs: tuple[str, ...] = ()


def read_stacks(path: Path) -> list[Stack]:
    """
    Return the stacks of a cloud assembly (a folder with a manifest) or of a template file.

    Raises:
        InputError: There is no such file, or it is neither.
    """
    if path.is_dir():
        if not (path / "manifest.json").is_file():
            raise InputError(
                str(path),
                "must be a cloud assembly, a folder with a manifest.json",
                fix="name the folder that `cdk synth` or `tablecast synth` wrote: cdk.out",
            )
        return _ordered(list(_of_assembly(path)))
    if not path.is_file():
        raise InputError(
            str(path),
            "there is no such file or folder",
            fix="name a cloud assembly (cdk.out) or a template file",
        )
    return [Stack(path.stem.partition(".")[0], str(path), _template(path), path.absolute().parent)]


def read_nested(stack: Stack, url: str, name: str) -> Stack:
    """
    Return the nested stack whose template an asset of *stack* holds.

    Raises:
        InputError: No asset has the last part of *url* as its key.
    """
    asset = stack.assets.get(url.rpartition("/")[2])
    if asset is None:
        raise InputError(f"{stack.where}: nested stack {name}", "its template is no asset", got=url)
    return Stack(f"{stack.name}-{name}", str(asset), _template(asset), stack.folder, stack.assets)


def _of_assembly(folder: Path) -> Iterator[Stack]:
    artifacts = _json(folder / "manifest.json").get("artifacts", {})
    for name, artifact in artifacts.items():
        properties = artifact.get("properties", {})
        if artifact.get("type") == _ASSEMBLY:
            yield from _of_assembly(folder / properties["directoryName"])
        elif artifact.get("type") == _STACK:
            path = folder / properties["templateFile"]
            yield Stack(
                properties.get("stackName", name),
                str(path),
                _template(path),
                folder.absolute(),
                _assets(folder, name),
                tuple(
                    artifacts[each].get("properties", {}).get("stackName", each)
                    for each in artifact.get("dependencies", ())
                    if artifacts.get(each, {}).get("type") == _STACK
                ),
            )


def _assets(folder: Path, name: str) -> dict[str, Path]:
    path = folder / f"{name}.assets.json"
    if not path.is_file():
        return {}
    return {
        destination["objectKey"]: (folder / asset["source"]["path"]).absolute()
        for asset in _json(path).get("files", {}).values()
        for destination in asset.get("destinations", {}).values()
        if "path" in asset.get("source", {})
    }


def _ordered(stacks: list[Stack]) -> list[Stack]:
    """Return the stacks with those first that others need."""
    done: dict[str, Stack] = {}
    while len(done) < len(stacks):
        ready = [
            each for each in stacks if each.name not in done and not set(each.needs) - done.keys()
        ] or [each for each in stacks if each.name not in done]
        done |= {each.name: each for each in ready}
    return [*done.values()]


def _template(path: Path) -> Mapping[str, Any]:
    text = path.read_text(encoding="utf-8")
    try:
        found = json.loads(text) if text.lstrip().startswith("{") else _yaml(text)
    except ValueError as error:
        raise InputError(
            str(path), "must be a template, JSON or YAML", got=" ".join(str(error).split())
        ) from error
    if not isinstance(found, dict) or not isinstance(found.get("Resources"), dict):
        raise InputError(str(path), "must be a template, with Resources")
    return expanded(found)


def _yaml(text: str) -> Any:
    """Return a YAML template with its short forms (`!Ref`) in the long one."""
    yaml: Any = import_module("yaml")  # here, for templates of the CDK need none
    loader_class: Any = type("Loader", (yaml.SafeLoader,), {})

    def tagged(loader: Any, suffix: str, node: Any) -> dict[str, Any]:
        if isinstance(node, yaml.ScalarNode):
            value: Any = loader.construct_scalar(node)
        elif isinstance(node, yaml.SequenceNode):
            value = loader.construct_sequence(node, deep=True)
        else:
            value = loader.construct_mapping(node, deep=True)
        return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}

    loader_class.add_multi_constructor("!", tagged)
    # A date (`2012-10-17`) is text in a template.
    loader_class.yaml_implicit_resolvers = {
        first: [each for each in resolvers if each[0] != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    try:
        return yaml.load(text, loader_class)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _json(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(str(path), "must be JSON", got=str(error)) from error
    return found
