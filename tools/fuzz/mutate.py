"""Damages of files: of any bytes, and of what is in HDF5, zip, torch, MATLAB and text files."""

from __future__ import annotations

import io
import json
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

WORDS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
TEXTS = ("", "-1", "1e999", "nan", "null", "1" * 5000, "x" * 100_000, "\x00", "é\u202e", "[" * 9999)
OPCODES = (b"N", b"J\xff\xff\xff\x7f", b"]", b"}", b")", b"\x88", b"\x8a\x09" + b"\x7f" * 9, b"R")
SIZE = 1 << 24  # of what a bomb unpacks to, in units of its kind


def damaged(random: Random, data: bytes) -> bytes:
    """Change some bytes, whatever they mean."""
    content = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 5, 20))):
        place = random.randrange(len(content) + 1)
        length = min(random.choice((1, 2, 4, 8, 64, 512)), len(content) - place)
        part, word = content[place : place + length], random.choice(WORDS).to_bytes(8, "little")
        match random.randrange(7):
            case 0 | 1 if part:
                content[place] ^= 1 << random.randrange(8)
            case 2:
                content[place : place + length] = word[:length]
            case 3:
                del content[place : place + length]
            case 4:
                content[place:place] = part
            case 5:
                content[place : place + length] = random.randbytes(length)
            case 6 if random.random() < 0.3:
                del content[place:]
    return bytes(content)


def pairs(random: Random, data: bytes) -> bytes:
    """Change pairs of bytes, the unit of WFDB's signals and annotations."""
    content = bytearray(data)
    for _ in range(random.choice((1, 1, 3, 10))):
        place = 2 * random.randrange(len(content) // 2)
        code, low = random.choice((0, *range(56, 64))), random.choice((0, 1, 4, 255, 0x3FF))
        pair = (code << 10 | low).to_bytes(2, "little")
        content[place : place + random.choice((0, 2, 2))] = pair
    return bytes(content)


def text(random: Random, data: bytes) -> bytes:
    """Change words, lines and brackets of a text."""
    words = re.split(r"(\s+|[=,:\[\]{}\"]+)", data.decode(errors="replace"))
    for _ in range(random.choice((1, 1, 2, 4))):
        place = random.randrange(len(words))
        number = random.choice((-1, 1)) * random.choice(WORDS) * 10 ** random.choice((0, 0, 40))
        few = [random.choice(TEXTS), str(number), "", random.choice(words)]
        few.append(words[place] + random.choice("\"'[]{}=#,\n\t\x00.-é"))
        words[place] = random.choice(few)
        words[place : place + 20] = words[place : place + 20] * random.choice((0, 1, 1, 1, 2, 100))
        words = words or [""]
    return "".join(words).encode(errors="replace")


def plain(random: Random) -> Any:
    """A plain value that is seldom the right one."""
    deep: Any = []
    for _ in range(random.choice((1, 100))):
        deep = [deep]
    number = random.choice((-1, 1)) * random.choice(WORDS)
    values = (None, True, number, number, 10**30, 10**4000, 0.5, float("nan"), float("inf"), "")
    return random.choice((*values, "x" * 10_000, "é\n\x1b", [], {}, [1], {"x": 1}, deep))


def tree(random: Random, value: Any, odd: Callable[[Random], Any] = plain) -> Any:
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


def as_json(random: Random, data: bytes) -> bytes:
    """Change the values of JSON, or of one of its lines."""
    lines = data.decode().splitlines()
    place = random.randrange(len(lines))
    lines[place] = json.dumps(tree(random, json.loads(lines[place])))
    return "\n".join(lines).encode()


def zipped(entries: list[tuple[str, bytes]], kind: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", kind) as archive:
        warnings.simplefilter("ignore")  # of a name that is there twice
        for entry in entries:
            archive.writestr(*entry)
    return buffer.getvalue()


def members(data: bytes) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def as_zip(random: Random, data: bytes) -> bytes:
    """Change the members of a zip archive, or what it says about them."""
    entries, kind = members(data), random.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))
    place = random.randrange(len(entries))
    name, content = entries[place]
    change = npy if name.endswith(".npy") else damaged
    names = ("x", "../x", "x.npy", "", "é" * 900, name + "/")
    changes: tuple[Callable[[], Any], ...] = (
        list,
        lambda: [(random.choice(names), content)],
        lambda: [(name, content), (name, random.choice(entries)[1])],
        lambda: [(name, random.choice((b"", b"text", random.choice(entries)[1])))],
        lambda: [(name, content + bytes(SIZE))],
        *[lambda: [(name, change(random, content))]] * 4,
    )
    entries[place : place + 1] = random.choice(changes)()
    packed = bytearray(zipped(entries, kind))
    if random.random() < 0.3:  # sizes of the directory that are not true
        heads = [found.start() for found in re.finditer(b"PK\x01\x02", packed)]
        start = random.choice(heads) + random.choice((10, 20, 24, 42)) if heads else 0
        packed[start : start + 4] = struct.pack("<I", random.choice(WORDS) & 0xFFFFFFFF)
    return bytes(packed)


