"""brf-lava report: its numbers, counted here in another way, and the page in a browser."""

from __future__ import annotations

import base64
import json
import re
import shutil
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import assert_failed, assert_worked, brf_lava, printed
from networks import give_commands, short_ecg

from brf_lava.analysis.scores import class_scores, confusion, errors_per_sample
from brf_lava.board.describe import LayerShape, NetworkShape
from brf_lava.board.energy import Comparison, compare_with_dense
from brf_lava.config.recipe import load_recipe, override
from brf_lava.data.dataset import Dataset, DataSource, Split, fingerprint
from brf_lava.ecg.level_cross import encode, rebuild
from brf_lava.errors import DataError
from brf_lava.inspection import page, parts
from brf_lava.inspection.subjects import find_subjects
from brf_lava.network.decision import UNLABELED, Decision
from brf_lava.network.file import read_network, write_network
from brf_lava.train.checkpoint import measured, save_checkpoint
from brf_lava.train.export import export_model
from brf_lava.train.model import Network

DATASET = short_ecg()
TITLES = (
    *("What it is", "Classes", "Over time", "SOPs per neuron", "omega and b_offset"),
    *("Learning curves", "Ranges and integer formats", "Energy", "Map", "Provenance"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with its first weights, its integers, and metrics of two epochs."""
    folder = tmp_path_factory.mktemp("report")
    recipe = override(load_recipe("ecg-brf"), ("network.hidden=[7]", "theta=0.02", "validation=3"))
    weights = Network(recipe, 4, 6, torch.Generator().manual_seed(0)).state_dict()
    history = {"seed": 0, "origin": "here", "epoch": 0, "epochs_done": 0}
    model = measured(recipe, DATASET, weights, torch.device("cpu"), **history)
    save_checkpoint(model, folder / "model.pt")
    export_model(model, DATASET, folder / "net.h5", rounding="nearest")
    names = [f"{half}_{key}" for half in ("train", "validation") for key in ("loss", "accuracy")]
    row = dict.fromkeys([*names, "train_sops", "validation_sops", "seconds"], 0.5)
    lines = [json.dumps({"epoch": epoch, **row}) for epoch in (1, 2)]
    (folder / "model.jsonl").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(autouse=True)
def data(monkeypatch: pytest.MonkeyPatch) -> None:
    give_commands(monkeypatch, DATASET)


@pytest.fixture(scope="module")
def written(folder: Path) -> Path:
    """The page about all files of the folder."""
    with pytest.MonkeyPatch.context() as patch:
        give_commands(patch, DATASET)
        printed("run", folder / "net.h5", "--backend", "engine", "--out", folder / "run.json")
        printed("report", folder, "-o", folder / "page.html")
    return folder / "page.html"


# Numbers


def test_the_confusion_matrix_is_a_count_one_by_one() -> None:
    rng = np.random.default_rng(0)
    labels, predictions = rng.integers(0, 4, (2, 5, 30)).astype(np.uint8)
    labels[0, 3:9] = UNLABELED
    decision = Decision(ignore_first=2)
    found = confusion(decision, labels.copy(), predictions, 4)
    expected = np.zeros((4, 4), int)
    wrong, of = np.zeros(5), np.zeros(5)
    for b in range(5):
        for t in range(2, 30):
            if labels[b, t] != UNLABELED:
                expected[labels[b, t], predictions[b, t]] += 1
                wrong[b] += labels[b, t] != predictions[b, t]
                of[b] += 1
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(errors_per_sample(decision, labels.copy(), predictions), wrong / of)
    one = confusion(Decision("last"), labels[:, 5:6], predictions[:, :1], 4)
    assert one.sum() == np.count_nonzero(labels[:, 5] != UNLABELED)


def test_precision_recall_and_f1_by_hand() -> None:
    scores = class_scores(np.array([[3, 1, 0], [2, 4, 0], [0, 0, 0]]))
    np.testing.assert_allclose(scores["precision"], [3 / 5, 4 / 5, np.nan])
    np.testing.assert_allclose(scores["recall"], [3 / 4, 4 / 6, np.nan])
    np.testing.assert_allclose(scores["F1"], [2 * 3 / 9, 2 * 4 / 11, np.nan])


def shape() -> NetworkShape:
    hidden = LayerShape("BRF", 36, 4, True, 8)
    return NetworkShape("ecg", (hidden, LayerShape("LI", 6, 36, False, 8)))


def at_share(share: float) -> Comparison:
    """All neurons and inputs spike in this share of 100 steps."""
    return compare_with_dense(shape(), 100, [400 * share, 3600 * share, 0.0])


def test_at_the_crossover_both_networks_need_the_same() -> None:
    found = at_share(0.2)
    assert found.share == pytest.approx(0.2)
    assert 0 < found.crossover < 0.2
    there = at_share(found.crossover)
    assert there.spiking == pytest.approx(there.dense)
    assert there.crossover == pytest.approx(found.crossover)
    assert found.proxy < found.dense < found.spiking
    assert at_share(0.0).spiking == pytest.approx(found.idle)


def test_a_signal_is_rebuilt_from_its_crossings() -> None:
    time = np.arange(1000) / 250
    beats = np.stack([np.sin(2 * np.pi * 1.5 * time), np.cos(2 * np.pi * time) ** 5], axis=1)
    spikes = encode(beats, 0.05)
    found = rebuild(spikes, 0.05)
    for lead in range(2):
        assert np.corrcoef(found[:, lead], beats[:, lead])[0, 1] > 0.9
    assert not rebuild(np.zeros_like(spikes), 0.05).any()
    assert np.isfinite(rebuild(spikes[:3], 0.05)).all()


# The page


def test_files_of_one_network_are_one_subject(folder: Path, written: Path) -> None:
    subjects = find_subjects([folder], lambda *_: DATASET, 2)
    (subject,) = subjects
    assert [path.name for path in subject.files] == ["model.pt", "net.h5", "run.json"]
    assert subject.model is not None
    assert subject.network is not None
    assert subject.network.provenance == read_network(folder / "net.h5")[0].provenance
    result = json.loads((folder / "run.json").read_text())["result"]
    assert subject.engine is not None
    assert len(subject.engine[1]) == 2
    whole = find_subjects([folder], lambda *_: DATASET, 1000)[0]
    assert whole.engine is not None
    assert whole.engine[0].accuracy == result["accuracy"]
    assert sum(layer.sum() for layer in whole.engine[2]) == pytest.approx(result["cost"]["sops"])
    twice = find_subjects([folder / "net.h5", folder / "net.h5"], lambda *_: DATASET, 3)
    assert len(twice) == 1


def test_the_page_is_one_file_that_asks_for_nothing(written: Path) -> None:
    text = written.read_text()
    assert written.stat().st_size < page.MOST_BYTES
    for title in TITLES:
        assert f"<h3>{title}</h3>" in text
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=[\"'](?!data:)", text)
    assert "@import" not in text
    assert "name a run of" not in text
    assert text.count("Left out") == 0
    result = json.loads((written.parent / "run.json").read_text())["result"]
    assert f"right in {result['accuracy']:.2%} of {len(DATASET.test.x)} samples, and an" in text
    assert f"<h1>{DATASET.task}: 4 - " in text
    (subject,) = find_subjects([written.parent], lambda *_: DATASET, 1000)
    columns, rows = parts.overview([subject])
    (floats, integers) = (dict(zip(columns, row, strict=True)) for row in rows)
    ours, theirs = (
        float(each["synaptic operations"].replace(",", "")) for each in (floats, integers)
    )
    assert subject.float_spikes is not None
    sent = sum(float(layer.sum()) for layer in subject.float_spikes)
    came = np.count_nonzero(DATASET.test.x) / len(DATASET.test.x)
    assert ours == pytest.approx(7 * (came + sent) + 6 * sent, abs=1)  # 4-7-6, recurrent
    assert theirs == pytest.approx(ours, rel=0.2)
    assert_worked(brf_lava("report", written.parent / "net.h5", "-o", written))  # replaces its own


def test_what_is_missing_is_said_where_it_is_missing(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "model.pt", tmp_path)
    out = tmp_path / "page.html"
    said = printed("report", tmp_path / "model.pt", "-o", out)
    text = out.read_text()
    assert "Left out: name the network in integers" in text
    assert "Ranges and integer formats, Energy: name the network in integers" in said
    assert "model.jsonl" in text
    printed("report", folder / "net.h5", "-o", out)
    assert "Left out: name the model, a .pt file, too." in out.read_text()


def test_without_its_data_a_network_still_has_a_page(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    out = tmp_path / "page.html"
    missing = tmp_path / "nowhere"
    printed("report", folder / "net.h5", "--data", missing, "-o", out)
    text = out.read_text()
    assert text.count("nowhere does not exist") >= 4
    assert "Fits oheogulch" in text


def test_texts_of_a_file_are_no_markup(folder: Path) -> None:
    (subject,) = find_subjects([folder / "net.h5"], lambda *_: DATASET, 2)
    subject.about = replace(subject.about, rounding="</script><b>", origin="<img src=x>")
    text, _ = page.render([subject], parts_board())
    assert "<img src=x>" not in text
    assert "</script><b>" not in text


def parts_board() -> Any:
    from brf_lava.cli.target import DEFAULT_PROFILE, board_profile

    return board_profile(DEFAULT_PROFILE)


def test_wrong_paths_are_one_line(folder: Path, tmp_path: Path) -> None:
    assert_failed(
        brf_lava("report", folder / "model.jsonl"),
        2,
        "is there. Name",
        "Name a model (.pt)",
    )
    assert_failed(brf_lava("report", tmp_path), 2, "Name a model (.pt)")
    assert_failed(brf_lava("report", tmp_path / "no.pt"), 2, "no.pt: does not exist")
    note = tmp_path / "note.html"
    note.write_text("mine")
    assert_failed(brf_lava("report", folder / "net.h5", "-o", note), 2, "would be replaced")
    assert note.read_text() == "mine"


def test_a_network_file_may_say_little_or_nonsense(folder: Path, tmp_path: Path) -> None:
    network, _ = read_network(folder / "net.h5")
    bare, out = tmp_path / "bare.h5", tmp_path / "page.html"
    write_network(replace(network, provenance={}), bare)
    printed("report", bare, "-o", out)
    assert "its provenance has no task" in out.read_text()
    assert "seed" in printed("info", bare)
    for key, value in (("metrics", 3), ("decision", {"prediction": "x"}), ("classes", "abc")):
        write_network(replace(network, provenance={**network.provenance, key: value}), bare)
        for command in (("report", bare, "-o", out), ("info", bare), ("compare", bare, bare)):
            assert_failed(brf_lava(*command), 2, "bare.h5", key)


def test_a_page_that_is_too_large_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "MOST_BYTES", 1_000_000)
    failed = brf_lava("report", folder / "net.h5", "-o", tmp_path / "page.html")
    assert_failed(failed, 2, "1 networks make", "Name fewer")
    assert not (tmp_path / "page.html").exists()


def test_signals_keep_to_the_budget(folder: Path) -> None:
    (subject,) = find_subjects([folder / "net.h5"], lambda *_: DATASET, 1000)
    predictions = subject.predictions["integers"]
    errors = errors_per_sample(subject.about.decision, subject.split.y, predictions)
    for budget, count in ((1, 1), (10**9, len(DATASET.test.x))):
        (found,) = (item for kind, item in parts.signals(subject, budget) if kind == "signals")
        assert len(found["samples"]) == count
        numbers = [sample["number"] for sample in found["samples"]]
        assert int(errors.argmax()) in numbers


def test_graded_inputs_below_zero_reach_the_page(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    split = Split(
        rng.integers(-128, 128, (5, 40, 3)).astype(np.int8),
        np.arange(5, dtype=np.uint8)[:, None] % 2,
    )
    source = DataSource("own", "noise", fingerprint(split, split))
    dataset = Dataset("noise", ("a", "b"), 0.01, split, split, source, input_scale=0.5)
    shape = ("network.hidden=[5, 4]", "network.recurrent=[true, false]", "validation=1")
    recipe = override(load_recipe("smnist-brf"), shape)
    weights = Network(recipe, 3, 2, torch.Generator().manual_seed(0), input_scale=0.5).state_dict()
    history = {"seed": 0, "origin": "here", "epoch": 0, "epochs_done": 0}
    save_checkpoint(
        measured(recipe, dataset, weights, torch.device("cpu"), **history), tmp_path / "model.pt"
    )
    (subject,) = find_subjects([tmp_path], lambda *_: dataset, 9)
    ((_, found),) = [item for item in parts.signals(subject, 10**6) if item[0] == "signals"]
    sent = np.frombuffer(zlib.decompress(base64.b64decode(found["samples"][2]["inputs"])), np.uint8)
    np.testing.assert_array_equal(sent.reshape(40, 3).astype(int) + found["low"], split.x[2])
    assert (found["raster"], found["hidden"], found["delay"]) == (False, [5, 4], 0)
    assert "<h3>Over time</h3>" in page.render([subject], parts_board())[0]


def test_a_verdict_compares_on_the_same_samples(written: Path) -> None:
    files = [written.parent / name for name in ("model.pt", "net.h5", "run.json")]
    (subject,) = find_subjects(files, lambda *_: DATASET, 2)
    subject.runs = [replace(subject.runs[0], backend="sim")]  # of more samples than the page runs
    result, found = subject.runs[0], " ".join(parts.verdict(subject, parts_board()))
    assert result.reference is not None
    assert result.samples > 2
    assert f"As trained, it is right in {result.reference.accuracy:.2%}" in found
    assert f"right in {result.accuracy:.2%} of {result.samples} samples, and answers" in found
    assert f"sends {result.cost.sops:,.1f} hidden spikes" in found
    (energy,) = (
        part for title, part in parts.parts(subject, parts_board(), 1) if title == "Energy"
    )
    dynamic = re.search("would take (.*?) uJ dynamic", found)
    assert dynamic is not None
    assert any(f": {dynamic[1]} uJ dynamic" in item for kind, item in energy if kind == "text")


def test_a_verdict_says_nothing_where_no_label_counts(folder: Path) -> None:
    test = replace(DATASET.test, y=np.full_like(DATASET.test.y, UNLABELED))
    (subject,) = find_subjects([folder / "net.h5"], lambda *_: replace(DATASET, test=test), 2)
    found = " ".join(parts.verdict(subject, parts_board()))
    assert "In integers" not in found
    assert "hidden spikes" in found


def test_several_networks_are_named(written: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    shutil.copy(written.parent / "model.pt", tmp_path / "a")
    network, _ = read_network(written.parent / "net.h5")
    write_network(replace(network, provenance={}), tmp_path / "b" / "net.h5")
    out = tmp_path / "page.html"
    said = printed("report", tmp_path, "-o", out)
    assert "2 networks, by what the files say: a/model.pt, b/net.h5." in said
    assert re.search("a/model.pt, .*: name the network in integers", said)
    text = out.read_text()
    assert f"<h1>{DATASET.task}, no task: 2 networks</h1>" in text
    assert text.count('class="verdict"') == 1  # nothing is known of the other


def test_other_data_than_those_of_the_training_are_named(folder: Path) -> None:
    other = replace(DATASET, source=replace(DATASET.source, fingerprint="0" * 64))
    (subject,) = find_subjects([folder / "net.h5"], lambda *_: other, 2)
    found = " ".join(parts.verdict(subject, parts_board()))
    assert "As trained" not in found
    assert "of 2 samples, other than the trained one was measured on." in found
    items = [item for _, part in parts.parts(subject, parts_board(), 1) for item in part]
    assert ("missing", "These are not the data of the training; name those with --data.") in items
    assert list(subject.predictions) == ["integers"]
    wide = replace(DATASET, classes=(*DATASET.classes, "more"))
    (subject,) = find_subjects([folder / "net.h5"], lambda *_: wide, 2)
    with pytest.raises(DataError, match=r"6 classes, the data .* and 7"):
        _ = subject.dataset


# In a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    driver = shutil.which("chromedriver")
    if driver is None or not any(map(shutil.which, page.BROWSERS)):
        pytest.skip("needs Chromium and its driver, chromedriver")
    options = webdriver.ChromeOptions()
    for option in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1280,1000"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield started
    started.quit()


def opened(browser: Any, path: Path) -> None:
    browser.get(path.as_uri())
    deadline = time.monotonic() + 60
    while not browser.execute_script("return document.documentElement.dataset.ready"):
        assert time.monotonic() < deadline, browser.get_log("browser")
        time.sleep(0.1)


SPIKES = "return Bokeh.documents[0].get_model_by_name('hidden1').data.x.length"
CHOSEN = "return document.querySelector('.controls select').selectedOptions[0].text"


@pytest.mark.slow
def test_the_page_draws_and_its_controls_work(browser: Any, written: Path) -> None:
    printed("report", written.parent, "-o", written)
    opened(browser, written)
    assert browser.execute_script("return document.querySelectorAll('.figure').length") >= 7
    empty = "return [...document.querySelectorAll('.figure')].filter(e => !e.offsetHeight).length"
    assert browser.execute_script(empty) == 0
    (subject,) = find_subjects([written.parent / "net.h5"], lambda *_: DATASET, 1000)
    assert subject.engine is not None
    sops = subject.engine[0].per_sample["sops"]
    assert browser.execute_script(SPIKES) == sops[0]
    browser.execute_script("document.querySelector('[data-go=next]').click()")
    assert browser.execute_script(CHOSEN).startswith("1 (")
    assert browser.execute_script(SPIKES) == sops[1]
    browser.execute_script("document.querySelector('[data-go=worst]').click()")
    errors = errors_per_sample(
        subject.about.decision, subject.split.y, subject.predictions["integers"]
    )
    assert f"({100 * errors.max():.1f} % wrong)" in browser.execute_script(CHOSEN)
    messages = [json.loads(each["message"])["message"] for each in browser.get_log("performance")]
    urls = [
        each["params"]["request"]["url"]
        for each in messages
        if each["method"] == "Network.requestWillBeSent"
    ]
    assert all(url.startswith(("file:", "data:")) for url in urls), urls
    assert not [each for each in browser.get_log("browser") if each["level"] != "INFO"]


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_screen(browser: Any, written: Path, width: int) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    opened(browser, written)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.slow
def test_the_page_is_printed(folder: Path, tmp_path: Path) -> None:
    if not any(map(shutil.which, page.BROWSERS)):
        pytest.skip("needs Chromium")
    printed("report", folder / "net.h5", "-o", tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF-")


def test_without_a_browser_there_is_no_pdf(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    failed = brf_lava("report", folder / "net.h5", "--format", "pdf", "-o", tmp_path / "a.pdf")
    assert_failed(failed, 3, "none of chromium", "print the HTML page")


def test_a_page_has_the_name_of_its_kind(folder: Path, tmp_path: Path) -> None:
    html, pdf = ("--format", "html"), ("--format", "pdf")
    for words, name in (((), "page"), (html, "a.pdf"), (pdf, "a.html"), (("-q",), "model.txt")):
        failed = brf_lava("report", folder / "net.h5", *words, "-o", tmp_path / name)
        assert_failed(failed, 2, f"{name}: the name of a", "Name it so")
    assert not list(tmp_path.iterdir())
