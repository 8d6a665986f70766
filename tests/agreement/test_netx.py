"""`brf_lava.Network`: our layers in lava-dl's netx, alone and among its own."""

from __future__ import annotations

import gc
import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from networks import SPIKING, edited, random_inputs, random_network, random_spikes
from netx_graph import run_networks
from numpy.typing import NDArray

from brf_lava.backends import engine
from brf_lava.errors import BackendUnavailableError, NetworkFileError, ParameterError
from brf_lava.network.activity import Activity
from brf_lava.network.file import read_layer, write_layer, write_network
from brf_lava.network.layers import Connection, FixedLayer, FixedNetwork
from brf_lava.neurons.families import ALIF, BRF

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20261)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "net.h5"


def load(path: Path, **arguments: Any) -> Any:
    from brf_lava import Network

    return Network(path, **arguments)


def assert_engine(layers: list[NDArray[Any]], network: FixedNetwork, x: NDArray[Any]) -> Activity:
    """layers: what each layer sent, [T, N]; x: [T, I]."""
    reference = engine.run(network, x[:, None])
    for ours, theirs in zip(layers, [*reference.spikes, reference.outputs], strict=True):
        np.testing.assert_array_equal(ours, theirs[:, 0])
    return reference


def test_missing_netx_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import brf_lava

    monkeypatch.setitem(sys.modules, "lava.lib.dl.netx.hdf5", None)
    monkeypatch.delitem(vars(brf_lava), "Network", raising=False)
    with pytest.raises(BackendUnavailableError, match=r"netx cannot be imported.*install-lava"):
        _ = brf_lava.Network


# Our own files.


@pytest.mark.parametrize(
    ("sizes", "neurons", "recurrent"),
    [
        ((4, 36, 6), BRF, True),
        ((3, 7, 9, 8, 7, 6, 4), SPIKING, (True, False, True, True, False)),
    ],
)
def test_equals_the_engine(
    rng: np.random.Generator, path: Path, sizes: Any, neurons: Any, recurrent: Any
) -> None:
    network = random_network(rng, sizes, neuron=neurons, recurrent=recurrent, exponent=11)
    write_network(network, path)
    x = random_spikes(rng, 60, 1, sizes[0], rate=0.4)[:, 0]
    net = load(path)
    assert [layer.block == "RecurrentDense" for layer in net.layers] == [
        layer.recurrent is not None for layer in network.layers
    ]
    reference = assert_engine(run_networks([net], x)[0], network, x)
    assert all(spikes.any() for spikes in reference.spikes)
    assert reference.outputs.any()


def test_graded_inputs(rng: np.random.Generator, path: Path) -> None:
    network = random_network(rng, (3, 12, 4), exponent=3, input_range=(-128, 127))
    write_network(network, path)
    x = random_inputs(rng, 60, 1, 3, np.int8)[:, 0]
    reference = assert_engine(run_networks([load(path)], x)[0], network, x)
    assert 0 < reference.spikes[0].mean() < 1


def test_matrices_of_one_sign_and_sparse_ones(rng: np.random.Generator, tmp_path: Path) -> None:
    """Where lava-dl's own choice of weight bits fails. All of them side by side."""
    base = random_network(rng, (5, 6, 3), exponent=12)
    networks, nets = [], []
    for value in (-128, 127, 0, None):
        layers = tuple(
            replace(
                layer,
                weights=_filled(layer.weights, value),
                recurrent=layer.recurrent and _filled(layer.recurrent, value or -64),
            )
            for layer in base.layers
        )
        networks.append(FixedNetwork(layers))
        write_network(networks[-1], tmp_path / f"{value}.h5")
        nets.append(load(tmp_path / f"{value}.h5", sparse_fc_layer=value is None))
    x = random_spikes(rng, 20, 1, 5, rate=0.5)[:, 0]
    spikes = [
        assert_engine(layers, network, x).spikes[0].any()
        for layers, network in zip(run_networks(nets, x), networks, strict=True)
    ]
    assert spikes == [True, True, False, True]
    assert type(nets[-1].layers[0].synapse).__name__ == "Sparse"


def _filled(connection: Connection, value: int | None) -> Connection:
    if value is None:
        return connection
    return Connection(np.full_like(connection.mantissa, value), connection.exponent)


