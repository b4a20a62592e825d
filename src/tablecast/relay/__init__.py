"""
Relay: change records of a stream -> messages in the queues of the consumers that want them.

What happens to a change, for each consumer by itself:

| step | rule |
| --- | --- |
| match, project | by the consumer's declaration; a record that cannot be read is set aside |
| group | `order="item"`: by a hash of the item, else not at all |
| encode | once for all consumers that see the same of it |
| pack | up to a bound of bytes and of changes; compressed where that saves a billing unit |
| send | of each group one message a request, the next when it was taken |
| refused for good | a pack is halved until the change at fault is alone; that one is set aside |
| not taken in time | reported, and everything of its group after it |

*Set aside* means sent to the consumer's dead-letter queue with the reason; where that fails too,
the change is reported. Lambda then delivers the lowest reported change and all after it again.
"""

from __future__ import annotations

from tablecast.relay.batch import Row, TextRow
from tablecast.relay.relay import Relay
from tablecast.relay.result import ConsumerCounts, RelayResult
from tablecast.relay.settings import RelaySettings, Target

__all__ = ["ConsumerCounts", "Relay", "RelayResult", "RelaySettings", "Row", "Target", "TextRow"]
