"""A relay over the records of a file, in a process of its own: `FROM TO` on stdin relays those."""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.worker import Context


def main() -> None:
    """Answer each line with the lowest sequence number that is to come again, or null."""
    module, events_file, form = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    answers = sys.stdout
    sys.stdout = Path("/dev/null").open("w", encoding="utf-8")  # noqa: SIM115 - for the process's life
    handler: Any = importlib.import_module(module).handler
    records = json.loads(events_file.read_bytes())["Records"]
    context = Context()
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        start, end = map(int, line.split())
        batch = records[start:end]
        event: Any = {"Records": batch}
        if form == "text":
            from tablecast.handlers.event_text import TextEvent  # noqa: PLC0415 - where it is used

            event = TextEvent(json.dumps(event, separators=(",", ":")).encode(), json.loads)
        context.aws_request_id = f"{time.perf_counter_ns():032x}"
        numbers = [record["dynamodb"]["SequenceNumber"] for record in batch]
        try:
            failures = handler(event, context)["batchItemFailures"]
            failed = [numbers.index(each["itemIdentifier"]) for each in failures]
        except Exception:  # noqa: BLE001 - a function error: the whole batch comes again
            failed = [0]
        lowest = numbers[min(failed)] if failed else None
        print(json.dumps({"lowest": lowest}), file=answers, flush=True)


if __name__ == "__main__":
    main()
