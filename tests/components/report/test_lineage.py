"""The drawing of the lineage: layers, places, and what it says of a node."""

import re

from components.report.lineage import (
    ArtifactFact,
    ExecutionFact,
    Lineage,
    artifact_words,
    lineage_graph,
)

from ..report_samples import make_lineage


def places(graph: str) -> dict[str, tuple[float, float]]:
    """Text of a node -> where it stands."""
    found = re.findall(r'<text x="([\d.]+)" y="([\d.]+)" dy=".35em">([^<]+)</text>', graph)
    return {text: (float(x), float(y)) for x, y, text in found}


def test_what_was_read_stands_above_what_was_written():
    at = {name: y for name, (_, y) in places(lineage_graph(make_lineage())).items()}
    assert at["CaseGen"] < at["examples"] < at["Trainer-fold-0"] < at["model"]


def test_a_node_says_its_state_time_and_code():
    graph = lineage_graph(make_lineage())
    assert "<title>Trainer-fold-0, ran, 60.0 s, code ffffffffffff</title>" in graph
    assert '<g class="execution cached"><title>CaseGen, cached, 1.5 s</title>' in graph
    assert graph.count('class="flow"') == 3


def test_lines_are_untangled():
    """Three branches given in a mixed order end side by side, each below its own."""
    artifacts = {
        str(i): ArtifactFact(id=str(i), name=f"out-{i}", type="T", uri="") for i in range(3)
    }
    makers = [ExecutionFact(node=f"make-{i}", outputs=(str(i),)) for i in (0, 1, 2)]
    readers = [ExecutionFact(node=f"read-{i}", inputs=(str(i),)) for i in (2, 0, 1)]
    graph = lineage_graph(
        Lineage(executions=(*makers, *readers), artifacts=artifacts, complete=True)
    )
    at = places(graph)
    order = [sorted(range(3), key=lambda i: at[f"{n}-{i}"][0]) for n in ("make", "out", "read")]
    assert order[0] == order[1] == order[2]


def test_run_without_anything():
    graph = lineage_graph(Lineage(executions=(), artifacts={}, complete=True))
    assert graph.startswith("<svg") and "<rect" not in graph


def test_names_are_escaped_and_unknown_artifacts_left_out():
    execution = ExecutionFact(node="<b>", inputs=("9",))
    lineage = Lineage(executions=(execution,), artifacts={}, complete=True)
    assert "<b>" not in lineage_graph(lineage) and artifact_words(("9",), lineage) == ""
    assert artifact_words(("1", "2"), make_lineage()) == "examples 1, model 2"
