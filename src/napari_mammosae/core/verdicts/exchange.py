"""Verdicts as CSV and JSON, and the merging of what several people recorded."""

import csv
import io
import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import asdict, astuple, dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from uuid import NAMESPACE_URL, UUID, uuid5

from ..base.errors import FindingsError, VerdictError
from ..base.files import sha256_file
from ..base.limits import check_limit, limit, limit_cells
from ..base.provenance import beside, provenance, write_json, write_results
from ..base.reading import reads, short_reason
from ..base.structured import read_json
from ..base.tables.cells import guard, unguard
from ..base.tables.text import decode_text, find_separator
from .events import COLUMNS, INSERT_EVENT, Event, Subject, check_event, time_text
from .places import check_there
from .store import VerdictStore
from .suggestions import INSERT_SUGGESTION, SUGGESTION_COLUMNS, SuggestionEvent, checked, event_of

_MEASURED = ("kind", "score", "null", "q_value", "provenance")
"""Columns of a CSV that only suggestions fill: their method is the annotator, their name the concept."""
NEEDED = ("time", "annotator", "model", "sae", "latent", "verdict")


_Row = dict[str, Any]
_Rows = tuple[list[_Row], list[str], list[_Row]]
L = TypeVar("L", Event, SuggestionEvent)


@dataclass(frozen=True, slots=True)
class Merged:
    """What one source brought: events that were new, and events that were here already; or why it was left out."""

    source: str
    added: int = 0
    known: int = 0
    refused: str = ""


class Log(NamedTuple):
    """What a file holds: what people decided, the concepts it lists, and what methods suggest."""

    events: list[Event]
    concepts: list[str]
    suggestions: list[SuggestionEvent]


