"""Where a training runs: the one place that knows devices, strategies and accelerators.

A replica is one device that computes a batch of its own; a worker is one process with one or more
replicas. The loop sees the interface `Distribution` only.
"""

import importlib.util
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, Protocol

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from trainer.batches import Part
from trainer.cluster import is_of_horovod, tf_config_workers
from trainer.config import TrainerConfig

StrategyName = Literal[
    "auto", "one-device", "mirrored", "multi-worker", "horovod", "tpu", "hpu", "npu"
]
Step = Callable[..., Any]

_PLUG_INS = {
    "hpu": ("habana_frameworks", "HPU", "Habana's TensorFlow bridge (SynapseAI)"),
    "npu": ("npu_device", "NPU", "Ascend's TensorFlow adapter (CANN)"),
}
"""Accelerators that TensorFlow knows by a plug-in: package, device type, where it comes from."""


class Distribution(Protocol):
    """Runs one step on all replicas of all workers.

    Attributes:
      workers: Processes.
      rank: Number of this one; 0 is the chief, which alone writes.
      part: The replicas of this process.
    """

    workers: int
    rank: int
    part: Part

    def scope(self) -> AbstractContextManager:
        """Variables that are made in it are on every replica."""

    def batches(self, dataset: tf.data.Dataset) -> Iterator[Any]:
        """One batch per replica of this process and step, for `run`."""

    def run(self, step: Step, arguments: tuple[Any, ...]) -> Any:
        """Calls `step` on every replica of this process. Returns what the first one returns."""

    def mean(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        """Mean over all replicas of all workers; for use in a step."""

    def from_chief(self, arrays: list[NDArray]) -> list[NDArray]:
        """The chief's arrays, on every worker. All workers have to call it with equal shapes."""

    def sum(self, values: NDArray) -> NDArray:
        """Sum over all workers. All workers have to call it with equal shapes."""


class TensorFlowDistribution:
    """A `tf.distribute` strategy behind the interface `Distribution`."""

    def __init__(self, strategy: tf.distribute.Strategy):
        self._strategy = strategy
        multi = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        self.workers = len(tf_config_workers()) if multi else 1
        self.rank = _rank(strategy.cluster_resolver) if multi else 0
        replicas = strategy.num_replicas_in_sync
        here = replicas // self.workers
        self.part = Part(first=self.rank * here, count=here, replicas=replicas)

    def scope(self) -> AbstractContextManager:
        return self._strategy.scope()

    def batches(self, dataset: tf.data.Dataset) -> Iterator[Any]:
        devices = self._strategy.extended.worker_devices
        if len(devices) == 1 and tf.DeviceSpec.from_string(devices[0]).device_type == "CPU":
            return iter(dataset)  # nothing to copy, and an iterator over devices ends seconds later
        # without an end, or workers would ask each other before every step whether there is more
        endless = dataset.repeat()
        return iter(self._strategy.distribute_datasets_from_function(lambda _: endless))

    def run(self, step: Step, arguments: tuple[Any, ...]) -> Any:
        result = self._strategy.run(step, args=arguments)
        return tf.nest.map_structure(
            lambda r: self._strategy.experimental_local_results(r)[0], result
        )

    def mean(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        if self.part.replicas == 1:
            return tensors
        here = [tf.identity(t) for t in tensors]  # on this replica's device, needed to reduce
        context = tf.distribute.get_replica_context()
        return context.all_reduce(tf.distribute.ReduceOp.MEAN, here)

    def from_chief(self, arrays: list[NDArray]) -> list[NDArray]:
        if self.workers == 1:
            return arrays
        chief = self.rank == 0
        return [self.sum(a if chief else np.zeros_like(a)) for a in arrays]

    def sum(self, values: NDArray) -> NDArray:
        if self.workers == 1:
            return values
        total = self._sum_over_replicas(tf.constant(_reducible(values))).numpy()
        return (total / self.part.count).astype(values.dtype)  # every replica here had them

    @tf.function(reduce_retracing=True, autograph=False)
    def _sum_over_replicas(self, values: tf.Tensor) -> tf.Tensor:
        def add(v: tf.Tensor) -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            here = tf.identity(v)  # as in `mean`
            return context.all_reduce(tf.distribute.ReduceOp.SUM, here)

        return self.run(add, (values,))


class HorovodDistribution:
    """Horovod behind the interface `Distribution`: one replica per process."""

    def __init__(self) -> None:
        require_horovod()
        import horovod.tensorflow as hvd

        hvd.init()
        self._hvd = hvd
        gpus = tf.config.list_physical_devices("GPU")
        if gpus:  # by the local rank: global ranks are wrong on the second machine
            tf.config.set_visible_devices(gpus[hvd.local_rank() % len(gpus)], "GPU")
        self.workers, self.rank = hvd.size(), hvd.rank()
        self.part = Part(first=self.rank, count=1, replicas=self.workers)

    def scope(self) -> AbstractContextManager:
        return nullcontext()

    def batches(self, dataset: tf.data.Dataset) -> Iterator[Any]:
        return iter(dataset)

    def run(self, step: Step, arguments: tuple[Any, ...]) -> Any:
        return step(*arguments)

    def mean(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        return self._hvd.grouped_allreduce(tensors, op=self._hvd.Average)

    def from_chief(self, arrays: list[NDArray]) -> list[NDArray]:
        return [self._broadcast(a).astype(a.dtype) for a in arrays]

    def _broadcast(self, values: NDArray) -> NDArray:
        return self._hvd.broadcast(tf.constant(_reducible(values)), root_rank=0).numpy()

    def sum(self, values: NDArray) -> NDArray:
        total = self._hvd.allreduce(tf.constant(_reducible(values)), op=self._hvd.Sum)
        return total.numpy().astype(values.dtype)


def _reducible(values: NDArray) -> NDArray:
    """Of a type that every backend reduces: integers below 2^53 are exact in float64."""
    return values if values.dtype == np.float32 else values.astype(np.float64)


def require_horovod() -> None:
    """Raises ValueError where Horovod is not installed."""
    _require_module("horovod", "strategy 'horovod'", "install it with tools/add_horovod.sh")


def prepare(config: TrainerConfig) -> Distribution:
    """Sets TensorFlow up for a training in this process: devices, seed, rounding, determinism.

    Call it before anything else of TensorFlow.

    Raises:
      ValueError: What the strategy needs is not there.
    """
    distribution = make_distribution(config.strategy)
    keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_tensor_float_32_execution(config.tf32)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    return distribution


def make_distribution(name: StrategyName) -> Distribution:
    """Returns the distribution of that name. Call it before anything else of TensorFlow.

    `auto` takes what the process was started for (`horovodrun`, TF_CONFIG), else the accelerator
    that is there, else all GPUs, else the CPU. `one-device` is the first GPU or the CPU, `mirrored`
    all GPUs of this machine, or all its logical CPUs where there is none.

    Raises:
      ValueError: What the strategy needs is not there.
    """
    name = choose_strategy(name)
    if name == "horovod":
        return HorovodDistribution()
    strategies: dict[str, Callable[[], tf.distribute.Strategy]] = {
        "one-device": lambda: tf.distribute.OneDeviceStrategy(_devices()[0]),
        "mirrored": lambda: tf.distribute.MirroredStrategy(_devices()),
        "multi-worker": _multi_worker,
        "tpu": _tpu,
        "hpu": lambda: _plugged_in("hpu"),
        "npu": lambda: _plugged_in("npu"),
    }
    return TensorFlowDistribution(strategies[name]())


def choose_strategy(name: StrategyName = "auto", *, hpu: bool = True) -> StrategyName:
    """What `auto` means in this process; any other name stands for itself.

    Args:
      name: As in the config.
      hpu: Whether `auto` may take a Habana HPU.
    """
    return _find_strategy(hpu) if name == "auto" else name


def _find_strategy(hpu: bool) -> StrategyName:
    if is_of_horovod():
        return "horovod"
    if len(tf_config_workers()) > 1:
        return "multi-worker"
    if "TPU_NAME" in os.environ:
        return "tpu"
    if hpu and importlib.util.find_spec(_PLUG_INS["hpu"][0]):
        return "hpu"
    if importlib.util.find_spec(_PLUG_INS["npu"][0]):
        return "npu"
    return "mirrored" if len(tf.config.list_physical_devices("GPU")) > 1 else "one-device"


def _devices() -> list[str]:
    """All GPUs of this machine, or its CPUs where there is none."""
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return [d.name for d in devices]


def _multi_worker() -> tf.distribute.Strategy:
    if not tf_config_workers():
        raise ValueError(
            "strategy 'multi-worker' needs the addresses of all workers in TF_CONFIG, it has none:"
            " set it as TensorFlow documents, or have trainer.workers start them here"
        )
    return tf.distribute.MultiWorkerMirroredStrategy()


def _rank(resolver: tf.distribute.cluster_resolver.ClusterResolver) -> int:
    """Number of this worker, the chief (or worker 0 where there is no chief) being 0."""
    chiefs = len(resolver.cluster_spec().as_dict().get("chief", []))
    return 0 if resolver.task_type == "chief" else chiefs + resolver.task_id


def _tpu() -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver()
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, tf.errors.OpError) as e:
        raise ValueError(
            f"strategy 'tpu' needs a TPU, none was found ({str(e).splitlines()[0]}): set TPU_NAME,"
            " or take another strategy"
        ) from e
    return tf.distribute.TPUStrategy(resolver)


def _plugged_in(name: Literal["hpu", "npu"]) -> tf.distribute.Strategy:
    """One device of a vendor's plug-in, which registers itself with TensorFlow."""
    package, device, source = _PLUG_INS[name]
    _require_module(package, f"strategy {name!r}", f"install {source}")
    if name == "hpu":
        importlib.import_module("habana_frameworks.tensorflow").load_habana_module()
    else:
        importlib.import_module(package).open().as_default()
    devices = tf.config.list_logical_devices(device)
    if not devices:
        raise ValueError(
            f"strategy {name!r} needs a device of type {device}, the plug-in {package} found none:"
            " look at the driver, or take another strategy"
        )
    return tf.distribute.OneDeviceStrategy(devices[0].name)


def _require_module(package: str, needed_by: str, remedy: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise ValueError(f"{needed_by} needs the Python package {package}, it is missing: {remedy}")
