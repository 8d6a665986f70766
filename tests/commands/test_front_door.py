"""What `brf_lava` offers by itself, what the README shows, and the optional dependencies."""

from __future__ import annotations

import ast
import inspect
import logging
import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import command_line
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from networks import random_network

import brf_lava
from brf_lava.cli import main
from brf_lava.data.dataset import Dataset, DataSource, Split, TaskSpec
from brf_lava.errors import BackendUnavailableError, ParameterError
from brf_lava.io.extras import require_extra
from brf_lava.network.activity import FloatActivity
from brf_lava.network.file import write_network

ROOT = Path(__file__).resolve().parents[2]


def snippets(document: str = "README.md") -> list[str]:
    """The Python blocks of a document, in order."""
    return re.findall(r"```python\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)


# The public names


def test_every_public_name_is_there() -> None:
    names = set(brf_lava.__all__) | {"Network"}
    assert dir(brf_lava) == sorted(brf_lava.__all__)
    assert names == {*brf_lava._HOMES, "__version__"}
    for name in names:
        if name == "Network":
            pytest.importorskip("lava.lib.dl.netx.hdf5")
        value = getattr(brf_lava, name)
        assert getattr(value, "__name__", name).rpartition(".")[2] == name
        assert getattr(brf_lava, name) is value
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        brf_lava.nothing  # noqa: B018


def test_names_can_be_listed_and_imported_without_lava() -> None:
    script = "import sys; sys.modules['lava'] = None; from brf_lava import *; help('brf_lava')"
    run = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, cwd=ROOT)
    for name in brf_lava.__all__:
        assert name in run.stdout.decode() or name == "__version__"


def documented() -> Iterator[Any]:
    for name in brf_lava.__all__:
        if name not in ("BrfLavaError", "block", "__version__"):
            value = getattr(brf_lava, name)
            yield pytest.param(value, value, id=name)
            if isinstance(value, type):
                for method in vars(value):
                    if not method.startswith("_") and callable(getattr(value, method)):
                        yield pytest.param(getattr(value, method), None, id=f"{name}.{method}")


@pytest.mark.parametrize(("value", "public"), documented())
def test_public_names_document_their_arguments(value: Any, public: Any) -> None:
    """Every argument has a line of its own below `Args`; what is returned is said, too."""
    text = inspect.getdoc(value) or ""
    parameters = [name for name in inspect.signature(value).parameters if name != "self"]
    described = text.partition("Args:\n")[2].partition("\n\n")[0]
    assert re.findall(r"^ {4}(\w+): ", described, re.MULTILINE) == parameters
    if public is not None:
        assert "\nRaises:\n" in text
    returned = inspect.signature(value).return_annotation
    if inspect.isfunction(value) and returned != "None" and parameters:
        assert "\nReturns:\n" in text


# Networks on arrays


@pytest.fixture
def network_file(tmp_path: Path) -> Path:
    path = tmp_path / "net.h5"
    write_network(random_network(np.random.default_rng(0), (4, 9, 3), exponent=10), path)
    return path


def samples(count: int = 5, steps: int = 20) -> Split:
    rng = np.random.default_rng(1)
    x = (rng.random((count, steps, 4)) < 0.3).astype(np.int8)
    return Split(x, rng.integers(0, 3, (count, steps)).astype(np.uint8))


