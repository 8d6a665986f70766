"""The synthetic ECG: its labels fit its signal, and its spikes resemble the QT database's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from brf_lava.ecg import synthetic as synthetic_ecg
from brf_lava.ecg.spec import ECG
from brf_lava.ecg.synthetic import Array, Recording

Indices = npt.NDArray[np.intp]

SEGMENTS = 60
P, PQ, QR, RS, ST, TP = range(6)
# The trapezoidal rule is off by (step / width)^2 / 12 at an R wave about 2.5 steps wide
TRAPEZOID = 0.03
# Shares of the classes in QTDB train, without its unlabeled steps; median durations in steps
QTDB_SHARES = (0.136, 0.067, 0.063, 0.048, 0.329, 0.357)
QTDB_DURATIONS = (28, 14, 15, 11, 77, 75)


@pytest.fixture(scope="module")
def recording() -> Recording:
    return synthetic_ecg.simulate(SEGMENTS, np.random.default_rng(1))


def onsets(labels: npt.NDArray[np.uint8], wave: int, margin: int = 0) -> tuple[Indices, Indices]:
    """Segment and step of each beginning of a class, at least `margin` steps from both ends."""
    segment, step = np.nonzero((labels[:, 1:] == wave) & (labels[:, :-1] != wave))
    step = step + 1
    inside = (step >= margin) & (step < labels.shape[1] - margin)
    return segment[inside], step[inside]


def test_a_seed_gives_the_same_bytes_and_every_segment_another_heart() -> None:
    first, again, other = (synthetic_ecg.generate(3, 2, seed) for seed in (5, 5, 6))
    assert [half.x.tobytes() for half in first] == [half.x.tobytes() for half in again]
    assert [half.y.tobytes() for half in first] == [half.y.tobytes() for half in again]
    segments = [row.tobytes() for halves in (first, other) for half in halves for row in half.x]
    assert len(set(segments)) == len(segments) == 10
    moved = synthetic_ecg.generate(2, 3, 5)  # where the halves are cut changes no segment
    for part in ("x", "y"):
        one, two = (np.concatenate([getattr(s, part) for s in pair]) for pair in (first, moved))
        np.testing.assert_array_equal(one, two)


def test_r_peak_is_where_qr_ends(recording: Recording) -> None:
    reach = 8
    segment, step = onsets(recording.labels, RS, margin=reach)
    assert len(segment) > 4 * SEGMENTS
    window = np.arange(-reach, reach + 1)
    beats = recording.clean[segment[:, None], step[:, None] + window, 0]
    # the border is the first step at or after the peak of the R wave
    assert set(np.argmax(beats, axis=1) - reach) <= {-1, 0}


def test_p_and_t_waves_lie_within_their_labels(recording: Recording) -> None:
    """P bulges in the middle of its label and T within ST, above the ends of the label."""
    for wave, is_last in ((P, False), (ST, True)):
        segment, step = onsets(recording.labels, wave, margin=130)
        bulges = []
        for i, t in zip(segment, step, strict=True):
            length = int(np.argmin(recording.labels[i, t:] == wave))
            lead = recording.clean[i, t : t + length, 0]
            peak = int(np.argmax(lead[length // 5 : -length // 5])) + length // 5
            bulges.append(lead[peak] > lead[-1] and (is_last or lead[peak] > lead[0]))
        assert np.mean(bulges) > 0.95  # a breathing baseline may hide a flat wave


def test_tp_is_quiet_and_qrs_is_steep(recording: Recording) -> None:
    slope = np.abs(np.diff(recording.clean[..., 0], axis=1))
    steepness = [slope[recording.labels[:, 1:] == wave].mean() for wave in range(6)]
    assert min(steepness[QR], steepness[RS]) > 4 * max(steepness[w] for w in (P, PQ, ST, TP))
    assert steepness[TP] == min(steepness)


def test_classes_follow_each_other(recording: Recording) -> None:
    before, after = recording.labels[:, :-1].astype(int), recording.labels[:, 1:].astype(int)
    assert set(np.unique((after - before) % 6)) == {0, 1}


def test_beats_vary_within_a_segment_and_hearts_between(recording: Recording) -> None:
    segment, step = onsets(recording.labels, RS)
    intervals = [np.diff(step[segment == i]) for i in range(SEGMENTS)]
    means = np.array([rr.mean() for rr in intervals])
    spread = np.array([rr.std() for rr in intervals]) / means
    assert 0.01 < np.median(spread) < 0.08
    assert 0.1 < means.std() / means.mean() < 0.3
    assert 200 < np.median(means) < 250  # steps; QTDB 227


def test_leads_differ_and_only_the_noisy_signal_has_noise(recording: Recording) -> None:
    noise = (recording.noisy - recording.clean).std(axis=1)  # [B, leads], mV
    low, high = synthetic_ecg.NOISE_RANGE
    assert noise.min() > 0.9 * low
    assert noise.max() < 1.1 * high
    alike = [np.corrcoef(lead.T)[0, 1] for lead in recording.clean]
    assert np.median(alike) < 0.95


def test_baseline_breathes(monkeypatch: pytest.MonkeyPatch) -> None:
    signals = []
    for amplitude in (0.0, 0.15):
        monkeypatch.setattr(synthetic_ecg, "WANDER_RANGE", (amplitude, amplitude))
        signals.append(synthetic_ecg.simulate(40, np.random.default_rng(4)).clean)
    wander = signals[1] - signals[0]
    # z follows z0 as a low pass with a time constant of 1 s
    expected = 0.15 / np.hypot(1, 2 * np.pi * synthetic_ecg.BREATHING[0])
    assert np.abs(wander).max(axis=1).mean() == pytest.approx(expected, rel=0.1)


def test_borders_are_in_order_for_every_heart() -> None:
    hearts = synthetic_ecg.draw_hearts(20_000, np.random.default_rng(0))
    assert (hearts.rate.min(), hearts.rate.max()) == synthetic_ecg.HEART_RATE_LIMITS
    borders = hearts.borders()
    assert (np.diff(borders, axis=1) > 0).all()
    assert (borders[:, -1] < borders[:, 0] + 2 * np.pi).all()  # TP ends with the next P


def test_integration_matches_a_fine_runge_kutta_solution() -> None:
    """One heart at a constant rate, against the paper's equation solved by scipy."""
    from scipy.integrate import solve_ivp

    hearts = synthetic_ecg.draw_hearts(1, np.random.default_rng(3))
    seconds = ECG.step_seconds * np.arange(600)
    speed = 2 * np.pi * hearts.rate[0]
    baseline = np.full((1, 2, 600), 0.002)
    z = synthetic_ecg.integrate(speed * seconds[None], hearts, baseline)[0]

    def slope(t: float, state: Array) -> Array:
        distance = np.angle(np.exp(1j * (speed * t - hearts.angles[0])))
        bells = distance * np.exp(-(distance**2) / (2 * hearts.widths[0] ** 2))
        change: Array = -(hearts.pushes[0] @ bells) - (state - 0.002)
        return change

    exact = solve_ivp(
        slope, (0, seconds[-1]), [0.002] * 2, t_eval=seconds, max_step=1e-3, rtol=1e-8
    )
    assert np.abs(z - exact.y.T).max() < TRAPEZOID * np.abs(exact.y).max()