def export_verdicts(
    store: VerdictStore,
    path: Path | str,
    *,
    subject: Subject | None = None,
    annotator: str | None = None,
    current: bool = False,
) -> Path:
    """Write the log (or, with `current`, the state now) as CSV or JSON, chosen by the suffix.

    Suggestions of names go along, with the method as who says it: `annotator` may name one.

    Beside a CSV goes ``NAME.csv.json`` with the provenance that a JSON file holds itself. Screenshots are
    left out.

    Raises
    ------
    VerdictError
        A suffix other than ``.csv`` and ``.json``.
    WriteError
        The file cannot be written.
    """
    path = Path(path)
    if path.suffix not in (".csv", ".json"):
        raise VerdictError(f"{path.name} ends in {path.suffix!r}; verdicts are exported to .csv or .json.")
    events = store.current(subject, annotator) if current else store.events(subject, annotator)
    rows = [asdict(event) for event in events]
    named = store.current_suggestions(subject) if current else store.suggestion_events(subject)
    suggested = [
        dict(zip(SUGGESTION_COLUMNS, event.row, strict=True))
        for event in named
        if annotator in (None, event.suggestion.method)
    ]
    record = _record(store, rows, current) | {"number_of_suggestions": len(suggested)}
    if path.suffix == ".json":
        write_json(path, record | {"concepts": store.concepts(), "events": rows, "suggestions": suggested})
        return path
    with (
        write_results(note_of(path), record, path) as (temporary,),
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        columns = (*COLUMNS, *_MEASURED)
        writer.writerow(columns)
        for row in (*rows, *map(_as_event, suggested)):
            writer.writerow([guard(row.get(name, "")) for name in columns])
    return path


def _as_event(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "kind": "suggestion", "annotator": row["method"], "concept": row["name"]}


def note_of(path: Path) -> Path:
    """Return the file that says where an export comes from: a JSON file does so itself."""
    return path if path.suffix == ".json" else beside(path, ".json")


def merge_verdicts(store: VerdictStore, sources: Iterable[Path | str]) -> list[Merged]:
    """Add the events of CSV, JSON, or verdict files; a file that cannot be used is left out whole.

    Such a file is not a verdict file, has a line that is no verdict, or an event that differs from the one known.
    Events are known by their UUID, so merging a file again, or in another order, changes nothing.

    Raises
    ------
    VerdictError
        A file is not there, no file can be used, or the store cannot be written.
    """
    paths = [Path(source) for source in sources]
    for path in paths:  # a slip of the pen: nothing is done
        check_there(path)
    report: list[Merged] = []
    with store.transaction() as connection:
        for path in paths:
            try:
                log = read_events(path)
                added = _insert(store, connection, log)
            except VerdictError as error:
                report.append(Merged(path.name, refused=str(error)))
                continue
            now = time_text(datetime.now(UTC))
            merge = (now, path.name, sha256_file(path), added)
            connection.execute("INSERT INTO merges VALUES (?, ?, ?, ?)", merge)
            listed = set(store.concepts())
            connection.executemany(
                "INSERT OR IGNORE INTO vocabulary VALUES (?, ?, ?, ?, 1)",
                [
                    (uuid5(NAMESPACE_URL, f"concept:{c}").hex, now, store.annotator, c)
                    for c in {*log.concepts, *(event.concept for event in log.events)} - listed
                    if c
                ],
            )
            report.append(Merged(path.name, added, len(log.events) + len(log.suggestions) - added))
        if report and all(merged.refused for merged in report):
            raise VerdictError(report[0].refused)
    return report


def _insert(store: VerdictStore, connection: sqlite3.Connection, log: Log) -> int:
    events = _new(store, store.events(), ((event, event.latent) for event in log.events))
    suggested = ((event, event.suggestion.latent) for event in log.suggestions)
    suggestions = _new(store, store.suggestion_events(), suggested)
    connection.executemany(INSERT_EVENT, [astuple(event) for event in events])
    connection.executemany(INSERT_SUGGESTION, [event.row for event in suggestions])
    return len(events) + len(suggestions)


def _new(store: VerdictStore, there: Iterable[L], found: Iterable[tuple[L, int]]) -> list[L]:
    """Return the lines that are not there yet, each once."""
    known = {event.uuid: event for event in there}
    new = []
    for event, latent in found:
        if known.setdefault(event.uuid, event) is event:
            new.append(event)
        elif known[event.uuid] != event:
            raise VerdictError(
                f"Event {event.uuid} (latent {latent}) differs from the one of {store.path.name}: "
                "one of the files was edited. Nothing of it was merged; give the edited line a UUID of its own."
            )
    return new


@reads(VerdictError, "a verdict file")
def read_events(path: Path | str) -> Log:
    """Events, concept names, and suggestions of a CSV, JSON, or verdict file.

    A CSV made by hand needs the columns time, annotator, model, sae, latent, verdict. A line without a UUID
    gets one made from its content, so that reading it again gives the same event.

    Raises
    ------
    VerdictError
        The file is missing, of another kind, or a line of it is not a verdict; nothing of it is used then.
    """
    path = Path(path)
    check_there(path)
    if path.suffix in (".sqlite", ".db", ".sqlite3"):
        with VerdictStore(path, create=False, write=False) as store:
            known = [_event(asdict(event), f"{path.name}, event {event.uuid}"[:100]) for event in store.events()]
            named = [(dict(zip(SUGGESTION_COLUMNS, e.row, strict=True)), e.uuid) for e in store.suggestion_events()]
            suggested = [_suggestion(row, f"{path.name}, suggestion {uuid}"[:100]) for row, uuid in named]
            return Log(known, store.concepts(), suggested)
    if path.suffix not in (".csv", ".json"):
        raise VerdictError(f"{path.name} ends in {path.suffix!r}; expected .csv, .json, or .sqlite.")
    try:
        rows, concepts, suggestions = _read_json(path) if path.suffix == ".json" else _read_csv(path)
    except (UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise VerdictError(
            f"{path.name} is not a readable {path.suffix[1:].upper()} file: {short_reason(error)}."
        ) from error
    return Log(
        [_event(row, f"{path.name}, event {number}") for number, row in enumerate(rows, 1)],
        concepts,
        [_suggestion(row, f"{path.name}, suggestion {number}") for number, row in enumerate(suggestions, 1)],
    )


def _read_csv(path: Path) -> _Rows:
    """Rows of a table, its texts as they are: `read_table` would strip them, and take numbers for those of Excel."""
    limit_cells()
    try:
        separator, text = find_separator(decode_text(path)[0])
    except FindingsError as error:
        raise VerdictError(str(error)) from error
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    header = [title.strip().lower() for title in next(lines, [])]
    missing = [name for name in NEEDED if name not in header]
    if missing:
        found = ", ".join(filter(None, header)) or "nothing"
        raise VerdictError(
            f"{path.name} lacks the columns {', '.join(missing)}; found {found}. Give an export of verdicts."
        )
    rows = list(islice(filter(None, lines), limit("rows") + 1))
    check_limit("rows", len(rows), f"{path.name}: {len(rows):,} rows", VerdictError)
    read: list[_Row] = [dict(zip(header, map(unguard, row), strict=False)) for row in rows]
    suggested = [row | {"method": row["annotator"], "name": row.get("concept", "")} for row in read if _suggests(row)]
    return [row for row in read if not _suggests(row)], [], suggested


def _suggests(row: Mapping[str, Any]) -> bool:
    return row.get("kind") == "suggestion"


def _read_json(path: Path) -> _Rows:
    content = read_json(path, VerdictError)
    if not isinstance(content, dict) or not isinstance(content.get("events"), list):
        raise VerdictError(f'{path.name} holds no verdicts; expected an object with a list "events".')
    suggestions = content.get("suggestions", [])
    if not isinstance(suggestions, list):
        raise VerdictError(f'{path.name}: "suggestions" is not a list.')
    concepts = [str(concept) for concept in content.get("concepts", ()) if isinstance(concept, str)]
    return content["events"], concepts, suggestions


def _event(row: Any, where: str) -> Event:
    if not isinstance(row, Mapping):
        raise VerdictError(f"{where}: expected an object with {', '.join(NEEDED)}.")
    missing = [name for name in NEEDED if row.get(name) is None]
    if missing:
        raise VerdictError(f"{where}: {', '.join(missing)} missing.")
    text = {name: str(row.get(name) or "") for name in COLUMNS}
    content: dict[str, Any] = dict(text)
    try:
        content["time"] = _time(text["time"])
        content["uuid"] = UUID(text["uuid"] or _content_uuid(text)).hex
        content["latent"] = int(str(row["latent"]))
        event = Event(**content)
        check_event(event)
    except (ValueError, OverflowError, VerdictError) as error:
        raise VerdictError(f"{where}: {error}") from error
    return event


def _suggestion(row: Any, where: str) -> SuggestionEvent:
    if not isinstance(row, Mapping):
        raise VerdictError(f"{where}: expected an object with {', '.join(SUGGESTION_COLUMNS)}.")
    text = {name: "" if row.get(name) is None else str(row[name]) for name in SUGGESTION_COLUMNS}
    content: dict[str, Any] = dict(text)
    try:
        content |= {name: float(text[name]) if text[name] else None for name in ("score", "null", "q_value")}
        content |= {"uuid": UUID(text["uuid"]).hex, "time": _time(text["time"]), "latent": int(text["latent"])}
        event = event_of([content[name] for name in SUGGESTION_COLUMNS])
        if not isinstance(event.suggestion.provenance, dict):
            raise VerdictError("the provenance is not a JSON object.")
        return replace(event, suggestion=checked(event.suggestion))
    except (ValueError, OverflowError, VerdictError) as error:
        raise VerdictError(f"{where}: {error}") from error


def _time(text: str) -> str:
    time = datetime.fromisoformat(text)
    return time_text(time.replace(tzinfo=time.tzinfo or UTC))


def _content_uuid(text: Mapping[str, str]) -> str:
    said = [text[name] for name in COLUMNS if name != "rejected" or text[name]]  # a line without has the UUID it had
    return uuid5(NAMESPACE_URL, json.dumps(said)).hex


def _record(store: VerdictStore, rows: list[dict[str, Any]], current: bool) -> dict[str, Any]:
    settings = {"file": store.path.name, "content": "current verdicts" if current else "every verdict event"}
    return provenance("verdicts export", settings) | {
        "number": len(rows),
        "models": sorted({row["model"] for row in rows}),
        "saes": sorted({row["sae"] for row in rows}),
        "annotators": sorted({row["annotator"] for row in rows}),
        "merged": [dict(zip(("time", "source", "sha256", "added"), merge, strict=True)) for merge in store.merges()],
    }
