"""Recipes and profiles: what they hold, what they refuse, and the text they carry along."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brf_lava.config import profile as profiles
from brf_lava.config import recipe as recipes
from brf_lava.config import toml as strict_toml
from brf_lava.config.shipped import names, shipped
from brf_lava.errors import BrfLavaError, RecipeError
from brf_lava.network.decision import Decision
from brf_lava.neurons.families import NEURONS, SPIKING
from brf_lava.tasks.registry import TASKS, find_task
from brf_lava.train.model import Network

ECG = recipes.load_recipe("ecg-brf")


def assert_refused(act: Callable[..., object], *given: Any, parts: Sequence[str]) -> None:
    """One line that has all of `parts`."""
    try:
        act(*given)
    except BrfLavaError as error:
        message = str(error)
    else:
        pytest.fail(f"accepted: {given}")
    assert isinstance(message, str)
    assert "\n" not in message
    missing = [part for part in parts if part not in message]
    assert not missing, f"{missing} not in: {message}"


def edited(pattern: str, replacement: str) -> str:
    """The ECG recipe with one line changed."""
    text, count = re.subn(pattern, replacement, ECG.text, flags=re.MULTILINE)
    assert count == 1, f"{pattern} occurs {count} times"
    return text


def test_ecg_recipe_has_the_published_values() -> None:
    training = {
        "optimizer": "adam",
        "learning_rate": 0.1,
        "batch_size": 16,
        "epochs": 400,
        "loss": "nll",
        "validation": 61,
        "surrogate": "double-gaussian",
        "schedule": "linear",
        "loss_steps": "all",
        "ignore_first": 0,
        "clip_norm": 0.0,
        "truncate": 0,
        "recurrent_density": 1.0,
        "patience": 0,
        "averaging": 0.0,
        "weight_bits": 0,
    }
    neuron = {"dt": 0.01, "theta": 1.0, "gamma": 0.9, "omega": (3.0, 5.0), "b_offset": (0.1, 1.0)}
    assert recipes.published_recipe("ecg", "brf").table == {
        "task": "ecg",
        "network": {"hidden": (36,), "neuron": "BRF", "recurrent": True},
        "neuron": neuron,
        "readout": {"tau_mean": 20.0, "tau_std": 1.0, "prediction": "each-step"},
        "training": training,
    }


@pytest.mark.parametrize("name", names("training"))
def test_every_shipped_recipe_is_valid_and_sourced(name: str) -> None:
    recipe = recipes.load_recipe(name)
    assert name.removesuffix("-published") == f"{recipe.task}-{recipe.network.neuron}".lower()
    for line in recipe.text.splitlines():
        assert "=" not in line.partition("#")[0] or "#" in line, f"no source: {line}"


def test_there_is_a_recipe_for_every_task_and_published_neuron() -> None:
    neurons = ("RF", "BRF", "BHRF", "ALIF")
    expected = {f"{task}-{neuron}".lower() for task in recipes.TASKS for neuron in neurons}
    published = {f"ecg-{neuron}-published" for neuron in ("brf", "bhrf", "alif")}
    assert set(names("training")) == expected | published


@pytest.mark.parametrize(
    ("neuron", "changes"),
    [
        ("brf", ["clip_norm=100", "averaging=0.99"]),
        ("bhrf", ["clip_norm=100", "averaging=0.99"]),
        ("alif", ["clip_norm=100", "averaging=0.99", "truncate=50"]),
    ],
)
def test_the_plain_recipe_is_the_published_one_but_for_what_it_names(
    neuron: str, changes: list[str]
) -> None:
    published = recipes.published_recipe("ecg", neuron)
    assert published.name == f"ecg-{neuron}-published"
    assert recipes.load_recipe(f"ecg-{neuron}") == recipes.override(published, changes)
    assert recipes.published_recipe("shd", neuron).name == f"shd-{neuron}"


@pytest.mark.parametrize("name", names("training"))
def test_every_shipped_recipe_agrees_with_its_task_and_makes_its_network(name: str) -> None:
    """What belongs to the task is the same for each of its neurons."""
    recipe, base = recipes.load_recipe(name), recipes.recipe_for(name.partition("-")[0])
    assert recipe.readout == base.readout
    shared = ("loss_steps", "validation", "surrogate", "schedule", "recurrent_density")
    for key in shared:
        assert getattr(recipe.training, key) == getattr(base.training, key), key
    assert recipe.decision == Decision(recipe.readout.prediction, recipe.training.ignore_first)
    network = network_of(name)
    assert [(block.neuron.family.name, *block.shape) for block in network.hidden] == [
        (recipe.network.neuron, neurons) for neurons in recipe.network.hidden
    ]
    blocks = (*network.hidden, network.readout)
    assert {block.truncate for block in blocks} == {recipe.training.truncate}
    assert network.decision == recipe.decision
    if name in PARAMETERS:
        assert sum(p.numel() for p in network.parameters()) == PARAMETERS[name]


PARAMETERS = {  # Higuchi et al. 2024, table of results; ALIF networks there have biases
    "ecg-brf": 1734,
    "ecg-bhrf": 1734,
    "smnist-brf": 68_874,
    "psmnist-bhrf": 68_874,
    "shd-brf": 108_820,
}


def network_of(name: str) -> Any:
    """The untrained network of a shipped recipe."""
    recipe = recipes.load_recipe(name)
    task = find_task(recipe.task)
    return Network(recipe, task.inputs, len(task.classes))


def test_text_is_that_of_the_file_byte_for_byte() -> None:
    path = shipped("training") / "ecg-brf.toml"
    assert ECG.text.encode() == path.read_bytes()
    assert recipes.load_recipe(path) == recipes.load_recipe(str(path)) == ECG
    assert recipes.recipe_for("ecg") == recipes.recipe_for("ecg", "BRF") == ECG


def test_tasks_are_those_of_the_package() -> None:
    assert set(recipes.TASKS) == set(TASKS)


OF_RF = 'no such key where network.neuron = "RF"; leave it out. There are dt, theta, omega'
OF_ALIF = "leave it out. There are theta, beta, tau_mem_mean, tau_mem_std, tau_adp_mean"
RANGE = "allowed is a range [low, high] of numbers at least 0, low first."
BITS = "allowed is one of 0, 2, 3, 4, 5, 6, 7, 8."
HIDDEN = "allowed is a list of one or more, each a whole number, 1 or more."
REFUSED: tuple[tuple[str, str, str], ...] = (
    (r"^epochs", "epoch", "training.epoch: no such key. Did you mean training.epochs?"),
    (r"^\[training\]", "[trainig]", "trainig: no such key. Did you mean training?"),
    (r"^task", "epochs = 3\ntask", "epochs: no such key. Did you mean training.epochs?"),
    (r"^task", "qqqq = 3\ntask", "qqqq: no such key. There are task, network.hidden"),
    (r"^task", "qqqq = 3\ntask", "readout.tau_std, readout.prediction, training.optimizer"),
    (r"^task", r'"a\\nb" = 3\ntask', '"a\\nb": no such key. There are task'),
    (r"^epochs.*\n", "", "training.epochs is missing. Add it."),
    (r"^\[readout\]\n(.+\n){3}", "", "readout is missing. Add it."),
    (r"^task", "readout = 3\ntask", "Cannot overwrite"),
    (r"^epochs = \d+", "epochs = 0", "training.epochs: 0; allowed is a whole number, 1 or more."),
    (r"^epochs = \d+", "epochs = 30.0", "training.epochs: 30.0; allowed is a whole number"),
    (r"^dt = \S+", "dt = 0", "neuron.dt: 0; allowed is a number above 0."),
    (r"^dt = \S+", "dt = nan", "neuron.dt: nan; allowed is a number above 0."),
    (r"^theta = \S+", f"theta = 1{'0' * 400}", "0...; allowed is a number above 0."),
    (r"^gamma = \S+", "gamma = 1", "gamma: 1; allowed is a number at least 0 and below 1."),
    (r"^omega = \S+ \S+", "omega = [5, 3]", f"neuron.omega: [5, 3]; {RANGE}"),
    (r"^b_offset = \S+ \S+", "b_offset = [1, 0.5]", f"neuron.b_offset: [1, 0.5]; {RANGE}"),
    (r"^omega = \S+ \S+", "omega = [3, nan]", f"neuron.omega: [3, nan]; {RANGE}"),
    (r"^omega = \S+ \S+", "omega = [-1, 3]", f"neuron.omega: [-1, 3]; {RANGE}"),
    (
        r"^omega = \S+ \S+",
        "omega = [3, 100]",
        "neuron.omega: up to 100 rad/s; dt*omega must stay below 1 (dt = 0.01, so omega < 100). "
        "Lower omega or dt.",
    ),
    (r"^hidden = \S+", "hidden = []", f"network.hidden: []; {HIDDEN}"),
    (r"^hidden = \S+", "hidden = [36, 0]", f"network.hidden: [36, 0]; {HIDDEN}"),
    (r"^recurrent = \S+", "recurrent = 1", "recurrent: 1; allowed is true or false, or a list"),
    (r"^neuron = \S+", 'neuron = "LI"', 'network.neuron: "LI"; allowed is one of "RF", "BRF"'),
    (r"^surrogate = \S+", 'surrogate = "box"', 'allowed is one of "double-gaussian",'),
    (r"^optimizer = \S+", "optimizer = 1979-05-27", 'allowed is one of "adam", "radam"'),
    (r"^gamma = \S+", "gamma = ", "not valid TOML: Invalid value (at line 18"),
    (r"^averaging = .*\n", "averaging = [", "not valid TOML: Invalid value (at line 42"),
    (r"^prediction = \S+", 'prediction = "max"', 'readout.prediction: "max"; allowed is one of'),
    (r"^clip_norm = \S+", "clip_norm = -0.5", "clip_norm: -0.5; allowed is a number at least 0."),
    (r"^averaging = \S+", "averaging = 1", "averaging: 1; allowed is a number at least 0 and"),
    (r"^learning_rate = \S+", "learning_rate = 1e3", "a number above 0 and below 1000."),
    (r"^weight_bits = \S+", "weight_bits = 1", f"training.weight_bits: 1; {BITS}"),
    (
        r"^recurrent_density = \S+",
        "recurrent_density = 1.01",
        "training.recurrent_density: 1.01; allowed is a number at least 0 and at most 1.",
    ),
    (r"^task = \S+", 'task = "ecgs"', '"shd", or the path of a .toml file.'),
    (r'^neuron = "BRF"', 'neuron = "RF"', f"neuron.gamma: {OF_RF}"),
    (r'^neuron = "BRF"', 'neuron = "ALIF"', OF_ALIF),
    (r"^gamma = \S+", "beta = 1.8", 'neuron.beta: no such key where network.neuron = "BRF"'),
)


def test_refused() -> None:
    for pattern, replacement, message in REFUSED:
        source = edited(pattern, replacement)
        assert_refused(recipes.parse_recipe, source, "my.toml", parts=["my.toml: ", message])


def test_each_neuron_has_its_own_keys() -> None:
    alif = {"theta": 0.01, "beta": 1.8, "tau_mem_mean": 20.0, "tau_mem_std": 5.0}
    alif |= {"tau_adp_mean": 150.0, "tau_adp_std": 10.0}
    assert vars(recipes.load_recipe("shd-alif").neuron) == alif
    rf = recipes.load_recipe("smnist-rf").neuron
    assert type(rf) is recipes.table_of(NEURONS["RF"])
    harmonic = re.sub('"RF"', '"HRF"', recipes.load_recipe("ecg-rf").text)
    assert recipes.parse_recipe(harmonic, "hrf").network.neuron == "HRF"


def test_every_resonator_is_kept_from_the_divergence_boundary() -> None:
    for name in ("ecg-rf", "ecg-bhrf"):
        parts = ["--set: neuron.omega: up to 5 rad/s", "(dt = 0.2, so omega < 5)"]
        assert_refused(recipes.override, recipes.load_recipe(name), ["dt=0.2"], parts=parts)


DEEP = recipes.load_recipe(Path(__file__).parents[2] / "examples" / "deep.toml")
BRF_LAYER, ALIF_LAYER = DEEP.layers


def test_layers_one_by_one() -> None:
    alif = recipes.load_recipe("ecg-alif")
    assert recipes.LayerRecipe(24, "BRF", ECG.neuron, True) == BRF_LAYER
    assert recipes.LayerRecipe(12, "ALIF", alif.neuron, False) == ALIF_LAYER
    assert DEEP.neuron_names == "BRF, ALIF"
    assert recipes.parse_recipe(strict_toml.write_table(DEEP.table), "again") == DEEP


def test_layers_of_one_kind() -> None:
    recipe = recipes.override(ECG, ["hidden=[9, 8]", "recurrent=[true, false]"])
    assert recipe.layers == ((9, "BRF", ECG.neuron, True), (8, "BRF", ECG.neuron, False))
    named = recipes.override(recipe, ['network.neuron=["BRF", "BRF"]'])
    assert (named.layers, named.neuron_names) == (recipe.layers, "BRF")


BOTH = '["BRF", "ALIF"]'
OF_BOTH = 'no such key where network.neuron = ["ALIF", "BRF"]; leave it out. There are theta, beta'
LAYERS_REFUSED: tuple[tuple[str, str, str], ...] = (
    ("hidden = [24, 12]", "hidden = [24]", "network.neuron: the number of entries is 2, of hidden"),
    (
        "[true, false]",
        "[true]",
        "network.recurrent: the number of entries is 1, of hidden",
    ),
    (BOTH, '["ALIF", "BRF"]', f"neuron.1.dt: {OF_BOTH}"),
    (BOTH, '"BRF"', 'neuron.2.beta: no such key where network.neuron = "BRF"; leave it out.'),
    (BOTH, '["BRF", "LI"]', 'network.neuron: ["BRF", "LI"]; allowed is'),
    (BOTH, "[]", "network.neuron: the number of entries is 0"),
    ("[true, false]", "[true, 0]", "network.recurrent: [true, 0]; allowed is true or"),
    ("beta = 1.8", "beta = -1", "neuron.2.beta: -1; allowed is a number at least 0."),
    ("beta = 1.8", "bbeta = 1.8", "bbeta: no such key. Did you mean neuron.2.beta?"),
    ("beta = 1.8\n", "", "neuron.2.beta is missing"),
    ("[3.0, 5.0]", "[3.0, 200.0]", "neuron.1.omega: up to 200 rad/s; dt*omega must"),
    ("[3.0, 5.0]", "[3.0, 2.0]", f"neuron.1.omega: [3, 2]; {RANGE}"),
)
WITHOUT = re.sub(r"\[neuron\]\n(.+\n)+", "", ECG.text)
TWO = ECG.text.replace("[36]", "[36, 12]")
TABLES_REFUSED: tuple[tuple[str, str], ...] = (
    (TWO.replace('= "BRF"', '= ["BRF", "RF"]'), 'one table, but network.neuron = ["BRF", "RF"].'),
    (TWO.replace("[neuron]", "[[neuron]]"), "neuron: the number of [[neuron]] tables is 1"),
    (WITHOUT.replace("task", "neuron = 3\ntask", 1), "neuron: 3; allowed is a section [neuron]"),
    (WITHOUT.replace("task", "neuron = [3]\ntask", 1), "neuron: [3]; allowed is a section"),
    (WITHOUT.replace("task", "neuron = []\ntask", 1), "number of [[neuron]] tables is 0"),
    (ECG.text.replace("[readout]", "[[readout]]"), "a table with the keys tau_mean, tau_std"),
    ('task = "ecg"\nnetwork = 36\n', "network: 36; allowed is a table with the keys hidden,"),
)


def test_layers_refused() -> None:
    for old, new, message in LAYERS_REFUSED:
        assert DEEP.text.count(old) == 1
        source = DEEP.text.replace(old, new)
        assert_refused(recipes.parse_recipe, source, "my.toml", parts=["my.toml: ", message])
    for source, message in TABLES_REFUSED:
        assert_refused(recipes.parse_recipe, source, "my.toml", parts=["my.toml: ", message])


def test_override_of_one_layer() -> None:
    changed = recipes.override(DEEP, ["neuron.1.omega=[10, 40]", "neuron.2.theta=0.02"])
    first, second = changed.layers
    assert first.parameters == replace(BRF_LAYER.parameters, omega=(10.0, 40.0))
    assert second.parameters == replace(ALIF_LAYER.parameters, theta=0.02)
    assert "neuron.1.omega=[10, 40], neuron.2.theta=0.02" in changed.text.splitlines()[0]
    assert recipes.parse_recipe(changed.text, "again") == changed
    short = recipes.override(DEEP, ["omega=[10, 40]", "neuron.beta=2"])  # one layer each has them
    assert short.layers[0] == first
    assert short.layers[1].parameters == replace(ALIF_LAYER.parameters, beta=2.0)


def test_override_of_one_layer_gives_each_a_table() -> None:
    """Whatever comes first: the layers, what is for all of them, or what is for one."""
    changes = ["neuron.2.omega=[10, 40]", "hidden=[36, 12]", "gamma=0.8"]
    for order in (changes, changes[::-1]):
        changed = recipes.override(ECG, order)
        assert isinstance(ECG.neuron, recipes.table_of(NEURONS["BRF"]))
        every = replace(ECG.neuron, gamma=0.8)
        assert changed.neuron == (every, replace(every, omega=(10.0, 40.0)))
        assert recipes.parse_recipe(changed.text, "again") == changed
    equal = recipes.override(ECG, ["hidden=[36, 12]", "gamma=0.8"])
    assert recipes.override(equal, ["neuron.2.omega=[10, 40]"]) == changed


CHANGES_REFUSED: tuple[tuple[recipes.Recipe, Sequence[str], str], ...] = (
    (DEEP, ["theta=1"], "theta=1: neuron.1.theta and neuron.2.theta are meant; write one in full"),
    (DEEP, ["neuron.3.theta=1"], "layer 3; there are tables for layers 1 to 2."),
    (DEEP, ["neuron.0.theta=1"], "layer 0; there are tables for layers 1 to 2"),
    (DEEP, ["neuron.2.omega=[1, 2]"], 'omega: no such key where network.neuron = ["BRF", "ALIF"];'),
    (DEEP, ["neuron.2.thetta=1"], "neuron.2.thetta=1: no such key. Did you mean neuron.theta?"),
    (DEEP, ["neuron.2.batch_size=1"], "no such key. Did you mean training.batch_size?"),
    (ECG, ["neuron.2.omega=[1, 2]"], "layer 2; there are tables for layers 1 to 1"),
    (ECG, ["hidden=3", "neuron.1.omega=[1, 2]"], f"network.hidden: 3; {HIDDEN}"),
    (ECG, ["epoch=3"], " epoch=3: no such key. Did you mean training.epochs?"),
    (ECG, ["training={}"], "no such key"),
    (ECG, ["epochs"], " epochs: not of the form key=value, such as epochs=30."),
    (ECG, ["=3"], "key=value"),
    (ECG, ["epochs=3\nloss='nll'"], "not a TOML value"),
    (ECG, ["epochs=3 4"], "epochs=3 4: 3 4 is not a TOML value ("),
    (ECG, ["epochs=many"], 'training.epochs: "many"; allowed is a whole number, 1 or more.'),
    (ECG, ["beta=2"], 'neuron.beta: no such key where network.neuron = "BRF"; leave it out.'),
    (ECG, ["neuron=RF"], f"neuron.gamma: {OF_RF}"),
)


def test_override_refused() -> None:
    for recipe, changes, message in CHANGES_REFUSED:
        assert_refused(recipes.override, recipe, changes, parts=["--set", message])


def test_recurrent_weights_that_are_not_there_cannot_be_thinned() -> None:
    changes = ["recurrent=false", "recurrent_density=0.5"]
    parts = ["training.recurrent_density: 0.5", "no layer is recurrent", "Use 1."]
    assert_refused(recipes.override, ECG, changes, parts=parts)
    assert recipes.override(ECG, ["recurrent_density=0"]).training.recurrent_density == 0.0
    with pytest.raises(RecipeError):
        recipes.override(DEEP, ["recurrent=[false, false]", "recurrent_density=0.5"])
    assert recipes.override(DEEP, ["recurrent_density=0.5"]).layers == DEEP.layers


def test_unknown_recipe(tmp_path: Path) -> None:
    for wanted, parts in (
        ("ecg-brff", ["Did you mean ecg-brf?", "There are ecg-alif"]),
        ("zzz", ["zzz: no shipped recipe", "There are ecg-alif"]),
        ("none/here.toml", ["none/here.toml: cannot be read (No such file", "recipe: ecg-alif"]),
        ("training/ecg-brg", ["training/ecg-brg: cannot be read (No such file"]),
    ):
        assert_refused(recipes.load_recipe, wanted, parts=parts)
    parts = ["task egc: no such task. Did you mean ecg?"]
    assert_refused(recipes.recipe_for, "egc", parts=parts)
    path = tmp_path / "broken.toml"
    path.write_bytes(b'task = "\xff"')
    assert_refused(recipes.load_recipe, path, parts=[f"{path}: not a text in UTF-8 ("])


def test_override() -> None:
    changed = recipes.override(
        ECG, ["training.epochs=30", "learning_rate = 0.05", "surrogate=multi-gaussian", "epochs=31"]
    )
    assert (changed.training.epochs, changed.training.learning_rate) == (31, 0.05)
    assert changed.training.surrogate == "multi-gaussian"
    assert (ECG.training.epochs, ECG.network) == (400, changed.network)
    assert changed.text.splitlines()[0] == (
        "# ecg-brf with training.epochs=31, training.learning_rate=0.05, "
        'training.surrogate="multi-gaussian"'
    )
    assert recipes.parse_recipe(changed.text, "again") == changed


def test_override_checks_the_outcome_not_the_way_there() -> None:
    changed = recipes.override(ECG, ["omega=[3, 150]", "dt=0.001"])
    assert (changed.neuron.omega, changed.neuron.dt) == ((3.0, 150.0), 0.001)


def test_override_without_effect_keeps_the_text() -> None:
    for changes in ([], ["epochs=400"], ["omega=[3, 5.0]"]):
        assert recipes.override(ECG, changes).text == ECG.text
    own = recipes.override(ECG, ["task=own/gestures.toml"])
    assert (own.task, recipes.parse_recipe(own.text, "again")) == ("own/gestures.toml", own)


def test_override_of_a_strange_name_stays_a_comment() -> None:
    base = recipes.parse_recipe(ECG.text, 'my\n[evil]\r"file\x00.toml')
    changed = recipes.override(base, ["hidden=[36,\n 12]"])
    assert changed.network.hidden == (36, 12)
    assert recipes.parse_recipe(changed.text, "again") == changed


POSITIVE = st.floats(1e-300, 1e300)
RANGE = st.tuples(st.floats(0, 99), st.floats(0, 99)).map(sorted)


@settings(max_examples=30, deadline=None)
@given(
    hidden=st.lists(st.integers(1, 10**6), min_size=1, max_size=4),
    recurrent=st.booleans(),
    theta=POSITIVE,
    gamma=st.floats(0, 1, exclude_max=True),
    omega=RANGE,
    optimizer=st.sampled_from(["adam", "radam", "rmsprop", "sgd"]),
    learning_rate=st.floats(1e-300, 999.0),
    epochs=st.integers(1, 10**9),
)
def test_text_and_values_agree_after_any_override(**values: Any) -> None:
    changes = [f"{key}={strict_toml.to_toml(value)}" for key, value in values.items()]
    changed = recipes.override(ECG, changes)
    assert recipes.parse_recipe(changed.text, "again") == changed
    assert changed.network.hidden == tuple(values["hidden"])
    assert changed.training.learning_rate == values["learning_rate"]


@pytest.mark.parametrize("name", SPIKING)
def test_layers_of_every_neuron_survive_their_text(name: str) -> None:
    base = recipes.load_recipe(f"ecg-{'rf' if name == 'HRF' else name}".lower())
    changes = [f"network.neuron={name}", "hidden=[9, 8]", "neuron.2.theta=0.3"]
    changed = recipes.override(base, changes)
    assert changed.layers[1].parameters == replace(changed.layers[0].parameters, theta=0.3)
    assert recipes.parse_recipe(changed.text, "again") == changed


@given(st.text())
def test_any_string_survives_toml(value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        return  # half of a surrogate pair is no text
    assert strict_toml.parse_value(strict_toml.to_toml(value)) == value


@given(st.text())
def test_any_text_is_a_recipe_or_refused_in_one_line(source: str) -> None:
    assert_refused(recipes.parse_recipe, source, "my.toml", parts=["my.toml: "])


@pytest.mark.parametrize("name", names("deploy"))
def test_every_shipped_profile_is_valid_and_sourced(name: str) -> None:
    assert profiles.load_profile(name).kind == name.partition("-")[0]
    for line in (shipped("deploy") / f"{name}.toml").read_text().splitlines():
        if "=" in line.partition("#")[0] and not line.startswith(("kind", "board")):
            assert "#" in line or "source = " in line, f"no source: {line}"


def test_profiles_have_the_values_of_the_boards() -> None:
    assert profiles.load_profile("sim") == profiles.SimProfile("sim", 0, 20_000_000, 600.0)
    chips = {name: profiles.load_profile(name) for name in names("deploy") if name != "sim"}
    assert {name: getattr(profile, "chips", None) for name, profile in chips.items()} == {
        "loihi2-oheogulch": 1,
        "loihi2-kapohopoint": 8,
        "loihi2-halapoint": 1152,
    }
    for profile in chips.values():
        assert isinstance(profile, profiles.Loihi2Profile)
        names_of = ("weight_bits", "state_bits", "synapse_words", "memory_words")
        names_of += ("neurons_per_core", "groups_per_core", "cores_per_chip")
        values = [getattr(profile.limits, name).value for name in names_of]
        assert values == [8, 24, 16_000, 20_000, 4096, 8, 120]


OHEO_GULCH = (shipped("deploy") / "loihi2-oheogulch.toml").read_text()


def changed(old: str, new: str) -> str:
    """The single-chip profile with one text replaced."""
    assert OHEO_GULCH.count(old) == 1
    return OHEO_GULCH.replace(old, new)


PROFILES_REFUSED: tuple[tuple[str, str], ...] = (
    ("", 'kind: ""; allowed is one of sim, loihi2.'),
    ('kind = "gpu"', 'kind: "gpu"; allowed is one of sim, loihi2.'),
    ('kind = "sim"\nchips = 1', "chips: no such key"),
    ('kind = "sim"\nbatch = -1', "batch: -1; allowed is a whole number, 0 or more."),
    ('kind = "sim"\nbatch = 1', "check_limit is missing. Add it."),
    ('kind = "loihi2"\nboard = ""', 'board: ""; allowed is a string that is not empty.'),
    (changed('"oheogulch",', "1,"), '"oheogulch_20m"]; allowed is a list, each a string.'),
    (changed('generation = "N3B3"', 'generation = "N9"'), 'generation: "N9"; allowed is one of'),
    (
        changed("weight_bits = { value = 8", "weight_bits = { value = 9"),
        "limits.weight_bits.value: 9; allowed is a whole number, 1 to 8.",
    ),
    (
        changed("axon_words = { value = 1,", "axon_words = { value = -1,"),
        "packing.axon_words.value: -1; allowed is a whole number, 0 to 2147483647.",
    ),
    (
        changed('state_bits = { value = 24, certainty = "published"', "state_bits = { value = 24"),
        "limits.state_bits.certainty is missing",
    ),
    (changed("[packing]", "[packs]"), "packs: no such key"),
)


def test_profile_refused() -> None:
    for source, message in PROFILES_REFUSED:
        assert_refused(profiles.parse_profile, source, "my.toml", parts=["my.toml: ", message])
