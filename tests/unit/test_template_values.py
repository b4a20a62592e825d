"""Intrinsic functions resolve as CloudFormation resolves them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablecast.errors import InputError
from tablecast.local.template.reading import read_stacks
from tablecast.local.template.sam import expanded
from tablecast.local.template.values import Values, references, unrolled

TEMPLATE = {
    "Mappings": {"Sizes": {"dev": {"memory": 128}}},
    "Conditions": {
        "IsDev": {"Fn::Equals": [{"Ref": "Stage"}, "dev"]},
        "IsProd": {"Fn::Not": [{"Condition": "IsDev"}]},
        "Both": {"Fn::And": [{"Condition": "IsDev"}, {"Condition": "IsProd"}]},
        "Either": {"Fn::Or": [{"Condition": "IsDev"}, {"Condition": "IsProd"}]},
    },
}
ATTRIBUTES = {("Queue", None): "http://q", ("Queue", "Arn"): "arn:aws:sqs:us-east-1:0:q"}


@pytest.fixture
def values():
    """Values of the template above, in stage dev."""
    return Values(
        "template.json",
        TEMPLATE,
        parameters={"Stage": "dev", "AWS::Region": "us-east-1", "AWS::AccountId": "0"},
        attribute=lambda resource, attribute: ATTRIBUTES[resource, attribute],
        imports={"Shared": "value"},
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"Ref": "Stage"}, "dev"),
        ({"Ref": "Queue"}, "http://q"),
        ({"Ref": "AWS::Region"}, "us-east-1"),
        ({"a": {"Ref": "AWS::NoValue"}, "b": 1}, {"b": 1}),
        ([1, {"Ref": "AWS::NoValue"}, 2], [1, 2]),
        ({"Fn::GetAtt": ["Queue", "Arn"]}, "arn:aws:sqs:us-east-1:0:q"),
        ({"Fn::GetAtt": "Queue.Arn"}, "arn:aws:sqs:us-east-1:0:q"),
        ({"Fn::Join": ["-", ["a", {"Ref": "Stage"}, 3]]}, "a-dev-3"),
        ({"Fn::Sub": "${Stage}/${Queue.Arn}/${!Literal}"}, "dev/arn:aws:sqs:us-east-1:0:q/${Literal}"),
        ({"Fn::Sub": ["${X}-${Stage}", {"X": {"Ref": "AWS::AccountId"}}]}, "0-dev"),
        ({"Fn::Select": [1, {"Fn::Split": [",", "a,b,c"]}]}, "b"),
        ({"Fn::Select": ["0", ["a"]]}, "a"),
        ({"Fn::If": ["IsDev", {"Ref": "Stage"}, 2]}, "dev"),
        ({"Fn::If": ["IsProd", 1, {"Ref": "AWS::NoValue"}]}, None),
        ({"Fn::If": ["Both", 1, 2]}, 2),
        ({"Fn::If": ["Either", 1, 2]}, 1),
        ({"Fn::FindInMap": ["Sizes", {"Ref": "Stage"}, "memory"]}, 128),
        ({"Fn::FindInMap": ["Sizes", "prod", "memory", {"DefaultValue": 7}]}, 7),
        ({"Fn::ImportValue": {"Fn::Sub": "Shared"}}, "value"),
        ({"Fn::Base64": "text"}, "dGV4dA=="),
        ({"Fn::Cidr": ["10.0.0.0/24", 3, 6]}, ["10.0.0.0/26", "10.0.0.64/26", "10.0.0.128/26"]),
        ({"Fn::Contains": [["dev", "prod"], {"Ref": "Stage"}]}, True),
        ({"Fn::EachMemberIn": [["a", "b"], ["a", "b", "c"]]}, True),
        ({"Fn::EachMemberEquals": [["a", "b"], "a"]}, False),
        ({"Fn::Length": {"Fn::Split": ["|", "a|b"]}}, 2),
        ({"Fn::ToJsonString": {"a": [{"Ref": "Stage"}]}}, '{"a":["dev"]}'),
        ({"Fn::GetAZs": ""}, ["us-east-1a", "us-east-1b", "us-east-1c"]),
    ],
)  # fmt: skip
def test_a_function_resolves(values, value, expected):
    """Nested ones, too."""
    assert expected == values.resolve(value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"Ref": "Nobody"}, "template.json: Ref: is not there, got 'Nobody'"),
        ({"Fn::GetAtt": ["Queue", "Nothing"]}, "Fn::GetAtt: is not there, got 'Queue.Nothing'"),
        ({"Fn::Select": [5, ["a"]]}, "Fn::Select: is beyond the list"),
        ({"Fn::FindInMap": ["Sizes", "x", "y"]}, "Fn::FindInMap: is not there"),
        ({"Fn::ImportValue": "None"}, "is exported by no stack deployed here"),
        ({"Fn::If": ["Nothing", 1, 2]}, "Condition: must be declared in Conditions"),
        (
            {"Fn::Transform": {"Name": "AWS::Include"}},
            "Fn::Transform: is not a function that this runtime knows",
        ),
    ],
)
def test_what_cannot_be_resolved_is_named(values, value, said):
    """With the place and the value."""
    with pytest.raises(InputError, match=f".*{said.replace('(', '.')}"):
        values.resolve(value)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet="abc-_ "),
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(st.text(alphabet="abc", min_size=1), below, max_size=3)
    ),
)


@given(PLAIN)
def test_a_value_without_functions_is_what_it_is(value):
    """Nothing is lost or changed."""
    values = Values("t", {}, parameters={}, attribute=lambda *_: "", imports={})

    assert value == values.resolve(value)
    assert [] == list(references(value))


def test_references_are_found_in_every_form():
    """They say what comes first."""
    value = {
        "a": {"Ref": "A"},
        "b": [{"Fn::GetAtt": ["B", "Arn"]}, {"Fn::GetAtt": "C.Arn"}],
        "c": {"Fn::Sub": "${D} ${E.Arn} ${!F}"},
        "d": {"Fn::Sub": ["${G}", {"G": {"Ref": "H"}}]},
    }

    assert {"A", "B", "C", "D", "E", "G", "H"} == set(references(value))


def test_sam_functions_get_globals_code_and_mappings():
    """A function's own properties count; events of queues become mappings."""
    found = expanded(
        {
            "Globals": {"Function": {"Timeout": 5, "Environment": {"Variables": {"A": 1}}}},
            "Resources": {
                "F": {
                    "Type": "AWS::Serverless::Function",
                    "Properties": {
                        "CodeUri": "src",
                        "Timeout": 9,
                        "Environment": {"Variables": {"B": 2}},
                        "Events": {
                            "S": {
                                "Type": "DynamoDB",
                                "Properties": {"Stream": "arn", "BatchSize": 3},
                            },
                            "H": {"Type": "Api", "Properties": {"Path": "/"}},
                        },
                    },
                }
            },
        }
    )["Resources"]

    assert {"Folder": "src"} == found["F"]["Properties"]["Code"]
    assert 9 == found["F"]["Properties"]["Timeout"]
    assert {"A": 1, "B": 2} == found["F"]["Properties"]["Environment"]["Variables"]
    assert {"FunctionName": {"Ref": "F"}, "EventSourceArn": "arn", "BatchSize": 3} == found["FS"][
        "Properties"
    ]
    assert "AWS::Serverless::Function event Api" == found["FH"]["Type"]


