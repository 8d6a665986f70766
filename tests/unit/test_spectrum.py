"""Where omega starts: the spectrum of the training data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from brf_lava.cli import main
from brf_lava.config.recipe import load_recipe, override, parse_recipe
from brf_lava.data.dataset import Dataset, DataSource, Split
from brf_lava.errors import DataError, RecipeError
from brf_lava.train import spectrum
from brf_lava.train.checkpoint import load_checkpoint
from brf_lava.train.spectrum import mean_periodogram, omega_range, with_spectrum

DT = 0.01
STEPS = 600
RNG = np.random.default_rng(0)


def waves(omega: float, samples: int = 5, channels: int = 2, steps: int = STEPS) -> np.ndarray:
    """8-bit sines [B, T, I] of omega rad/s, each with its own phase."""
    phase = np.random.default_rng(1).uniform(0, 2 * np.pi, (samples, 1, channels))
    time = DT * np.arange(steps)[:, None]
    return (128 + 100 * np.sin(omega * time + phase)).astype(np.uint8)


def spikes(rate: float, samples: int = 40) -> np.ndarray:
    """Spikes without rhythm [B, T, 3]."""
    return (np.random.default_rng(2).random((samples, STEPS, 3)) < rate).astype(np.int8)


def data(x: np.ndarray) -> Dataset:
    split = Split(x, np.zeros((len(x), 1), np.uint8))
    return Dataset("ecg", ("a", "b"), 0.004, split, split, DataSource("own", "waves", "f"))


def test_periodogram_is_that_of_the_definition() -> None:
    x = spikes(0.2, samples=3)[:, :51]
    expected = np.zeros(26)
    for sample in x.astype(float):
        for channel in (sample - sample.mean(axis=0)).T:
            for k in range(26):
                turn = np.exp(-2j * np.pi * k * np.arange(51) / 51)
                expected[k] += abs((turn * channel).sum()) ** 2 / len(x)
    assert mean_periodogram(x) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("omega", [6.0, 20.0, 71.0])
def test_a_rhythm_is_found_within_the_resolution(omega: float) -> None:
    low, high = omega_range(waves(omega), DT)
    resolution = 2 * np.pi / (STEPS * DT)
    assert low - resolution <= omega <= high + resolution
    assert high - low < 5 * resolution


def test_omega_counts_in_the_neurons_own_time() -> None:
    low, high = omega_range(waves(20.0), DT)
    assert omega_range(waves(20.0), DT / 10) == pytest.approx((10 * low, 10 * high), rel=0.01)


def test_two_rhythms_are_both_covered() -> None:
    slow, fast = waves(10.0), waves(40.0)
    low, high = omega_range(np.concatenate([slow, fast, fast], axis=0), DT)
    assert low < 11
    assert high > 38.5


def test_spikes_without_rhythm_give_the_middle_on_a_logarithmic_scale() -> None:
    """A flat P leaves 1 / omega, between the two ends that are left out."""
    low, high = omega_range(spikes(0.1, samples=300), DT)
    slowest, fastest = 2 * np.pi * (spectrum.PERIODS - 0.5) / (STEPS * DT), spectrum.LIMIT / DT
    ratio = fastest / slowest
    assert (low, high) == pytest.approx((slowest * ratio**0.1, slowest * ratio**0.9), rel=0.05)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(40, 300),
    st.floats(1e-4, 1.0),
    st.integers(1, 5),
    st.integers(0, 2**32 - 1),
)
def test_the_range_is_always_one_that_a_recipe_takes(
    steps: int, dt: float, channels: int, seed: int
) -> None:
    x = np.random.default_rng(seed).integers(0, 255, (3, steps, channels)).astype(np.uint8)
    low, high = omega_range(x, dt)
    slowest = 2 * np.pi * (spectrum.PERIODS - 0.5) / (steps * dt)
    assert 0.99 * slowest <= low <= high < 0.99 / dt
    recipe = override(load_recipe("ecg-brf"), [f"dt={dt!r}", f"omega=[{low!r}, {high!r}]"])
    assert recipe.neuron == parse_recipe(recipe.text, "again").neuron


def test_neither_scale_nor_order_nor_a_constant_matters() -> None:
    x = waves(15.0, samples=8)
    expected = omega_range(x, DT)
    assert omega_range(x[::-1], DT) == expected
    assert omega_range(np.concatenate([x, np.full_like(x, 9)], axis=2), DT) == expected
    bits = spikes(0.3, samples=8)
    assert omega_range(bits, DT) == omega_range(50 * bits, DT)


def test_large_data_are_looked_at_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spectrum, "SAMPLES", 3)
    x = np.concatenate([waves(15.0, samples=5), waves(60.0, samples=4)])
    assert np.array_equal(mean_periodogram(x), mean_periodogram(x[[0, 4, 8]]))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.full((3, STEPS, 2), 7, np.uint8), "the training inputs never change"),
        (waves(20.0, steps=20), "samples of 20 steps; 35 or more are needed"),
        (waves(20.0, steps=1), "samples of 1 steps; 35"),
    ],
)
def test_data_without_a_spectrum(x: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        omega_range(x, DT)
    assert "\n" not in str(error.value)


def test_the_number_of_steps_in_the_message_is_enough() -> None:
    assert omega_range(spikes(0.5)[:, :35], DT)
    with pytest.raises(DataError):
        omega_range(spikes(0.5)[:, :34], DT)


def test_the_recipe_says_what_was_chosen_and_why() -> None:
    recipe, ranges = with_spectrum(load_recipe("ecg-bhrf"), data(waves(20.0)))
    low, high = ranges["neuron.omega"]
    assert recipe.neuron == parse_recipe(recipe.text, "again").neuron
    assert f"omega = [{low}, {high}]" in recipe.text
    assert recipe.text.splitlines()[0] == (
        f"# ecg-bhrf with neuron.omega=[{low}, {high}] (from the spectrum of the training data)"
    )


def test_a_neuron_without_omega_is_refused() -> None:
    with pytest.raises(RecipeError, match="neuron ALIF has no omega to choose; RF, BRF"):
        with_spectrum(load_recipe("ecg-alif"), data(waves(20.0)))


@pytest.fixture
def own_task(tmp_path: Path) -> Path:
    """A task of one's own, with waves of 20 rad/s in it."""
    x = waves(20.0, samples=9, steps=300)
    for half in ("train", "test"):
        np.savez(tmp_path / f"{half}.npz", x=x, y=np.zeros((9, 300), np.uint8))
    lines = (
        'name = "waves"\nclasses = ["a", "b"]\ninputs = 2\nsteps = 300\nstep_seconds = 0.01\n'
        'train = "train.npz"\ntest = "test.npz"\ninput = "x"\nlabel = "y"\n'
    )
    path = tmp_path / "waves.toml"
    path.write_text(lines)
    return path


