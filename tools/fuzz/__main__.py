"""Fuzzing of every reader: damaged files must be accepted or end in one line, nothing else.

    python -m tools.fuzz --seconds 600 --seed 1 --out found
    python -m tools.fuzz --read tests/corpus --files 0

The files are made from small valid ones and a seed. Each is read by the library in a child process
with limits. A table says how often each reader accepted a file or gave a one-line error with a
documented exit code, and how often it did anything else; those files are written to a folder.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from random import Random

from tools.fuzz.child import Reading, allowed
from tools.fuzz.samples import READERS

LIMIT = "0.02"  # of BRF_LAVA_READ_LIMIT: 6 s and 164 MiB, below the limits of the child
KEPT = 20  # failing files of one reader and kind


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.fuzz", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--seconds", type=float, default=60, help="for all readers together")
    parser.add_argument("--files", type=int, default=10**9, help="at most, of each reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reader", action="append", choices=list(READERS), help="only these")
    parser.add_argument("--out", type=Path, default=Path("fuzz-found"), help="of failing files")
    parser.add_argument("--read", type=Path, help="read the files READER/FILE in this folder first")
    options = parser.parse_args()
    os.environ.setdefault("BRF_LAVA_READ_LIMIT", LIMIT)
    os.environ["BRF_LAVA_DATA"] = ""
    names = options.reader or list(READERS)
    counts: dict[str, Counter[str]] = {}
    started = time.monotonic()
    for index, name in enumerate(names):
        left = options.seconds - (time.monotonic() - started)
        counts[name] = _in_a_process(name, max(left, 1) / (len(names) - index), options)
        print(_row(name, counts[name]), flush=True)
    total = sum(counts.values(), Counter())
    print(_row("all", total), flush=True)
    return 0 if allowed(total) else 1


def _row(name: str, count: Counter[str]) -> str:
    return f"{name:<14} {sum(count.values()):>7}  " + ", ".join(
        f"{kind} {number}" for kind, number in sorted(count.items())
    )


def _in_a_process(name: str, seconds: float, options: argparse.Namespace) -> Counter[str]:
    """Fuzz one reader; only what it needs is imported then, which makes forking fast."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        answer = Path(folder) / "counts.json"
        process = os.fork()
        if not process:
            code = 1
            try:
                answer.write_text(json.dumps(_fuzz(name, seconds, options, Path(folder))))
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        if os.waitpid(process, 0)[1]:
            return Counter({"fuzzer failed": 1})
        return Counter(json.loads(answer.read_text()))


def _fuzz(name: str, seconds: float, options: argparse.Namespace, folder: Path) -> Counter[str]:
    warnings.simplefilter("ignore")  # of what makes damaged files
    reader = READERS[name](folder)
    reading = Reading(reader, folder)
    count: Counter[str] = Counter()
    for path in sorted((options.read / name).glob("*")) if options.read else ():
        outcome = reading.read(path.read_bytes())
        count[outcome.kind] += 1
        print(f"{path}: {outcome.kind} {outcome.text}", flush=True)
    for number, sample in enumerate(reader.samples):
        outcome = reading.read(sample, 300)  # machine code may have to be compiled first
        if outcome.kind != "accepted":
            raise SystemExit(f"{name}: sample {number} is not valid: {outcome.text}")
    end = time.monotonic() + seconds
    for number in range(options.files):
        if time.monotonic() > end:
            break
        data = reader.mutated(Random(f"{name} {options.seed} {number}"))
        outcome = reading.read(data)
        count[outcome.kind] += 1
        if not allowed({outcome.kind: 1}) and count[outcome.kind] <= KEPT:
            kept = options.out / name
            kept.mkdir(parents=True, exist_ok=True)
            stem = f"{outcome.kind}-{options.seed}-{number}"
            (kept / stem).write_bytes(data)
            (options.out / f"{name}-{stem}.txt").write_text(outcome.text)
    reading.end()
    return count


if __name__ == "__main__":
    raise SystemExit(main())
