"""The demo's search index answers queries, follows the items, and is shared by processes."""

from __future__ import annotations

import pytest

from tablecast.cli.demo_app.search import SearchIndex, document_text


@pytest.fixture
def index(tmp_path):
    """Return an index that is ready for use."""
    index = SearchIndex(tmp_path / "search.sqlite")
    index.prepare()
    return index


def test_a_document_is_found_by_its_words(index):
    """Case and accents are of no account, and every word must be there."""
    with index.transaction() as documents:
        documents.put("ZRH", {"name": "Zürich Airport", "country": "CH"})
        documents.put("HND", {"name": "Tokyo Haneda Airport", "country": "JP"})

    count, hits = index.search("zurich AIRPORT")

    assert 1 == count
    assert ["ZRH"] == [hit.item_id for hit in hits]


def test_a_later_version_takes_the_place_of_the_earlier_one(index):
    """An item has one document, whatever it said before."""
    with index.transaction() as documents:
        documents.put("a", {"status": "open"})
    with index.transaction() as documents:
        documents.put("a", {"status": "closed"})

    assert (0, []) == index.search("open")
    assert {"a": "closed"} == index.documents()


def test_a_deleted_item_is_not_found(index):
    """A deletion takes the words out; deleting what is not there is no error."""
    with index.transaction() as documents:
        documents.put("a", {"name": "alpha"})
        documents.delete("a")
        documents.delete("b")

    assert (0, []) == index.search("alpha")
    assert {} == index.documents()


def test_a_failed_transaction_leaves_the_index_as_it_was(index):
    """A message's changes come into the index together or not at all."""
    with pytest.raises(ZeroDivisionError), index.transaction() as documents:
        documents.put("a", {"name": "alpha"})
        raise ZeroDivisionError

    assert {} == index.documents()


@pytest.mark.parametrize("query", ['"', "*", "a OR", "NEAR(", "", "-"])
def test_no_query_is_an_error(index, query):
    """A user's words are words, never an expression of the engine's language."""
    assert (0, []) == index.search(query)


def test_the_text_of_an_item_is_all_its_text(index):
    """Nested text counts, names and numbers do not, and the order is that of the names."""
    item = {"z": "last", "a": {"y": ["one", 2, {"x": "two"}]}, "n": 5, "none": None}

    assert "one · two · last" == document_text(item)
