"""Damages of files: of any bytes, and of what is in HDF5, zip, torch, MATLAB and text files."""

from __future__ import annotations

import io
import json
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

WORDS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
TEXTS = (
    "",
    "0",
    "-1",
    "1e999",
    "nan",
    "null",
    "1" * 5000,
    "x" * 100_000,
    "\x00",
    "é\u202e",
    "[" * 9999,
)
Samples = Sequence[bytes]
SIZE = 1 << 24  # of what a bomb unpacks to, in units of its kind


def damaged(random: Random, data: bytes, others: Samples = ()) -> bytes:
    """Change some bytes, whatever they mean."""
    content = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 5, 20))):
        place = random.randrange(len(content) + 1) if content else 0
        length = min(random.choice((1, 2, 4, 8, 64, 512)), len(content) - place)
        match random.randrange(9):
            case 0 | 1 | 2 if content:
                content[place % len(content)] ^= 1 << random.randrange(8)
            case 3:
                word = random.choice(WORDS).to_bytes(8, random.choice(("little", "big")))
                content[place : place + 8] = word[: random.choice((1, 2, 4, 8))]
            case 4:
                del content[place : place + length]
            case 5:
                content[place:place] = content[place : place + length]
            case 6:
                content[place : place + length] = random.randbytes(length)
            case 7 if random.random() < 0.3:
                del content[place:]
            case 8 if others:
                other = random.choice(others)
                start = random.randrange(len(other) + 1)
                content[place : place + length] = other[start : start + length]
    return bytes(content)


def text(random: Random, data: bytes, others: Samples = ()) -> bytes:
    """Change words, lines and brackets of a text."""
    words = re.split(r"(\s+|[=,:\[\]{}\"]+)", data.decode(errors="replace"))
    for _ in range(random.choice((1, 1, 2, 4))):
        place = random.randrange(len(words))
        match random.randrange(6):
            case 0:
                words[place] = random.choice(TEXTS)
            case 1:
                words[place] = str(
                    random.choice((-1, 1)) * random.choice(WORDS) * 10 ** random.choice((0, 0, 40))
                )
            case 2:
                del words[place]
                words = words or [""]
            case 3:
                words.insert(place, words[random.randrange(len(words))])
            case 4:
                words[place] = words[place][
                    : random.randrange(len(words[place]) + 1)
                ] + random.choice("\"'[]{}=#,\n\t\x00.-é")
            case 5:
                words[place : place + 20] = words[place : place + 20] * random.choice((0, 2, 100))
    return "".join(words).encode(errors="replace")


def plain(random: Random) -> Any:
    """A plain value that is seldom the right one."""
    few: Any = []
    for _ in range(random.choice((1, 100))):
        few = [few]
    number = random.choice((-1, 1)) * random.choice(WORDS)
    values = (
        None,
        True,
        number,
        number,
        10**30,
        10**4000,
        0.5,
        1e308,
        float("nan"),
        float("inf"),
        "",
    )
    return random.choice((*values, "x" * 10_000, "é\n\x1b", [], {}, [1], {"x": 1}, few))


def odd(random: Random) -> Any:
    """The same, or a list that has itself several times, so that its text is without end."""
    deep: Any = []
    for _ in range(random.choice((3, 90, 900))):
        deep = [deep, deep]
    return random.choice((plain(random), plain(random), deep))


def tree(random: Random, value: Any, odd: Callable[[Random], Any] = odd) -> Any:
    """Change a leaf, a key or a branch of nested tables and lists."""
    if not isinstance(value, dict | list) or not value or random.random() < 0.1:
        return odd(random)
    key = random.choice(list(value) if isinstance(value, dict) else range(len(value)))
    chance = random.random()
    if chance < 0.08:
        del value[key]
    elif chance < 0.12 and isinstance(value, dict):
        value[random.choice(("x", "", 3, "x" * 5000))] = value.pop(key)
    elif chance < 0.16 and isinstance(value, list):
        value += value * random.choice((1, 50))
    else:
        value[key] = tree(random, value[key], odd)
    return value


