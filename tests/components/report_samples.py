"""A small finished cross-validation, made by hand: scores, artifacts, and a report of it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from beam_preprocess.case import Case, CaseFiles
from beam_preprocess.config_io import to_json
from beam_preprocess.datasets.brats import BRATS
from components.report.content import Texts
from components.report.lineage import ArtifactFact, ExecutionFact, Lineage
from components.report.read import Folders
from trainer.config import EvaluationConfig
from trainer.metrics.case_scores import CaseScores, cases_to_json
from trainer.metrics.cohort_scores import (
    CohortScores,
    cohort_to_dict,
    fold_thresholds,
    score_cohort,
    score_slices,
)
from trainer.metrics.config import StatisticsConfig
from trainer.metrics.region_scores import RegionScores
from trainer.overlap import Overlap

STATISTICS = StatisticsConfig(resamples=50)
EVALUATION = EvaluationConfig(statistics=STATISTICS)
TEXTS = Texts(
    title="tiny run",
    config="name: tiny\nroot: </pre><b>",
    evaluation=to_json(EVALUATION),
    profile="corrected",
    fingerprint="abc123",
)
DICE = {"a": 0.95, "b": 0.85, "c": 0.75, "d": 0.65}
"""Dice of WT of four cases; the first two are in fold 0."""
SHAPE = (7, 6, 5)


def make_case(case_id: str, dice: float, **changes: Any) -> CaseScores:
    """A case with dice and HD95 of WT and ET; ET is empty in truth and prediction."""
    counts = Overlap(intersection=round(dice * 100), truth=100, prediction=100)
    empty = Overlap(intersection=0, truth=0, prediction=0)
    case = CaseScores(
        case_id=case_id,
        columns={"stratum": "HGG" if case_id < "c" else "LGG"},
        regions={
            "WT": RegionScores(counts=counts, values={"dice": dice, "hd95": 10 * (1 - dice)}),
            "ET": RegionScores(counts=empty, values={"dice": 1.0, "hd95": float("nan")}),
        },
    )
    return replace(case, **changes)


def make_folds(dice: dict[str, float] = DICE) -> list[list[CaseScores]]:
    """Two folds of equal size."""
    cases = [make_case(case_id, value) for case_id, value in dice.items()]
    half = len(cases) // 2
    return [cases[:half], cases[half:]]


def sum_up(folds: list[list[CaseScores]]) -> CohortScores:
    """All scores over the cases, images at the thresholds that the other folds choose."""
    thresholds = fold_thresholds(folds, default=0.5)
    return score_cohort(folds, STATISTICS, thresholds=thresholds)


def make_result(folds: list[list[CaseScores]] | None = None, **gate: Any) -> dict[str, Any]:
    """A `result.json`: one rule that holds, the model of fold 0."""
    folds = folds or make_folds()
    scores = sum_up(folds)
    slices = score_slices(folds, ["stratum"], STATISTICS, thresholds=[0.5] * len(folds))
    mean = scores.find("WT/dice").mean
    sentence = f"WT/dice: mean {mean:.4f} of 4 cases reaches the bound 0.7500."
    rule = {"score": "WT/dice", "slice": "", "of": "mean", "bound": 0.75, "value": mean}
    rule |= {"n": 4, "passed": True, "sentence": sentence}
    verdict = {"blessed": True, "forced": False, "reasons": [sentence], "rules": [rule]}
    result = {
        "test": None,
        "folds": [
            {"fold": i, "n": len(f), "scores": cohort_to_dict(sum_up([f]))}
            for i, f in enumerate(folds)
        ],
        "scores": cohort_to_dict(scores),
        "slices": {
            column: {value: cohort_to_dict(part) for value, part in values.items()}
            for column, values in slices.items()
        },
        "cases": {
            **{"listed": 6, "scored": 4, "excluded": 1, "test": 1},
            "exclusions": {"case-x": "no T1 <file>"},
        },
        "gate": verdict | {"baseline": None} | gate,
        "deploy": {"mode": "best-fold", "select": "WT/dice", "folds": [0], "best_fold": 0},
    }
    return json.loads(json.dumps(result))


def make_scan(case_id: str) -> tuple[Case, np.ndarray]:
    """A scan whose voxels all differ along z, and a prediction that misses half of the truth."""
    image = np.zeros((*SHAPE, 4), np.int16)
    image[1:, 1:] = 100 + 40 * np.arange(SHAPE[2])[:, None]
    label = np.zeros(SHAPE, np.uint8)
    label[2:5, 2:5, 1:4] = 2
    label[3, 3, 2] = 4
    prediction = label.copy()
    prediction[2] = 0
    prediction[5, 2, 2] = 1
    files = CaseFiles(case_id=case_id, group=f"p-{case_id}", stratum="HGG", images=(), label=None)
    affine = np.diag([-1.0, -1.0, 2.0, 1.0])
    case = Case(
        files=files, image=image, label=label, affine=affine, spacing=(1.0, 1.0, 2.0), sources={}
    )
    return case, prediction


def write_artifacts(
    root: Path, folds: list[list[CaseScores]] | None = None, result: dict[str, Any] | None = None
) -> Folders:
    """The folders that a report reads, with records, predictions, and a history of fold 0."""
    from beam_preprocess.nifti import write_nifti
    from beam_preprocess.record_files import RecordWriter
    from beam_preprocess.records import encode_raw
    from beam_preprocess.statistics import case_statistics

    folds = folds or make_folds()
    names = ("validation/evaluation/3", "cases/examples/1")
    validation, examples = (root / name for name in names)
    evaluations = [root / f"Evaluator-fold-{i}/evaluation/{7 + i}" for i in range(len(folds))]
    runs = [root / f"Trainer-fold-{i}/model_run/{5 + i}" for i in range(len(folds))]
    for folder in (validation, examples, *evaluations, *runs):
        folder.mkdir(parents=True)
    statistics = []
    for i, fold in enumerate(folds):
        (evaluations[i] / "cases.json").write_text(cases_to_json(fold))
        split = examples / f"Split-fold-{i}"
        split.mkdir()
        with RecordWriter(split / "records-00000-of-00001.gz") as writer:
            for scored in fold:
                case, prediction = make_scan(scored.case_id)
                writer.write(encode_raw(case, foreground="nonzero"))
                path = evaluations[i] / "predictions" / f"{scored.case_id}.nii.gz"
                write_nifti(prediction, case.affine, path)
                statistics.append(case_statistics(case, BRATS) | {"content": scored.case_id})
    splits = {f"fold-{i}": [c.case_id for c in fold] for i, fold in enumerate(folds)}
    cohort = {"listed": 6, "excluded": {}, "ignored_files": 2, "warnings": ["odd one"]}
    (examples / "cohort.json").write_text(json.dumps(cohort | {"splits": splits}))
    content = json.dumps({"case_statistics": statistics})
    (examples / "cohort-statistics.json").write_text(content)
    (validation / "result.json").write_text(json.dumps(result or make_result(folds)))
    history = [
        {"step": 5, "loss": 0.75},
        {"step": 5, "validation_dice": 0.4},
        {"step": 9, "loss": None},
    ]
    (runs[0] / "history.jsonl").write_text("".join(json.dumps(r) + "\n" for r in history))
    return Folders(
        cross_validation=validation,
        examples=examples,
        evaluations=tuple(evaluations),
        model_runs=tuple(runs),
    )


def make_lineage() -> Lineage:
    """CaseGen and one training."""
    return Lineage(
        executions=(
            ExecutionFact(node="CaseGen", state="cached", seconds=1.5, outputs=("1",)),
            ExecutionFact(
                node="Trainer-fold-0",
                state="ran",
                seconds=60.0,
                fingerprint="f" * 64,
                inputs=("1",),
                outputs=("2",),
            ),
        ),
        artifacts={
            "1": ArtifactFact(id="1", name="examples", type="Examples", uri="CaseGen/examples/1"),
            "2": ArtifactFact(id="2", name="model", type="Model", uri="Trainer-fold-0/model/2"),
        },
        complete=True,
        facts={"Fingerprint of the raw files": "d1d1"},
    )


def read_sample(folders: Folders, **changes: Any) -> Any:
    """The report of the folders."""
    from components.report.read import read_report

    settings = {"info": BRATS, "texts": TEXTS, "lineage": make_lineage()} | changes
    return read_report(folders, **settings)