def npy(random: Random, data: bytes) -> bytes:
    """Change the header of an array, or its bytes."""
    length = 10 + int.from_bytes(data[8:10], "little")
    head, body = data[10:length].decode("latin1"), data[length:]
    kind = random.choice(("|O", "<f8", "<c16", "|V3", "<U9", "<M8[s]", "|S99999", ">i1"))
    axes = [random.choice((0, 1, 3, -1, *WORDS)) for _ in range(random.choice((1, 2, 3, 40)))]
    few = ("", "{", "{}", "[" * 5000, head.replace("False", "True"), head + "x" * 60_000)
    match random.randrange(5):
        case 0:
            head = re.sub(r"'descr': '[^']*'", f"'descr': '{kind}'", head)
        case 1:
            head = re.sub(r"'shape': \([^)]*\)", f"'shape': ({', '.join(map(str, axes))},)", head)
        case 2:
            head = random.choice(few)
        case 3:
            return damaged(random, data)
        case 4:
            body = random.choice((b"", body[: len(body) // 2], body * 2))
    size = struct.pack("<H", min(len(head), 65535))
    return data[:8] + size + head.encode("latin1", "replace") + body


def odd(random: Random) -> Any:
    """A tensor that is not what it seems, a plain value, or a list whose text is without end."""
    import torch

    deep: Any = []
    for _ in range(random.choice((3, 90, 900))):
        deep = [deep, deep]
    kind = random.choice((torch.float32, torch.int64, torch.complex64, torch.bool))
    return random.choice(
        (
            torch.ones(random.choice((0, 1, 3, 36)), dtype=kind),
            torch.ones(1, dtype=kind).expand(10 ** random.randrange(1, 15)),
            torch.eye(3).to_sparse(),
            torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.quint8),
            torch.ones(3, device="meta"),
            torch.full((36,), float("nan")),
            plain(random),
            deep,
        )
    )


def as_torch(random: Random, data: bytes) -> bytes:
    """Change what a torch file holds, or the opcodes of its pickle."""
    import pickletools

    import torch

    if random.random() < 0.6:
        buffer = io.BytesIO()
        torch.save(tree(random, torch.load(io.BytesIO(data), weights_only=True), odd), buffer)
        return buffer.getvalue()
    entries = members(data)
    place = next(place for place, (name, _) in enumerate(entries) if name.endswith("data.pkl"))
    name, content = entries[place]
    starts = [position for _, _, position in pickletools.genops(content)]
    parts = [content[a:b] for a, b in zip(starts, [*starts[1:], len(content)], strict=True)]
    for _ in range(random.choice((1, 1, 3))):
        spot = random.randrange(len(parts))
        few = (b"", random.choice(parts), parts[spot] * 2, random.choice(OPCODES))
        parts[spot] = random.choice(few)
    entries[place] = (name, b"".join(parts))
    return zipped(entries)


def as_hdf5(random: Random, data: bytes) -> bytes:
    """Change the objects of an HDF5 file, their types, links, storage and attributes."""
    import h5py
    import numpy as np

    pick, elsewhere = random.choice, ("/dev/zero", "pipe", "none.h5")
    kinds = ("i1", "u1", "i8", "u8", "f2", "f4", "f8", "c16", "S3", "?", h5py.ref_dtype)
    kinds += (h5py.regionref_dtype, h5py.string_dtype(), h5py.vlen_dtype("i2"))
    kinds += (np.dtype([("a", "i4"), ("b", "f8")]), np.dtype(("i4", (3,))))
    packings = ({"compression": "lzf"}, {"scaleoffset": 0}, {"shuffle": True}, {"fletcher32": True})
    values = (1, -1, 2**40, 0.5, b"x", "é" * 20_000, np.arange(9), b"[" * 9999, "{}", "[3]")
    with h5py.File(buffer := io.BytesIO(data), "r+") as file:
        items: list[Any] = [file]
        file.visititems(lambda _, item: items.append(item))
        dataset = pick([item for item in items if isinstance(item, h5py.Dataset)])
        where, path, kind = dataset.parent, dataset.name, dataset.dtype
        axes, value = dataset.shape or (3,), 3 if kind.kind == "O" else dataset[()]
        name = pick((path.rpartition("/")[2],) * 3 + ("x",))
        shape = tuple(pick((1, axis, 2 * axis, 10**6, 2**40)) for axis in axes)
        chunks, bomb = tuple(min(axis, 64) for axis in shape), np.zeros(SIZE, "i1")
        virtual, flat = h5py.VirtualLayout(axes, kind), np.array(value).ravel()
        virtual[...] = h5py.VirtualSource(pick((".", ".", *elsewhere)), path, axes)
        place = random.randrange(len(flat))
        flat[place] = pick((0, 1, 127)) if flat.dtype.kind in "iuf" else flat[0]
        links = [h5py.ExternalLink(pick(elsewhere), "/"), file, where]
        links += [h5py.SoftLink(to) for to in ("/none", name, "/layer", "..", "/")]
        made: list[tuple[Any, dict[str, Any]]] = [  # shape, and how
            (axes, {"dtype": "i1", "external": [(pick(elsewhere), 0, 10**6)]}),
            (shape, {"dtype": pick(kinds)}),
            (shape, {"dtype": pick(kinds), "chunks": chunks}),
            (shape, {"dtype": pick(kinds), "chunks": chunks, "compression": "gzip"}),
            (None, {"data": bomb, "chunks": (SIZE,), "compression": "gzip"}),
            (None, {"data": h5py.Empty(pick(("i1", "f8", "S3")))}),
            (None, {"data": np.zeros(np.shape(value), pick(kinds))}),
            (None, {"data": flat.reshape(np.shape(value))}),
            (None, {"data": value, **pick(packings)}),
        ]
        chance = random.random()
        if chance < 0.2:
            target = pick(items)
            target.attrs[pick([*target.attrs, "x"])] = pick((*values, h5py.Empty("f4"), file.ref))
        elif chance < 0.25:
            where.move(path, pick(("x", "é", "0", "..", "y/z")))
        elif name in where:
            del where[name]
        if 0.25 < chance < 0.35:
            where.create_virtual_dataset(name, virtual)
        elif 0.35 < chance < 0.5:
            where[name] = pick(links)
        elif 0.5 < chance < 0.55:
            where.create_group(f"{name}{'/d' * pick((3, 400))}")
        elif 0.55 < chance < 0.95:
            size, how = pick(made)
            where.create_dataset(name, size, **how)
    return buffer.getvalue()


def as_mat(random: Random, data: bytes) -> bytes:
    """Change the variables of a MATLAB file, or the bytes inside its compressed ones."""
    import numpy as np
    import scipy.io
    import scipy.sparse

    if random.random() < 0.5:
        content = {k: v for k, v in scipy.io.loadmat(io.BytesIO(data)).items() if k[0] != "_"}
        name = random.choice(list(content))
        array = content[name]
        few: list[Any] = [array.astype(kind) for kind in ("f8", "i4", "c16", "?")]
        few += [array[:0], array[:1], array[..., :2], array.ravel(), array - 1, array * 5, "text"]
        few += [
            {"a": array},
            np.array([array, 3], object),
            scipy.sparse.eye(3),
            np.zeros(SIZE, "u1"),
        ]
        content[name] = random.choice(few)
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
