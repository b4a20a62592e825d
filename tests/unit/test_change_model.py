from __future__ import annotations

import pickle
import traceback
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Optional

import pydantic
import pytest

from tablecast.change import Change
from tablecast.errors import MalformedRecordError, UsageError


@dataclass
class Address:
    city: str
    floor: int = 0


@dataclass
class Order:
    order_id: str
    lines: int
    weight: float
    total: Decimal
    gift: Optional[int] = None  # noqa: UP045 - both spellings must work.
    rate: float | None = None
    address: Address | None = None
    parent: Order | None = None
    tags: set[str] = field(default_factory=set)
    seen: int = field(init=False, default=0)

    def __post_init__(self):
        if self.lines < 0:
            raise ValueError(f"{self.lines} lines")


class Shipment(pydantic.BaseModel):
    order_id: str
    boxes: int = pydantic.Field(alias="box_count")
    weight: float


ORDER = {
    "order_id": {"S": "o1"},
    "lines": {"N": "3"},
    "weight": {"N": "1.5"},
    "total": {"N": "9.90"},
}


def change_to(image, model, **options):
    """Return a change whose new image is *image*."""
    record = {
        "eventID": "e1",
        "eventName": "INSERT",
        "dynamodb": {"SequenceNumber": "1", "NewImage": image},
    }
    return Change.from_record(record, model=model, **options)


def test_fields_of_a_dataclass_are_attributes_by_name():
    """Numbers become what the annotation says, missing ones their default, unknown ones nothing."""
    image = {
        **ORDER,
        "gift": {"N": "1"},
        "rate": {"N": "2"},
        "address": {"M": {"city": {"S": "Bern"}, "floor": {"N": "4"}}},
        "parent": {"M": {**ORDER, "gift": {"NULL": True}}},
        "seen": {"N": "7"},
        "unknown": {"S": "x"},
    }

    order = change_to(image, Order).new

    assert order == Order(
        order_id="o1",
        lines=3,
        weight=1.5,
        total=Decimal("9.90"),
        gift=1,
        rate=2.0,
        address=Address("Bern", 4),
        parent=Order("o1", 3, 1.5, Decimal("9.90")),
    )
    assert (int, float, Decimal, int, float) == (
        type(order.lines),
        type(order.weight),
        type(order.total),
        type(order.gift),
        type(order.rate),
    )


def test_a_pydantic_model_validates_the_image():
    """Aliases and conversions are the model's own."""
    image = {"order_id": {"S": "o1"}, "box_count": {"N": "2"}, "weight": {"N": "0.5"}}

    assert Shipment(order_id="o1", box_count=2, weight=0.5) == change_to(image, Shipment).new


@pytest.mark.parametrize(
    ("model", "image", "message"),
    [
        (Order, {**ORDER, "lines": {"N": "1.5"}}, "NewImage.lines: must be a whole number"),
        (Order, {}, "NewImage.order_id: must be there, for Order needs it"),
        (
            Order,
            {**ORDER, "address": {"M": {}}},
            "NewImage.address.city: must be there, for Address needs it",
        ),
        (Order, {**ORDER, "lines": {"N": "-41"}}, "NewImage: must be as Order wants it"),
        (
            Shipment,
            {"order_id": {"N": "41"}, "box_count": {"N": "1"}, "weight": {"N": "1"}},
            "order_id: must be as Shipment wants it (Input should be a valid string), got",
        ),
        (
            Shipment,
            {"order_id": {"S": "41"}, "weight": {"N": "1"}},
            "NewImage.box_count: must be as Shipment wants it (Field required), got 'nothing'",
        ),
    ],
)
def test_an_image_that_does_not_fit_names_the_field_and_no_value(model, image, message):
    """The error is ours, says what the model wants, and shows nothing of the item."""
    with pytest.raises(MalformedRecordError) as caught:
        _ = change_to(image, model).new

    assert message in str(caught.value)
    assert "41" not in str(caught.value)


def test_a_pydantic_error_does_not_chain_the_image():
    """Pydantic's own text prints input values, so a traceback must not carry it."""
    image = {"order_id": {"S": "secret-41"}, "box_count": {"S": "secret-42"}, "weight": {"N": "1"}}
    with pytest.raises(MalformedRecordError) as caught:
        _ = change_to(image, Shipment).new

    assert "secret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("model", [dict, "Order", Order("o", 1, 1.0, Decimal(1))])
def test_a_class_that_cannot_be_a_model_is_refused_at_once(model):
    """Only a dataclass or a Pydantic model says which attributes it wants."""
    with pytest.raises(UsageError, match="model: must be a dataclass or a Pydantic model"):
        change_to({}, model)


def test_an_annotation_that_does_not_resolve_is_refused_at_once():
    """A name that is imported for type checkers only cannot be converted to."""

    @dataclass
    class Broken:
        price: Money  # noqa: F821 - the mistake under test.

    with pytest.raises(UsageError, match=r"must name classes that exist .*Money.*; import them"):
        change_to({}, Broken)


def test_a_change_with_a_model_survives_pickling():
    """The model travels by name."""
    change = change_to(ORDER, Order)

    assert change.new == pickle.loads(pickle.dumps(change)).new
