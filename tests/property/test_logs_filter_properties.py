"""No text breaks filter patterns, neither as a pattern nor as a message."""

from __future__ import annotations

import json

from hypothesis import example, given
from hypothesis import strategies as st

from tablecast.local.api.refusal import ApiError
from tablecast.local.cloudwatch.filter_pattern import compile_pattern

PIECES = st.one_of(
    st.sampled_from(["$.a", "$.b[0]", "$.*", "$", "IS NULL", "IS TRUE", "NOT EXISTS", "(", ")"]),
    st.sampled_from(["=", "!=", "=!", "<", ">=", "&&", "||", "[", "]", "{", "}", "...", ","]),
    st.sampled_from(["*", "4*", "-1e3", '"x y"', '"', "%a+%", "%", "a", "?", "-", "\\", "“", "é"]),
)
INSIDE = st.lists(PIECES, max_size=12).map(" ".join)
PATTERNS = st.one_of(
    st.text(max_size=60),
    INSIDE,
    INSIDE.map("{{{}}}".format),
    INSIDE.map("[{}]".format),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "*"]), inner, max_size=3)
    ),
    max_leaves=8,
)
MESSAGES = st.one_of(st.text(max_size=60), VALUES.map(json.dumps), INSIDE)
WORDS = st.text("abc_1", min_size=1, max_size=3)


@given(PATTERNS, MESSAGES)
@example("%[[a]%", "a")
@example("{$.a = 1e999}", '{"a": 1e999}')
@example("%a{4294967296}%", "a")
@example("{$.a = \ud800}", '{"a": "\\ud800"}')
def test_no_text_breaks_a_filter_pattern(pattern, message):
    """A pattern is refused, or it says yes or no to any message."""
    try:
        matches = compile_pattern(pattern)
    except ApiError:
        return

    assert matches(message) in {True, False}


@given(st.lists(WORDS, min_size=1, max_size=4), st.text("abc_1 ", max_size=20))
def test_terms_are_a_conjunction_and_question_marks_a_disjunction(words, message):
    """The two kinds of term and their negation agree with all, any and none."""
    found = [word in message for word in words]

    assert all(found) == compile_pattern(" ".join(words))(message)
    assert any(found) == compile_pattern(" ".join(f"?{word}" for word in words))(message)
    assert any(found) != compile_pattern(" ".join(f"-{word}" for word in words))(message)


@given(st.text(min_size=1, max_size=20), st.text(max_size=10), st.text(max_size=10))
def test_a_quoted_term_finds_any_text(term, before, after):
    """Quotes and backslashes are escaped with a backslash."""
    quoted = term.replace("\\", "\\\\").replace('"', '\\"')

    assert compile_pattern(f'"{quoted}"')(before + term + after)
