"""
A template made real at the local endpoint: created, changed in place, or removed.

What was made is remembered at the endpoint itself, in the bucket `tablecast-deployments`, so that a
second deployment changes what is there, and a failed one goes on from where it stopped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from tablecast.errors import AwsError, InputError
from tablecast.local.template.kind import ACCOUNT, Call, Made, Place
from tablecast.local.template.lambda_kinds import REPLACED_LATER, may_have_changed
from tablecast.local.template.reading import Stack, read_nested
from tablecast.local.template.resources import KINDS, WITHOUT_MEANING, stand_in
from tablecast.local.template.values import Values, references, unrolled

BUCKET: Final = "tablecast-deployments"
Outcome = Literal["+", "~", "±", "-", "=", "no meaning here", "not run here"]

_REPLACED: Final = "#"
"""In the name of a resource that another one has replaced, until it is removed."""

_BOOTSTRAP_RULE: Final = "CheckBootstrapVersion"
_NESTED: Final = "AWS::CloudFormation::Stack"
_PSEUDO: Final = "AWS::"
_SSM_PARAMETER: Final = "AWS::SSM::Parameter::Value<"


@dataclass(slots=True)
class Resource:
    """A resource of a deployment, as it is remembered."""

    type: str
    properties: dict[str, Any]
    ref: str
    attributes: dict[str, Any]


@dataclass(slots=True)
class Deployed:
    """
    What became of a stack.

    Args:
        name: The stack.
        changes: Outcome, logical id, type and physical name of each resource.
        outputs: The template's outputs.
        exports: Those of them that other stacks may import.
    """

    name: str
    changes: list[tuple[Outcome, str, str, str]] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    exports: dict[str, Any] = field(default_factory=dict)


class Deployment:
    """
    Deploys stacks to one endpoint.

    Args:
        call: Calls it.
        region: As in `us-east-1`.
        parameters: Template parameters by name.
        progress: Told of each resource as it is done: outcome, logical id, type.
    """

    def __init__(
        self,
        call: Call,
        *,
        region: str,
        parameters: Mapping[str, str] | None = None,
        progress: Callable[[Outcome, str, str], None] | None = None,
    ) -> None:
        self.call = call
        self.region = region
        self._given = dict(parameters or {})
        self.progress = progress or (lambda _outcome, _name, _kind: None)
        self.exports: dict[str, Any] = {}

    def deploy(self, stack: Stack) -> Deployed:
        """
        Make *stack* what its template says; return what that took.

        Raises:
            InputError: The template cannot be resolved; nothing was changed, or what was made
                before that resource is remembered.
            AwsError: The endpoint refused.
        """
        return _Run(self, stack, self._given).deploy()

    def destroy(self, stack: Stack) -> Deployed:
        """Remove all that was made of *stack*, the last first."""
        return _Run(self, stack, {}).destroy()


class _Run:
    def __init__(self, deployment: Deployment, stack: Stack, given: Mapping[str, Any]) -> None:
        self._deployment = deployment
        self._call = deployment.call
        self._stack = stack
        self._given = given
        self._done = Deployed(stack.name)
        self._before = self._recall()
        self._now: dict[str, Resource] = {}

    def deploy(self) -> Deployed:
        parameters = self._parameters()
        template = unrolled(self._stack.template, parameters, self._stack.where)
        resources = template["Resources"]
        values = Values(
            self._stack.where,
            template,
            parameters=parameters,
            attribute=self._attribute,
            imports=self._deployment.exports,
        )
        values.check(self._rules())
        wanted = {
            name: resource
            for name, resource in resources.items()
            if "Condition" not in resource or values.holds(resource["Condition"])
        }
        try:
            for name in _in_order(wanted, self._stack.where):
                self._settle(name, wanted[name], values)
            for name in reversed([*self._before]):
                if name not in self._now:
                    self._remove(name, self._before[name])
        finally:
            self._remember({**self._before, **self._now})
        self._remember(self._now)
        for name, output in template.get("Outputs", {}).items():
            if "Condition" in output and not values.holds(output["Condition"]):
                continue
            self._done.outputs[name] = found = values.resolve(output["Value"])
            if "Export" in output:
                self._done.exports[values.resolve(output["Export"]["Name"])] = found
        self._deployment.exports.update(self._done.exports)
        return self._done

    def _rules(self) -> Mapping[str, Any]:
        """Return the template's rules, but the CDK's own on its bootstrap stack."""
        rules: Mapping[str, Any] = self._stack.template.get("Rules", {})
        return {name: rule for name, rule in rules.items() if name != _BOOTSTRAP_RULE}

    def destroy(self) -> Deployed:
        left = dict(self._before)
        try:
            for name in reversed([*self._before]):
                self._remove(name, left[name])
                del left[name]
        finally:
            self._remember(left)
        return self._done

    def _settle(self, name: str, declared: Mapping[str, Any], values: Values) -> None:
        kind = str(declared.get("Type", ""))
        given = values.resolve(declared.get("Properties", {})) or {}
        place = self._place(name)
        before = self._before.get(name)
        if kind == _NESTED:
            self._nest(name, given)
            return
        if kind not in KINDS:
            known = kind.startswith(WITHOUT_MEANING)
            made = stand_in(kind, place, given)
            self._note("no meaning here" if known else "not run here", name, kind, "")
            self._keep(name, kind, given, made)
            return
        handler = KINDS[kind]
        compared = json.loads(json.dumps(given, default=str, sort_keys=True))
        outcome: Outcome
        if before is None or before.type != kind:
            made, outcome = handler.create(place, given), "+"
        else:
            old = Made(before.ref, before.attributes)
            changed = {
                each
                for each in before.properties.keys() | compared.keys()
                if before.properties.get(each) != compared.get(each)
            }
            if not changed and not may_have_changed(kind, given, self._stack.assets):
                made, outcome = old, "="
            elif changed & set(handler.fixed):
                made, outcome = self._replace(name, before, place, given), "±"
            else:
                made = handler.update(place, old, given)
                outcome = "~" if changed or made != old else "="
        self._keep(name, kind, compared, made)
        self._note(outcome, name, kind, made.ref)

    def _replace(self, name: str, before: Resource, place: Place, given: Mapping[str, Any]) -> Made:
        """Make a resource anew; the old one goes first, or last where others may still need it."""
        handler, old = KINDS[before.type], Made(before.ref, before.attributes)
        if before.type not in REPLACED_LATER:
            handler.delete(place, old)
            return handler.create(place, given)
        made = handler.create(place, given)
        if made.ref != before.ref:
            self._before[f"{name}{_REPLACED}{before.ref}"] = before
        return made

    def _nest(self, name: str, given: Mapping[str, Any]) -> None:
        nested = read_nested(self._stack, str(given.get("TemplateURL", "")), name)
        run = _Run(self._deployment, nested, given.get("Parameters", {}))
        done = run.deploy()
        self._done.changes += done.changes
        attributes = {f"Outputs.{key}": value for key, value in done.outputs.items()}
        self._keep(name, _NESTED, dict(given), Made(nested.name, attributes))

    def _remove(self, name: str, resource: Resource) -> None:
        handler = KINDS.get(resource.type)
        if resource.type == _NESTED:
            nested = Stack(resource.ref, self._stack.where, {"Resources": {}}, self._stack.folder)
            self._done.changes += _Run(self._deployment, nested, {}).destroy().changes
        elif handler is not None:
            try:
                handler.delete(self._place(name), Made(resource.ref, resource.attributes))
            except AwsError as error:
                if "NotFound" not in error.code and "NonExistent" not in error.code:
                    raise
            if _REPLACED not in name:
                self._note("-", name, resource.type, resource.ref)

    def _keep(self, name: str, kind: str, given: Mapping[str, Any], made: Made) -> None:
        self._now[name] = Resource(kind, dict(given), made.ref, dict(made.attributes))

    def _note(self, outcome: Outcome, name: str, kind: str, ref: str) -> None:
        self._done.changes.append((outcome, name, kind, ref))
        self._deployment.progress(outcome, name, kind)

    def _attribute(self, resource: str, attribute: str | None) -> Any:
        found = self._now[resource]
        return found.ref if attribute is None else found.attributes[attribute]

    def _place(self, name: str) -> Place:
        return Place(
            self._call,
            f"{self._stack.name}-{name}",
            self._deployment.region,
            f"{self._stack.where}: {name}",
            self._code_path,
        )

    def _code_path(self, named: str) -> Path:
        asset = self._stack.assets.get(named, self._stack.folder / named)
        if not asset.exists():
            raise InputError(
                self._stack.where,
                "its code must be there",
                got=str(asset),
                fix="synthesize again: the folder of an asset is missing",
            )
        return asset

    def _parameters(self) -> dict[str, Any]:
        """
        Return the values of the template's parameters.

        Raises:
            InputError: One without a default has none, or is not one of those allowed.
        """
        region = self._deployment.region
        found: dict[str, Any] = {
            f"{_PSEUDO}AccountId": ACCOUNT,
            f"{_PSEUDO}Region": region,
            f"{_PSEUDO}Partition": "aws",
            f"{_PSEUDO}URLSuffix": "amazonaws.com",
            f"{_PSEUDO}StackName": self._stack.name,
            f"{_PSEUDO}StackId": f"arn:aws:cloudformation:{region}:{ACCOUNT}:stack/"
            f"{self._stack.name}/local",
            f"{_PSEUDO}NotificationARNs": [],
        }
        for name, declared in self._stack.template.get("Parameters", {}).items():
            value = self._given.get(name, declared.get("Default"))
            where = f"{self._stack.where}: parameter {name}"
            if value is None:
                raise InputError(where, "must have a value", fix=f"pass --parameter {name}=...")
            if value not in declared.get("AllowedValues", [value]):
                raise InputError(where, f"must be one of {declared['AllowedValues']}", got=value)
            kind = str(declared.get("Type", "String"))
            if kind.startswith(_SSM_PARAMETER) and name != "BootstrapVersion":
                value = self._call("ssm", "get_parameter", Name=value)["Parameter"]["Value"]
            if "List" in kind and isinstance(value, str):
                value = value.split(",")
            found[name] = value
        return found

    def _recall(self) -> dict[str, Resource]:
        try:
            answer = self._call("s3", "get_object", Bucket=BUCKET, Key=self._key)
        except AwsError:
            return {}
        document = json.loads(answer["Body"].read())
        return {name: Resource(**each) for name, each in document.items()}

    def _remember(self, resources: Mapping[str, Resource]) -> None:
        self._call("s3", "create_bucket", Bucket=BUCKET)
        body = json.dumps({name: asdict(each) for name, each in resources.items()}, default=str)
        self._call("s3", "put_object", Bucket=BUCKET, Key=self._key, Body=body.encode())

    @property
    def _key(self) -> str:
        return f"{self._stack.name}.json"


def _in_order(resources: Mapping[str, Mapping[str, Any]], where: str) -> Iterator[str]:
    """
    Yield the names of resources, each after those that it needs.

    Raises:
        InputError: They need each other in a circle.
    """
    needs = {
        name: _needed(resource) & resources.keys() - {name} for name, resource in resources.items()
    }
    done: set[str] = set()
    while len(done) < len(needs):
        ready = [name for name in needs if name not in done and needs[name] <= done]
        if not ready:
            raise InputError(
                where,
                "its resources need each other in a circle",
                got=sorted(set(needs) - done),
                fix="break it, as CloudFormation would ask, too",
            )
        yield from ready
        done.update(ready)


def _needed(resource: Mapping[str, Any]) -> set[str]:
    depends = resource.get("DependsOn", [])
    named = {depends} if isinstance(depends, str) else set(depends)
    return named | set(references(resource.get("Properties", {})))
