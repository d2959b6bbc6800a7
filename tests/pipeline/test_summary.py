"""The table at the end of a run, by hand."""

from dataclasses import replace

from pipeline.lineage import NodeRun
from pipeline.summary import Summary, describe_nodes, peak_rss_bytes, summary_table

SUMMARY = Summary(
    blessed=True,
    reasons=["WT: mean 0.8125 of 4 reaches the threshold 0.8000."],
    scores={
        "WT": {"mean": 0.8125, "std": 0.05, "n": 4},
        "MeanDice": {"mean": 0.66666, "std": 0.1, "n": 14},
        "ET": {"mean": None, "std": None, "n": 0},
    },
    folds=[
        {
            "fold": 0,
            "n": 3,
            "scores": {"WT": {"mean": 0.9, "std": 0, "n": 3}, "ET": {"mean": None}},
        },
        {"fold": 1, "n": 1, "scores": {"WT": {"mean": 0.55, "std": 0, "n": 1}}},
    ],
    cases={"listed": 7, "scored": 4, "excluded": 1, "test": 2},
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
        "score       mean     std   n  fold-0  fold-1",
        "--------  ------  ------  --  ------  ------",
        "WT        0.8125  0.0500   4  0.9000  0.5500",
        "MeanDice  0.6667  0.1000  14       -       -",
        "ET             -       -   0       -       -",
        "",
        "cases      7 listed, 4 scored, 1 excluded, 2 held out as test",
        "verdict    BLESSED",
        "           WT: mean 0.8125 of 4 reaches the threshold 0.8000.",
        "model      runs/x/serving/17",
        "report     runs/x/report.html",
        "logs       tensorboard --logdir runs/x/state",
        "run        3 nodes, 1 from the cache, 62 s, peak memory 1.5 GiB",
    ]


def test_not_blessed():
    reasons = ["ET has no value.", "WT is below."]
    lines = summary_table(replace(SUMMARY, blessed=False, model=None, reasons=reasons)).splitlines()
    at = lines.index("verdict    NOT BLESSED")
    assert lines[at + 1 : at + 4] == [
        "           ET has no value.",
        "           WT is below.",
        "model      not pushed",
    ]


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
