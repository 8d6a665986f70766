"""A synthetic ECG with known wave borders, for use where the QT database is not at hand.

The dynamical model of McSharry et al. 2003 (IEEE Transactions on Biomedical Engineering 50(3),
289-294): a point circles the origin once per beat; whenever its angle theta passes the angle of a
wave, that wave pushes the voltage z up or down::

    theta' = 2 pi / RR(t)
    z'     = - sum_i a_i d_i exp(-d_i^2 / (2 b_i^2)) - (z - z0(t))
    d_i    = theta - theta_i, the short way around

theta_i, a_i and b_i of the waves P, Q, R, S, T are those of table 1 there, varied from segment to
segment; z0 is the baseline, which breathes. On the limit cycle the angle is known in closed form,
and the equation of z is linear, so only z is integrated. Two leads see the same angle with waves of
different height. The ranges below set durations near those in the QT database at 250 Hz (median P
28 steps, PQ 14, QR 15, RS 11, ST 77, TP 75, one beat 227), and `THRESHOLD` its share of spikes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from brf_lava.data.dataset import Split
from brf_lava.ecg.level_cross import encode
from brf_lava.ecg.spec import ECG

Array = npt.NDArray[np.float64]

TRAIN_SEGMENTS, TEST_SEGMENTS = 618, 141  # as in the preprocessed QT database
LEADS = ECG.inputs // 2
SETTLING_STEPS = 500  # simulated before each segment; after these 2 s z has nearly settled
THRESHOLD = 0.32  # of level-cross encoding, in standard deviations of the lead

# Table 1 of McSharry et al. 2003, in the order P, Q, R, S, T
WAVE_ANGLES = np.pi * np.array([-1 / 3, -1 / 12, 0, 1 / 12, 1 / 2])  # theta_i, rad
WAVE_PUSHES = np.array([1.2, -5.0, 30.0, -7.5, 0.75])  # a_i
WAVE_WIDTHS = np.array([0.25, 0.1, 0.1, 0.1, 0.4])  # b_i, rad
MILLIVOLTS = 25.0  # per unit of z; makes an R wave about 1.2 mV high, as in the paper
P, Q, R, S, T = range(5)
EDGE = 2.0  # a wave begins and ends this many widths b_i from its center

# Each segment draws its own values, uniform in these ranges; heights in the order P, Q, R, S, T are
# factors on the table's, those of the second lead factors on the first
WIDTH_RANGES = {P: (0.6, 0.85), R: (0.6, 0.88), T: (0.85, 1.2)}  # factors; R stands for the QRS
ANGLE_SHIFTS = {P: (-0.15, 0.03), T: (-0.1, 0.15)}  # rad
HEIGHT_RANGES = np.array([(0.5, 1.6), (0.2, 1.8), (0.7, 1.3), (0.2, 1.8), (0.5, 1.5)])
SECOND_LEAD_RANGES = np.array([(0.4, 1.2), (0.0, 1.5), (0.25, 1.0), (0.5, 3.0), (-0.6, 1.2)])
NOISE_RANGE = (0.002, 0.02)  # standard deviation, mV

MEDIAN_HEART_RATE = 66 / 60  # Hz
HEART_RATE_SPREAD = 0.2  # standard deviation of its logarithm
HEART_RATE_LIMITS = (45 / 60, 105 / 60)  # Hz; an adult at rest
MAYER = (0.1, 0.01)  # Hz, slow waves of blood pressure: mean and standard deviation
BREATHING = (0.25, 0.01)  # Hz
RR_SWING = (0.01, 0.05)  # amplitude of either rhythm in the RR interval, as a share of its mean
RR_JITTER = 0.01  # standard deviation from beat to beat, as a share of the mean
WANDER_RANGE = (0.0, 0.15)  # amplitude of the baseline z0, mV


@dataclass(frozen=True, eq=False)
class Hearts:
    """What distinguishes the segments: one heart each."""

    rate: Array  # [B], mean heart rate, Hz
    angles: Array  # [B, 5], theta_i, rad; the R wave is at 0
    widths: Array  # [B, 5], b_i, rad
    pushes: Array  # [B, leads, 5], a_i

    def borders(self) -> Array:
        """Angles [B, 6] at which P, PQ, QR, RS, ST and TP begin, rad; increasing."""
        begin = self.angles - EDGE * self.widths
        end = self.angles + EDGE * self.widths
        peak = self.angles[:, R]
        waves = (begin[:, P], end[:, P], begin[:, Q], peak, end[:, S], end[:, T])
        return np.stack(waves, axis=1)


@dataclass(frozen=True, eq=False)
class Recording:
    """Simulated segments before encoding, in mV."""

    clean: Array  # [B, T, leads], without measurement noise
    noisy: Array  # [B, T, leads]
    labels: npt.NDArray[np.uint8]  # [B, T]


def generate(
    train: int = TRAIN_SEGMENTS, test: int = TEST_SEGMENTS, seed: int = 0
) -> tuple[Split, Split]:
    """Training and test split of `train` and `test` segments, every segment another heart.

    The same seed gives the same bytes with the same NumPy.
    """
    recording = simulate(train + test, np.random.default_rng(seed))
    spikes = encode(normalize(recording.noisy), THRESHOLD)
    return (
        Split(spikes[:train], recording.labels[:train]),
        Split(spikes[train:], recording.labels[train:]),
    )


def simulate(segments: int, rng: np.random.Generator) -> Recording:
    """Draw `segments` hearts and record each for `ECG.steps` steps from a random point of a beat.

    Baseline and noise differ between the leads of a segment; the angle is the same.
    """
    hearts = draw_hearts(segments, rng)
    steps = SETTLING_STEPS + ECG.steps
    seconds = ECG.step_seconds * np.arange(steps, dtype=np.float64)
    breath = _rhythm(segments, BREATHING, rng)
    theta = beat_angle(hearts.rate, seconds, breath, rng)
    wander = rng.uniform(*WANDER_RANGE, (segments, LEADS, 1))
    frequency, phase = (part[:, None] for part in breath)
    baseline = wander * np.sin(2 * np.pi * frequency * seconds + phase)[:, None] / MILLIVOLTS
    clean = MILLIVOLTS * integrate(theta, hearts, baseline)[:, SETTLING_STEPS:]
    noise = rng.uniform(*NOISE_RANGE, (segments, 1, LEADS)) * rng.standard_normal(clean.shape)
    return Recording(clean, clean + noise, label(theta, hearts)[:, SETTLING_STEPS:])


def normalize(signal: Array) -> Array:
    """Each segment and lead of [B, T, leads] with mean 0 and standard deviation 1 over T."""
    mean, deviation = signal.mean(axis=1, keepdims=True), signal.std(axis=1, keepdims=True)
    return np.asarray((signal - mean) / deviation)


def draw_hearts(segments: int, rng: np.random.Generator) -> Hearts:
    """Table 1 with the spread of the ranges above, scaled to each mean heart rate.

    With the rate h in Hz, widths and the angles of Q and S grow as ``h**0.5``, those of P and T as
    ``h**0.25``: waves get shorter at a high rate, but less than the beat does (the correction of
    the authors' program ECGSYN). A wave's height is near ``a b**2 / theta'``, so a is divided by
    the square of the width factor: width and height vary independently.
    """
    spread = HEART_RATE_SPREAD * rng.standard_normal(segments)
    rate = np.clip(MEDIAN_HEART_RATE * np.exp(spread), *HEART_RATE_LIMITS)
    factor = np.ones((segments, 5))
    for wave, (low, high) in WIDTH_RANGES.items():
        factor[:, wave] = rng.uniform(low, high, segments)
    factor[:, Q] = factor[:, S] = factor[:, R]
    angles = np.tile(WAVE_ANGLES, (segments, 1))
    angles[:, [Q, S]] *= factor[:, [Q, S]]
    for wave, (low, high) in ANGLE_SHIFTS.items():
        angles[:, wave] += rng.uniform(low, high, segments)
    low, high = HEIGHT_RANGES.T
    height = np.repeat(rng.uniform(low, high, (segments, 1, 5)), LEADS, axis=1)
    low, high = SECOND_LEAD_RANGES.T
    height[:, 1] *= rng.uniform(low, high, (segments, 5))
    return Hearts(
        rate=rate,
        angles=angles * rate[:, None] ** np.array([0.25, 0.5, 0.5, 0.5, 0.25]),
        widths=WAVE_WIDTHS * factor * rate[:, None] ** 0.5,
        pushes=WAVE_PUSHES * height / factor[:, None] ** 2,
    )


def beat_angle(
    rate: Array, seconds: Array, breath: tuple[Array, Array], rng: np.random.Generator
) -> Array:
    """Angle theta [B, T] in rad, growing by 2 pi per beat; the R wave is at multiples of 2 pi.

    rate: [B], mean heart rate, Hz. seconds: [T]. breath: frequency and phase of breathing, [B].
    A beat lasts ``1 / rate`` times one plus a breathing and a Mayer rhythm, read at the beat's
    start, plus jitter: the two peaks of the RR spectrum in the paper, as one sine each.
    """
    segments = len(rate)
    rhythms = (breath, _rhythm(segments, MAYER, rng))
    swings = rng.uniform(*RR_SWING, (len(rhythms), segments))
    start = -rng.uniform(0.0, 1.0, segments) / rate  # the recording begins within a beat
    theta = np.zeros((segments, len(seconds)))
    while start.min() < seconds[-1]:
        change = RR_JITTER * rng.standard_normal(segments)
        for (frequency, phase), swing in zip(rhythms, swings, strict=True):
            change += swing * np.sin(2 * np.pi * frequency * start + phase)
        interval = (1 + change) / rate  # s, RR of this beat
        theta += np.clip((seconds - start[:, None]) / interval[:, None], 0.0, 1.0)
        start = start + interval
    return 2 * np.pi * theta


def integrate(theta: Array, hearts: Hearts, baseline: Array) -> Array:
    """Voltage z [B, T, leads] for the angles theta [B, T] and a baseline z0 [B, leads, T].

    The decay toward z0 at 1/s is integrated exactly, the pushes by the trapezoidal rule.
    """
    push = baseline.copy()
    for wave in range(5):
        angle = hearts.angles[:, wave, None]
        distance = (theta - angle + np.pi) % (2 * np.pi) - np.pi
        bell = distance * np.exp(-0.5 * (distance / hearts.widths[:, wave, None]) ** 2)
        push -= hearts.pushes[:, :, wave, None] * bell[:, None]
    dt = ECG.step_seconds
    decay = np.exp(-dt)
    by_step = np.moveaxis(push, -1, 0)  # [T, B, leads]
    z = np.zeros_like(by_step, order="C")
    z[0] = np.moveaxis(baseline, -1, 0)[0]
    for t in range(1, len(z)):
        z[t] = decay * (z[t - 1] + 0.5 * dt * by_step[t - 1]) + 0.5 * dt * by_step[t]
    return np.moveaxis(z, 0, 1)


def label(theta: Array, hearts: Hearts) -> npt.NDArray[np.uint8]:
    """Class [B, T] of each angle theta [B, T], in the order of `ECG.classes`.

    P from its begin to its end; PQ until Q begins; QR until the R peak; RS until S ends; ST until T
    ends; TP until the next P. A wave reaches `EDGE` widths to both sides of its center.
    """
    borders = hearts.borders()
    since_p = (theta - borders[:, :1]) % (2 * np.pi)
    classes = np.zeros(theta.shape, dtype=np.uint8)
    for border in (borders - borders[:, :1])[:, 1:].T:
        classes += since_p >= border[:, None]
    return classes


def _rhythm(
    segments: int, band: tuple[float, float], rng: np.random.Generator
) -> tuple[Array, Array]:
    """Frequency in Hz and phase in rad, [B] each, of a rhythm with mean and deviation `band`."""
    return rng.normal(*band, segments), rng.uniform(0.0, 2 * np.pi, segments)
