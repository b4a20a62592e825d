"""
Fakes and builders with which a pipeline is tested in milliseconds, on a clock that the test owns.

Importing it loads no AWS module.
"""

from __future__ import annotations

from tablecast.testing.claims import FakeClaims
from tablecast.testing.clock import FakeClock
from tablecast.testing.gate import FakeGate
from tablecast.testing.journal import FakeJournal
from tablecast.testing.log import LogLine, MemoryLog
from tablecast.testing.queues import FakeQueue
from tablecast.testing.records import (
    insert,
    modify,
    remove,
    sqs_event,
    sqs_record,
    stream_event,
)
from tablecast.testing.running import ConsumerRun, run_consumer
from tablecast.testing.sending import EntryFault, FakeSendBatch, RequestFault
from tablecast.testing.streams import FakeStream
from tablecast.testing.tables import FakeTable
from tablecast.testing.world import DeadLetter, World

__all__ = [
    "ConsumerRun",
    "DeadLetter",
    "EntryFault",
    "FakeClaims",
    "FakeClock",
    "FakeGate",
    "FakeJournal",
    "FakeQueue",
    "FakeSendBatch",
    "FakeStream",
    "FakeTable",
    "LogLine",
    "MemoryLog",
    "RequestFault",
    "World",
    "insert",
    "modify",
    "remove",
    "run_consumer",
    "sqs_event",
    "sqs_record",
    "stream_event",
]
