"""The table at the end of a run, by hand."""

from dataclasses import replace

import pytest

from pipeline.lineage import NodeRun
from pipeline.summary import Summary, describe_nodes, peak_rss_bytes, summary_table

DICE = {"mean": 0.8125, "std": 0.05, "low": 0.7, "high": 0.9, "n": 4}
SCORES = {"n": 4, "regions": {"WT": {"scores": {"dice": DICE}}}, "images": {}, "threshold": None}
SUMMARY = Summary(
    blessed=True,
    forced=False,
    reasons=["WT/dice: mean 0.8125 of 4 cases reaches the bound 0.8000."],
    scores=SCORES,
    folds=[{"fold": 0, "n": 3, "scores": SCORES}, {"fold": 1, "n": 1, "scores": SCORES}],
    slices={},
    test=None,
    cases={"listed": 7, "scored": 4, "excluded": 1, "test": 2},
    gate={},
    deploy={"mode": "best-fold", "select": "WT/dice", "folds": [1], "best_fold": 1},
    level=0.95,
    cohort_statistics="runs/a/cohort-statistics.json",
    model="runs/x/serving/17",
    report="runs/x/report.html",
    logs="runs/x/state",
    nodes={
        "CaseGen": {"state": "cached", "seconds": 0.1},
        "Transform": {"state": "ran", "seconds": 4.0},
        "Pusher": {"state": "ran", "seconds": 1.0},
    },
    seconds=61.6,
    peak_rss_bytes=3 * 2**29,
)


def test_table_by_hand():
    assert summary_table(SUMMARY).splitlines() == [
        "",
        "      dice     std    95 % interval  n",
        "--  ------  ------  ---------------  -",
        "WT  0.8125  0.0500  0.7000 - 0.9000  4",
        "",
        "dice of fold       0       1",
        "------------  ------  ------",
        "WT            0.8125  0.8125",
        "",
        "cases      7 listed, 4 scored, 1 excluded, 2 held out as test",
        "verdict    BLESSED",
        "           WT/dice: mean 0.8125 of 4 cases reaches the bound 0.8000.",
        "deploy     best-fold: the model of fold 1 (best by WT/dice: fold 1)",
        "model      runs/x/serving/17",
        "report     runs/x/report.html",
        "logs       tensorboard --logdir runs/x/state",
        "run        3 nodes, 1 from the cache, 62 s, peak memory 1.5 GiB",
    ]


def lines_of(**changes) -> list[str]:
    """From the verdict to the model."""
    lines = summary_table(replace(SUMMARY, **changes)).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("verdict"))
    return lines[at : next(i for i, line in enumerate(lines) if line.startswith("report"))]


def test_not_blessed():
    reasons = ["ET/dice has no value.", "WT/dice is below."]
    assert lines_of(blessed=False, model=None, reasons=reasons) == [
        "verdict    NOT BLESSED",
        "           ET/dice has no value.",
        "           WT/dice is below.",
        "deploy     best-fold: the model of fold 1 (best by WT/dice: fold 1)",
        "model      not pushed",
    ]


def test_forced():
    lines = lines_of(blessed=False, forced=True)
    assert lines[0] == "verdict    NOT BLESSED, and pushed by --force"
    assert lines[-1] == "model      runs/x/serving/17"


@pytest.mark.parametrize(
    ("deploy", "line"),
    [
        (
            {"mode": "ensemble", "folds": [0, 1]},
            "ensemble: the mean of the models of 2 folds (best by WT/dice: fold 1)",
        ),
        (
            {"mode": "refit", "folds": []},
            "refit: a model that was trained on all folds (best by WT/dice: fold 1)",
        ),
    ],
)
def test_what_is_deployed(deploy, line):
    assert f"deploy     {line}" in lines_of(deploy=SUMMARY.deploy | deploy)


def test_long_sentences_are_wrapped():
    lines = lines_of(reasons=["word " * 40])[1:-2]
    assert len(lines) == 3 and max(map(len, lines)) <= 100
    assert lines[0].startswith(" " * 11 + "word") and lines[1].startswith(" " * 13 + "word")


def test_describe_nodes():
    nodes = {
        "A": NodeRun(node="A", state="ran", seconds=1.23456, outputs={"examples": "uri"}),
        "B": NodeRun(node="B", state="cached", seconds=0, outputs={}),
    }
    assert describe_nodes(nodes) == {
        "A": {"state": "ran", "seconds": 1.235},
        "B": {"state": "cached", "seconds": 0},
    }


def test_peak_memory_holds_what_was_once_taken():
    block = bytearray(64 * 2**20)
    block[::4096] = b"x" * len(block[::4096])  # touch every page
    assert peak_rss_bytes() >= len(block)
