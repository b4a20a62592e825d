"""Filters answer every event, and answer as a plain reading of the grammar does."""

from __future__ import annotations

import json
from itertools import product
from operator import eq, ge, gt, le, lt
from typing import Any

from hypothesis import assume, example, given, settings
from hypothesis import event as note
from hypothesis import strategies as st

from tablecast.errors import UsageError
from tablecast.filters import FilterPattern, parse_json
from tablecast.limits import FILTER_PATTERN_CHARACTERS_MAX

NAMES = st.sampled_from(["a", "b"])
TEXTS = st.sampled_from(["", "x", "X", "xy", "1"])
NUMBERS = st.sampled_from([0, 1, 1.0, 1.5, 10**20])
SCALARS = TEXTS | NUMBERS | st.booleans() | st.none()

RANGES = NUMBERS.flatmap(
    lambda low: st.sampled_from(
        [["=", low], [">", low], [">=", low], ["<", low], ["<=", low]]
        + [[over, low, under, low + 1] for over in (">", ">=") for under in ("<", "<=")]
    )
).filter(lambda terms: len(terms) == 2 or float(terms[1]) < float(terms[3]))
OPERATORS = st.one_of(
    st.fixed_dictionaries({"prefix": TEXTS}),
    st.fixed_dictionaries({"suffix": TEXTS}),
    st.fixed_dictionaries({"equals-ignore-case": TEXTS}),
    st.fixed_dictionaries({"exists": st.booleans()}),
    st.fixed_dictionaries({"anything-but": TEXTS | NUMBERS}),
    st.fixed_dictionaries({"anything-but": st.lists(TEXTS, min_size=1, max_size=3)}),
    st.fixed_dictionaries({"anything-but": st.lists(NUMBERS, min_size=1, max_size=3)}),
    st.fixed_dictionaries({"numeric": RANGES}),
)
LEAVES = st.lists(SCALARS | OPERATORS, min_size=1, max_size=5)


def with_alternatives(inner):
    """Return objects of a pattern: fields, `$or`, or both."""
    objects = st.dictionaries(NAMES, inner | LEAVES, min_size=1, max_size=3)
    either = st.lists(objects, min_size=2, max_size=3).map(lambda each: {"$or": each})
    return st.one_of(objects, either, st.builds(lambda one, two: one | two, objects, either))


PATTERNS = with_alternatives(st.recursive(LEAVES, with_alternatives, max_leaves=6)).filter(
    lambda pattern: len(json.dumps(pattern)) < 1_500  # Twice it is still within Lambda's limit.
)
FLAT_EVENTS = st.recursive(
    st.dictionaries(NAMES, SCALARS | st.lists(SCALARS, max_size=3), min_size=1, max_size=2),
    lambda inner: st.dictionaries(NAMES, SCALARS | inner, max_size=3),
    max_leaves=6,
)

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            NAMES | st.sampled_from(["$or", "exists", "numeric", "prefix", "anything-but"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=15,
)
ANY_EVENT = st.dictionaries(NAMES, ANY_JSON, max_size=3)


def conjunctions(pattern: dict[str, Any]) -> list[dict[tuple[str, ...], list[list[Any]]]]:
    """Return what *pattern* says as alternatives, each a list of leaves that all must hold."""
    parts: list[list[dict[tuple[str, ...], list[list[Any]]]]] = []
    for name, below in pattern.items():
        if name == "$or":
            parts.append([each for one in below for each in conjunctions(one)])
        elif isinstance(below, dict):
            parts.append(
                [
                    {(name, *path): leaves for path, leaves in each.items()}
                    for each in conjunctions(below)
                ]
            )
        else:
            parts.append([{(name,): [below]}])
    joined = []
    for combination in product(*parts):
        together: dict[tuple[str, ...], list[list[Any]]] = {}
        for each in combination:
            for path, leaves in each.items():
                together.setdefault(path, []).extend(leaves)
        joined.append(together)
    return joined


def flattened(event: dict[str, Any]) -> dict[tuple[str, ...], list[Any]]:
    """Return the values of an event by their paths."""
    flat: dict[tuple[str, ...], list[Any]] = {}
    for name, value in event.items():
        if isinstance(value, dict):
            flat |= {(name, *path): values for path, values in flattened(value).items()}
        else:
            flat[(name,)] = value if isinstance(value, list) else [value]
    return flat


COMPARE = {"=": eq, ">": gt, ">=": ge, "<": lt, "<=": le}


def fits(entry: Any, value: Any) -> bool:  # noqa: PLR0911 - one an operator.
    """Return whether one value fits one entry of a leaf, by the letter of the table."""
    if not isinstance(entry, dict):
        return json.dumps(entry) == json.dumps(value)
    ((operator, operand),) = entry.items()
    match operator:
        case "exists":
            return operand
        case "anything-but":
            return all(
                not fits(each, value)
                for each in (operand if isinstance(operand, list) else [operand])
            )
        case "numeric":
            terms = zip(operand[::2], operand[1::2], strict=True)
            return type(value) in (int, float) and all(
                COMPARE[sign](float(value), float(number)) for sign, number in terms
            )
        case "equals-ignore-case":
            return isinstance(value, str) and operand.upper() == value.upper()
        case "prefix":
            return isinstance(value, str) and operand == value[: len(operand)]
        case _:
            return isinstance(value, str) and operand == value[len(value) - len(operand) :]


def oracle(pattern: dict[str, Any], event: dict[str, Any]) -> bool:
    """Return what the grammar says, for events whose arrays hold no objects."""
    flat = flattened(event)
    return any(
        all(
            any(fits(entry, value) for entry in leaf for value in flat.get(path, []))
            or (not flat.get(path) and {"exists": False} in leaf)
            for path, leaves in conjunction.items()
            for leaf in leaves
        )
        for conjunction in conjunctions(pattern)
    )


@settings(max_examples=300)
@given(PATTERNS, FLAT_EVENTS)
@example({"a": [True]}, {"a": 1})
@example({"a": [1]}, {"a": 1.0})
@example({"a": {"b": [{"exists": False}]}}, {"a": "x"})
def test_filters_agree_with_a_plain_reading_of_the_grammar(pattern, event):
    """Flattening event and pattern and comparing all with all gives the same answer."""
    expected = oracle(pattern, event)
    note(f"lets through: {expected}")

    assert expected is FilterPattern.parse(pattern).matches(event)


SPELLINGS = st.sampled_from(["1", "1.0", "10e-1", "1E0", "300", "300.0", "3.0e2", "3e2", "0"])


@given(st.lists(SPELLINGS, min_size=1, max_size=3), SPELLINGS)
def test_numbers_are_equal_when_they_are_written_alike(listed, value):
    """What stands in pattern and event is compared as text; `numeric` compares what it means."""
    event = parse_json(f'{{"k": {value}}}')
    equal = FilterPattern.parse(f'{{"k": [{", ".join(listed)}]}}')
    numeric = FilterPattern.parse(f'{{"k": [{{"numeric": ["=", {listed[0]}]}}]}}')

    assert (value in listed) is equal.matches(event)
    assert (float(listed[0]) == float(value)) is numeric.matches(event)


@st.composite
def broken_texts(draw):
    """Return the JSON text of a pattern with some of its characters gone, doubled or replaced."""
    text = draw(PATTERNS.map(json.dumps))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 3)))
        put = draw(st.sampled_from(["", '"', "[", "]", "{", "}", ",", ":", "5", "null", "\\u0000"]))
        text = text[:start] + put + text[end:]
    return text


