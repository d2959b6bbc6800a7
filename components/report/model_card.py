"""A model card (Mitchell et al. 2019, doi:10.1145/3287560.3287596): what the run knows of it.

What only the owner of a model can know is left open, and says so.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from beam_preprocess.case import DatasetInfo
from components.report.content import ReportData
from components.report.words import (
    DEPLOY_MODES,
    EMPTY_POLICIES,
    ONE_EMPTY,
    PROFILES,
    full_name,
    join,
    number,
)
from trainer.metrics.alike import interval_caveat
from trainer.metrics.config import level_words

_DATA_TYPES = {2: "images", 3: "volumes"}


@dataclass(frozen=True, kw_only=True)
class Item:
    """A line of a model card.

    Attributes:
      name: What it is about.
      text: What the run knows; of an open item what the owner should write.
      open: Whether only the owner can know it.
    """

    name: str
    text: str
    open: bool = False


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section of a model card."""

    title: str
    items: tuple[Item, ...]


def make_card(data: ReportData) -> list[Section]:
    """The nine sections of a model card."""
    sections = {
        "Model details": _details,
        "Intended use": _use,
        "Factors": _factors,
        "Metrics": _metrics,
        "Evaluation data": _evaluation_data,
        "Training data": _training_data,
        "Quantitative analyses": _analyses,
        "Ethical considerations": _ethics,
        "Caveats and recommendations": _caveats,
    }
    return [Section(title=title, items=tuple(make(data))) for title, make in sections.items()]


def _owner(name: str, text: str) -> Item:
    return Item(name=name, text=text, open=True)


def _manifest(data: ReportData) -> dict[str, Any]:
    """That of the first fold: the trainings of a run differ in their cases alone."""
    return next((dict(t.manifest) for t in data.trainings if t.manifest), {})


def _details(data: ReportData) -> Iterator[Item]:
    manifest = _manifest(data)
    yield Item(name="Name", text=data.texts.title)
    if model := manifest.get("model"):
        filters = ", ".join(map(str, model["filters"]))
        text = (
            f"{model['rank']}D UNet of {len(model['filters'])} levels ({filters} filters),"
            f" {model['norm']} normalisation, {model['activation']},"
            f" {model['in_channels']} channels in, {model['classes']} out."
        )
        yield Item(name="Network", text=text)
    deploy = data.result.deploy
    select = full_name(deploy.select, rank=data.info.rank)
    words = DEPLOY_MODES.get(deploy.mode, deploy.mode).format(select=select)
    folds = f" Folds in it: {join(map(str, deploy.folds))}." if deploy.folds else ""
    yield Item(name="What is deployed", text=words + folds)
    if manifest:
        yield Item(name="Date", text=f"Training began {manifest['started']}.")
        code = manifest["code"]
        revision = f", revision {code['revision'][:12]}" if "revision" in code else ""
        changed = " with changes that are in no revision" if code.get("dirty") else ""
        yield Item(name="Code", text=f"unet-tfx {code['version']}{revision}{changed}.")
        versions = ", ".join(f"{k} {v}" for k, v in manifest["versions"].items() if v)
        yield Item(name="Versions", text=f"{versions}.")
    yield _owner("Developed by, contact", "person or organisation that answers for this model")
    yield _owner("Licence", "terms under which the model may be used")


def _inputs(info: DatasetInfo) -> str:
    """`volumes with the channels t1 and t2; the labels 1 (a) and 2 (b)`."""
    channels = "channel" if len(info.channels) == 1 else "channels"
    labels = join(f"{value} ({name})" for value, name in info.label_names.items())
    noun = "label" if len(info.label_names) == 1 else "labels"
    return (
        f"{_DATA_TYPES[info.rank]} with the {channels} {join(info.channels)}; it gives the {noun}"
        f" {labels}"
    )


def _use(data: ReportData) -> Iterator[Item]:
    info = data.info
    yield Item(name="Input and output", text=f"It takes {_inputs(info)}.")
    yield _owner("Primary intended uses", "task, setting and users that the model is meant for")
    text = f"Data unlike those of dataset {info.name}: other channels, other kinds of objects."
    yield Item(name="Outside of what was tested", text=text)
    yield _owner("Uses out of scope", "what the model must not be used for")


def _factors(data: ReportData) -> Iterator[Item]:
    for column, values in data.result.slices.items():
        counts = ", ".join(f"{value} ({scores.n:,} cases)" for value, scores in values.items())
        yield Item(name=f"Scored by {column}", text=f"{counts}.")
    if not data.result.slices:
        yield Item(name="Groups", text="No part of the cohort was scored on its own.")
    yield _owner(
        "Groups, instruments, sites",
        "people or objects, scanners or cameras, and sites in the data, and those that are missing",
    )


