"""
One handler under measurement, in a process of its own: `run N` on stdin invokes it N times.

Events arrive as bytes, one a line of a file, taken in turn. They are parsed with json each time, as
Lambda's runtime client does before it calls a handler; the parse is part of the measured time. With
`text` they are handed over as Tablecast's marshaller hands them over in that client.
"""

from __future__ import annotations

import gc
import importlib
import json
import resource
import sys
import time
from itertools import cycle
from pathlib import Path
from typing import Any


class Context:
    """What a handler reads of Lambda's context object."""

    aws_request_id = "00000000-0000-4000-8000-000000000000"
    function_name = "orders-relay"
    function_version = "$LATEST"
    invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:orders-relay"
    memory_limit_in_mb = "512"
    log_group_name = "/aws/lambda/orders-relay"
    log_stream_name = "benchmark"

    def get_remaining_time_in_millis(self) -> int:
        """Return a minute, whenever asked."""
        return 60_000


def cpu_seconds() -> float:
    """Return user and system CPU of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_mb() -> float:
    """Return the most memory that this process had so far, without what its parent had."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def main() -> None:
    """Import the handler named on the command line, then do as stdin says."""
    module, events_file, form = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    answers = sys.stdout
    # Before the import: loggers keep the stream that they find then.
    sys.stdout = Path("/dev/null").open("w", encoding="utf-8")  # noqa: SIM115 - for the process's life
    before = cpu_seconds()
    handler: Any = importlib.import_module(module).handler
    import_cpu = cpu_seconds() - before
    if form == "text":
        from tablecast.handlers.event_text import TextEvent  # noqa: PLC0415 - only where it is used

        def read(payload: bytes) -> Any:
            return TextEvent(payload, json.loads)
    else:
        read = json.loads
    payloads = cycle(events_file.read_bytes().splitlines())
    context = Context()
    print(json.dumps({"import_cpu_s": import_cpu}), file=answers, flush=True)
    for line in sys.stdin:
        times = int(line.split()[1])
        gc.collect()
        walls = []
        started = cpu_seconds()
        for _ in range(times):
            payload = next(payloads)
            context.aws_request_id = f"{time.perf_counter_ns():032x}"
            at = time.perf_counter()
            result = handler(read(payload), context)
            walls.append(time.perf_counter() - at)
            if result.get("batchItemFailures"):
                failed = f"reported failures: {str(result)[:200]}"
                print(json.dumps({"error": failed}), file=answers, flush=True)
                return
        spent = cpu_seconds() - started
        peak = peak_mb()
        answer = {"cpu_s": spent, "walls_s": walls, "peak_mb": peak}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