@given(st.text(max_size=40) | broken_texts(), ANY_EVENT)
def test_any_text_is_a_filter_or_refused(text, event):
    """What parses answers every event; what does not is refused as Lambda refuses it."""
    try:
        parsed = FilterPattern.parse(text)
    except UsageError as error:
        refused = str(error)
    else:
        refused = ""

    if refused:
        assert refused.startswith("Invalid filter pattern definition.")
        return
    assert isinstance(json.loads(text), dict)
    assert parsed.matches(event) in (True, False)


@given(PATTERNS, FLAT_EVENTS, st.sampled_from([None, 1, "\t"]))
def test_whitespace_and_order_of_a_pattern_do_not_matter(pattern, event, indent):
    """Patterns that state the same let the same through."""
    backwards = dict(reversed(pattern.items()))
    parsed = FilterPattern.parse(pattern)
    text = json.dumps(pattern, indent=indent)
    assume(len(text) <= FILTER_PATTERN_CHARACTERS_MAX)
    spaced = FilterPattern.parse(text)
    turned = FilterPattern.parse(json.dumps(backwards))

    assert parsed.matches(event) is spaced.matches(event) is turned.matches(event)


@given(PATTERNS, ANY_EVENT)
def test_a_filter_answers_every_event(pattern, event):
    """No event, however odd, makes a valid filter fail; an absent $or partner changes nothing."""
    parsed = FilterPattern.parse(pattern)

    answer = parsed.matches(event)

    assert answer in (True, False)
    assert answer is FilterPattern.parse({"$or": [pattern, pattern]}).matches(event)


@given(ANY_JSON, ANY_EVENT)
def test_any_json_is_a_filter_or_refused(pattern, event):
    """Nothing but the error of a pattern comes out of parsing, as an object or as text."""
    try:
        parsed = FilterPattern.parse(json.dumps(pattern))
    except UsageError:
        return

    assert parsed == FilterPattern.parse(pattern) == FilterPattern.parse(parsed.to_dict())
    assert parsed.matches(event) in (True, False)


@given(PATTERNS)
def test_a_pattern_comes_back_as_it_was_written(pattern):
    """The canonical form of a pattern in plain JSON values is the pattern."""
    parsed = FilterPattern.parse(pattern)

    assert pattern == parsed.to_dict()
    assert parsed == FilterPattern.parse(json.dumps(pattern))


@given(PATTERNS, FLAT_EVENTS)
def test_an_array_of_one_is_its_element(pattern, event):
    """Putting every value into an array of its own changes no answer."""

    def wrapped(value):
        if isinstance(value, dict):
            return [{name: wrapped(below) for name, below in value.items()}]
        return value if isinstance(value, list) else [value]

    in_arrays = {name: wrapped(value) for name, value in event.items()}
    parsed = FilterPattern.parse(pattern)

    assert parsed.matches(event) is parsed.matches(in_arrays)
