"""The log's tables in SQLite, and the statements on them.

Frames, bodies and parts stand in the order in which they were appended (rowid tables): the pages written by one commit are
the last ones, where a table ordered by session would touch one page per session. Everything else is one small row each.
"""

from __future__ import annotations

from standpipe.drivers.sqlite import Schema

SCHEMA = Schema(
    "log",
    (
        """
        CREATE TABLE sessions (       -- one per log, the house log too; `frame` is the id of its last frame
          id INTEGER PRIMARY KEY, session TEXT NOT NULL UNIQUE, tenant TEXT NOT NULL,
          seq INTEGER NOT NULL, head TEXT NOT NULL, frame INTEGER NOT NULL, row TEXT);
        CREATE TABLE frames (         -- `session` is sessions.id; `digest` that of `frame`, its stored bytes
          id INTEGER PRIMARY KEY, session INTEGER NOT NULL, first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL,
          digest TEXT NOT NULL, frame BLOB NOT NULL);
        CREATE UNIQUE INDEX frames_of_session ON frames (session, last_seq);
        CREATE TABLE commits (number INTEGER PRIMARY KEY, frame INTEGER NOT NULL, digest TEXT NOT NULL);
        CREATE TABLE bodies (id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, hash TEXT NOT NULL, body BLOB NOT NULL);
        CREATE UNIQUE INDEX bodies_by_hash ON bodies (tenant, hash);
        CREATE TABLE parts (id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, part BLOB NOT NULL);
        CREATE TABLE requests (session TEXT, request TEXT, PRIMARY KEY (session, request)) WITHOUT ROWID;
        CREATE TABLE accounts (       -- the ledger, in micro-dollars
          account TEXT PRIMARY KEY, held INTEGER NOT NULL, spent INTEGER NOT NULL) WITHOUT ROWID;
        CREATE TABLE leases (         -- `owner` is JSON, NULL when given back; `until` in ms since 1970
          session TEXT PRIMARY KEY, fence INTEGER NOT NULL, until INTEGER NOT NULL, owner TEXT) WITHOUT ROWID;
        CREATE TABLE revoked (        -- `seq` of the house log
          tenant TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
        """,
        """
        CREATE TABLE forks (          -- `session` shares the log of `parent` up to seq `at`
          session TEXT PRIMARY KEY, parent TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
        """,
        """
        ALTER TABLE leases ADD COLUMN seq INTEGER NOT NULL DEFAULT 0;      -- where the log ended when it was taken
        ALTER TABLE leases ADD COLUMN crashes INTEGER NOT NULL DEFAULT 0;  -- owners who did not give it back there
        """,
        """
        CREATE TABLE snapshots (      -- a cache: `state` is that of the session after event `seq`, by the rules of that digest
          id INTEGER PRIMARY KEY, session TEXT NOT NULL UNIQUE, seq INTEGER NOT NULL, rules TEXT NOT NULL, state BLOB NOT NULL);
        """,
    ),
)