def test_prediction_is_the_largest_output(
    network_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from brf_lava.run.execute import plain_run

    split = samples()
    network, _ = brf_lava.read_network(str(network_file))
    outputs = plain_run(network, split.x.transpose(1, 0, 2)).outputs
    expected = outputs.argmax(2).T
    assert len(np.unique(expected)) > 1
    for given in (network, network_file, str(network_file)):
        predicted = brf_lava.predict(given, split.x, backend="engine")
        np.testing.assert_array_equal(predicted, expected)
    here = brf_lava.run_network(network_file, split, backend="engine")
    assert here.accuracy == (expected == split.y).mean()
    assert (here.checked, here.reference) == (False, None)
    on_lava = brf_lava.run_network(network_file, split, backend="sim")
    assert on_lava.checked
    assert (on_lava.accuracy, on_lava.cost) == (here.accuracy, here.cost)
    monkeypatch.setattr("brf_lava.run.evaluate.samples_per_part", lambda *sizes: 2)
    in_parts = brf_lava.predict(network_file, split.x, backend="engine")
    np.testing.assert_array_equal(in_parts, expected)


def test_data_take_the_order_of_steps_of_the_network(tmp_path: Path) -> None:
    network = random_network(np.random.default_rng(0), (4, 9, 3), exponent=10)
    split, order = samples(), np.random.default_rng(2).permutation(20)
    source = DataSource("own", "random", "")
    data = Dataset("own", ("a", "b", "c"), 0.01, split, split, source)
    permuted = replace(network, provenance={"permutation": order.tolist()})
    there = brf_lava.run_network(permuted, data, backend="engine")
    expected = brf_lava.run_network(network, data.permuted(order).test, backend="engine")
    assert there.cost == expected.cost
    assert there.accuracy == expected.accuracy
    assert there.cost != brf_lava.run_network(network, data, backend="engine").cost
    # a file with a reference, but without a word on where that is from: nothing is compared
    float_activity = FloatActivity(np.zeros((5, 20), np.uint8), np.zeros(5, np.int64))
    write_network(network, tmp_path / "net.h5", float_activity)
    assert brf_lava.run_network(tmp_path / "net.h5", data, backend="engine").reference is None


@pytest.mark.parametrize("shape", [(20, 4), (0, 20, 4), (2, 20, 4, 1)])
def test_arrays_of_another_shape_are_refused(network_file: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(ParameterError, match=r"x: shape .*\[samples, steps, 4\]"):
        brf_lava.predict(network_file, np.zeros(shape, np.int8), backend="engine")


# Extras


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Hides a module, as if it were not installed."""

    def hide(module: str) -> None:
        parts = ("brf_lava.analysis", f"{module}.")  # whatever an earlier test has imported
        for name in [name for name in sys.modules if name.startswith(parts)]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, module, None)

    return hide


@pytest.mark.parametrize(
    ("extra", "module", "arguments"),
    [
        ("plot", "matplotlib", "plot boundary"),
        ("plot", "matplotlib", "plot raster m.pt"),
        ("plot", "matplotlib", "plot learning-curves m.jsonl"),
        ("plot", "matplotlib", "plot single-neuron"),
        ("plot", "matplotlib", "plot frequency-response"),
        ("plot", "matplotlib", "plot parameters m.pt"),
        ("plot", "matplotlib", "plot pruning m.pt"),
        ("plot", "matplotlib", "plot robustness m.pt"),
        ("plot", "matplotlib", "map NETWORK -o map.png"),
        ("records", "wfdb", "data prepare ecg --records none"),
        ("records", "wfdb", "classify NETWORK record --backend engine"),
        ("tensorboard", "tensorboard", "train --task ecg --tensorboard"),
    ],
)
def test_a_missing_extra_is_named_before_any_work(
    without: Any,
    network_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    extra: str,
    module: str,
    arguments: str,
) -> None:
    network, _ = brf_lava.read_network(network_file)
    provenance = {"task": "ecg", "data": {}, "metrics": {}}
    write_network(replace(network, provenance=provenance), network_file)
    monkeypatch.chdir(network_file.parent)
    before = sorted(os.listdir())
    without(module)
    monkeypatch.setattr("brf_lava.tasks.registry.find_task", None)  # no data are looked for
    named = arguments.replace("NETWORK", network_file.name).split()
    done = CliRunner().invoke(main, named, prog_name="brf-lava")
    assert done.exit_code == 3, done.output
    assert done.stderr.splitlines() == [
        f"Error: {module}: not installed. Install the extra: pip install 'brf-lava[{extra}]', or "
        f"in a checkout: pip install -e '.[{extra}]'."
    ]
    assert sorted(os.listdir()) == before


def test_the_three_commands_need_no_extra(
    without: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("rhythms.toml", "rhythms-brf.toml"):
        shutil.copy(ROOT / "examples" / "own_task" / name, tmp_path)
    rng = np.random.default_rng(0)
    for half in ("train", "test"):
        x, y = rng.random((12, 200, 2)) < 0.1, rng.integers(0, 2, 12)
        np.savez(tmp_path / f"{half}.npz", x=x, y=y)
    monkeypatch.chdir(tmp_path)
    for module in ("matplotlib", "wfdb", "pandas", "aiohttp", "tensorboard"):
        without(module)
    for command in (["map"], ["plot"], ["plot", "raster"]):
        assert CliRunner().invoke(main, [*command, "--help"]).exit_code == 0
    changes = [f"--set={change}" for change in ("epochs=1", "hidden=[4]", "validation=4")]
    for arguments in (
        ["train", "--recipe", "rhythms-brf.toml", *changes],
        ["export", "model.pt", "net.h5"],
        ["run", "net.h5", "--backend", "engine"],
    ):
        done = CliRunner().invoke(main, arguments, prog_name="brf-lava")
        assert done.exit_code == 0, done.output


def test_what_is_installed_passes() -> None:
    require_extra("plot", "json", "re")
    with pytest.raises(BackendUnavailableError, match=r"^nothing_here, nor_here: not installed"):
        require_extra("plot", "json", "nothing_here", "nor_here")


def test_extras_are_those_of_the_project() -> None:
    """Each extra that the code names is in pyproject.toml, and nothing of it in the base."""
    tomllib = pytest.importorskip("tomllib")  # since Python 3.11
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    named: set[str] = set()
    for path in (ROOT / "brf_lava").rglob("*.py"):
        named |= set(re.findall(r'require_extra\("(\w+)"', path.read_text()))
    assert named == set(extras) - {"all", "dev", "docs"}
    anywhere = sorted(named - {"cuda"})  # which is large, and of use with a card alone
    assert extras["all"] == [f"brf-lava[{','.join(anywhere)}]"]
    assert "brf-lava[all,cuda]" in extras["dev"]
    base = {re.split(r"\W", line)[0] for line in project["dependencies"]}
    assert not base & {"matplotlib", "wfdb", "tensorboard", "pandas", "aiohttp"}


def test_tensorboard_events(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from brf_lava.train.metrics import EpochReport, Progress, events

    report = EpochReport(1, 0.1, 2.0, 0.5, 3.0, 2.5, 0.4, 3.5, True, 0.1)
    for epoch, count in ((0, 1), (1, 2), (0, 1)):  # at 0, those of another training go
        with events(Progress(), tmp_path / "model.pt", epoch) as progress:
            assert progress.on_epoch is not None
            progress.on_epoch(report)
        found = list((tmp_path / "model.tensorboard").iterdir())
        assert len(found) == count
    assert b"validation_accuracy" in found[0].read_bytes()
    train = ("train", "--task", "ecg", "--tensorboard", "--out", tmp_path / "model.pt")
    result = command_line.brf_lava(*train)
    command_line.assert_failed(
        result, 2, "model.tensorboard: of a finished training", "--overwrite"
    )


# What the README shows


def test_readme_trains_exports_and_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first block, with a smaller network and less data."""
    pytest.importorskip("lava.magma")
    block = snippets()[0]
    assert len([line for line in block.splitlines() if line]) <= 10
    split = samples(12)
    data = Dataset("ecg", tuple("abc"), 0.004, split, split, DataSource("own", "random", "0"))
    monkeypatch.setattr("brf_lava.find_task", lambda name: SimpleNamespace(load=lambda: data))
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {}
    exec(block.replace('"epochs=30"', '"epochs=2", "hidden=[5]", "validation=4"'), scope)
    result = scope["result"]
    assert result.checked
    assert result.backend == "sim"
    assert result.agreement is not None
    shown = f"{scope['model'].metrics.accuracy:.2%} in float, {result.accuracy:.2%} in integers\n"
    assert capsys.readouterr().out == shown


def test_the_block_for_slayer_spikes_and_learns() -> None:
    """The block of the tutorial as it stands, on four classes of spike patterns."""
    generator = torch.Generator().manual_seed(0)
    patterns = (torch.rand(4, 700, 100, generator=generator) < 0.01).float()
    y = torch.arange(8) % 4
    x = patterns[y] * (torch.rand(8, 700, 100, generator=generator) > 0.3)
    losses: list[float] = []
    scope: dict[str, Any] = {}

    def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for _ in range(12):
            yield x, y
            losses.append(float(scope["loss"].detach()))

    scope["batches"] = batches()
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(snippets("docs/tutorials/from-lava-dl.md")[0], scope)
    rate = float(scope["net"][0](x).detach().mean())
    assert 0.002 < rate < 0.2
    assert losses[-1] < losses[0] / 2


def test_a_block_that_stays_silent_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logging.getLogger("brf_lava"), "propagate", True)
    monkeypatch.setattr("brf_lava.nn.blocks.SILENT_CALLS", 3)
    silent = brf_lava.block.brf.Recurrent({}, 7, 12, weight_scale=0.01)
    others = (
        brf_lava.block.brf.Dense({}, 7, 12, weight_scale=1000),
        brf_lava.block.rf.Input({}, weight=1000.0, neurons=7),
        brf_lava.block.brf.Affine({}, 7, 3, weight_scale=0),  # a readout
    )

    def call(block: torch.nn.Module, times: int) -> None:
        for _ in range(times):
            block(torch.ones(2, 7, 30))

    call(silent.eval(), 4)
    call(silent.train(), 2)
    for block in others:
        call(block, 4)

    def said_here() -> list[str]:  # kernels may be compiled meanwhile, which is said, too
        return [each.message for each in caplog.records if each.name == "brf_lava.nn.blocks"]

    assert not said_here()
    call(silent, 4)
    (said,) = said_here()
    assert re.match("Notice: BRF block of 12 neurons: no spike.*weight_scale", said)


def test_links_of_the_documents_lead_somewhere() -> None:
    hooks = (ROOT / "docs" / "hooks.py").read_text()
    for document in [*ROOT.glob("*.md"), *ROOT.glob("*/*.md"), *ROOT.glob("docs/*/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text()):
            drawn = Path(target).parent.name == "pictures" and f'"{Path(target).name}"' in hooks
            if not target.startswith("http") and not drawn:  # by the site, while it is built
                assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_documents_name_what_is_there() -> None:
    """Every ``folder/file.py:name`` in them."""
    texts = [(ROOT / name).read_text() for name in ("ARCHITECTURE.md", "CONTRIBUTING.md")]
    places = {place for text in texts for place in re.findall(r"\w+/[\w/]+\.py:[\w.]*\w", text)}
    assert len(places) > 30
    for place in sorted(places):
        file, _, name = place.partition(":")
        node: Any = ast.parse((ROOT / "brf_lava" / file).read_text())
        for part in name.split("."):
            inner = [each for each in ast.walk(node) if getattr(each, "name", "") == part]
            assert inner, place
            node = inner[0]


def test_the_documents_have_the_layers() -> None:
    """ARCHITECTURE.md lists the rooms in the order of `LAYERS`."""
    from test_architecture import RANK

    table = (ROOT / "ARCHITECTURE.md").read_text().partition("| rooms | job |")[2]
    rows = table.partition("\n\n")[0].splitlines()
    listed = [re.findall(r"`(\w+)/?`", row.split("|")[1]) for row in rows if row.startswith("| `")]
    assert sorted(room for row in listed for room in row) == sorted(RANK)
    ranks = [[RANK[room] for room in row] for row in listed]
    assert ranks == sorted(ranks)


def test_the_examples_of_how_to_add_something_work(network_file: Path, tmp_path: Path) -> None:
    from brf_lava.backends import engine
    from brf_lava.data.places import DataFiles
    from brf_lava.neurons import fixed, real
    from brf_lava.run.execute import plain_run

    real_step, fixed_step, task, backend, command = snippets("CONTRIBUTING.md")
    scope: dict[str, Any] = {**vars(real), **vars(fixed), "spike": real.spike, **globals()}
    scope.update(TaskSpec=TaskSpec, DataFiles=DataFiles, plain_run=plain_run)
    scope["read_split"] = lambda file: Split(*(np.load(file)[name] for name in "xy"))
    for block in (real_step, fixed_step, task, backend, command):
        exec(block.replace("from __future__ import annotations\n", ""), scope)

    one, constants = 1 << 16, fixed.BalancedConstants(655, 1 << 14, 58982, 1 << 14, 14, 16)
    exact = real.BalancedConstants(655 / one, 1.0, 58982 / one)
    ours: Any = (0, 0, 0)
    theirs: Any = (0.0, 0.0, 0.0)
    fired = 0
    for t in range(300):
        current = (t % 40 == 0) * 2 * (1 << 14)
        ours, z = scope["soft_step_fixed"](ours, current, (-655, 6554), constants)
        theirs, expected = scope["soft_step"](theirs, current / 2**14 / exact.dt, (-1, 10.0), exact)
        assert z == expected
        fired += z
    assert 5 < fired < 100
    np.testing.assert_allclose(np.array(ours) / 2**14, theirs, atol=0.01)

    x, y = np.ones((3, 200, 2), np.int8), np.zeros((3, 1), np.uint8)
    for half in ("train", "test"):
        np.savez(tmp_path / f"rhythms_{half}.npz", x=x, y=y)
    np.testing.assert_array_equal(scope["load"](tmp_path).test.x, x)

    network, _ = brf_lava.read_network(network_file)
    inputs = np.ascontiguousarray(samples().x.transpose(1, 0, 2))
    theirs = engine.run(network, inputs)
    np.testing.assert_array_equal(
        scope["Plain"]().run(network, inputs, None).outputs, theirs.outputs
    )
    shown = CliRunner().invoke(scope["sizes"], [str(network_file)])
    assert shown.output == "4 - 9 BRF recurrent - 3 LI\n"