def run(own_task: Path, *arguments: str) -> tuple[int, str]:
    """Exit code, and all that was printed."""
    small = ("--epochs", "1", "--set", "validation=3", "--set", "hidden=[2]")
    out = ("--out", str(own_task.with_name("m.pt")))
    named = ("train", "--task", str(own_task))
    result = CliRunner().invoke(main, [*named, *small, *arguments, *out])
    return result.exit_code, result.output


def test_command_line(own_task: Path) -> None:
    code, output = run(own_task, "--recipe", "ecg-brf", "--init", "spectrum")
    assert code == 0, output
    recipe = load_checkpoint(own_task.with_name("m.pt")).recipe
    low, high = recipe.neuron.omega
    assert 15 < low <= high < 25
    assert f"omega   {low:g} to {high:g} rad/s, from the spectrum of the data" in output
    assert "(from the spectrum of the training data)" in recipe.text
    assert recipe.task == str(own_task)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--recipe", "ecg-brf", "--set", "omega=[3, 4]"), "--set omega does not go with it"),
        (("--recipe", "ecg-brf", "--set", " neuron.omega =[3, 4]"), "--set omega does not go"),
        (("--recipe", "ecg-alif"), "neuron ALIF has no omega to choose"),
        ((), "no recipe is shipped for a task of your own"),
        (("--resume",), "--init and --restart do not go with it"),
    ],
)
def test_command_line_refuses(own_task: Path, arguments: tuple[str, ...], message: str) -> None:
    code, output = run(own_task, "--init", "spectrum", *arguments)
    assert code == 2
    assert message in output