SESSION = (  # all of a session that an append depends on
    "SELECT s.id, coalesce(s.seq, 0), coalesce(s.head, ''), coalesce(l.fence, 0)"
    " FROM (SELECT ? AS session) q LEFT JOIN sessions s ON s.session = q.session"
    " LEFT JOIN leases l ON l.session = q.session AND l.owner IS NOT NULL"
)
REVOKED = "SELECT seq FROM revoked WHERE tenant = ?"
HEAD = "SELECT seq, head FROM sessions WHERE session = ?"
ROW = "SELECT row FROM sessions WHERE session = ?"
ROWS = "SELECT row FROM sessions WHERE row IS NOT NULL ORDER BY frame DESC"
HEADS_OF = "SELECT session, seq FROM sessions WHERE tenant = ?"
ERASE_BODY = "DELETE FROM bodies WHERE tenant = ? AND hash = ?"
LEASE = "SELECT fence, until, owner, seq, crashes FROM leases WHERE session = ?"
REQUEST = "SELECT 1 FROM requests WHERE session = ? AND request = ?"
BALANCE = "SELECT held, spent FROM accounts WHERE account = ?"
FRAMES = (
    "SELECT frame FROM frames WHERE session = (SELECT id FROM sessions WHERE session = ?) AND last_seq > ? AND last_seq <= ?"
    " ORDER BY last_seq LIMIT ?"
)
END = "SELECT digest FROM frames WHERE session = (SELECT id FROM sessions WHERE session = ?) AND last_seq = ?"
FORK = "SELECT parent, at FROM forks WHERE session = ?"
TENANT = "SELECT tenant FROM sessions WHERE session = ?"
BODY = "SELECT body FROM bodies WHERE tenant = ? AND hash = ?"
SNAPSHOT = (
    "SELECT k.seq, k.rules, k.state FROM snapshots k JOIN sessions s ON s.session = k.session"
    " WHERE k.session = ? AND k.seq <= s.seq"
)
PART = "SELECT part FROM parts WHERE digest = ?"
LAST_FRAME = "SELECT max(id) FROM frames"
WRITTEN_AFTER = (
    "SELECT f.id, s.session, f.digest FROM frames f JOIN sessions s ON s.id = f.session WHERE f.id > ? ORDER BY f.id"
)
LAST_COMMIT = "SELECT number, frame, digest FROM commits ORDER BY number DESC LIMIT 1"

ADD_SESSION = "INSERT INTO sessions (session, tenant, seq, head, frame) VALUES (?, ?, 0, '', 0)"
ADD_FORK = "INSERT INTO forks VALUES (?, ?, ?)"
ADD_FRAMES = "INSERT INTO frames (id, session, first_seq, last_seq, digest, frame) VALUES $"
ADD_BODIES = "INSERT OR IGNORE INTO bodies (tenant, hash, body) VALUES $"
ADD_PARTS = "INSERT OR IGNORE INTO parts (digest, part) VALUES $"
ADD_REQUEST = "INSERT INTO requests VALUES (?, ?)"
ADD_COMMIT = "INSERT INTO commits VALUES (?, ?, ?)"
SET_HEADS = (
    "UPDATE sessions SET seq = v.column2, head = v.column3, frame = v.column4, row = coalesce(v.column5, row)"
    " FROM (VALUES $) v WHERE id = v.column1"
)
SET_SNAPSHOT = "INSERT OR REPLACE INTO snapshots (session, seq, rules, state) VALUES (?, ?, ?, ?)"
SET_BALANCE = "INSERT OR REPLACE INTO accounts VALUES (?, ?, ?)"
SET_REVOKED = "INSERT OR REPLACE INTO revoked VALUES (?, ?)"
SET_LEASE = "INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?, ?, ?)"
RELEASE = "UPDATE leases SET owner = NULL, crashes = 0 WHERE session = ? AND fence = ?"

# Blobs are cast and names filled in, because these are read when other hands may have been here.
ALL_FRAMES = (
    "SELECT f.id, coalesce(s.session, '#' || f.session), f.first_seq, f.last_seq, f.digest, CAST(f.frame AS BLOB)"
    " FROM frames f LEFT JOIN sessions s ON s.id = f.session ORDER BY f.id"
)
ALL_FORKS = (
    "SELECT k.session, k.parent, k.at, CAST(f.frame AS BLOB) FROM forks k LEFT JOIN sessions s ON s.session = k.session"
    " LEFT JOIN frames f ON f.session = s.id AND f.first_seq = k.at + 1 ORDER BY k.session"
)
ALL_HEADS = "SELECT session, seq, head FROM sessions"
ALL_COMMITS = "SELECT number, frame, digest FROM commits ORDER BY number"
ALL_PARTS = "SELECT digest, CAST(part AS BLOB) FROM parts"
ALL_BODIES = "SELECT hash, CAST(body AS BLOB) FROM bodies"
