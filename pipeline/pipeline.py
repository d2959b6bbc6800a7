"""The DAG. `create_pipeline` reads from top to bottom as the design draws it; runners import it."""

from dataclasses import asdict, dataclass

from tfx import v1 as tfx
from tfx.dsl.components.base.base_node import BaseNode

from beam_preprocess.case import DatasetInfo
from beam_preprocess.cohort import fold_name
from beam_preprocess.datasets import get_dataset
from beam_preprocess.validation import require
from components.case_gen import CaseGen
from components.cross_validation import CrossValidation, check_gate
from components.curated_schema import CuratedSchema
from components.data_gate import DataGate
from components.evaluator import Evaluator
from components.report.component import Report
from components.transform import BoundedTransform
from pipeline.config import RunConfig
from pipeline.config_text import config_text
from pipeline.fingerprints import code_fingerprint

BEAM_ARGS = ("--runner=DirectRunner", "--direct_running_mode=in_memory", "--direct_num_workers=1")


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where a runner keeps things.

    Attributes:
      pipeline_root: Parent of all artifacts.
      serving: Parent of the pushed versions.
      state: Checkpoints and staged records, which outlive a run that is killed.
      data_fingerprint: Hash of the content of the raw files; empty where they are not at hand.
    """

    pipeline_root: str
    serving: str
    state: str
    data_fingerprint: str = ""


def create_pipeline(config: RunConfig, places: Places) -> list[BaseNode]:
    """The nodes of a run, in the order in which they can run.

    Raises:
      ValueError: Network or gate do not suit the dataset.
    """
    check_config(config)
    info = get_dataset(config.data).info
    cases = CaseGen(config.data, fingerprint=places.data_fingerprint + code_fingerprint("CaseGen"))
    checks = _data_checks(cases, config)
    record_schema = _schema("records", config).with_id("RecordSchema")
    transform = _transform(cases, record_schema, config, info)
    transform.add_upstream_node(checks[-1])

    folds = range(config.data.folds)
    trainers = [_trainer(transform, config, info, places, i) for i in folds]
    evaluators = [_evaluator(cases, trainers[i], config, i) for i in folds]
    validation = CrossValidation(
        cases.outputs["examples"],
        [t.outputs["model"] for t in trainers],
        [e.outputs["evaluation"] for e in evaluators],
        config=config.gate,
        fingerprint=code_fingerprint("CrossValidation"),
    )
    pusher = _pusher(validation, places)
    report = _report(trainers, evaluators, validation, config)
    per_fold = [node for pair in zip(trainers, evaluators, strict=True) for node in pair]
    return [cases, *checks, record_schema, transform, *per_fold, validation, pusher, report]


def check_config(config: RunConfig) -> None:
    """Raises ValueError unless network and gate suit the dataset. Cheap: no file is read."""
    info = get_dataset(config.data).info
    check_network(config, info)
    check_gate(config.gate, info)


def _data_checks(cases: CaseGen, config: RunConfig) -> list[BaseNode]:
    """Validates the case statistics against the curated schema; the last node is the gate."""
    statistics = tfx.components.StatisticsGen(examples=cases.outputs["case_statistics"])
    schema = _schema("statistics", config).with_id("StatisticsSchema")
    validator = tfx.components.ExampleValidator(
        statistics=statistics.outputs["statistics"], schema=schema.outputs["schema"]
    )
    gate = DataGate(validator.outputs["anomalies"], fingerprint=code_fingerprint("DataGate"))
    return [statistics, schema, validator, gate]


def check_network(config: RunConfig, info: DatasetInfo) -> None:
    """Raises ValueError unless the network's rank, channels and classes are the dataset's."""
    model, labels = config.model, len(info.label_values)
    classes = (1, 2) if labels == 2 else (labels,)
    for name, value, allowed in (
        ("rank", model.rank, (info.rank,)),
        ("in_channels", model.in_channels, (len(info.channels),)),
        ("classes", model.classes, classes),
    ):
        words = " or ".join(map(str, allowed))
        require(value in allowed, f"model.{name}", value, f"{words} for dataset {info.name!r}")


def _schema(kind: str, config: RunConfig) -> CuratedSchema:
    return CuratedSchema(kind, config.data, fingerprint=code_fingerprint("CuratedSchema"))


def _transform(
    cases: CaseGen, schema: CuratedSchema, config: RunConfig, info: DatasetInfo
) -> BoundedTransform:
    """Normalises the records of the folds. The split `test` stays raw: it is never trained on."""
    splits = [fold_name(i) for i in range(config.data.folds)]
    return BoundedTransform(
        examples=cases.outputs["examples"],
        schema=schema.outputs["schema"],
        preprocessing_fn="beam_preprocess.preprocessing.preprocessing_fn",
        splits_config=tfx.proto.SplitsConfig(analyze=splits[:1], transform=splits),
        disable_statistics=True,
        custom_config=asdict(config.preprocessing)
        | {
            "channels": len(info.channels),
            "foreground": info.foreground,
            "label_values": info.label_values,
            "fingerprint": code_fingerprint("Transform"),
        },
    ).with_id("Transform")


def _trainer(
    transform: BoundedTransform, config: RunConfig, info: DatasetInfo, places: Places, fold: int
) -> tfx.components.Trainer:
    """Trains on all folds but `fold`."""
    others = [fold_name(i) for i in range(config.data.folds) if i != fold]
    title = f"Trainer-fold-{fold}"
    return tfx.components.Trainer(
        run_fn="trainer.run_fn.run_fn",
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        train_args=tfx.proto.TrainArgs(splits=others),
        eval_args=tfx.proto.EvalArgs(splits=[fold_name(fold)]),
        custom_config={
            "dataset": asdict(info),
            "preprocessing": asdict(config.preprocessing),
            "model": asdict(config.model),
            "trainer": asdict(config.trainer),
            "inference": asdict(config.inference),
            "state_root": places.state,
            "title": title,
            "fingerprint": code_fingerprint("Trainer"),
        },
    ).with_id(title)


def _evaluator(
    cases: CaseGen, trainer: tfx.components.Trainer, config: RunConfig, fold: int
) -> Evaluator:
    """Scores `fold` with the model that has not seen it."""
    return Evaluator(
        cases.outputs["examples"],
        trainer.outputs["model"],
        split=fold_name(fold),
        dataset=config.data.dataset,
        config=config.evaluation,
        fingerprint=code_fingerprint("Evaluator"),
    ).with_id(f"Evaluator-fold-{fold}")


def _pusher(validation: CrossValidation, places: Places) -> tfx.components.Pusher:
    """Copies the chosen model to `serving/<timestamp>`, if it is blessed."""
    destination = tfx.proto.PushDestination.Filesystem(base_directory=places.serving)
    return tfx.components.Pusher(
        model=validation.outputs["model"],
        model_blessing=validation.outputs["blessing"],
        push_destination=tfx.proto.PushDestination(filesystem=destination),
    )


def _report(
    trainers: list[tfx.components.Trainer],
    evaluators: list[Evaluator],
    validation: CrossValidation,
    config: RunConfig,
) -> Report:
    return Report(
        [e.outputs["evaluation"] for e in evaluators],
        [t.outputs["model_run"] for t in trainers],
        validation.outputs["evaluation"],
        title=config.name,
        config=config_text(config),
        profile=config.preprocessing.profile,
        fingerprint=code_fingerprint("Report"),
    )
