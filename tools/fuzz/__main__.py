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
import multiprocessing
import os
import resource
import signal
import tempfile
import time
import traceback
import warnings
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random

from brf_lava.cli.main import Failure, _ending
from tools.fuzz.samples import READERS, Reader

LIMIT = "0.01"  # of BRF_LAVA_READ_LIMIT: 3 s and 82 MiB, below SECONDS and MEMORY
SECONDS = 30  # for one file
MEMORY = 1 << 30  # bytes, more than the reader has before
LONGEST = 2500  # characters of a message, its path and all known keys included
GOOD = {"accepted", "error"}
KEPT = 20  # failing files of one reader and kind


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools.fuzz", description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60, help="for all readers together")
    parser.add_argument("--files", type=int, default=10**9, help="at most, of each reader")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reader", action="append", choices=list(READERS), help="only these")
    parser.add_argument("--out", type=Path, default=Path("fuzz-found"), help="of failing files")
    parser.add_argument("--read", type=Path, help="read the files READER/FILE in this folder first")
    options = parser.parse_args()
    os.environ.setdefault("BRF_LAVA_READ_LIMIT", LIMIT)
    os.environ["BRF_LAVA_DATA"] = ""
    names, total = options.reader or list(READERS), Counter[str]()
    cores = os.cpu_count() or 1
    fuzz = partial(_fuzz, seconds=options.seconds * cores / len(names), options=options)
    with multiprocessing.get_context("fork").Pool(cores, maxtasksperchild=1) as pool:
        # in a process each, which imports what it needs
        for name, count in zip(names, pool.imap(fuzz, names, chunksize=1), strict=True):
            _print_row(name, count)
            total += count
    _print_row("all", total)
    return 0 if set(total) <= GOOD else 1


def _print_row(name: str, count: Counter[str]) -> None:
    kinds = ", ".join(f"{kind} {number}" for kind, number in sorted(count.items()))
    print(f"{name:<14} {count.total():>7}  {kinds}", flush=True)


def _fuzz(name: str, seconds: float, options: argparse.Namespace) -> Counter[str]:
    warnings.simplefilter("ignore")  # of what makes damaged files
    count: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        reader = READERS[name](Path(folder))
        path = Path(folder) / reader.file
        for sample in reader.samples:
            path.write_bytes(sample)
            kind, text = _outcome(reader, path, 300)  # machine code may have to be compiled first
            if kind != "accepted":
                raise ValueError(f"{name}: a sample is not valid: {text}")
        for known in sorted((options.read / name).glob("*")) if options.read else ():
            path.write_bytes(known.read_bytes())
            kind, text = _outcome(reader, path)
            count[kind] += 1
            print(f"{known}: {kind} {text}", flush=True)
        end = time.monotonic() + seconds
        for number in range(options.files):
            if time.monotonic() > end:
                break
            path.write_bytes(data := reader.mutated(Random(f"{name} {options.seed} {number}")))
            kind, text = _outcome(reader, path)
            count[kind] += 1
            if kind not in GOOD and count[kind] <= KEPT:
                (options.out / name).mkdir(parents=True, exist_ok=True)
                stem = f"{kind}-{options.seed}-{number}"
                (options.out / name / stem).write_bytes(data)
                (options.out / f"{name}-{stem}.txt").write_text(text)
    return count


def _outcome(reader: Reader, path: Path, seconds: int = SECONDS) -> tuple[str, str]:
    """What happened, of `GOOD` or else, and what was said.

    In a child, as nothing may be computed here: OpenMP ends what is forked later.
    """
    answer = path.with_name("answer.json")
    answer.unlink(missing_ok=True)
    child = os.fork()
    if not child:
        try:
            os.setpgid(0, 0)
            signal.alarm(seconds)
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), 1)
                os.dup2(nowhere.fileno(), 2)
            now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, resource.RLIM_INFINITY))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            answer.write_text(json.dumps(_ended(reader, path)))
        finally:
            os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with suppress(ProcessLookupError):  # what it started
        os.killpg(child, signal.SIGKILL)
    if answer.exists():
        kind, text = json.loads(answer.read_text())
        return kind, text
    return "hang" if code == -signal.SIGALRM else f"signal{code}", ""


def _ended(reader: Reader, path: Path) -> tuple[str, str]:
    """As a command of brf-lava would end."""
    try:
        with _ending(None):
            reader.read(path)
    except Failure as error:
        if error.exit_code == 8:
            return "memory", error.message
        return "error" if len(error.message) <= LONGEST else "long", error.message
    except BaseException:
        return "traceback", traceback.format_exc()[-4000:]
    return "accepted", ""


if __name__ == "__main__":
    raise SystemExit(main())