def as_json(random: Random, data: bytes, others: Samples = ()) -> bytes:
    """Change the values of JSON, or of one of its lines."""
    lines = data.decode().splitlines() if b"\n{" in data or b"\n[" in data else [data.decode()]
    place = random.randrange(len(lines))
    try:
        lines[place] = json.dumps(tree(random, json.loads(lines[place]), plain))
    except (ValueError, RecursionError):
        lines[place] = "[" * random.choice((10, 10**5)) + lines[place]
    return "\n".join(lines).encode()


def members(data: bytes) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def as_zip(random: Random, data: bytes, others: Samples = ()) -> bytes:
    """Change the members of a zip archive, or what it says about them."""
    entries = members(data)
    place = random.randrange(len(entries))
    name, content = entries[place]
    kind = zipfile.ZIP_STORED
    match random.randrange(9):
        case 0:
            del entries[place]
        case 1:
            entries[place] = (
                random.choice(("x", "../x", "x.npy", "", "é" * 900, name + "/")),
                content,
            )
        case 2:
            entries.append((name, random.choice(entries)[1]))
        case 3:
            entries[place] = (name, random.choice((b"", b"text", random.choice(entries)[1])))
        case 4:
            kind = random.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
            entries[place] = (name, content + bytes(random.choice((0, SIZE))))
        case _:
            entries[place] = (
                name,
                npy(random, content) if name.endswith(".npy") else damaged(random, content),
            )
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", kind) as archive:
        warnings.simplefilter("ignore")
        for entry in entries:
            archive.writestr(*entry)
    packed = bytearray(buffer.getvalue())
    if random.random() < 0.3:  # sizes of the directory that are not true
        heads = [found.start() for found in re.finditer(b"PK\x01\x02", packed)]
        start = random.choice(heads) + random.choice((10, 20, 24, 42)) if heads else 0
        packed[start : start + 4] = struct.pack("<I", random.choice(WORDS) & 0xFFFFFFFF)
    return bytes(packed)


