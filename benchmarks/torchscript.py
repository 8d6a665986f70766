"""The opponents: the same network as a TorchScript loop over time, as research code has it.

Second copies of the equations on purpose, because TorchScript compiles no other form of them; the
benchmark compares their outputs and gradients with ours before it times anything.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from brf_lava.train.model import Network


def _density(s: Tensor, sigma: float) -> Tensor:
    return torch.exp(-0.5 * (s / sigma) ** 2) / (sigma * math.sqrt(2 * math.pi))


def _spike(s: Tensor) -> Tensor:
    """Step function whose gradient is the double Gaussian, by forward gradient injection.

    Otte 2024, arXiv 2406.00177: TorchScript takes no autograd.Function, so the derivative is
    multiplied in where it is constant, and the product is taken out again.
    """
    derivative = 0.5 * (1.15 * _density(s, 0.5) - 0.3 * _density(s, 3.0))
    injected = s * derivative.detach()
    return injected - injected.detach() + torch.gt(s, 0.0).to(s.dtype).detach()


def _brf_step(
    u: Tensor,
    v: Tensor,
    q: Tensor,
    current: Tensor,
    damping: Tensor,
    omega: Tensor,
    dt: float,
    theta: float,
    gamma: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The next u, v, q and the spikes z, all [B, N]."""
    b = damping - q
    u_next = u + dt * (b * u - omega * v + current)
    v_next = v + dt * (omega * u + b * v)
    z = _spike(u_next - theta - q)
    return u_next, v_next, gamma * q + z, z


def _published_loop(
    x: Tensor,
    weights: Tensor,
    omega: Tensor,
    b_offset: Tensor,
    readout_weights: Tensor,
    tau: Tensor,
    dt: float,
    theta: float,
    gamma: float,
) -> Tensor:
    """As the reference code of Higuchi et al. 2024 computes: every step by modules of its own.

    So the coefficients are computed from the parameters in every step. x [T, B, I], weights
    [N, I + N], readout_weights [C, N] to the readout's state [B, C, T].
    """
    u = torch.zeros(x.shape[1], weights.shape[0], device=x.device)
    v, q, z = u, u, u
    o = torch.zeros(x.shape[1], readout_weights.shape[0], device=x.device)
    outputs = []
    for t in range(x.shape[0]):
        current = functional.linear(torch.cat((x[t], z), 1), weights)
        frequency = torch.abs(omega)
        boundary = (torch.sqrt(1 - torch.square(dt * frequency)) - 1) / dt
        damping = boundary - torch.abs(b_offset)
        u, v, q, z = _brf_step(u, v, q, current, damping, frequency, dt, theta, gamma)
        decay = torch.exp(-1 / torch.abs(tau))
        o = decay * o + (1 - decay) * functional.linear(z, readout_weights)
        outputs.append(o)
    return torch.stack(outputs, 2)


def _lean_loop(
    x: Tensor,
    weights: Tensor,
    damping: Tensor,
    omega: Tensor,
    readout_weights: Tensor,
    decay: Tensor,
    dt: float,
    theta: float,
    gamma: float,
) -> Tensor:
    """The least that a loop over time has to do: the coefficients are given."""
    u = torch.zeros(x.shape[1], weights.shape[0], device=x.device)
    v, q, z = u, u, u
    o = torch.zeros(x.shape[1], readout_weights.shape[0], device=x.device)
    outputs = []
    for t in range(x.shape[0]):
        current = functional.linear(torch.cat((x[t], z), 1), weights)
        u, v, q, z = _brf_step(u, v, q, current, damping, omega, dt, theta, gamma)
        o = decay * o + functional.linear(z, readout_weights)
        outputs.append(o)
    return torch.stack(outputs, 2)


_scripted_published = torch.jit.script(_published_loop)
_scripted_lean = torch.jit.script(_lean_loop)


def run_published(network: Network, x: Tensor) -> Tensor:
    """The readout [B, C, T] of `network`, one recurrent hidden BRF block, for x [B, I, T]."""
    hidden: Any = network.hidden_blocks[0]  # BRF, recurrent
    result: Tensor = _scripted_published(
        x.permute(2, 0, 1).contiguous(),
        torch.cat((hidden.weight, hidden.recurrent_weight), 1),
        hidden.neuron.omega,
        hidden.neuron.b_offset,
        network.readout.weight,
        network.readout.neuron.tau,
        *hidden.neuron.constants,  # dt, theta, gamma
    )
    return result


def run_lean(network: Network, x: Tensor) -> Tensor:
    """As `run_published`, with the coefficients computed once for the whole sequence."""
    hidden: Any = network.hidden_blocks[0]
    damping, omega = hidden.neuron.coefficients()
    (decay,) = network.readout.neuron.coefficients()
    result: Tensor = _scripted_lean(
        x.permute(2, 0, 1).contiguous(),
        torch.cat((hidden.weight, hidden.recurrent_weight), 1),
        damping,
        omega,
        (1 - decay)[:, None] * network.readout.weight,
        decay,
        *hidden.neuron.constants,
    )
    return result
