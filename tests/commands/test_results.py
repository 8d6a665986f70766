"""What all commands have in common: a result for people and for programs, silence, and help."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import click
import click.testing
import numpy as np
import pytest
from command_line import ROOT, assert_documented, assert_failed, brf_lava, printed, write_task
from networks import random_network

from brf_lava.cli import main
from brf_lava.cli.command import Command
from brf_lava.network.file import write_network

STEPS = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, its export and a run of a small task."""
    folder = tmp_path_factory.mktemp("results")
    rng = np.random.default_rng(0)
    x = (rng.random((30, STEPS, 4)) < 0.3).astype(np.int8)
    write_task(folder, x=x, y=rng.integers(0, 6, 30).astype(np.uint8))
    return folder


@pytest.fixture(autouse=True)
def in_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


TRAIN = (
    *("--recipe", "smnist-brf", "--task", "toys.toml", "--epochs", 1),
    *("--set", "network.hidden=[5]", "--set", "training.validation=6", "--overwrite"),
    *("--set", "neuron.theta=0.02"),
)


def test_json_is_as_documented(folder: Path) -> None:
    """One after the other, as each needs the files of those before."""
    (model,) = assert_documented("train", *TRAIN)["models"]
    assert (model["model"], model["epochs"]) == ("model.pt", 1)
    two = assert_documented("train", *TRAIN, "--seeds", "1,2", "-o", "m.pt")["models"]
    assert [(each["model"], each["seed"]) for each in two] == [
        ("m-seed-1.pt", 1),
        ("m-seed-2.pt", 2),
    ]
    fast = ("--rounding", "nearest")
    exported = assert_documented("export", "model.pt", "net.h5", *fast)
    assert exported["network"] == "net.h5"
    tried = assert_documented("export", "model.pt", "few.h5", *fast, "--lose", 100)["trials"]
    assert tried[0]["weight_bits"] == [8, 8, 8]
    found = assert_documented("run", "net.h5", "--backend", "engine", "-o", "run.json")
    written = json.loads(Path("run.json").read_text())
    assert {key: found[key] for key in written} == written
    early = assert_documented("run", "net.h5", "--backend", "engine", "--early", "0.5,1")["early"]
    assert len(early) == 3
    swept = assert_documented("sweep-bits", "model.pt", *fast)
    assert len(swept["trials"]) == 12
    assert assert_documented("map", "net.h5")["fits"]
    assert assert_documented("estimate", "run.json", "--measure", "net.h5")["measurements"]
    assert assert_documented("audit", "model.pt", "net.h5")["summary"]
    assert assert_documented("info", "net.h5")["about"]["kind"]
    assert assert_documented("compare", "model.pt", "net.h5")["differences"]
    assert assert_documented("report", "run.json")["bytes"] > 1000
    assert assert_documented("verify", "net.h5", "--backend", "engine")["equal"]
    assert assert_documented("doctor")["findings"]
    assert len(assert_documented("loihi2 program", "net.h5")["layers"]) == 2
    assert assert_documented("data info", "toys.toml")["train"]["steps"] == STEPS
    assert len(assert_documented("data list")["tasks"]) == 4


def test_quiet_leaves_errors_and_nothing_else(folder: Path) -> None:
    write_network(random_network(np.random.default_rng(0), (4, 9, 3)), folder / "quiet.h5")
    for arguments in (("map", "quiet.h5"), ("verify", "quiet.h5", "--backend", "engine")):
        assert printed(*arguments)
        assert printed(*arguments, "--quiet") == ""
    assert_failed(brf_lava("map", "none.h5", "-q"), 2, "none.h5")
    trained = brf_lava("train", *TRAIN, "-o", "silent.pt", "-q")
    assert (trained.exit_code, trained.output) == (0, "")
    assert (folder / "silent.pt").exists()


def test_the_verdict_comes_in_ten_lines(folder: Path) -> None:
    write_network(random_network(np.random.default_rng(0), (4, 9, 3)), folder / "verdict.h5")
    for arguments in (("map", "verdict.h5"), ("doctor",)):
        short, whole = printed(*arguments), printed(*arguments, "--all")
        assert len(short.splitlines()) <= 10
        assert max(map(len, short.splitlines())) <= 85
        assert short.splitlines()[:-1] == whole.splitlines()[: short.count("\n") - 1]
        assert "--all" in short.splitlines()[-1]
        assert "--all" not in whole.splitlines()[-1]