def test_a_run_may_start_anywhere(rng: np.random.Generator, path: Path) -> None:
    network = random_network(rng, (4, 9, 3), exponent=11)
    write_network(network, path)
    x = random_spikes(rng, 20, 1, 4, rate=0.5)[:, 0]
    for root_of in (lambda net: net, lambda net: net.layers[0]):
        net = load(path)
        assert_engine(run_networks([net], x, root=root_of(net))[0], network, x)


def test_what_netx_users_know_is_there(rng: np.random.Generator, path: Path) -> None:
    network = random_network(rng, (4, 9, 7, 3), neuron=[BRF, ALIF], recurrent=[True, False])
    write_network(network, path)
    net = load(str(path))
    assert len(net) == len(net.layers) == 3
    assert net.in_layer is net.layers[0]
    assert net.out_layer is net.layers[-1]
    assert (net.inp.shape, net.out.shape) == ((4,), (3,))
    assert [layer.shape for layer in net.layers] == [(9,), (7,), (3,)]
    assert [layer.block for layer in net.layers] == ["RecurrentDense", "Dense", "Dense"]
    assert [type(layer.neuron).__name__ for layer in net.layers] == ["BRF", "ALIF", "LI"]
    assert net.layers[0].neuron.u.shape == (9,)
    assert (net.layers[0].output_message_bits, net.output_message_bits) == (0, 24)
    assert [line.split()[0].strip("|") for line in str(net).splitlines()[1:]] == ["Dense"] * 3
    first, rest = load(path, num_layers=2), load(path, skip_layers=2)
    assert (len(first), first.out.shape) == (1, (9,))
    assert (len(rest), rest.inp.shape) == (2, (9,))


