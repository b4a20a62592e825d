"""The demo's ledger survives abrupt ends, repeats and many processes."""

from __future__ import annotations

import subprocess
import sys

from tablecast import Change
from tablecast.cli.demo_app.ledger import Ledger, LedgerReader


def change(event_id: str, key: str = "a") -> Change:
    """Return a change of the item *key*."""
    return Change.from_record(
        {
            "eventID": event_id,
            "eventName": "REMOVE",
            "dynamodb": {"Keys": {"id": {"S": key}}, "SequenceNumber": "1"},
        }
    )


def test_a_note_is_read_back(tmp_path):
    """What a consumer notes is there for the reader, by consumer."""
    Ledger(tmp_path, "index").handled([change("e1", "a"), change("e2", "b")])
    Ledger(tmp_path, "notify").failed([change("e1")])

    ledger = LedgerReader(tmp_path, ["index", "notify"]).read()

    assert {"e1": "a", "e2": "b"} == ledger["index"].item_ids
    assert {"e1", "e2"} == ledger["index"].handled_at.keys()
    assert {"e1": 1} == ledger["notify"].failed
    assert {} == ledger["notify"].handled_at


def test_reading_goes_on_where_it_stopped(tmp_path):
    """The display reads the ledger several times a second, so each note is read once."""
    ledger = Ledger(tmp_path, "index")
    reader = LedgerReader(tmp_path, ["index"])
    ledger.handled([change("e1")])
    reader.read()
    ledger.handled([change("e2")])

    assert {"e1", "e2"} == reader.read()["index"].handled_at.keys()
    assert 0 == reader.read()["index"].repeats


def test_a_repeat_is_counted_and_the_first_time_stands(tmp_path):
    """At-least-once delivery may hand over a change again; that is no second change."""
    ledger = Ledger(tmp_path, "index")
    reader = LedgerReader(tmp_path, ["index"])
    ledger.handled([change("e1")])
    first_at = reader.read()["index"].handled_at["e1"]
    ledger.handled([change("e1")])

    entry = reader.read()["index"]
    assert 1 == entry.repeats
    assert {"e1": first_at} == entry.handled_at


def test_half_a_note_is_no_note(tmp_path):
    """A note counts once its line is whole, so a reader beside a writer sees no torn line."""
    (tmp_path / "index.1.notes").write_bytes(b'["handled","e1","a",1.5]\n["handled","e2"')
    reader = LedgerReader(tmp_path, ["index"])

    assert {"e1": 1.5} == reader.read()["index"].handled_at

    with (tmp_path / "index.1.notes").open("ab") as file:
        file.write(b',"a",2.5]\n')

    assert {"e1": 1.5, "e2": 2.5} == reader.read()["index"].handled_at


def test_processes_do_not_mix_their_notes(tmp_path):
    """Several processes of a consumer note at the same time, and every note is whole."""
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tablecast import Change\n"
        "from tablecast.cli.demo_app.ledger import Ledger\n"
        "ledger = Ledger(Path(sys.argv[1]), 'index')\n"
        "for n in range(300):\n"
        "    ledger.handled([Change.from_record({'eventID': f'{sys.argv[2]}-{n}',"
        " 'eventName': 'REMOVE',"
        " 'dynamodb': {'Keys': {'id': {'S': 'a'}}, 'SequenceNumber': '1'}})])\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path), name]) for name in "xyz"
    ]
    for writer in writers:
        assert 0 == writer.wait()

    assert 900 == len(LedgerReader(tmp_path, ["index"]).read()["index"].handled_at)
