"""What `unet-tfx benchmark` prints, of a result made by hand."""

from pipeline.benchmark_text import benchmark_text

LATENCY = {"mean": 2500.0, "min": 2000.0, "max": 3000.0}
PERCENTILES = {"p50": 2500.0, "p90": 2900.0, "p95": 2950.0, "p99": 2990.0}
STEPS = {
    **{"warmup_steps": 3, "first_step_s": 31.25, "samples_per_step": 2, "steps": 2},
    **{"samples": 4, "seconds": 5.0, "samples_per_s": 0.8, "step_seconds": [2.0, 3.0]},
    "latency_ms": LATENCY | PERCENTILES,
    "references": {
        "samples_per_s": 0.8333,
        "latency_ms": {"mean": 2500.0, "p90": 3082.0, "p95": 3193.0, "p99": 3411.0},
    },
}
RESULT = {
    **{"benchmark": "train", "data": "synthetic", "records": None, "cases": 4},
    "measured": {"train": STEPS | {"waited_for_input_s": 0.1}},
    "memory": {"peak_resident_bytes": 3 * 2**30, "peak_gpu_bytes": 2**31},
    **{"parameters": 31_200_036, "strategy": "mirrored", "workers": 1, "replicas": 2},
    "hardware": {
        **{"processor": "AMD EPYC", "cores": 2, "cpu_flags": ["avx2"], "memory_bytes": 2**35},
        "gpus": [{"name": "NVIDIA H100", "compute_capability": "9.0"}],
    },
    "versions": {"tensorflow": "2.16.2", "keras": "3.12.4", "python": "3.10.13"},
    "config": {"trainer": {"crop": [96, 96, 96], "precision": "bfloat16", "xla": True}},
}
TEXT = """\
benchmark  train
data       synthetic, 4 cases
network    31,200,036 parameters, bfloat16, XLA
devices    mirrored, 1 worker, 2 replicas
machine    AMD EPYC, 2 cores (avx2), 32.0 GiB, NVIDIA H100
versions   TensorFlow 2.16.2, Keras 3.12.4, Python 3.10.13
memory     at most 3.0 GiB resident, 2.0 GiB of a GPU

                     samples/s  ms: mean    p50    p90    p95    p99
train                      0.8     2,500  2,500  2,900  2,950  2,990
  as the references     0.8333     2,500         3,082  3,193  3,411

train: 2 steps of 2 crops of 96x96x96 after 3 to warm up, the first of 31.2 s; 2.0% of the time \
waits for crops
note: of fewer than 100 steps p99 is little else than the slowest one"""


def test_training() -> None:
    assert benchmark_text(RESULT) == TEXT


def test_whole_cases_and_forward_passes_are_told_apart() -> None:
    whole = STEPS | {"case_sizes": [[240, 240, 155], [96, 96, 96]], "windows": [18, 1]}
    measured = {"forward": STEPS | {"size": [64, 64, 64]}, "whole_case": whole}
    text = benchmark_text(RESULT | {"benchmark": "infer", "measured": measured})
    assert "forward: 2 steps of 2 images of 64x64x64 after 3 to warm up" in text
    assert "whole case: 240x240x155 by 18 windows, 96x96x96 by 1 window; before, one" in text
    assert "XLA" not in text  # it compiles steps of a training


def test_records_and_workers_are_named() -> None:
    text = benchmark_text(RESULT | {"data": "records", "records": "runs/a", "cases": 1})
    assert "data       records, 1 case of runs/a" in text
    assert "of a GPU per worker" in benchmark_text(RESULT | {"workers": 2})
    measured = {"input": STEPS | {"size": [64, 64]}}
    alone = benchmark_text(
        RESULT | {"benchmark": "input", "measured": measured} | {"parameters": None}
    )
    assert "network" not in alone and "input: 2 steps of 2 crops of 64x64" in alone


def test_many_steps_need_no_note() -> None:
    many = STEPS | {"steps": 100, "waited_for_input_s": 0.1}
    assert "note" not in benchmark_text(RESULT | {"measured": {"train": many}})