def npy(random: Random, data: bytes, others: Samples = ()) -> bytes:
    """Change the header of an array, or its bytes."""
    length = 10 + int.from_bytes(data[8:10], "little")
    head, body = data[10:length].decode("latin1"), data[length:]
    match random.randrange(5):
        case 0:
            kind = random.choice(("|O", "<f8", "<c16", "|V3", "<U9", "<M8[s]", "|S99999", ">i1"))
            head = re.sub(r"'descr': '[^']*'", f"'descr': '{kind}'", head)
        case 1:
            shape = ", ".join(
                str(random.choice((0, 1, 3, -1, *WORDS)))
                for _ in range(random.choice((1, 2, 3, 40)))
            )
            head = re.sub(r"'shape': \([^)]*\)", f"'shape': ({shape},)", head)
        case 2:
            head = random.choice(
                ("", "{", "{}", "[" * 5000, head.replace("False", "True"), head + "x" * 60_000)
            )
        case 3:
            return damaged(random, data)
        case 4:
            body = random.choice((b"", body[: len(body) // 2], body * 2))
    return (
        data[:8]
        + struct.pack("<H", min(len(head), 65535))
        + head.encode("latin1", "replace")
        + body
    )


def odd_tensor(random: Random) -> Any:
    """A tensor that is not what it seems, or a plain value."""
    import torch

    few = torch.ones(
        random.choice((0, 1, 3, 36)),
        dtype=random.choice((torch.float32, torch.int64, torch.complex64, torch.bool)),
    )
    return random.choice(
        (
            lambda: few,
            lambda: torch.ones(1).expand(10**9),
            lambda: torch.ones(1, dtype=torch.int64).expand(10 ** random.randrange(1, 15)),
            lambda: torch.eye(3).to_sparse(),
            lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.quint8),
            lambda: torch.ones(3, device="meta"),
            lambda: torch.full((36,), float("nan")),
            lambda: odd(random),
        )
    )()


def as_torch(random: Random, data: bytes, others: Samples = ()) -> bytes:
    """Change what a torch file holds, or the opcodes of its pickle."""
    import pickletools

    import torch

    if random.random() < 0.6:
        contents = torch.load(io.BytesIO(data), weights_only=True)
        for _ in range(random.choice((1, 1, 2))):
            contents = tree(random, contents, random.choice((odd, odd_tensor)))
        buffer = io.BytesIO()
        try:
            torch.save(contents, buffer)
        except (RecursionError, MemoryError, ValueError):
            return damaged(random, data)
        return buffer.getvalue()
    if random.random() < 0.4:
        return as_zip(random, data)
    entries = members(data)
    place = next(place for place, (name, _) in enumerate(entries) if name.endswith("data.pkl"))
    content = entries[place][1]
    starts = [position for _, _, position in pickletools.genops(content)]
    parts = [content[a:b] for a, b in zip(starts, [*starts[1:], len(content)], strict=True)]
    for _ in range(random.choice((1, 1, 3))):
        spot = random.randrange(len(parts))
        match random.randrange(4):
            case 0:
                parts[spot] = b""
            case 1:
                parts[spot] = random.choice(parts)
            case 2:
                parts[spot] = random.choice(
                    (
                        b"N",
                        b"J\xff\xff\xff\x7f",
                        b"]",
                        b"}",
                        b")",
                        b"\x88",
                        b"\x8a\x09" + b"\x7f" * 9,
                        b"X\x01\x00\x00\x00x",
                        b"R",
                        b"b",
                        b"0",
                        b"2",
                    )
                )
            case 3:
                parts[spot] = parts[spot] * 2
    entries[place] = (entries[place][0], b"".join(parts))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for entry in entries:
            archive.writestr(*entry)
    return buffer.getvalue()


def as_hdf5(random: Random, data: bytes, others: Samples = ()) -> bytes:
    """Change the objects of an HDF5 file, their types, links, storage and attributes."""
    import h5py
    import numpy as np

    pick, elsewhere = random.choice, ("/dev/zero", "pipe", "none.h5")
    kinds = ("i1", "u1", "i8", "u8", "f2", "f4", "f8", "c16", "S3", "?", h5py.ref_dtype)
    kinds += (h5py.regionref_dtype, h5py.string_dtype(), h5py.vlen_dtype("i2"))
    kinds += (np.dtype([("a", "i4"), ("b", "f8")]), np.dtype(("i4", (3,))))
    packings = ({"compression": "lzf"}, {"scaleoffset": 0}, {"shuffle": True}, {"fletcher32": True})
    oddities = (1, -1, 2**40, 0.5, b"x", "é" * 20_000, np.arange(9), b"[" * 9999, "{}", "[3]")
    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as file:
        items: list[Any] = [file]
        file.visititems(lambda _, item: items.append(item))
        groups = [item for item in items if isinstance(item, h5py.Group)]
        dataset = pick([item for item in items if isinstance(item, h5py.Dataset)])
        where, path, value = dataset.parent, dataset.name, dataset[()]
        axes, kind, lists = dataset.shape or (3,), dataset.dtype, dataset.dtype.kind == "O"
        name = pick((path.rpartition("/")[2],) * 3 + ("x",))
        shape = tuple(pick((1, axis, 2 * axis, 10**6, 2**40)) for axis in axes)

        def made(size: Any = None, kind: Any = None, **options: Any) -> None:
            where.create_dataset(name, size, kind, **options)

        def linked(link: Any) -> None:
            where[name] = link

        def virtual() -> None:
            layout = h5py.VirtualLayout(axes, kind)
            layout[...] = h5py.VirtualSource(pick((".", ".", *elsewhere)), path, axes)
            where.create_virtual_dataset(name, layout)

        def number() -> None:
            flat = np.asarray(3 if lists else value).ravel().copy()
            flat[random.randrange(len(flat))] = pick((0, 1, -1, 127, 255, 2**31 - 1))
            made(data=flat.reshape(() if lists else np.shape(value)))

        def attribute() -> None:
            target = pick(items)
            target.attrs[pick([*target.attrs, "x"])] = pick((*oddities, h5py.Empty("f4"), file.ref))

        def deep() -> None:
            group = where.create_group(name)
            for _ in range(pick((3, 400))):
                group = group.create_group("d")
            group["x" * pick((1, 60_000))] = 1

        chunks = tuple(min(axis, 64) for axis in shape)
        bomb = np.zeros(SIZE, "i1")
        changes: list[Callable[[], Any]] = [
            virtual,
            virtual,
            number,
            deep,
            lambda: None,  # without it
            lambda: made(axes, "i1", external=[(pick(elsewhere), 0, 10**6)]),
            lambda: linked(h5py.ExternalLink(pick(elsewhere), "/")),
            lambda: linked(h5py.SoftLink(pick(("/none", name, "/layer", "..", "/")))),
            lambda: linked(pick(groups)),
            lambda: made(shape, pick(kinds)),
            lambda: made(shape, pick(kinds), chunks=chunks),
            lambda: made(shape, pick(kinds), chunks=chunks, compression="gzip"),
            lambda: made(chunks=(SIZE,), data=bomb, compression="gzip"),
            lambda: made(data=h5py.Empty(pick(("i1", "f8", "S3")))),
            lambda: made(data=3 if lists else np.asarray(value).astype(pick(kinds))),
            lambda: made(data=3 if lists else value, **pick(packings)),
            lambda: where.move(path, pick(("x", "é", "0", "..", "y/z"))),
        ]
        if random.random() < 0.2:
            attribute()
        else:
            change = pick(changes)
            if name in where and change is not changes[-1]:
                del where[name]
            change()
    return buffer.getvalue()


def as_mat(random: Random, data: bytes, others: Samples = ()) -> bytes:
    """Change the variables of a MATLAB file, or the bytes inside its compressed ones."""
    import numpy as np
    import scipy.io
    import scipy.sparse

    if random.random() < 0.5:
        content = {k: v for k, v in scipy.io.loadmat(io.BytesIO(data)).items() if k[0] != "_"}
        name = random.choice(list(content))
        array = content[name]
        content[name] = random.choice(
            (
                lambda: array.astype(random.choice(("f8", "i4", "c16", "?"))),
                lambda: array[: random.randrange(3)],
                lambda: array[..., :2],
                lambda: array.ravel(),
                lambda: "text",
                lambda: {"a": array},
                lambda: np.array([array, 3], dtype=object),
                lambda: scipy.sparse.eye(3),
                lambda: np.zeros(SIZE, "u1"),
                lambda: array - 1,
                lambda: array * 5,
            )
        )()
        if random.random() < 0.1:
            del content[name]
        buffer = io.BytesIO()
        scipy.io.savemat(buffer, content, do_compression=random.random() < 0.7)
        return buffer.getvalue()
    out, place = bytearray(data[:128]), 128
    while place + 8 <= len(data):
        kind, size = struct.unpack("<II", data[place : place + 8])
        body = data[place + 8 : place + 8 + size]
        if kind == 15:
            inner = zlib.decompress(body)
            head = random.choice((64, len(inner)))
            body = zlib.compress(damaged(random, inner[:head]) + inner[head:])
        out += struct.pack("<II", kind, len(body)) + body
        place += 8 + size
    return bytes(out)


def damaged_pairs(random: Random, data: bytes, others: Samples = ()) -> bytes:
    """Change pairs of bytes, the unit of WFDB's signals and annotations."""
    content = bytearray(data)
    for _ in range(random.choice((1, 1, 3, 10))):
        place = 2 * random.randrange(len(content) // 2)
        code, low = random.choice((0, *range(56, 64))), random.choice((0, 1, 4, 255, 0x3FF))
        pair = (code << 10 | low).to_bytes(2, "little")
        content[place : place + random.choice((0, 2, 2))] = pair
    return bytes(content)