def test_spikes_and_classes_resemble_the_qt_database() -> None:
    split = synthetic_ecg.generate(train=120, test=1, seed=2)[0]
    assert 0.070 < split.x.mean() < 0.084  # QTDB 0.077
    by_channel = split.x.mean(axis=(0, 1))
    assert by_channel.min() > 0.06  # QTDB 0.068 to 0.087
    assert by_channel.max() < 0.10
    by_class = [split.x[split.y == wave].mean() for wave in range(6)]
    assert min(by_class[QR], by_class[RS]) > 2 * max(by_class[w] for w in (P, PQ, ST, TP))
    assert by_class[TP] > 0.002  # noise and baseline leave a few
    shares = np.bincount(split.y.ravel(), minlength=6) / split.y.size
    np.testing.assert_allclose(shares, QTDB_SHARES, atol=0.025)


def test_durations_resemble_the_qt_database(recording: Recording) -> None:
    for wave, expected in enumerate(QTDB_DURATIONS):
        segment, step = onsets(recording.labels, wave)
        ends_segment, ends_step = onsets(recording.labels, (wave + 1) % 6)
        durations = [
            later[0] - t
            for i, t in zip(segment, step, strict=True)
            if len(later := ends_step[(ends_segment == i) & (ends_step > t)])
        ]
        assert np.median(durations) == pytest.approx(expected, rel=0.2)
