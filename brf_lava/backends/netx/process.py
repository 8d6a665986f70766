"""netx's Network for files that hold our layers, alone or among those of lava-dl."""

from __future__ import annotations

from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import h5py
from lava.lib.dl.netx import hdf5
from lava.lib.dl.netx.blocks.models import AbstractPyBlockModel
from lava.lib.dl.netx.blocks.process import AbstractBlock
from lava.lib.dl.netx.utils import NetDict
from lava.magma.core.decorator import implements
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from brf_lava.backends.sim.lava_net import exact_dense, out_port, wire_layer
from brf_lava.errors import NetworkFileError, ParameterError, explained
from brf_lava.io.foreign import reading
from brf_lava.io.hdf5 import open_hdf5
from brf_lava.network.file import FORMAT, read_layer, read_network
from brf_lava.network.layers import FixedLayer
from brf_lava.proc.microcode import INPUT_MESSAGE_BITS, MESSAGE_BITS

REMEDY = "Name a file of 'brf-lava export', or one with blocks that netx knows."
OWN_MARK = "weight_exponent"  # a dataset that our layers have and netx's have not


class Dense(AbstractBlock):  # type: ignore[misc]  # lava-dl has no types
    """One layer of ours as a netx block: Lava's connections, and our neurons behind them.

    input_message_bits: of graded inputs; 0 for spikes. sparse: keep the weights in Lava's Sparse.

    Ports: inp (I,), out (N,), int8 spikes or int32 states of a readout, one step later. The
    processes behind them are `synapse`, `synapse_rec` (None without recurrent weights) and
    `neuron`, whose variables are those of `proc.neurons.process.NeuronLayer` with shape (N,).
    """

    def __init__(
        self, *, layer: FixedLayer, name: str, input_message_bits: int = 0, sparse: bool = False
    ) -> None:
        super().__init__(
            name=name,
            shape=(layer.shape[0],),
            neuron_params={},
            input_message_bits=input_message_bits,
        )
        self.output_message_bits = 0 if layer.neuron.spiking else MESSAGE_BITS
        dense = partial(exact_dense, sparse=sparse)
        self.neuron, self.synapse, self.synapse_rec = wire_layer(
            layer,
            name,
            partial(dense, message_bits=input_message_bits),
            partial(dense, message_bits=self.output_message_bits),
        )
        self.inp = InPort(shape=self.synapse.s_in.shape)
        self.out = OutPort(shape=self.shape)
        self.inp.connect(self.synapse.s_in)
        out_port(self.neuron).connect(self.out)
        self._clean()

    @property
    def block(self) -> str:
        """Its name among netx's blocks."""
        return "Dense" if self.synapse_rec is None else "RecurrentDense"


