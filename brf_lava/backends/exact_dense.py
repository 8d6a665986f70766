"""Lava's own connections such that they are exact: the ones that netx and Loihi 2 have models for.

Lava is imported inside the function, as in `lava_net`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from brf_lava.network.layers import Connection


def exact_dense(
    connection: Connection, *, name: str, message_bits: int = 0, sparse: bool = False
) -> Any:
    """Lava's Dense, or its Sparse, with these weights; ports s_in (I,) and a_out (N,).

    In its mixed mode it takes even weights from -256 to 254: ours, doubled, for one exponent less.

    Args:
        connection: The weights.
        name: What error messages call the process.
        message_bits: Of graded inputs; 0 for spikes.
        sparse: Keep the weights in Sparse.
    """
    from lava.proc.dense.process import Dense
    from lava.proc.sparse.process import Sparse
    from lava.utils.weightutils import SignMode
    from scipy.sparse import csr_matrix

    weights = 2 * connection.mantissa.astype(np.int32)
    return (Sparse if sparse else Dense)(
        weights=csr_matrix(weights) if sparse else weights,
        weight_exp=connection.exponent - 1,
        num_weight_bits=8,
        sign_mode=SignMode.MIXED,
        num_message_bits=message_bits,
        name=name,
    )
