"""The index's tables in SQLite, and the statements on them.

Postings are our own table and not FTS5: what is counted must be what may be seen, and FTS5 counts everything.
"""

from __future__ import annotations

from standpipe.drivers.sqlite import Schema

SCHEMA = Schema(
    "search",
    (
        """
        CREATE TABLE shelves (          -- a folder of a tenant, or (`folder` empty) the memory of `owner`;
          id INTEGER PRIMARY KEY,       -- `generation` counts the writes to it
          tenant TEXT NOT NULL, folder TEXT NOT NULL, owner TEXT NOT NULL, generation INTEGER NOT NULL,
          UNIQUE (tenant, folder, owner));
        CREATE TABLE documents (        -- a version; `lengths` is an array of u32, the terms of each passage
          id INTEGER PRIMARY KEY, shelf INTEGER NOT NULL, path TEXT NOT NULL, version TEXT NOT NULL,
          current INTEGER NOT NULL, lengths BLOB NOT NULL, UNIQUE (shelf, path, version));
        CREATE TABLE texts (            -- `pieces` is a JSON array of [start, end, headings]
          document INTEGER PRIMARY KEY, text TEXT NOT NULL, pieces TEXT NOT NULL);
        CREATE TABLE memories (         -- JSON arrays
          document INTEGER PRIMARY KEY, folders TEXT NOT NULL, sources TEXT NOT NULL);
        CREATE TABLE postings (         -- of current documents; `pairs` is an array of u16: passage, count, passage, count...
          shelf INTEGER, term TEXT, document INTEGER, pairs BLOB NOT NULL,
          PRIMARY KEY (shelf, term, document)) WITHOUT ROWID;
        """,
    ),
)

SHELF = "SELECT id, generation FROM shelves WHERE tenant = ? AND folder = ? AND owner = ?"
ADD_SHELF = "INSERT OR IGNORE INTO shelves (tenant, folder, owner, generation) VALUES (?, ?, ?, 0)"
TURN = "UPDATE shelves SET generation = generation + 1 WHERE id = ?"

CURRENT = "SELECT id, path, lengths FROM documents WHERE shelf = ? AND current"
VERSIONS = "SELECT path, version FROM documents WHERE current AND shelf = (" + SHELF.replace(", generation", "") + ")"
CURRENT_OF = "SELECT id, version FROM documents WHERE shelf = ? AND path = ? AND current"
VERSION_OF = "SELECT id, version FROM documents WHERE shelf = ? AND path = ? AND version = ?"
ADD_DOCUMENT = "INSERT INTO documents (shelf, path, version, current, lengths) VALUES (?, ?, ?, 1, ?)"
SET_CURRENT = "UPDATE documents SET current = ? WHERE id = ?"

TEXT = "SELECT text FROM texts WHERE document = ?"
STORED = "SELECT d.version, t.text, t.pieces FROM documents d JOIN texts t ON t.document = d.id WHERE d.id = ?"
ADD_TEXT = "INSERT INTO texts (document, text, pieces) VALUES (?, ?, ?)"

MEMORIES = (
    "SELECT d.id, d.path, d.lengths, m.folders, m.sources FROM documents d JOIN memories m ON m.document = d.id"
    " WHERE d.shelf = ?"
)
FORGET = (
    "DELETE FROM postings WHERE document = ?1 AND shelf = (SELECT shelf FROM documents WHERE id = ?1)",
    *(f"DELETE FROM {table} WHERE document = ?1" for table in ("memories", "texts")),
    "DELETE FROM documents WHERE id = ?1",
)
ADD_MEMORY = "INSERT INTO memories (document, folders, sources) VALUES (?, ?, ?)"

POSTINGS = "SELECT document, pairs FROM postings WHERE shelf = ? AND term = ?"
ADD_POSTINGS = "INSERT OR REPLACE INTO postings (shelf, term, document, pairs) VALUES "
DROP_POSTINGS = "DELETE FROM postings WHERE shelf = ?1 AND document = ?2 AND term IN (SELECT value FROM json_each(?3))"
