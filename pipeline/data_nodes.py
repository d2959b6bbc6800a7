"""The nodes from raw files to normalised records."""

from tfx.components.example_validator.component import ExampleValidator
from tfx.components.statistics_gen.component import StatisticsGen
from tfx.dsl.components.base.base_node import BaseNode
from tfx.proto import transform_pb2

from beam_preprocess.case import UNLABELLED, DatasetInfo
from components.case_gen import CaseGen
from components.curated_schema import CuratedSchema
from components.data_gate import DataGate
from components.transform import RecordTransform, transform_settings
from pipeline.fingerprints import code_fingerprint
from pipeline.plan import Plan


def make_cases(plan: Plan) -> CaseGen:
    """Lists, checks and converts the raw cases."""
    data, places = plan.config.data, plan.places
    return CaseGen(
        data,
        plan.info,
        data_fingerprint=places.data_fingerprint,
        code=code_fingerprint("CaseGen", own=data.dataset.rpartition(".")[0]),
        store=f"{places.state}/records" if places.state else "",
    )


def make_data_checks(cases: CaseGen, info: DatasetInfo) -> list[BaseNode]:
    """Validates the case statistics against the curated schema; the last node is the gate.

    Cases without a label lack features of the schema, and nothing is trained on them.
    """
    statistics = StatisticsGen(
        examples=cases.outputs["case_statistics"], exclude_splits=[UNLABELLED]
    )
    schema = make_schema("statistics", info).with_id("StatisticsSchema")
    validator = ExampleValidator(
        statistics=statistics.outputs["statistics"],
        schema=schema.outputs["schema"],
        exclude_splits=[UNLABELLED],
    )
    gate = DataGate(
        validator.outputs["anomalies"],
        cases.outputs["case_statistics"],
        schema.outputs["schema"],
        fingerprint=code_fingerprint("DataGate"),
    )
    return [statistics, schema, validator, gate]


def make_schema(kind: str, info: DatasetInfo) -> CuratedSchema:
    """The schema of `records`, or of the `statistics` of cases."""
    return CuratedSchema(kind, info, fingerprint=code_fingerprint("CuratedSchema"))


def make_transform(cases: CaseGen, schema: CuratedSchema, plan: Plan) -> RecordTransform:
    """Normalises the records of the folds. The split `test` stays raw: it is never trained on."""
    settings = transform_settings(plan.config.preprocessing, plan.info)
    return RecordTransform(
        examples=cases.outputs["examples"],
        schema=schema.outputs["schema"],
        preprocessing_fn="beam_preprocess.preprocessing.preprocessing_fn",
        splits_config=transform_pb2.SplitsConfig(analyze=plan.folds[:1], transform=plan.folds),
        disable_statistics=True,
        custom_config=settings | {"fingerprint": code_fingerprint("Transform")},
    ).with_id("Transform")
