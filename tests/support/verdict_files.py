"""Verdict files as earlier versions of the tables left them."""

import sqlite3
from pathlib import Path

EVENT = ("0" * 32, "2025-01-01T10:00:00.000000Z", "anna", "m" * 64, "s" * 64, 3, "lesion", "ring", "near", "", "", "")
"""What is in them."""

_FIRST = """
CREATE TABLE events (
        uuid TEXT PRIMARY KEY, time TEXT NOT NULL, annotator TEXT NOT NULL,
        model TEXT NOT NULL, sae TEXT NOT NULL, latent INTEGER NOT NULL CHECK (latent >= 0),
        verdict TEXT NOT NULL CHECK (verdict IN ('', 'lesion', 'anatomy', 'spurious', 'unsure')),
        concept TEXT NOT NULL, note TEXT NOT NULL, image TEXT NOT NULL, view TEXT NOT NULL,
        reverts TEXT NOT NULL
    ) WITHOUT ROWID;
CREATE INDEX by_latent ON events (model, sae, latent, annotator, time, uuid);
CREATE VIEW current AS SELECT * FROM events AS e
        WHERE (verdict <> '' OR concept <> '' OR note <> '') AND NOT EXISTS (
            SELECT 1 FROM events AS later
            WHERE later.model = e.model AND later.sae = e.sae AND later.latent = e.latent
            AND later.annotator = e.annotator AND (later.time, later.uuid) > (e.time, e.uuid));
CREATE TABLE screenshots (uuid TEXT PRIMARY KEY REFERENCES events (uuid), png BLOB NOT NULL);
CREATE TABLE vocabulary (
        uuid TEXT PRIMARY KEY, time TEXT NOT NULL, annotator TEXT NOT NULL, concept TEXT NOT NULL,
        listed INTEGER NOT NULL CHECK (listed IN (0, 1))
    ) WITHOUT ROWID;
CREATE INDEX by_concept ON vocabulary (concept, time, uuid);
CREATE VIEW concepts AS SELECT concept FROM vocabulary AS v
        WHERE listed AND NOT EXISTS (
            SELECT 1 FROM vocabulary AS later
            WHERE later.concept = v.concept AND (later.time, later.uuid) > (v.time, v.uuid));
CREATE TABLE merges (
        time TEXT NOT NULL, source TEXT NOT NULL, sha256 TEXT NOT NULL, added INTEGER NOT NULL);
"""
_SECOND = """
CREATE TABLE arrivals (number INTEGER PRIMARY KEY, uuid TEXT NOT NULL REFERENCES events (uuid));
CREATE TRIGGER events_arrive AFTER INSERT ON events BEGIN INSERT INTO arrivals (uuid) VALUES (NEW.uuid); END;
"""


def write_verdict_file(path: Path, version: int) -> Path:
    """Write a file of version 1 or 2 of the tables with one event."""
    connection = sqlite3.connect(path)
    tables = ["events", "vocabulary", "screenshots", "merges"] + ["arrivals"] * (version == 2)
    connection.executescript(_FIRST + _SECOND * (version == 2))
    for table in tables:
        for action in ("UPDATE", "DELETE"):
            connection.execute(
                f"CREATE TRIGGER {table}_no_{action.lower()} BEFORE {action} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
    connection.execute(f"INSERT INTO events VALUES ({', '.join('?' * len(EVENT))})", EVENT)
    connection.execute(f"PRAGMA application_id={0x4D534156}")
    connection.execute(f"PRAGMA user_version={version}")
    connection.commit()
    connection.close()
    return path
