"""
Send a batch of messages until every entry is taken or refused for good, or until time is up.

| answer | what it means | what is done |
| --- | --- | --- |
| entry not mentioned | taken | |
| entry, `SenderFault` true | never will be taken | *refused* |
| entry, `SenderFault` false | not taken this time | sent again |
| request throttled, 5xx | nothing taken | all sent again |
| answer lost | some or all taken | all sent again; a FIFO queue drops the repeats by their ids |
| request refused for its content | one of its entries is at fault | each sent alone, to find it |
| request refused otherwise | no queue, no permission, no key: nothing will be taken | *failed* |

Waits between tries have full jitter. Nothing is ever dropped: an entry is taken, refused or failed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Final

from tablecast.errors import AwsError
from tablecast.ports.protocols import Clock, FailedEntry, OutgoingMessage, SendBatch, Uniform
from tablecast.retry import Backoff

SEND_BACKOFF: Final = Backoff(base_seconds=0.05, cap_seconds=2.0)

TIME_IS_UP: Final = "TimeIsUp"
"""Code of an entry for which no time was left to try at all."""

_CONTENT_CODES: Final = frozenset(
    {"BatchRequestTooLong", "InvalidMessageContents", "InvalidParameterValue", "MissingParameter"}
)


class SendReport(SimpleNamespace):
    """
    What became of the entries of one batch; those in neither mapping were taken.

    Args:
        refused: Entries that the queue will never take, by id.
        failed: Entries that were not taken in time, or that nobody could have sent, by id.
        requests: Requests that were made.
        retries: How many of those were repeats.
    """

    def __init__(self, requests: int = 0, retries: int = 0) -> None:
        super().__init__()
        self.refused: dict[str, FailedEntry] = {}
        self.failed: dict[str, FailedEntry] = {}
        self.requests = requests
        self.retries = retries


class PatientSender:
    """
    A `SendBatch` that tries again.

    Args:
        send: Sends a batch once.
        clock: Time, to wait and to stop by.
        uniform: Randomness of the waits.
        backoff: Lengths of the waits.
    """

    def __init__(
        self,
        send: SendBatch,
        *,
        clock: Clock,
        uniform: Uniform,
        backoff: Backoff = SEND_BACKOFF,
    ) -> None:
        self._send = send
        self._clock = clock
        self._uniform = uniform
        self._backoff = backoff

    def send(
        self, queue_url: str, entries: Sequence[OutgoingMessage], *, until: float
    ) -> SendReport:
        """
        Send *entries*, again and again where that helps, until all is settled or *until*.

        Args:
            queue_url: URL of the queue.
            entries: What one request takes; of a FIFO queue one message a group, so that a retry
                overtakes nothing.
            until: Epoch seconds at which no further request is begun.
        """
        report = SendReport()
        self._settle(queue_url, entries, until, report)
        return report

    def _settle(
        self,
        queue_url: str,
        entries: Sequence[OutgoingMessage],
        until: float,
        report: SendReport,
    ) -> None:
        """Bring every entry to an end and write it into *report*."""
        waiting = {entry.id: entry for entry in entries}
        no_time = FailedEntry("", TIME_IS_UP, "no time was left to send it", sender_fault=False)
        reasons: Mapping[str, FailedEntry] = dict.fromkeys(waiting, no_time)
        attempt = 0
        while waiting and self._clock.now() < until:
            report.requests += 1
            report.retries += attempt > 0
            try:
                answers = self._send(queue_url, [*waiting.values()])
            except AwsError as error:
                if not error.retryable:
                    self._give_up(queue_url, [*waiting.values()], error, until, report)
                    return
                reasons = dict.fromkeys(waiting, _reason(error))
            else:
                reasons = self._sort(waiting, answers, report)
            if waiting:
                delay = self._backoff.delay(attempt, self._uniform)
                if self._clock.now() + delay >= until:
                    break
                self._clock.sleep(delay)
                attempt += 1
        report.failed.update((id_, _named(reasons[id_], id_)) for id_ in waiting)

    def _sort(
        self,
        waiting: dict[str, OutgoingMessage],
        answers: Sequence[FailedEntry],
        report: SendReport,
    ) -> Mapping[str, FailedEntry]:
        """Take out of *waiting* what is settled; return why the rest is not."""
        unsettled = {answer.id: answer for answer in answers if not answer.sender_fault}
        report.refused.update(
            (answer.id, answer)
            for answer in answers
            if answer.sender_fault and answer.id in waiting
        )
        for id_ in [*waiting]:
            if id_ not in unsettled:
                del waiting[id_]
        return unsettled

    def _give_up(
        self,
        queue_url: str,
        entries: Sequence[OutgoingMessage],
        error: AwsError,
        until: float,
        report: SendReport,
    ) -> None:
        """Settle a request that was refused as a whole."""
        if error.code.rpartition(".")[2] not in _CONTENT_CODES:
            report.failed.update((each.id, _named(_reason(error), each.id)) for each in entries)
        elif len(entries) == 1:
            report.refused[entries[0].id] = _named(_reason(error, sender_fault=True), entries[0].id)
        else:
            for entry in entries:
                self._settle(queue_url, [entry], until, report)


def _reason(error: AwsError, *, sender_fault: bool = False) -> FailedEntry:
    return FailedEntry("", error.code, str(error), sender_fault)


def _named(reason: FailedEntry, id_: str) -> FailedEntry:
    return FailedEntry(id_, reason.code, reason.message, reason.sender_fault)
