"""Lambda events of a DynamoDB stream, shaped and sized as AWS sends them, from a seed."""

from __future__ import annotations

import json
import random
from typing import Any

STREAM_ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/2026-01-01T00:00:00.000"
CLAIMED_ITEM_BYTES = 400_000
"""Items from here on make records over a message's limit, which the article can never send."""
WORDS = (
    "amber anchor apple autumn basil beacon birch bottle bridge button candle canyon cedar cherry "
    "clover coffee copper coral cotton cradle crystal dawn delta desert ember falcon fern flint "
    "forest garden ginger glacier granite harbor hazel honey island ivory jasmine juniper lantern"
).split()


def item(chooser: random.Random, *, number: int, item_bytes: int) -> dict[str, Any]:
    """Return an order of about *item_bytes* as DynamoDB counts them, in DynamoDB JSON."""
    image: dict[str, Any] = {
        "customer_id": {"S": f"customer-{number % 97:05d}"},
        "order_id": {"S": f"order-{number:08d}"},
        "status": {"S": chooser.choice(["OPEN", "PAID", "SENT", "DONE"])},
        "total": {"N": f"{chooser.randrange(1, 99_999) / 100:.2f}"},
        "paid": {"BOOL": chooser.random() < 0.5},
    }
    used = 95
    line = 0
    while used < item_bytes:
        length = min(180, max(8, item_bytes - used - 10))
        text = ""
        while len(text) < length:
            text += chooser.choice(WORDS) + " " + format(chooser.randrange(16**4), "x") + " "
        image[f"note_{line}"] = {"S": text[:length]}
        used += length + 6
        line += 1
    return image


def event(*, records: int, item_bytes: int, seed: int = 1) -> dict[str, Any]:
    """Return an event of *records* changes: 35 % INSERT, 50 % MODIFY, 15 % REMOVE, both images."""
    chooser = random.Random(seed)
    made = []
    for number in range(records):
        old = item(chooser, number=number, item_bytes=item_bytes)
        new = {**old, "status": {"S": "SENT"}, "total": {"N": str(number)}}
        draw = chooser.random()
        name = "INSERT" if draw < 0.35 else "MODIFY" if draw < 0.85 else "REMOVE"
        change: dict[str, Any] = {
            "ApproximateCreationDateTime": 1_767_225_600.0 + number // 100,
            "Keys": {"customer_id": old["customer_id"], "order_id": old["order_id"]},
        }
        if name != "REMOVE":
            change["NewImage"] = new
        if name != "INSERT":
            change["OldImage"] = old
        change |= {
            "SequenceNumber": str(4_421_584_500_000_000_017_450_439_091 + number * 7),
            "SizeBytes": item_bytes * 2,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        }
        made.append(
            {
                "eventID": format(chooser.getrandbits(128), "032x"),
                "eventName": name,
                "eventVersion": "1.1",
                "eventSource": "aws:dynamodb",
                "awsRegion": "us-east-1",
                "dynamodb": change,
                "eventSourceARN": STREAM_ARN,
            }
        )
    return {"Records": made}


def payload(*, records: int, item_bytes: int, seed: int = 1) -> bytes:
    """Return the event as the bytes that Lambda's Runtime API hands out."""
    return json.dumps(
        event(records=records, item_bytes=item_bytes, seed=seed), separators=(",", ":")
    ).encode()
