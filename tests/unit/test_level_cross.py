"""Level-cross encoding: the rule step by step, and what it guarantees for any signal."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from brf_lava.ecg.level_cross import encode
from brf_lava.errors import DataError, ParameterError

Array = npt.NDArray[np.float64]

signals = arrays(
    np.float64,
    array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=25),
    elements=st.floats(-10, 10),
)
thresholds = st.floats(0.01, 5.0)


def one_lead(*values: float) -> Array:
    return np.array(values)[:, None]


def test_rule_on_a_signal_worked_out_by_hand() -> None:
    # reference:     0    0    0   1.5  1.5  1.5  -2   -2
    signal = one_lead(0.0, 0.9, 1.0, 1.5, 0.6, 2.5, -2.0, -1.0)
    up, down = encode(signal, 1.0).T
    assert up.tolist() == [0, 0, 0, 1, 0, 0, 0, 0]  # 1.0 and 2.5 - 1.5 are not above 1
    assert down.tolist() == [0, 0, 0, 0, 0, 0, 1, 0]


def test_reference_moves_to_the_value_not_by_one_threshold() -> None:
    up, down = encode(one_lead(0.0, 5.0, 5.0, 5.0, 4.5), 1.0).T
    assert up.tolist() == [0, 1, 0, 0, 0]
    assert not down.any()


def test_channels_are_up_and_down_of_each_lead_in_turn() -> None:
    signal = np.array([[0.0, 0.0], [2.0, -2.0]])
    assert encode(signal, 1.0)[1].tolist() == [1, 0, 0, 1]


@given(signals, thresholds)
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


@given(signals, thresholds)
def test_leads_and_samples_do_not_mix(signal: Array, threshold: float) -> None:
    spikes = encode(signal, threshold)
    for lead in range(signal.shape[-1]):
        alone = encode(signal[..., lead : lead + 1], threshold)
        np.testing.assert_array_equal(spikes[..., 2 * lead : 2 * lead + 2], alone)
    if signal.ndim == 3:
        np.testing.assert_array_equal(spikes[-1], encode(signal[-1], threshold))


@given(signals, thresholds)
def test_signal_stays_near_its_last_crossing(signal: Array, threshold: float) -> None:
    spikes = encode(signal, threshold)
    crossed = (spikes[..., 0::2] | spikes[..., 1::2]).astype(bool)
    steps = np.arange(signal.shape[-2])[:, None]
    last = np.maximum.accumulate(np.where(crossed, steps, 0), axis=-2)
    reference = np.take_along_axis(signal, last, axis=-2)
    assert np.abs(signal - reference).max() <= threshold


@pytest.mark.parametrize("threshold", [0.0, -1.0, float("nan"), float("inf")])
def test_threshold_must_be_positive_and_finite(threshold: float) -> None:
    with pytest.raises(ParameterError, match="must be positive"):
        encode(one_lead(0, 1), threshold)


@pytest.mark.parametrize(
    "signal",
    [one_lead(0, np.nan), one_lead(0, np.inf), np.zeros(5), np.zeros((3, 0, 2))],
    ids=["nan", "inf", "no-lead-axis", "no-steps"],
)
def test_unusable_signals_are_refused(signal: Array) -> None:
    with pytest.raises(DataError, match=r"must be \[\.\.\., T, leads\]"):
        encode(signal, 1.0)