def test_stages_and_their_order_are_read_from_an_assembly(tmp_path):
    """A stack comes after those that it needs; assets are found by their key."""
    inner = tmp_path / "assembly-Prod"
    inner.mkdir()
    for folder, name in ((tmp_path, "Second"), (tmp_path, "First"), (inner, "Staged")):
        (folder / f"{name}.template.json").write_text(json.dumps({"Resources": {}}))

    def stack(name, *needs):
        return {
            "type": "aws:cloudformation:stack",
            "properties": {"templateFile": f"{name}.template.json"},
            "dependencies": list(needs),
        }

    (inner / "manifest.json").write_text(json.dumps({"artifacts": {"Staged": stack("Staged")}}))
    (tmp_path / "First.assets.json").write_text(
        json.dumps(
            {
                "files": {
                    "h": {
                        "source": {"path": "asset.h"},
                        "destinations": {"d": {"objectKey": "h.zip"}},
                    }
                }
            }
        )
    )
    (tmp_path / "manifest.json").write_text(
        json.dumps(
            {
                "artifacts": {
                    "Second": stack("Second", "First"),
                    "First": stack("First"),
                    "assembly-Prod": {
                        "type": "cdk:cloud-assembly",
                        "properties": {"directoryName": "assembly-Prod"},
                    },
                }
            }
        )
    )

    found = read_stacks(tmp_path)

    assert ["First", "Staged", "Second"] == [each.name for each in found]
    assert {"h.zip": tmp_path / "asset.h"} == found[0].assets


def test_a_loop_is_written_out_for_each_of_its_values():
    """In keys, texts and references; loops may be in loops, and run over parameters."""
    template = {
        "Fn::ForEach::Queues": [
            "Name",
            {"Ref": "Names"},
            {
                "Queue&{Name}": {
                    "Type": "AWS::SQS::Queue",
                    "Properties": {
                        "QueueName": {"Fn::Sub": "shop-${Name}"},
                        "Fn::ForEach::Tags": ["Tag", ["x", "y"], {"Tag${Tag}": {"Ref": "Name"}}],
                    },
                }
            },
        ],
        "Other": 1,
    }

    assert {
        "Queuea1": {
            "Type": "AWS::SQS::Queue",
            "Properties": {"QueueName": {"Fn::Sub": "shop-a-1"}, "Tagx": "a-1", "Tagy": "a-1"},
        },
        "Queueb": {
            "Type": "AWS::SQS::Queue",
            "Properties": {"QueueName": {"Fn::Sub": "shop-b"}, "Tagx": "b", "Tagy": "b"},
        },
        "Other": 1,
    } == unrolled(template, {"Names": ["a-1", "b"]}, "t.json")


@pytest.mark.parametrize("loop", [1, ["Name", ["a"]], ["Name", {"Ref": "Nobody"}, {}]])
def test_a_malformed_loop_is_one_line(loop):
    """With the template and the loop."""
    with pytest.raises(InputError, match=r"t.json: Fn::ForEach::X: must be a name, a list"):
        unrolled({"Fn::ForEach::X": loop}, {}, "t.json")


def test_a_rule_that_does_not_hold_is_told_in_its_own_words(values):
    """One whose condition does not hold is not asked."""
    assertion = {
        "Assert": {"Fn::Contains": [["prod"], {"Ref": "Stage"}]},
        "AssertDescription": "Stage must be prod",
    }

    values.check({"Off": {"RuleCondition": {"Condition": "IsProd"}, "Assertions": [assertion]}})
    with pytest.raises(InputError, match="template.json: rule On: Stage must be prod; pass"):
        values.check({"On": {"Assertions": [assertion]}})


@pytest.mark.parametrize("argument", [["10.0.0.0/24", 5, 6], ["10.0.0.0/24", 1, 9], ["x", 1, 1]])
def test_blocks_that_are_not_there_are_refused(values, argument):
    """Too many, too large, or of nothing."""
    with pytest.raises(InputError, match="Fn::Cidr"):
        values.resolve({"Fn::Cidr": argument})