def commands(group: click.Group = main, path: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, each in group.commands.items():
        inner = isinstance(each, click.Group)
        yield from commands(each, f"{path}{name} ") if inner else [(f"{path}{name}", each)]


@pytest.mark.parametrize("name", [name for name, _ in commands()])
def test_every_help_has_examples_that_are_understood(name: str) -> None:
    """Every option in an example is one of the command, and the common options come last."""
    text = printed(*name.split(), "--help")
    examples = re.findall(r"^    .*brf-lava (.+)$", text.partition("Example")[2], re.MULTILINE)
    assert examples
    known = dict(commands())
    for example in " && ".join(examples).replace("&& brf-lava ", "&& ").split(" && "):
        called = next(each for each in sorted(known, reverse=True) if example.startswith(each))
        options = {o for p in known[called].params for o in (*p.opts, *p.secondary_opts)}
        for option in re.findall(r"(?<=\s)--?[a-z][\w-]*", example.partition(" > ")[0]):
            assert option in options, f"{example}: {called} has no {option}"
    assert isinstance(known[name], Command)
    common = text.partition("Options of all commands:\n")[2]
    assert "--quiet" in common
    assert "--help" in common
    assert "\n\n" not in common


def test_outputs_are_named_alike() -> None:
    for name, command in commands():
        for option in command.params:
            if "--out" in option.opts or "-o" in option.opts:
                assert set(option.opts) == {"-o", "--out"}, name


def test_the_main_commands_come_first() -> None:
    text = printed("--help")
    listed = re.findall(r"^  ([a-z][\w-]*)  ", text.partition("commands:\n")[2], re.MULTILINE)
    assert listed[:3] == ["train", "export", "run"]
    assert set(listed) == set(main.commands)
    assert len(listed) == len(main.commands)


def test_a_file_of_another_step_says_what_to_do(folder: Path) -> None:
    """A model where a network belongs, and the other way round."""
    printed("train", *TRAIN, "-o", "a.pt")
    printed("export", "a.pt", "a.h5", "--rounding", "nearest")
    for arguments in (
        ("run", "a.pt"),
        ("map", "a.pt"),
        ("verify", "a.pt"),
        ("stream", "a.pt", "-"),
    ):
        failed = brf_lava(*arguments)
        assert_failed(failed, 2, "a.pt: looks like a model", "brf-lava export a.pt net.h5")
    for arguments in (
        ("export", "a.h5", "b.h5"),
        ("sweep-bits", "a.h5"),
        ("audit", "a.h5", "a.h5"),
    ):
        failed = brf_lava(*arguments)
        assert_failed(failed, 2, "a.h5: looks like an exported network", "brf-lava run a.h5")
    printed("run", "a.h5", "--backend", "engine", "-o", "a.json")
    failed = brf_lava("estimate", "a.h5")
    assert_failed(failed, 2, "a.h5: looks like an exported network, not a run", "--out run.json")
    assert_failed(brf_lava("estimate", "a.pt"), 2, "a.pt: looks like a model, not a run")
    for command in ("plot raster a.json", "export a.json b.h5", "map a.json"):
        failed = brf_lava(*command.split())
        assert_failed(failed, 2, "a.json: looks like a run, not ", "Name the network")


def test_a_wrong_name_comes_before_a_model_that_is_there(folder: Path) -> None:
    printed("train", *TRAIN, "-o", "there.pt")
    assert_failed(brf_lava("train", "--task", "ecgg", "-o", "there.pt"), 2, "ecg")
    failed = brf_lava("train", "--recipe", "ecg-brff", "-o", "there.pt")
    assert_failed(failed, 2, "no shipped recipe", "ecg-brf")
    assert_failed(brf_lava("train", "--task", "ecg", "-o", "there.pt"), 2, "would be replaced")


def test_a_silent_network_is_warned_about(folder: Path) -> None:
    assert "no hidden neuron spikes" not in printed("train", *TRAIN, "-o", "loud.pt")
    silent = ("--set", "training.learning_rate=1e-9", "--set", "neuron.omega=[1e-9, 1e-8]")
    output = printed("train", *TRAIN, *silent, "--set", "neuron.theta=1e6", "-o", "silent.pt")
    assert "Warning: no hidden neuron spikes" in output


def test_tensorboard_says_how_to_look(folder: Path) -> None:
    pytest.importorskip("tensorboard")
    output = printed("train", *TRAIN, "-o", "t.pt", "--tensorboard")
    assert output.count("tensorboard --logdir t.tensorboard") == 1
    assert output.index("tensorboard --logdir") < output.index("data    ")


def test_shells_can_complete() -> None:
    """With click's own mechanism, as docs/how-to/completion.md says."""
    page = (ROOT / "docs" / "how-to" / "completion.md").read_text()
    for shell in ("bash", "zsh", "fish"):
        assert f"_BRF_LAVA_COMPLETE={shell}_source" in page
        environment = {**os.environ, "_BRF_LAVA_COMPLETE": f"{shell}_source"}
        script = click.testing.CliRunner().invoke(main, [], env=environment, prog_name="brf-lava")
        assert "_BRF_LAVA_COMPLETE" in script.output
    for words, last, expected in (("tr", 1, "train"), ("run --ba", 2, "--backend")):
        typed = {"COMP_WORDS": f"brf-lava {words}", "COMP_CWORD": str(last)}
        environment = {**os.environ, "_BRF_LAVA_COMPLETE": "bash_complete", **typed}
        found = click.testing.CliRunner().invoke(main, [], env=environment, prog_name="brf-lava")
        assert f"plain,{expected}" in found.output.splitlines()
