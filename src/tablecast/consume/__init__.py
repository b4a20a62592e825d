"""
Consume: messages -> changes -> the user's function -> which messages have to come again.

What is guaranteed for `order="item"`: a consumer handles one item's changes in commit order; after
a failure it may see a suffix again, never a gap. It follows from these rules:

| event | what happens |
| --- | --- |
| a change fails | later changes of its item in the message are held back, other items go on |
| a message fails | later messages of its group in the batch are not begun, and reported with it |
| a message comes again | changes finished at the receive just before are skipped, others repeated |
| a change fails on the last allowed receive | it alone goes to the dead-letter queue with the |
| | reason; then its item goes on |
| that queue does not take it | the message fails, as before; nothing is lost |
| the process ended in a change | its message comes last of the batch and its item last of the |
| | message; on the last allowed receive it is set aside without being run, with all others that |
| | ended a process at the receives right before |
| a message cannot be read | what stands before is handled; on the last allowed receive the |
| | message is set aside whole |
| time runs out | no further change is begun; the rest comes again |

The memory of finished changes is valid only when nobody else can have had the message in between,
which its receive count tells: a change skipped after another process repeated an earlier one of its
item would be a gap. A standard queue (`order="none"`) promises no order, so there a change that was
ever finished in this process is skipped.

The last allowed receive is the `max_receive_count`-th. The queue's own redrive policy allows
`QUEUE_RECEIVES_EXTRA` more. Messages that wait behind a failing one of their group are received
with it, so they use up receives without being tried. All but one of the extra ones are therefore
left to messages that another one of the batch was in the way of, and to changes that were never
begun for want of time.

`batch=True`: the function gets the list of a message's changes. `BatchFailure` names those that
failed; any other exception fails all of them. On the last allowed receive, and after the process
ended in a list, the changes come one by one, as lists of one, so that the one at fault is known.
"""

from __future__ import annotations

from tablecast.consume.consumption import Consumption
from tablecast.consume.deadletters import DeadLetters
from tablecast.consume.result import ConsumeResult
from tablecast.consume.runtime import ConsumeSettings

__all__ = ["ConsumeResult", "ConsumeSettings", "Consumption", "DeadLetters"]