def _metrics(data: ReportData) -> Iterator[Item]:
    gate, select = data.result.gate, full_name(data.result.deploy.select, rank=data.info.rank)
    yield Item(
        name="Scores",
        text=f"The model is chosen by {select}. The definitions are under Scores.",
    )
    yield Item(name="Empty cases", text=f"{EMPTY_POLICIES[data.evaluation.empty]} {ONE_EMPTY}")
    level = level_words(data.evaluation.statistics.level)
    text = (
        f"{level} intervals of means over cases, by {data.evaluation.statistics.resamples:,}"
        f" draws of the bootstrap (percentiles). {interval_note(data)}"
    ).strip()
    yield Item(name="Uncertainty", text=text)
    rules = " ".join(rule.sentence for rule in gate.rules) or "None is set."
    yield Item(name="Rules of the gate", text=rules)
    yield _owner("Why these", "why these scores and bounds fit the intended use")


def interval_note(data: ReportData) -> str:
    """That intervals are too narrow, where patients have several scored cases; else empty."""
    groups = {s["case_id"]: s["group"] for s in data.data.statistics}
    return interval_caveat(groups, (case.case_id for fold in data.folds for case in fold))


def _evaluation_data(data: ReportData) -> Iterator[Item]:
    counts = data.result.counts
    yield Item(
        name="Cases",
        text=f"{counts.scored:,} cases of dataset {data.info.name} in {len(data.folds)} folds. Each"
        " was scored once, by the model that had no case of its fold, and of its patients, in"
        " training.",
    )
    held_out = f"{counts.test:,} cases are held out as split test."
    if counts.test:
        yield Item(name="Held-out test cases", text=held_out)
    yield _owner(
        "Where they come from", "who collected the cases, where and when; who labelled them"
    )


def _training_data(data: ReportData) -> Iterator[Item]:
    groups = {s["group"] for s in data.data.statistics}
    counts = data.result.counts
    text = (
        f"{counts.listed:,} cases were listed, of {len(groups):,} patients or objects;"
        f" {counts.excluded:,} left out by the config."
    )
    yield Item(name="Cohort", text=text)
    yield Item(
        name="Preprocessing",
        text=f"Profile {data.texts.profile}. {PROFILES.get(data.texts.profile, '')}".strip(),
    )
    if trainer := _manifest(data).get("trainer"):
        text = (
            f"{trainer['samples']:,} crops of {' x '.join(map(str, trainer['crop']))}, batches of"
            f" {trainer['batch_size']}, {trainer['precision']}, seed {trainer['seed']}."
        )
        yield Item(name="Training", text=text)
    yield _owner("Consent and rights", "under which terms the data may be used for training")


def _analyses(data: ReportData) -> Iterator[Item]:
    select = data.result.deploy.select
    found = data.result.scores.find(select)
    score = select.partition("/")[2]
    if found and found.mean is not None:
        level = level_words(data.evaluation.statistics.level)
        interval = (
            f", {level} interval {number(found.low, score)} to {number(found.high, score)}"
            if found.low is not None
            else ""
        )
        text = f"mean {number(found.mean, score)}{interval}, {found.n:,} cases."
        yield Item(name=full_name(select, rank=data.info.rank), text=text)
    yield Item(name="By region, fold and slice", text="The tables under Scores.")


def _ethics(data: ReportData) -> Iterator[Item]:
    text = "This page shows pictures and ids of cases. Give it only to those who may see the data."
    yield Item(name="This page", text=text)
    yield _owner("Risks and harms", "whom missed or false findings harm, and how that is avoided")
    yield _owner("Use of the data", "approval by an ethics committee, data protection")


def _caveats(data: ReportData) -> Iterator[Item]:
    for text in _limits(data):
        yield Item(name="Of this run", text=text)
    yield _owner("Recommendations", "what a user should check, and when the model is retrained")


def _limits(data: ReportData) -> Iterable[str]:
    gate, deploy = data.result.gate, data.result.deploy
    if gate.forced:
        yield "The model was pushed by force: the gate did not bless it."
    elif not gate.blessed:
        yield "The gate did not bless the model: it was not pushed."
    if deploy.mode == "best-fold":
        yield (
            "The best of several folds is chosen by the scores that are shown, so that its own are"
            " better than new cases will have; the means over all folds are the honest estimate."
        )
    elif data.result.test is None:
        yield (
            f"What is deployed ({deploy.mode}) was not scored itself: the scores are those of the"
            " models of the folds, each on cases that it had not seen."
        )
    if data.result.test is None:
        yield "There is no held-out test set: all scores are those of the cross-validation."
    else:
        yield (
            f"The model itself was scored on {data.result.test.n:,} held-out test cases; all"
            " other scores are those of the models of the folds, each on cases it had not seen."
        )
    if data.data.warnings:
        yield f"CaseGen warned of {len(data.data.warnings):,} oddities in the data."
