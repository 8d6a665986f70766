"""Whether the GPU kernel, not run on a card yet, agrees with the reference on this one."""

from __future__ import annotations

import hashlib
import json
import logging
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from brf_lava.errors import BackendUnavailableError, BrfLavaError
from brf_lava.io.files import Kind, write_bytes
from brf_lava.kernels import compile, cuda, cuda_loop, reference
from brf_lava.neurons.families import DEFAULT, READOUT
from brf_lava.neurons.surrogate import double_gaussian

AGREEMENT = 1e-5  # of the norm of an output or gradient, in float32
WIDTHS = (37, 256, 1100)  # neurons: part of a block, all threads of it, several per thread
SEED = 12  # no membrane comes so near to its threshold that rounding decides about a spike
KIND = Kind("a check of the GPU kernel", b"", '{"card": ')
logger = logging.getLogger(__name__)


def deviation(
    device: torch.device, neurons: int, samples: int = 6, steps: int = 20, inputs: int = 5
) -> float:
    """How far the kernel is from the reference, in the worst of outputs and gradients.

    Of a recurrent hidden layer and a readout; relative to the norm of each.
    """
    generator = torch.Generator().manual_seed(SEED)

    def random(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    leaves = {
        "x": (random(steps, samples, inputs) < 0.2).float(),
        "weights": 200 * random(neurons, inputs) - 80,
        "recurrent": (30 * random(neurons, neurons) - 15) * (5 / neurons) ** 0.5,
        "coefficients": torch.stack([-3 * random(neurons) - 3, 5 + 35 * random(neurons)]),
        "readout": random(7, neurons) - 0.5,
        "decay": 0.5 + 0.4 * random(1, 7),
    }
    leaves = {name: leaf.to(device).requires_grad_() for name, leaf in leaves.items()}
    projection = random(steps, samples, 7).to(device)
    constants = DEFAULT.real_constants(**{each.name: each.default for each in DEFAULT.constants})
    found = []
    for run in (reference.run_layer, cuda.run_layer, cuda.run_layer):  # twice: threads may race
        x, weights, recurrent, coefficients, readout, decay = leaves.values()
        layer = (DEFAULT, x, weights, recurrent, coefficients, constants, double_gaussian)
        spikes, _ = run(*layer)
        integrated = (READOUT, spikes, readout, None, decay, READOUT.real_constants())
        output, _ = run(*integrated, double_gaussian)
        gradients = torch.autograd.grad((output * projection).sum(), list(leaves.values()))
        found.append([spikes.detach(), output.detach(), *gradients])
    exact, *own = found
    pairs = [pair for each in own for pair in zip(each, exact, strict=True)]
    return max(float((value - right).norm() / right.norm()) for value, right in pairs)


def obstacle(device: torch.device) -> str | None:
    """Why the kernel does not run on a CUDA device, in one line; None where it does.

    On the first use of a card this compares the kernel with the reference. The result is kept per
    card, versions and sources of this package.
    """
    try:
        cuda_loop.numba_cuda()
    except (BackendUnavailableError, ImportError) as error:
        return str(error)
    return _obstacle(torch.cuda.current_device() if device.index is None else device.index)


@cache
def _obstacle(index: int) -> str | None:
    device = torch.device("cuda", index)
    card = torch.cuda.get_device_name(device)
    names = ("torch", "numba-cuda", "cuda-bindings")
    used: dict[str, Any] = {"card": card, **{name: version(name) for name in names}}
    digest = hashlib.sha256(json.dumps(used).encode()).hexdigest()[:16]
    folder = compile._cache_folder()
    path = None if folder is None else Path(folder, f"cuda-{digest}.json")
    with suppress(Exception):  # whatever stands there
        kept = json.loads(path.read_text())["deviation"] if path else None
        if isinstance(kept, float) and kept >= 0:
            return _verdict(card, kept)
    logger.info("Comparing the GPU kernel with the reference on %s, once.", card)
    try:
        worst = max(deviation(device, neurons) for neurons in WIDTHS)
    except Exception as error:  # of numba, of the driver, of the compilers: there are many
        text = " ".join(str(error).split())[:200]
        return f"the kernel does not run on {card} ({type(error).__name__}: {text})."
    with suppress(BrfLavaError, OSError):
        if path is not None:
            path.unlink(missing_ok=True)  # what could not be read
            write_bytes(path, json.dumps({**used, "deviation": worst}).encode(), KIND)
    return _verdict(card, worst)


def _verdict(card: str, worst: float) -> str | None:
    if worst <= AGREEMENT:
        return None
    return (
        f"the kernel differs from the reference on {card}, by {worst:.2g} of an output or gradient "
        f"where {AGREEMENT:g} is allowed. Please report this."
    )
