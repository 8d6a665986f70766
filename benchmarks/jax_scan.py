"""The same network as a JAX scan over time, one hidden BRF layer and a readout, compiled by XLA.

A second copy of the equations on purpose, as in `torchscript.py`; the benchmark compares its
outputs and gradients with ours before it times anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from torch import Tensor

from brf_lava.train.model import Network

NAMES = {  # of the parameters, as in `Network.named_parameters`
    "weight": "hidden.0.weight",
    "recurrent": "hidden.0.recurrent_weight",
    "omega": "hidden.0.neuron.omega",
    "b_offset": "hidden.0.neuron.b_offset",
    "readout": "readout.weight",
    "tau": "readout.neuron.tau",
}


def _unit_step(s: Any) -> Any:
    return (s > 0).astype(s.dtype)


def _tangent(primals: Any, tangents: Any) -> Any:
    def density(s: Any, sigma: float) -> Any:
        return jnp.exp(-0.5 * (s / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))

    (s,), (change,) = primals, tangents
    return _spike(s), 0.5 * (1.15 * density(s, 0.5) - 0.3 * density(s, 3.0)) * change


_spike: Any = jax.custom_jvp(_unit_step)
_spike.defjvp(_tangent)


def make_step(network: Network, x: Tensor, labels: Tensor) -> Callable[[], dict[str, Any]]:
    """A training step on x [B, I, T] and labels [B, T], all on JAX's own device.

    It returns the outputs [B, C, T] and the gradients by `NAMES`, once they are there.
    """
    dt, theta, gamma = network.hidden_blocks[0].neuron.constants
    named = dict(network.named_parameters())
    parameters = {
        own: jnp.asarray(named[name].detach().cpu().numpy()) for own, name in NAMES.items()
    }
    inputs = jnp.asarray(x.permute(2, 0, 1).cpu().numpy())
    targets = jnp.asarray(labels.cpu().numpy().T)

    def loss(parameters: Any, inputs: Any, targets: Any) -> Any:
        omega, decay = jnp.abs(parameters["omega"]), jnp.exp(-1 / jnp.abs(parameters["tau"]))
        boundary = (jnp.sqrt(1 - (dt * omega) ** 2) - 1) / dt
        damping = boundary - jnp.abs(parameters["b_offset"])
        readout = (1 - decay)[:, None] * parameters["readout"]

        def step(carry: Any, x: Any) -> Any:
            u, v, q, z, o = carry
            current = x @ parameters["weight"].T + z @ parameters["recurrent"].T
            b = damping - q
            u_next = u + dt * (b * u - omega * v + current)
            v = v + dt * (omega * u + b * v)
            z = _spike(u_next - theta - q)
            o = decay * o + z @ readout.T
            return (u_next, v, gamma * q + z, z, o), o

        zeros = jnp.zeros((inputs.shape[1], len(omega)))
        start = (zeros, zeros, zeros, zeros, jnp.zeros((inputs.shape[1], len(decay))))
        _, outputs = jax.lax.scan(step, start, inputs)
        log_shares = jax.nn.log_softmax(outputs, axis=2)
        picked = jnp.take_along_axis(log_shares, targets[:, :, None], axis=2)
        return -picked.sum() / inputs.shape[1], outputs

    both = jax.jit(jax.value_and_grad(loss, has_aux=True))

    def run() -> dict[str, Any]:
        (_, outputs), gradients = jax.block_until_ready(both(parameters, inputs, targets))
        named = {NAMES[own]: gradient for own, gradient in gradients.items()}
        return {"outputs": outputs.transpose(1, 2, 0), **named}

    return run
