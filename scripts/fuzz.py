"""Feed damaged files to every reader: none may raise an error of another type, hang, or say too much.

    python scripts/fuzz.py --count 10000 --seed 1

Each file is read by a child process with 2 GiB of memory and ten seconds. Prints a table, and every file that did
something else than be read or refused in a line of at most 300 characters with its name and without an absolute path;
such files are kept in the folder `fuzz-faults`. Linux only, because of the limit of memory.
"""

import argparse
import json
import random
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from fuzz_mutations import mutate
from fuzz_seeds import Seed, write_seeds

SECONDS = 10.0
LONGEST = 300
_ABSOLUTE = re.compile(r"""(?:^|[\s'"(\[=:,])(?:/[\w.-]+/|~[\w]*/|[A-Za-z]:[\\/][^\s]|\\\\\w)""")


@dataclass
class Report:
    """What became of all files."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    longest: float = 0.0

    def table(self) -> str:
        """One line a reader: files, read, refused, faults."""
        readers = sorted({reader for reader, _ in self.outcomes})
        kinds = ("read", "typed", "fault")
        lines = [
            "| reader | files | read all the same | refused | anything else |",
            "| --- | ---: | ---: | ---: | ---: |",
        ]
        for reader in (*readers, "all"):
            counts = [
                sum(n for (r, k), n in self.outcomes.items() if k == kind and reader in (r, "all")) for kind in kinds
            ]
            lines.append(f"| {reader} | {sum(counts):,} | " + " | ".join(f"{count:,}" for count in counts) + " |")
        return "\n".join(lines)


class Child:
    """The process that reads; started again when it dies or hangs."""

    def __init__(self, seeds: list[Seed]) -> None:
        self._seeds = seeds
        self._process: subprocess.Popen[str] | None = None

    def read(self, reader: str, path: Path, seconds: float = SECONDS) -> list[str]:
        """Return outcome, type and message."""
        process = self._process or self.start()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(f"{reader}\t{path}\n")
            process.stdin.flush()
            ready, _, _ = select.select([process.stdout], [], [], seconds)
            line = process.stdout.readline() if ready else ""
        except BrokenPipeError:
            ready, line = [True], ""
        if line:
            found: list[str] = json.loads(line)
            return found
        self.close()
        return ["died", str(process.returncode), ""] if ready else ["hung", "", f"more than {seconds:.0f} s"]

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
            self._process = None

    def start(self) -> subprocess.Popen[str]:
        """Start the process, and let it read what is whole, before its memory is limited."""
        command = [sys.executable, str(Path(__file__).with_name("fuzz_readers.py"))]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1
        )
        seen: set[str] = set()
        for seed in self._seeds:  # what a reader imports on first use is no cost of a damaged file
            if f"{seed.reader}{seed.path.suffix}" not in seen:
                seen.add(f"{seed.reader}{seed.path.suffix}")
                outcome, kind, message = self.read(seed.reader, seed.root or seed.path, 120)
                assert outcome == "read", (seed, kind, message)
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        return self._process


def fuzz(folder: Path, count: int, seed: int, kept: Path | None = None) -> Report:
    """Write seeds into a folder, and read `count` damaged copies of them, as many of each reader's."""
    rng = random.Random(seed)
    seeds = write_seeds(folder / "seeds")
    by_reader: dict[str, list[Seed]] = {}
    for one in seeds:
        by_reader.setdefault(one.reader, []).append(one)
    report, child = Report(), Child(seeds)
    try:
        child.start()
        for number in range(count):
            chosen = rng.choice(rng.choice(list(by_reader.values())))
            given, damaged = _damage(rng, chosen, folder / "work")
            began = time.monotonic()
            outcome, kind, message = child.read(chosen.reader, given)
            report.longest = max(report.longest, time.monotonic() - began)
            fault = _fault(outcome, kind, message, damaged, given, folder)
            report.outcomes[chosen.reader, "fault" if fault else outcome] += 1
            if fault:
                report.faults.append(f"{number} {chosen.reader} {chosen.path.name}: {fault}")
                if kept is not None:
                    kept.mkdir(exist_ok=True)
                    shutil.copy(damaged, kept / f"{number}-{damaged.name}")
    finally:
        child.close()
    return report


def _damage(rng: random.Random, seed: Seed, work: Path) -> tuple[Path, Path]:
    """Return what the reader is given, and the damaged file in it."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    if seed.root is None:
        given = damaged = work / seed.path.name
    else:
        given = work / seed.root.name
        shutil.copytree(seed.root, given)
        damaged = given / seed.path.relative_to(seed.root)
    damaged.write_bytes(mutate(rng, seed.path.read_bytes(), seed.path.name))
    return given, damaged


def _fault(outcome: str, kind: str, message: str, damaged: Path, given: Path, folder: Path) -> str:
    """Return what is wrong with how a file was taken; empty when nothing is."""
    if outcome == "read":
        return ""
    if outcome != "typed":
        return f"{outcome} {kind} {message[:500]}"
    if len(message) > LONGEST or "\n" in message or not message.isprintable():
        return f"{len(message)} characters: {message[:500]!r}"
    if str(folder) in message or _ABSOLUTE.search(message):
        return f"an absolute path: {message}"
    if damaged.name not in message and given.name not in message:
        return f"no name of the file: {message}"
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000, help="number of damaged files")
    parser.add_argument("--seed", type=int, default=1, help="of the mutations")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = fuzz(Path(folder), options.count, options.seed, Path("fuzz-faults"))
    print(report.table())
    print(f"\nlongest: {report.longest:.1f} s; anything else: {len(report.faults)}")
    print("\n".join(report.faults))
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
