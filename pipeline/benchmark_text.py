"""What `unet-tfx benchmark` prints."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.text_table import table

FEW_STEPS = 100
"""With fewer, the 99th percentile is little else than the slowest step."""
_PERCENTILES = ("p50", "p90", "p95", "p99")
_NAMES = {"whole_case": "whole case"}
Result = Mapping[str, Any]


def benchmark_text(result: Result) -> str:
    """With what and where it was measured, the figures, and what each of them is of."""
    sentences = [_sentence(name, result) for name in result["measured"]]
    parts = [_head(result), _table(result["measured"]), [*sentences, *_notes(result)]]
    return "\n\n".join("\n".join(lines) for lines in parts)


def _head(result: Result) -> list[str]:
    machine, versions = result["hardware"], result["versions"]
    source = f" of {result['records']}" if result["records"] else ""
    gpus = ", ".join(gpu["name"] for gpu in machine["gpus"]) or "no GPU"
    flags = f" ({' '.join(machine['cpu_flags'])})" if machine["cpu_flags"] else ""
    memory = result["memory"]
    each = " per worker" if result["workers"] > 1 else ""
    on_gpu = f", {_gib(memory['peak_gpu_bytes'])} of a GPU" if memory["peak_gpu_bytes"] else ""
    return [
        f"benchmark  {result['benchmark']}",
        f"data       {result['data']}, {_count(result['cases'], 'case')}{source}",
        *_network(result),
        f"devices    {result['strategy']}, {_count(result['workers'], 'worker')},"
        f" {_count(result['replicas'], 'replica')}",
        f"machine    {machine['processor']}, {_count(machine['cores'], 'core')}{flags},"
        f" {_gib(machine['memory_bytes'])}, {gpus}",
        f"versions   TensorFlow {versions['tensorflow']}, Keras {versions['keras']},"
        f" Python {versions['python']}",
        f"memory     at most {_gib(memory['peak_resident_bytes'])} resident{on_gpu}{each}",
    ]


def _network(result: Result) -> Iterator[str]:
    """A line where there is a network: the reading of crops needs none."""
    if result["parameters"]:
        trainer = result["config"]["trainer"]
        xla = ", XLA" if trainer["xla"] and result["benchmark"] == "train" else ""
        yield f"network    {result['parameters']:,} parameters, {trainer['precision']}{xla}"


def _table(measured: Result) -> list[str]:
    head = ["", "samples/s", "ms: mean", *_PERCENTILES]
    return table([head, *(row for name, of in measured.items() for row in _rows(name, of))])


def _rows(name: str, of: Result) -> list[list[str]]:
    """Ours, and what the references would print."""
    theirs = of["references"]
    return [
        [_NAMES.get(name, name), *_cells(of["samples_per_s"], of["latency_ms"])],
        ["  as the references", *_cells(theirs["samples_per_s"], theirs["latency_ms"])],
    ]


def _cells(rate: float, latency: Mapping[str, float]) -> list[str]:
    times = (latency.get(name) for name in ("mean", *_PERCENTILES))
    return [f"{rate:.4g}", *("" if t is None else _digits(t) for t in times)]


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def _sentence(name: str, result: Result) -> str:
    """What a step was, and what came before the ones that are timed."""
    of, trainer = result["measured"][name], result["config"]["trainer"]
    samples = of["samples_per_step"]
    if name == "whole_case":
        done = ", ".join(
            f"{_size(size)} by {_count(windows, 'window')}"
            for size, windows in zip(of["case_sizes"], of["windows"], strict=True)
        )
        return f"whole case: {done}; before, one window took {of['first_step_s']:.1f} s"
    if name == "train":
        share = of["waited_for_input_s"] / of["seconds"]
        what = f"{_count(samples, 'crop')} of {_size(trainer['crop'])}"
        more = f"; {share:.1%} of the time waits for crops"
    else:
        what = f"{_count(samples, 'image' if name == 'forward' else 'crop')} of {_size(of['size'])}"
        more = ""
    return (
        f"{name}: {_count(of['steps'], 'step')} of {what} after {of['warmup_steps']} to warm up,"
        f" the first of {of['first_step_s']:.1f} s{more}"
    )


def _notes(result: Result) -> Iterator[str]:
    fewest = min(of["steps"] for of in result["measured"].values())
    if fewest < FEW_STEPS:
        yield f"note: of fewer than {FEW_STEPS} steps p99 is little else than the slowest one"


def _size(size: Sequence[int]) -> str:
    return "x".join(map(str, size))


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
