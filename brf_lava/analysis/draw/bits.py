"""The picture of a sweep over bits: what is kept, over the memory that it takes."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from brf_lava.analysis.draw import style


def draw_trials(figure: Figure, trials: list[Any], best: list[Any], title: str) -> None:
    """Every `analysis.bits.Trial`, and a line through the best, with the bits of their weights."""
    figure.set_size_inches(8.6, 4.6)
    panel, first = figure.subplots(), trials[0]
    level = 100 * first.kept + first.points_lost
    panel.axhline(level, color=style.GRAY, linestyle="--", linewidth=1.0, label="float")
    line = [[each.memory_bits / 1e3 for each in best], [100 * each.kept for each in best]]
    panel.step(*line, where="post", color=style.GRAY, label="Pareto")
    formats = dict.fromkeys((each.state_bits[0], each.parameter_bits) for each in trials)
    for index, each in enumerate(formats):
        some = [trial for trial in trials if (trial.state_bits[0], trial.parameter_bits) == each]
        place = [trial.memory_bits / 1e3 for trial in some], [100 * trial.kept for trial in some]
        label = f"states (layer 1) {each[0]}, parameters {each[1]} fraction bits"
        panel.plot(*place, **{**style.look(index, marked=True), "linestyle": ""}, label=label)
    for trial, *at in zip(best, *line, strict=True):
        text = f"{max(trial.weight_bits)} bits a weight"
        panel.annotate(text, (at[0], at[1]), xytext=(4, -9), textcoords="offset points", fontsize=7)
    kept = "same prediction as float (%)" if first.accuracy is None else "accuracy (%)"
    panel.set(xlabel="memory of weights, coefficients and states (kbit)", ylabel=kept)
    panel.legend(loc="lower right")
    style.write_title(figure, title, style.SMALL)
