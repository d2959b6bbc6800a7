"""What made what: the executions and artifacts of a run, and a drawing of them as inline SVG.

The graph is drawn from top to bottom in layers, an artifact below the execution that wrote it and
above those that read it; within a layer the nodes are ordered so that few lines cross.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

_SWEEPS = 8
_STEP, _BOX, _PILL = 50, 30, 22
_GAP, _MARGIN = 14, 10
_CHARACTER = 6.6
"""Width of a character of the drawing's text, about."""


@dataclass(frozen=True, kw_only=True)
class ArtifactFact:
    """An artifact.

    Attributes:
      id: Unique in the run.
      name: Output of its execution, such as `model`.
      type: Such as `Model`.
      uri: Where it is; relative to the artifacts of the run where it lies in them.
    """

    id: str
    name: str
    type: str
    uri: str


@dataclass(frozen=True, kw_only=True)
class ExecutionFact:
    """A node of the DAG as it ran.

    Attributes:
      node: Its id.
      state: `ran`, `cached`, or what else became of it; empty where that is not known.
      seconds: Time it took; None where that is not known.
      fingerprint: Hash of the code behind it; empty where it has none.
      inputs, outputs: Ids of artifacts.
    """

    node: str
    state: str = ""
    seconds: float | None = None
    fingerprint: str = ""
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """Executions in the order they started, and the artifacts they read and wrote.

    Attributes:
      executions, artifacts: See there.
      complete: Whether it is all of the run, or what is above the report only.
      facts: Name -> value, such as the fingerprint of the data and versions of frameworks.
    """

    executions: tuple[ExecutionFact, ...]
    artifacts: Mapping[str, ArtifactFact]
    complete: bool
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Node:
    """A box or pill of the drawing: text, style, and the keys of the nodes above it."""

    text: str
    style: str
    title: str
    above: tuple[str, ...]

    @property
    def width(self) -> float:
        return len(self.text) * _CHARACTER + (22 if self.style.startswith("execution") else 18)


def lineage_graph(lineage: Lineage) -> Markup:
    """The drawing; the table beside it says the same to those who do not see it."""
    nodes = _nodes(lineage)
    rows = _order(_layers(nodes), nodes)
    widths = [sum(nodes[k].width + _GAP for k in row) - _GAP for row in rows]
    width = max(widths, default=0) + 2 * _MARGIN
    places = _place(rows, nodes, widths, width)
    height = len(rows) * _STEP + 2 * _MARGIN - (_STEP - _BOX)
    lines = (_line(places[a], places[k]) for k, node in nodes.items() for a in node.above)
    boxes = (_box(nodes[key], places[key]) for key in places)
    return Markup(
        '<svg class="lineage" viewBox="0 0 {w:.0f} {h}" style="min-width:{least:.0f}px"'
        ' role="img"><title>Graph of executions and artifacts. The table below lists them.'
        "</title>{lines}{boxes}</svg>"
    ).format(
        w=width,
        h=height,
        least=min(width, 900) * 0.8 if width <= 900 else width * 0.72,
        lines=Markup("").join(lines),
        boxes=Markup("").join(boxes),
    )


def _nodes(lineage: Lineage) -> dict[str, _Node]:
    """Executions under their names with `>` before, artifacts under their ids."""
    makers = {a: f">{e.node}" for e in lineage.executions for a in e.outputs}
    nodes = {
        f">{e.node}": _Node(
            text=e.node,
            style=f"execution {e.state}".strip(),
            title=_describe(e),
            above=tuple(a for a in e.inputs if a in lineage.artifacts),
        )
        for e in lineage.executions
    }
    for key, artifact in lineage.artifacts.items():
        nodes[key] = _Node(
            text=artifact.name,
            style="artifact",
            title=f"{artifact.type} {artifact.uri}",
            above=(makers[key],) if key in makers else (),
        )
    return nodes


def _describe(execution: ExecutionFact) -> str:
    parts = [execution.node, execution.state]
    parts += [f"{execution.seconds:.1f} s"] if execution.seconds is not None else []
    parts += [f"code {execution.fingerprint[:12]}"] if execution.fingerprint else []
    return ", ".join(filter(None, parts))


def _layers(nodes: Mapping[str, _Node]) -> list[list[str]]:
    """Every node one layer below the lowest of those above it."""
    depth: dict[str, int] = {}

    def depth_of(key: str) -> int:
        if key not in depth:
            depth[key] = 1 + max((depth_of(a) for a in nodes[key].above), default=-1)
        return depth[key]

    rows: list[list[str]] = [[] for _ in range(1 + max(map(depth_of, nodes), default=-1))]
    for key in nodes:
        rows[depth[key]].append(key)
    return rows


def _order(rows: list[list[str]], nodes: Mapping[str, _Node]) -> list[list[str]]:
    """Moves every node towards the mean place of its neighbours, down and up, a few times."""
    below: dict[str, list[str]] = {key: [] for key in nodes}
    for key, node in nodes.items():
        for above in node.above:
            below[above].append(key)
    place = {k: (i + 0.5) / len(row) for row in rows for i, k in enumerate(row)}

    def sort(row: list[str], neighbours: Mapping[str, Sequence[str]]) -> list[str]:
        means = {k: _mean([place[n] for n in neighbours[k]], place[k]) for k in row}
        ordered = sorted(row, key=lambda k: means[k])
        place.update({k: (i + 0.5) / len(row) for i, k in enumerate(ordered)})
        return ordered

    over = {key: node.above for key, node in nodes.items()}
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        order = range(len(rows)) if down else reversed(range(len(rows)))
        for i in order:
            rows[i] = sort(rows[i], over) if down else sort(rows[i], below)
    return rows


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default


def _place(
    rows: Sequence[Sequence[str]],
    nodes: Mapping[str, _Node],
    widths: Sequence[float],
    width: float,
) -> dict[str, tuple[float, float]]:
    """Key -> middle of the node; every row is centred."""
    places = {}
    for i, row in enumerate(rows):
        x = (width - widths[i]) / 2
        for key in row:
            places[key] = (x + nodes[key].width / 2, _MARGIN + _BOX / 2 + i * _STEP)
            x += nodes[key].width + _GAP
    return places


def _line(start: tuple[float, float], end: tuple[float, float]) -> Markup:
    (x1, y1), (x2, y2) = start, end
    middle = (y1 + y2) / 2
    return Markup(
        '<path class="flow" d="M{:.0f} {:.0f}C{:.0f} {:.0f} {:.0f} {:.0f} {:.0f} {:.0f}"/>'
    ).format(x1, y1, x1, middle, x2, middle, x2, y2)


def _box(node: _Node, place: tuple[float, float]) -> Markup:
    height = _BOX if node.style.startswith("execution") else _PILL
    return Markup(
        '<g class="{style}"><title>{title}</title><rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}"'
        ' height="{h}" rx="{r}"/><text x="{cx:.1f}" y="{cy:.1f}" dy=".35em">{text}</text></g>'
    ).format(
        style=node.style,
        title=node.title,
        x=place[0] - node.width / 2,
        y=place[1] - height / 2,
        w=node.width,
        h=height,
        r=4 if height == _BOX else height / 2,
        cx=place[0],
        cy=place[1],
        text=node.text,
    )


def artifact_words(ids: Iterable[str], lineage: Lineage) -> str:
    """The artifacts of an execution in a table: `examples 1, schema 3`."""
    known = (lineage.artifacts[i] for i in ids if i in lineage.artifacts)
    return ", ".join(f"{a.name} {a.id}" for a in known)