class Network(hdf5.Network):  # type: ignore[misc]
    """A network file as one Lava process, ours, lava-dl's, or with layers of both.

    ::

        net = Network("net.h5")
        source = Source(recording=x)  # [T, I]
        record = shared_array((len(x) + len(net), *net.out.shape), np.int32)
        sink = Sink(record=record)
        source.s_out.connect(net.inp)
        net.out.connect(sink.a_in)
        run_graph(sink, Loihi2SimCfg(select_tag="fixed_pt"), len(record))
        outputs = record[len(net) :]  # [T, C], those of the integer engine

    `Source` and `Sink` are in `brf_lava.proc`, `shared_array` and `run_graph` in
    `brf_lava.backends.sim.launch`; Lava's own sources and sinks and ``net.run(...)`` work as well.

    Every layer delays by one step, as dense connections do on Loihi: what the engine computes in
    step t leaves layer l, counted from 1, in step t + l. With the models tagged fixed_pt all spikes
    and outputs are those of the engine in every integer. The `out` of a readout of ours carries its
    states.

    Args:
        net_config: A file that `brf-lava export` wrote, or one whose groups ``layer/0``,
            ``layer/1``, ... were written by ``export_hdf5`` of lava-dl's blocks and of ours.
        input_message_bits: Bits of graded inputs; 0 for spikes; None for what a file of
            `brf-lava export` says, else 0.
        reset_interval: For networks without a layer of ours. This and the rest are netx's.

    Raises:
        NetworkFileError: If the file is damaged or holds an unknown entry.
        ParameterError: If an argument does not fit the file.
    """

    input_message_bits: int | None
    net_config: NetDict
    _runtime = None  # which Lava asks for even in the end of what was refused

    def __init__(
        self,
        net_config: str | PathLike[str],
        num_layers: int | None = None,
        skip_layers: int = 0,
        input_message_bits: int | None = None,
        input_shape: tuple[int, ...] | None = None,
        reset_interval: int | None = None,
        reset_offset: int = 0,
        spike_exp: int = 6,
        sparse_fc_layer: bool = False,
    ) -> None:
        if not isinstance(net_config, str | PathLike):
            raise NetworkFileError(f"{net_config}: the name of a network file is needed. {REMEDY}")
        path = Path(net_config)
        with reading(path, "a network", NetworkFileError, REMEDY), open_hdf5(path):
            pass  # netx itself looks at nothing
        with explained(NetworkFileError, f"{path}: netx cannot build this network", REMEDY):
            super().__init__(
                str(path),
                num_layers,
                skip_layers,
                input_message_bits,
                input_shape,
                reset_interval,
                reset_offset,
                spike_exp,
                sparse_fc_layer,
            )

    def _create(self) -> list[Any]:
        """The blocks, connected. netx calls it once, with all arguments in place."""
        path = Path(self.filename)
        self.net_config.f.close()
        # Lava keeps every process until the interpreter ends. Were the file held open, no one could
        # write it again; an image in memory can be left open to the end, a BytesIO crashes there.
        file = h5py.File(h5py.h5f.open_file_image(path.read_bytes()))
        self.net_config = NetDict(f=file)
        graded = False
        if file.attrs.get("format") in (FORMAT, FORMAT.encode()):
            network, _ = read_network(path)
            graded = network.input_range != (0, 1)
            if graded and self.input_message_bits == 0:
                raise ParameterError(
                    f"input_message_bits: 0, which is for spikes; {path} takes inputs from "
                    f"{network.input_range[0]} to {network.input_range[1]}. Leave it out."
                )
        if self.input_message_bits is None:
            self.input_message_bits = INPUT_MESSAGE_BITS if graded else 0
        layers: list[Any] = super()._create()
        if not layers:
            raise ParameterError(
                f"num_layers: {self.num_layers}, skip_layers: {self.skip_layers}; no block of the "
                f"{len(file['layer'])} layers in {path}, layer/0 included, is left. Keep one."
            )
        return layers

    def create_dense(
        self, layer_config: Any, input_message_bits: int = 0, **arguments: Any
    ) -> tuple[Any, str]:
        """A layer's block and its line in the table; netx's own for layers that are not ours."""
        handle = layer_config.f
        if OWN_MARK not in handle:
            return hdf5.Network.create_dense(  # type: ignore[no-any-return]
                layer_config, input_message_bits=input_message_bits, **arguments
            )
        where = handle.name.strip("/")
        if arguments.get("reset_interval") is not None:
            raise ParameterError(
                f"reset_interval: {arguments['reset_interval']}; {where} is a layer of brf_lava, "
                "which has no reset while it runs. Leave it out and build a Network for each run."
            )
        path = Path(self.filename)
        with reading(path, f"right in {where}", NetworkFileError, REMEDY):
            layer = read_layer(handle, path)
        block = Dense(
            layer=layer,
            name=where.replace("/", " "),
            input_message_bits=input_message_bits,
            sparse=bool(arguments.get("sparse_synapse")),
        )
        return block, self._table_str(type_str="Dense", width=1, height=1, channel=layer.shape[0])


# Needed where a run starts from a Network or a block; their parts do all the work.
@implements(proc=Dense, protocol=LoihiProtocol)
class DenseModel(AbstractPyBlockModel):  # type: ignore[misc]
    """The block's connections and neurons."""


@implements(proc=Network, protocol=LoihiProtocol)
class NetworkModel(AbstractPyBlockModel):  # type: ignore[misc]
    """The network's blocks."""