@pytest.mark.slow
def test_the_file_is_let_go(rng: np.random.Generator, path: Path) -> None:
    """Lava keeps all processes to the end of the interpreter; it must get there, too."""
    write_network(random_network(rng, (4, 9, 3)), path)
    script = (
        "import h5py\nfrom brf_lava import Network\n"
        f"net = Network({str(path)!r})\nh5py.File({str(path)!r}, 'w').close()\n"
        "assert len(net.net_config['layer']) == 3\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)


def test_the_example_of_the_docstring_runs(
    rng: np.random.Generator, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lava.magma.core.run_configs import Loihi2SimCfg

    from brf_lava import Network
    from brf_lava.backends.sim.launch import run_graph, shared_array
    from brf_lava.proc.io.process import Sink, Source

    monkeypatch.chdir(path.parent)
    network = random_network(rng, (4, 9, 3), exponent=11)
    write_network(network, path)
    x = random_spikes(rng, 30, 1, 4, rate=0.4)[:, 0]
    names = {kind.__name__: kind for kind in (Network, Source, Sink, Loihi2SimCfg)}
    names |= {"shared_array": shared_array, "run_graph": run_graph, "np": np, "x": x}
    text = inspect.cleandoc(Network.__doc__ or "").split("::\n", 1)[1].split("\n\n`Source`")[0]
    exec(inspect.cleandoc(text), names)
    expected = engine.run(network, x[:, None]).outputs[:, 0]
    assert expected.any()
    np.testing.assert_array_equal(names["outputs"], expected)


def test_runs_as_lava_users_run(rng: np.random.Generator, path: Path) -> None:
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc.io.sink import RingBuffer as Receiver
    from lava.proc.io.source import RingBuffer as Sender

    network = random_network(rng, (4, 9, 3), exponent=11)
    write_network(network, path)
    x = random_spikes(rng, 12, 1, 4, rate=0.5)[:, 0]
    net = load(path)
    total = len(x) + len(net)
    sender = Sender(data=np.pad(x, ((0, len(net)), (0, 0))).T)
    receiver = Receiver(shape=net.out.shape, buffer=total)
    sender.s_out.connect(net.inp)
    net.out.connect(receiver.a_in)
    net.run(condition=RunSteps(num_steps=total), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    outputs = receiver.data.get().astype(np.int64).T
    net.stop()
    expected = engine.run(network, x[:, None]).outputs[:, 0]
    assert expected.any()
    np.testing.assert_array_equal(outputs[len(net) :], expected)


# With layers of lava-dl.


def stock_layers() -> list[Any]:
    """Blocks of SLAYER that spike: dense, recurrent, resonators with complex weights."""
    import torch
    from lava.lib.dl import slayer

    torch.manual_seed(3)
    cuba = {"threshold": 1.0, "current_decay": 0.2, "voltage_decay": 0.1}
    resonator = {"threshold": 0.5, "period": 8, "decay": 0.1}
    blocks = [
        slayer.block.cuba.Dense(cuba, 4, 6, weight_scale=2),
        slayer.block.cuba.Recurrent(cuba, 6, 5, weight_scale=2),
        slayer.block.rf_iz.Dense(resonator, 5, 3, weight_scale=2),
    ]
    for block in blocks:  # SLAYER sets some of its shapes in the first pass
        block(torch.zeros(1, block.synapse.in_channels, 2)) if hasattr(block, "synapse") else block(
            torch.zeros(1, 6, 2)
        )
    return blocks


def write_layers(path: Path, layers: list[Any]) -> None:
    """Of SLAYER and of ours, in one file as SLAYER's users write it."""
    with h5py.File(path, "w") as file:
        group = file.create_group("layer")
        for index, layer in enumerate(layers):
            handle = group.create_group(str(index))
            if isinstance(layer, FixedLayer):
                write_layer(handle, layer)
            else:
                layer.export_hdf5(handle)


def run_stock(path: Path, x: NDArray[Any]) -> list[NDArray[Any]]:
    from lava.lib.dl.netx import hdf5

    layers: list[NDArray[Any]] = run_networks([hdf5.Network(str(path))], x)[0]
    return layers


def test_stock_networks_are_what_they_were(rng: np.random.Generator, path: Path) -> None:
    from lava.lib.dl.netx import hdf5

    write_layers(path, stock_layers())
    stock, ours = hdf5.Network(net_config=str(path)), load(path)
    assert str(ours) == str(stock)
    assert [type(layer) for layer in ours.layers] == [type(layer) for layer in stock.layers]
    x = random_spikes(rng, 60, 1, 4, rate=0.5)[:, 0]
    for expected, found in zip(*run_networks([stock, ours], x), strict=True):
        np.testing.assert_array_equal(found, expected)
        assert expected.any()


def test_our_layers_after_stock_ones(rng: np.random.Generator, path: Path) -> None:
    stock = stock_layers()[:2]
    network = random_network(rng, (5, 9, 3), exponent=12)
    write_layers(path, [*stock, *network.layers])
    x = random_spikes(rng, 60, 1, 4, rate=0.5)[:, 0]
    found = run_networks([load(path)], x)[0]
    reference = assert_engine(found[2:], network, found[1].astype(np.int8))
    assert reference.spikes[0].any()
    write_layers(path, stock)
    for ours, theirs in zip(found, run_stock(path, x), strict=False):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_blocks_trained_together_run_together(path: Path) -> None:
    """A block of SLAYER's and two of ours, trained in one network, exported, and run on Lava."""
    import torch
    from lava.lib.dl import slayer

    from brf_lava.slayer import block

    torch.manual_seed(3)
    cuba = {"threshold": 1.0, "current_decay": 0.25, "voltage_decay": 0.1}
    blocks = torch.nn.ModuleList(
        [
            slayer.block.cuba.Dense(cuba, 6, 16, weight_scale=4),
            block.brf.Recurrent({"omega": (10.0, 60.0)}, 16, 12, 100, delay_shift=False),
            block.brf.Affine({"tau_mean": 20.0}, 12, 3),
        ]
    )
    generator = np.random.default_rng(3)
    labels = torch.arange(12) % 3
    x = torch.zeros(12, 6, 60)
    for sample, label in enumerate(labels.tolist()):
        x[sample] = torch.from_numpy(generator.random((6, 60)) < 0.1)
        x[sample, 2 * label : 2 * label + 2] = 1.0
    optimizer = torch.optim.Adam(blocks.parameters(), lr=0.3)
    losses = []
    for _ in range(20):
        output = x
        for each in blocks:
            output = each(output)
        loss = torch.nn.functional.cross_entropy(output.mean(dim=2), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0], losses
    write_layers(path, list(blocks))
    with h5py.File(path) as file:
        ours = FixedNetwork(tuple(read_layer(file[f"layer/{index}"], path) for index in (1, 2)))
    found = run_networks([load(path)], x[0].numpy().astype(np.int8).T)[0]
    reference = assert_engine(found[1:], ours, found[0].astype(np.int8))
    assert reference.spikes[0].any()


@pytest.mark.slow
def test_stock_layers_after_ours(rng: np.random.Generator, path: Path) -> None:
    stock = stock_layers()[1:]
    network = random_network(rng, (4, 8, 6, 1), neuron=[BRF, ALIF], exponent=13)
    write_layers(path, [*network.hidden, *stock])
    x = random_spikes(rng, 60, 1, 4, rate=0.5)[:, 0]
    found = run_networks([load(path)], x)[0]
    for ours, theirs in zip(found, engine.run(network, x[:, None]).spikes, strict=False):
        np.testing.assert_array_equal(ours, theirs[:, 0])
        assert ours.any()
    write_layers(path, stock)
    for ours, theirs in zip(found[2:], run_stock(path, found[1].astype(np.int8)), strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert ours.any()


# What is refused.


def _replaced(name: str, value: Any = None) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        file.attrs.pop("format", None)  # as if each layer had been written by its block
        del file[name]
        if value is not None:
            file[name] = value

    return edit


FAULTS: tuple[tuple[Callable[[h5py.File], None], str], ...] = (
    (lambda file: file.attrs.modify("schema", 99), "schema 99, this version reads 4"),
    (_replaced("layer"), "netx cannot build this network: KeyError"),
    (_replaced("layer/1/type"), "netx cannot build this network: KeyError"),
    (_replaced("layer/2/type", np.array([b"pool"])), "netx cannot build .*pool is not implemented"),
    (
        _replaced("layer/1/neuron/type", np.array([b"XYZ"])),
        "layer/1/neuron/type: 'XYZ'; this version knows RF, BRF",
    ),
    (_replaced("layer/1/weight_exponent"), "netx cannot build this network: KeyError"),
    (_replaced("layer/1/weight", np.ones((9, 4))), "layer/1/weight: float64 values, integers are"),
    (_replaced("layer/1/neuron/rotation", np.full(9, 2**40)), "1099511627776 is out of range"),
    (_replaced("layer/1/neuron/state_bits", 40), "layer/1/neuron/state_bits: 40 is out of range"),
    (_replaced("layer/2/weight", np.ones((3, 5), np.int8)), "netx cannot build .*Shapes.*"),
)


def assert_refused(path: Any, message: str) -> None:
    with pytest.raises(NetworkFileError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_damage_is_refused_in_one_line(
    rng: np.random.Generator, path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for edit, message in FAULTS:
        path.unlink(missing_ok=True)
        write_network(random_network(rng, (4, 9, 3)), path)
        with edited(path) as file:  # after the first time: it was let go
            edit(file)
        assert_refused(path, message)
    gc.collect()
    assert "Exception ignored" not in capfd.readouterr().err


def test_what_is_no_network_file(
    rng: np.random.Generator, path: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in (None, 3, b"net.h5", ["net.h5"]):
        assert_refused(name, "the name of a network file is needed")
    assert_refused(tmp_path, "Is a directory")
    assert_refused(path, "No such file")
    path.write_text("weights = 1\n")
    assert_refused(path, "not a network")
    path.unlink()
    write_network(random_network(rng, (4, 9, 3)), path)
    os.truncate(path, path.stat().st_size // 2)
    assert_refused(path, "not a network")
    gc.collect()
    assert "Exception ignored" not in capfd.readouterr().err


def test_arguments_that_do_not_fit(rng: np.random.Generator, path: Path) -> None:
    write_network(random_network(rng, (4, 9, 3), input_range=(-128, 127)), path)
    for arguments, message in (
        ({"reset_interval": 16}, "reset_interval: 16; layer/1 is a layer of brf_lava"),
        ({"input_message_bits": 0}, "input_message_bits: 0.*inputs from -128 to 127"),
        ({"num_layers": 1}, "num_layers: 1, skip_layers: 0; no block"),
        ({"skip_layers": 5}, "skip_layers: 5; no block"),
    ):
        with pytest.raises(ParameterError, match=message):
            load(path, **arguments)
