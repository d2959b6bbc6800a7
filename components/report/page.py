"""The report as data, and the page made of it: reads its template and style sheet alone."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from components.report import PROFILES, sort_scores
from components.report.charts import Curve, loss_chart, spread_chart

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Score:
    """Mean and population standard deviation of `n` values; None where there is no value."""

    mean: float | None
    std: float | None
    n: int


@dataclass(frozen=True, kw_only=True)
class ScoreRow:
    """One line of the table of scores.

    Attributes:
      name: Of the score.
      overall: Over all cases.
      folds: One per fold, in order.
      values: One per case that has the score, 0 to 1; empty where it is no score of a case.
    """

    name: str
    overall: Score
    folds: tuple[Score, ...]
    values: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """A score, the smallest mean that the gate accepts, and the mean that was measured."""

    name: str
    bound: float
    mean: float | None

    @property
    def reached(self) -> bool:
        """Whether the measured mean is at least the bound."""
        return self.mean is not None and self.mean >= self.bound

    @property
    def decimals(self) -> int:
        """3, or as many as it takes to tell the mean from the bound: 0.7996 is not 0.800."""
        if self.mean is None or self.mean == self.bound:
            return 3
        differing = (d for d in range(3, 17) if f"{self.mean:.{d}f}" != f"{self.bound:.{d}f}")
        return next(differing, 3)


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Numbers of cases; `exclusions` is case id -> reason of those left out by the config."""

    listed: int
    scored: int
    test: int
    exclusions: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Image, truth and prediction of one case.

    Attributes:
      rank: `best`, `median` or `worst`, or several of them joined.
      case_id, fold: Of the case.
      value: Its score, 0 to 1.
      png: The file's bytes; None where it is missing.
    """

    rank: str
    case_id: str
    fold: int
    value: float
    png: bytes | None


@dataclass(frozen=True, kw_only=True)
class LabelColour:
    """A label value, its name, and its colour in the pictures (red, green, blue: 0 to 255)."""

    value: int
    name: str
    colour: tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """All that the page shows.

    Attributes:
      title: Name of the run.
      profile: `corrected` or `reference`.
      blessed, reasons: The verdict, and a sentence per threshold.
      select: The score that chooses the model.
      chosen_fold: The fold whose model is chosen.
      thresholds, scores, counts, curves: See there.
      definitions: Score -> what it measures.
      picture_metric: The score that ranks the pictures; None where no case has one.
      pictures: From best to worst.
      labels: Legend of the pictures.
      config: YAML of the whole run config.
      fingerprint: Hash of the code that wrote the page.
    """

    title: str
    profile: str
    blessed: bool
    reasons: tuple[str, ...]
    select: str
    chosen_fold: int
    thresholds: tuple[Threshold, ...]
    scores: tuple[ScoreRow, ...]
    definitions: Mapping[str, str]
    counts: Counts
    curves: tuple[Curve, ...]
    picture_metric: str | None
    pictures: tuple[Picture, ...]
    labels: tuple[LabelColour, ...]
    config: str
    fingerprint: str


def make_scores(
    result: Mapping[str, Any], values: Mapping[str, Mapping[str, float]]
) -> tuple[ScoreRow, ...]:
    """One row per score.

    Args:
      result: Content of `result.json`; a fold that lacks a score has it without value.
      values: Score -> case id -> value.
    """
    missing = {"mean": None, "std": None, "n": 0}
    return tuple(
        ScoreRow(
            name=name,
            overall=Score(**result["scores"][name]),
            folds=tuple(Score(**fold["scores"].get(name, missing)) for fold in result["folds"]),
            values=tuple(values.get(name, {}).values()),
        )
        for name in sort_scores(result["scores"])
    )


def make_thresholds(result: Mapping[str, Any]) -> tuple[Threshold, ...]:
    """The thresholds of `result.json`, each with its measured mean."""
    bounds, scores = result["thresholds"], result["scores"]
    return tuple(
        Threshold(name=name, bound=bounds[name], mean=scores.get(name, {}).get("mean"))
        for name in sort_scores(bounds)
    )


def render_page(data: ReportData) -> str:
    """The page as HTML: style, charts and pictures inside, nothing loaded from elsewhere."""
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["png_url"] = png_url
    return environment.get_template("template.html").render(
        report=data,
        style=Markup((_FOLDER / "style.css").read_text(encoding="utf-8")),
        definitions=data.definitions,
        profile_note=PROFILES.get(data.profile, ""),
        loss=loss_chart(data.curves),
        spread=spread_chart({row.name: row.values for row in data.scores}),
    )


def png_url(png: bytes) -> str:
    """A `data:` address that holds the picture itself."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
