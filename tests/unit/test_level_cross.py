"""Level-cross encoding: the rule step by step, and what it guarantees for any signal."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from brf_lava.ecg.level_cross import encode

Array = npt.NDArray[np.float64]


def test_rule_on_a_signal_worked_out_by_hand() -> None:
    # reference:         0    0    0   1.5  1.5  1.5  -2   -2    5
    signal = np.array([[0.0, 0.9, 1.0, 1.5, 0.6, 2.5, -2.0, -1.0, 5.0, 5.0]]).T
    up, down = encode(signal, 1.0).T
    assert up.tolist() == [0, 0, 0, 1, 0, 0, 0, 0, 1, 0]  # 1.0 and 2.5 - 1.5 are not above 1
    assert down.tolist() == [0, 0, 0, 0, 0, 0, 1, 0, 0, 0]
    leads = np.array([[0.0, 0.0], [2.0, -2.0]])  # up and down of each lead in turn
    assert encode(leads, 1.0)[1].tolist() == [1, 0, 0, 1]


@given(
    arrays(
        np.float64,
        array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=25),
        elements=st.floats(-10, 10),
    ),
    st.floats(0.01, 5.0),
)
def test_encoding_any_signal(signal: Array, threshold: float) -> None:
    before = signal.copy()
    spikes = encode(signal, threshold)
    np.testing.assert_array_equal(signal, before)
    assert spikes.dtype == np.int8
    assert spikes.flags.c_contiguous
    assert spikes.shape == (*signal.shape[:-1], 2 * signal.shape[-1])
    assert set(np.unique(spikes)) <= {0, 1}
    up, down = spikes[..., 0::2], spikes[..., 1::2]
    assert not (up & down).any()
    assert not spikes[..., 0, :].any()
    np.testing.assert_array_equal(encode(-signal, threshold)[..., 0::2], down)
    np.testing.assert_array_equal(encode(signal * 4, threshold * 4), spikes)  # exact in floats
    alone = encode(signal[..., -1:], threshold)  # leads and samples do not mix
    np.testing.assert_array_equal(spikes[..., -2:], alone)
    if signal.ndim == 3:
        np.testing.assert_array_equal(spikes[-1], encode(signal[-1], threshold))
    crossed = (up | down).astype(bool)
    steps = np.arange(signal.shape[-2])[:, None]
    last = np.maximum.accumulate(np.where(crossed, steps, 0), axis=-2)
    reference = np.take_along_axis(signal, last, axis=-2)
    assert np.abs(signal - reference).max() <= threshold
