"""Neurons and blocks with the interface of lava-dl's SLAYER; lava-dl itself is not needed.

In a script for SLAYER, ``slayer.block.cuba`` becomes ``brf_lava.slayer.block.brf``::

    from brf_lava.slayer import block

    params = {"omega": (5.0, 50.0), "b_offset": (0.1, 1.0)}  # see `help(block.brf.Dense)`
    blocks = torch.nn.ModuleList([
        block.brf.Recurrent(params, 700, 128),
        block.brf.Affine({"tau_mean": 20.0}, 128, 20),
    ])

There is `Input`, `Dense`, `Recurrent` and `Affine`, the readout, of every spiking neuron; of `li`
there is `Input` and `Affine`. What differs from SLAYER:

- Gradients pass through the membrane and the recurrence of `Recurrent`.
- State is kept between calls only with ``persistent_state=True``.
- Every neuron has parameters of its own, and learns them, unless ``shared_param=True`` or
  ``requires_grad=False``.
- A resonator multiplies its current by dt, 0.01 s: weights that let it spike are about 1 / dt times
  those of other neurons. ``weight_scale`` says where they start.
- Weights are not rounded unless ``pre_hook_fx`` does it. ``made.pre_hook_fx =
  made.neuron.quantize_8bit`` rounds those of a block `made` as the export will; SLAYER's
  ``quantize_hook_fx`` works with a ``scale`` for such weights.
"""

from brf_lava.slayer import block, neuron

__all__ = ["block", "neuron"]
