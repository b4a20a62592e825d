"""
Filters that the event source mapping can apply for all consumers together.

Lambda does not bill for a record that its mapping drops, and the relay is not run for it. So what
no consumer wants is dropped there, as far as filter patterns can say it; the relay asks again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tablecast.declare.consumer import EVENT_NAMES, Consumer
from tablecast.limits import FILTER_PATTERN_CHARACTERS_MAX, FILTERS_MAX

_EVENT_NAME = "eventName"


def mapping_filters(consumers: Iterable[Consumer]) -> tuple[str, ...]:
    """
    Return the patterns of a stream mapping that let through all that a consumer wants.

    They may let through more: `when_changed` compares two images, which no pattern can. Where the
    consumers' patterns are more than Lambda takes, event names alone are left, if they drop any.

    Args:
        consumers: All that the mapping's function delivers to.
    Returns:
        JSON texts, of which one must match; empty when every record must pass.
    Source:
        Lambda developer guide, event filtering: five patterns of at most 4,096 characters
        (checked 2026-11-23)
    """
    wanted = list(consumers)
    events = {event for consumer in wanted for event in consumer.events}
    if not wanted:
        return ()
    names_alone = () if events == set(EVENT_NAMES) else (_text(_of_events(events)),)
    patterns: list[Mapping[str, Any]] = []
    for consumer in wanted:
        if not consumer.where and consumer.events == frozenset(EVENT_NAMES):
            return ()
        patterns += [_narrowed(each, consumer) for each in consumer.where or ({},)]
    texts = tuple(dict.fromkeys(map(_text, patterns)))
    fit = all(len(text) <= FILTER_PATTERN_CHARACTERS_MAX for text in texts)
    return texts if texts and len(texts) <= FILTERS_MAX and fit else names_alone


def _narrowed(pattern: Mapping[str, Any], consumer: Consumer) -> Mapping[str, Any]:
    """Return *pattern* with the consumer's event names, unless it says some of its own."""
    if _EVENT_NAME in pattern or consumer.events == frozenset(EVENT_NAMES):
        return pattern
    return {**_of_events(consumer.events), **pattern}


def _of_events(events: Iterable[str]) -> dict[str, Any]:
    return {_EVENT_NAME: sorted(events)}


def _text(pattern: Mapping[str, Any]) -> str:
    return json.dumps(pattern, separators=(",", ":"))
