"""The nearest recurrent layer of other libraries on the same job: make bench-peers.

They need an environment of their own, `benchmarks/peers.txt`. None has a BRF neuron: a leaky
integrate-and-fire neuron has one or two states in place of three and no oscillation, so it computes
less in a step. The scan of JAX is BRF, and its gradients are compared with ours.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.layers import CONSTANTS, Layer, Size, layer_of
from benchmarks.timing import Comparison, Row, alternate, timed
from brf_lava.errors import BackendUnavailableError, MismatchError
from brf_lava.neurons import surrogate
from brf_lava.neurons.binding import bound
from brf_lava.neurons.real import brf_step

TITLE = "recurrent layers of other libraries"
ROUNDS = 5
SIZE = Size(1, 256, 32, 784, rate=0.05, active=0.2, gray=True)
AGREEMENT = 1e-2  # of the norm: spikes at the threshold flip by rounding
OURS = "brf-lava, BRF, fused CPU kernel"


def measure() -> list[Comparison]:
    """Raises: BackendUnavailableError where the other libraries are not installed."""
    layer = layer_of(SIZE)
    try:
        contenders = {
            "JAX, the same BRF, scan": _jax(layer),
            "spikingjelly, LIF in LinearRecurrentContainer": _spikingjelly(layer),
            "snntorch, RLeaky": _snntorch(layer),
            "norse, LIFRecurrent": _norse(layer),
        }
    except ImportError as error:
        raise BackendUnavailableError(f"peers: {error}. Run: make bench-peers") from error
    timers = {OURS: timed(layer.step), **{name: timed(run) for name, run in contenders.items()}}
    seconds = alternate(timers, rounds=ROUNDS)
    return [
        Comparison(
            title=f"One recurrent layer {SIZE}: forward, backward, gradients of all weights",
            rows=tuple(Row(name, series) for name, series in seconds.items()),
            base=OURS,
            notes=(
                f"Ours spikes at {layer.rate:.1%}; the others' neurons are leaky integrators.",
                f"{torch.get_num_threads()} threads for torch; JAX chooses its own.",
            ),
        )
    ]


def _module(name: str) -> Any:
    return importlib.import_module(name)


def _trained(module: nn.Module, run: Callable[[Tensor], Tensor], layer: Layer) -> Callable[[], Any]:
    """A step of a torch module, with the gradients of all its weights."""
    weights = [each for each in module.parameters() if each.requires_grad]

    def step() -> Any:
        return torch.autograd.grad(run(layer.x), weights, layer.grad_output)

    return step


def _spikingjelly(layer: Layer) -> Callable[[], Any]:
    place = "spikingjelly.activation_based"
    functional, layers, neuron = (
        _module(f"{place}.{n}") for n in ("functional", "layer", "neuron")
    )
    node = neuron.LIFNode(v_threshold=0.1)
    recurrent = layers.LinearRecurrentContainer(node, SIZE.neurons, SIZE.neurons, bias=False)
    module = nn.Sequential(nn.Linear(SIZE.inputs, SIZE.neurons, bias=False), recurrent)
    functional.set_step_mode(recurrent, "m")

    def run(x: Tensor) -> Tensor:
        functional.reset_net(recurrent)
        spikes: Tensor = module(x)
        return spikes

    return _trained(module, run, layer)


def _snntorch(layer: Layer) -> Callable[[], Any]:
    into = nn.Linear(SIZE.inputs, SIZE.neurons, bias=False)
    node = _module("snntorch").RLeaky(beta=0.9, threshold=0.1, linear_features=SIZE.neurons)

    def run(x: Tensor) -> Tensor:
        spikes, membrane = node.init_rleaky()
        outputs = []
        for current in into(x):
            spikes, membrane = node(current, spikes, membrane)
            outputs.append(spikes)
        return torch.stack(outputs)

    return _trained(nn.ModuleList([into, node]), run, layer)


def _norse(layer: Layer) -> Callable[[], Any]:
    module = _module("norse.torch").LIFRecurrent(SIZE.inputs, SIZE.neurons)
    return _trained(module, lambda x: module(x)[0], layer)


def _jax(layer: Layer) -> Callable[[], Any]:
    """Our equations in a scan. Raises: MismatchError if a gradient differs from ours."""
    jax, jnp = _module("jax"), _module("jax.numpy")
    derivative = bound(surrogate.double_gaussian, exp=jnp.exp)
    spike = jax.custom_jvp(lambda s: (s > 0).astype(s.dtype))
    spike.defjvp(lambda s, ds: (spike(*s), derivative(*s) * ds[0]))
    step = bound(brf_step, spike=spike)

    def total(parameters: Any, x: Any, grad_output: Any) -> Any:
        weights, recurrent, coefficients = parameters

        def scanned(carry: Any, current: Any) -> Any:
            states, z = carry
            states, z = step(
                states, current @ weights.T + z @ recurrent.T, tuple(coefficients), CONSTANTS
            )
            return (states, z), z

        rest = jnp.zeros((x.shape[1], weights.shape[0]), x.dtype)
        _, outputs = jax.lax.scan(scanned, ((rest, rest, rest), rest), x)
        return (outputs * grad_output).sum()

    arrays = jax.tree.map(
        lambda tensor: jnp.asarray(tensor.detach().numpy()),
        (layer.parameters, layer.x, layer.grad_output),
    )
    gradients = jax.jit(jax.grad(total))
    for ours, theirs in zip(layer.step(), gradients(*arrays), strict=True):
        deviation = np.linalg.norm(ours.numpy() - np.asarray(theirs)) / np.linalg.norm(theirs)
        if not deviation <= AGREEMENT:
            raise MismatchError(f"JAX: a gradient is off ours by {deviation:.2g} of its norm.")
    return lambda: jax.block_until_ready(gradients(*arrays))
