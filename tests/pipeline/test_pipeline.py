"""The DAG: which nodes, in which order, on which folds, and which networks and gates it refuses."""

import json
from dataclasses import replace

import pytest

from components.gate_config import GateRule
from components.origin import Deployment
from pipeline.config import BEAM_NODES, PipelineConfig
from pipeline.fingerprints import CODE, code_fingerprint
from pipeline.recipes import RECIPES, brats, brats_demo, dagm
from trainer.metrics.config import StatisticsConfig
from trainer.tracking_config import TrackingConfig

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def dag():
    """The module; it imports TFX."""
    from pipeline import pipeline

    return pipeline


@pytest.fixture(scope="module")
def places(dag):
    return dag.Places(
        pipeline_root="/run/artifacts",
        serving="/run/serving",
        state="/run/state",
        data_fingerprint="d4ta",
    )


@pytest.fixture(scope="module")
def nodes(dag, places):
    """The nodes of the recipe `brats-demo`, of three folds, by id."""
    return {node.id: node for node in dag.create_pipeline(brats_demo(), places)}


def ancestors(node) -> set[str]:
    """Ids of all nodes whose outputs a node reads, at first or second hand."""
    near = [channel.producer_component for channel in node.inputs.values()]
    return {n.id for n in near} | {i for n in near for i in ancestors(n)}


def kind(node_id: str) -> str:
    """The entry of `CODE` that a node goes by."""
    kinds = dict.fromkeys(("RecordSchema", "StatisticsSchema"), "CuratedSchema")
    kinds |= dict.fromkeys(("Evaluator-candidate", "Evaluator-baseline"), "HeldOut")
    return kinds.get(node_id, node_id.partition("-")[0])


def test_nodes_in_the_order_they_run(nodes):
    assert list(nodes) == [
        *("CaseGen", "StatisticsGen", "StatisticsSchema", "ExampleValidator", "DataGate"),
        *("RecordSchema", "Transform"),
        *("Trainer-fold-0", "Evaluator-fold-0"),
        *("Trainer-fold-1", "Evaluator-fold-1"),
        *("Trainer-fold-2", "Evaluator-fold-2"),
        *("Candidate", "Evaluator-candidate", "CrossValidation", "Pusher", "Report"),
    ]


def test_every_node_comes_after_what_it_needs(nodes):
    done = set()
    for node in nodes.values():
        assert {n.id for n in node.upstream_nodes} <= done
        done.add(node.id)


DESCRIBED = [name for name in RECIPES if name != "volumes"]
"""Recipes whose dataset is known without its files; of nnU-Net, dataset.json must be there."""


@pytest.fixture
def volumes_config(tmp_path):
    """The recipe `volumes` on three channels and two labels besides the background."""
    labels = {"background": 0, "liver": 1, "tumour": 2}
    channels = {str(i): f"phase_{i}" for i in range(3)}
    description = {"channel_names": channels, "labels": labels, "numTraining": 5}
    text = json.dumps(description | {"file_ending": ".nii.gz"})
    (tmp_path / "dataset.json").write_text(text)
    config = RECIPES["volumes"]()
    return replace(config, data=replace(config.data, root=str(tmp_path)))


def test_network_takes_channels_and_classes_of_the_dataset(dag, places, volumes_config):
    assert dag.check_config(volumes_config).channels == ("phase_0", "phase_1", "phase_2")
    nodes = {n.id: n for n in dag.create_pipeline(volumes_config, places)}
    model = json.loads(nodes["Trainer-fold-0"].exec_properties["custom_config"])["model"]
    assert (model["in_channels"], model["classes"]) == (3, 3)


def test_network_that_says_otherwise_is_refused(dag, volumes_config):
    config = replace(volumes_config, model=replace(volumes_config.model, classes=4))
    with pytest.raises(ValueError, match="^model.classes must be 3 for dataset 'nnunet', got 4$"):
        dag.check_config(config)


@pytest.mark.parametrize("recipe", DESCRIBED)
def test_no_underscore_in_ids_and_two_nodes_per_fold(dag, places, recipe):
    config = RECIPES[recipe]()
    ids = [node.id for node in dag.create_pipeline(config, places)]
    assert not [i for i in ids if "_" in i]
    assert len(ids) == len(set(ids)) == 12 + 2 * config.data.folds


@pytest.mark.parametrize("fold", range(3))
def test_each_fold_is_held_out_once(nodes, fold):
    trainer = nodes[f"Trainer-fold-{fold}"].exec_properties
    others = [f"fold-{i}" for i in range(3) if i != fold]
    assert json.loads(trainer["train_args"])["splits"] == others
    assert json.loads(trainer["eval_args"])["splits"] == [f"fold-{fold}"]
    evaluator = nodes[f"Evaluator-fold-{fold}"]
    assert evaluator.exec_properties["split"] == f"fold-{fold}"
    assert evaluator.inputs["model"].producer_component_id == f"Trainer-fold-{fold}"
    assert evaluator.inputs["examples"].producer_component_id == "CaseGen"


def test_transform_leaves_the_test_split_alone(nodes):
    splits = json.loads(nodes["Transform"].exec_properties["splits_config"])
    assert splits == {"analyze": ["fold-0"], "transform": ["fold-0", "fold-1", "fold-2"]}


def test_unlabelled_cases_are_not_held_to_the_schema(nodes):
    """They have no label statistics, and are neither trained on nor scored."""
    for name in ("StatisticsGen", "ExampleValidator"):
        assert json.loads(nodes[name].exec_properties["exclude_splits"]) == ["unlabelled"]


def test_transform_gets_all_that_normalisation_needs(nodes):
    given = json.loads(nodes["Transform"].exec_properties["custom_config"])
    fingerprint = given.pop("fingerprint")
    assert fingerprint == code_fingerprint("Transform")
    assert given == {
        "profile": "corrected",
        "clip_percentiles": [0.5, 99.5],
        "channels": 4,
        "foreground": "nonzero",
        "quantised": False,
        "label_values": [0, 1, 2, 4],
        "label_aliases": {"3": 4},
    }


@pytest.mark.parametrize(
    "node_id", ["CaseGen", "RecordSchema", "StatisticsSchema", "Evaluator-fold-0", "Report"]
)
def test_dataset_goes_to_the_nodes_as_json(nodes, node_id):
    """They cannot ask the raw files, which may be elsewhere."""
    from beam_preprocess.case import DatasetInfo
    from beam_preprocess.config_io import from_json
    from beam_preprocess.datasets.brats import BRATS

    assert from_json(DatasetInfo, nodes[node_id].exec_properties["info"]) == BRATS


def test_nothing_is_transformed_before_the_gate(nodes):
    assert "DataGate" in {n.id for n in nodes["Transform"].upstream_nodes}


def test_folds_arrive_by_name(nodes):
    given = {n: c.producer_component_id for n, c in nodes["CrossValidation"].inputs.items()}
    scores = {f"evaluation_{i}": f"Evaluator-fold-{i}" for i in range(3)}
    held_out = {"tested": "Evaluator-candidate"}
    assert given == {"examples": "CaseGen", "model": "Candidate"} | held_out | scores
    given = {n: c.producer_component_id for n, c in nodes["Candidate"].inputs.items()}
    assert given == {f"model_{i}": f"Trainer-fold-{i}" for i in range(3)} | scores
    given = {n: c.producer_component_id for n, c in nodes["Report"].inputs.items()}
    assert given == {"cross_validation": "CrossValidation", "examples": "CaseGen"} | {
        f"{name}_{i}": f"{node}-fold-{i}"
        for name, node in (("model_run", "Trainer"), ("evaluation", "Evaluator"))
        for i in range(3)
    }


def test_pusher_pushes_the_chosen_model_where_it_is_blessed(nodes):
    pusher = nodes["Pusher"]
    given = {n: (c.producer_component_id, c.output_key) for n, c in pusher.inputs.items()}
    assert given == {
        "model": ("Candidate", "model"),
        "model_blessing": ("CrossValidation", "blessing"),
    }
    destination = json.loads(pusher.exec_properties["push_destination"])
    assert destination["filesystem"]["base_directory"] == "/run/serving"


def gated(config, **changes):
    return replace(config, gate=replace(config.gate, **changes))


def test_refit_learns_from_all_folds_for_the_samples_that_they_needed(all_nodes):
    order = [i for i in all_nodes if i in ("RefitBudget", "Trainer-refit", "Candidate")]
    assert order == ["RefitBudget", "Trainer-refit", "Candidate"]
    refit = all_nodes["Trainer-refit"]
    assert json.loads(refit.exec_properties["train_args"])["splits"] == [
        *("fold-0", "fold-1", "fold-2")
    ]
    assert refit.inputs["hyperparameters"].producer_component_id == "RefitBudget"
    given = json.loads(refit.exec_properties["custom_config"])
    assert (given["refit"], given["title"]) == (True, "Trainer-refit")
    taken = {n: c.producer_component_id for n, c in all_nodes["Candidate"].inputs.items()}
    scores = {f"evaluation_{i}": f"Evaluator-fold-{i}" for i in range(3)}
    assert taken == {"refit": "Trainer-refit"} | scores


def test_refit_has_nobody_to_validate_on(dag, places):
    config = gated(brats_demo(), deploy="refit")
    validation = replace(config.trainer.validation, share=0.2)
    config = replace(config, trainer=replace(config.trainer, validation=validation))
    nodes = {n.id: n for n in dag.create_pipeline(config, places)}
    assert nodes["RefitBudget"].exec_properties["validated"] == 1
    given = [
        json.loads(nodes[f"Trainer-{n}"].exec_properties["custom_config"])["trainer"]
        for n in ("refit", "fold-0")
    ]
    assert [g["validation"]["share"] for g in given] == [0, 0.2]


def test_new_and_deployed_model_are_scored_alike(all_nodes):
    candidate, baseline = (all_nodes[f"Evaluator-{n}"] for n in ("candidate", "baseline"))
    assert (candidate.exec_properties["folds"], baseline.exec_properties["folds"]) == (0, 3)
    assert baseline.inputs["model"].producer_component_id == "Baseline"
    assert candidate.inputs["model"].producer_component_id == "Candidate"
    fold = all_nodes["Evaluator-fold-0"].exec_properties
    for name in ("info", "config", "profile"):
        assert candidate.exec_properties[name] == baseline.exec_properties[name] == fold[name]
    given = all_nodes["CrossValidation"].inputs
    assert given["tested"].producer_component_id == "Evaluator-candidate"
    assert given["baseline"].producer_component_id == "Evaluator-baseline"


def baseline_version(dag, places, config, deployed) -> str:
    nodes = {n.id: n for n in dag.create_pipeline(config, replace(places, deployed=deployed))}
    return nodes["Baseline"].exec_properties["version"]


def test_what_is_deployed_is_what_the_baseline_is_cached_by(dag, places):
    config = gated(brats_demo(), max_drop=0.02)
    nodes = {n.id: n for n in dag.create_pipeline(config, places)}
    own = Deployment(version="30", key=nodes["Candidate"].exec_properties["key"])
    other = Deployment(version="20", key="of another run")
    assert nodes["Baseline"].exec_properties["version"] == ""
    assert nodes["Baseline"].exec_properties["serving"] == "/run/serving"
    for deployed, version in (
        ((other,), "20"),
        ((own, other), "20"),  # pushed by this run: it goes on as before
        ((own,), ""),
        ((other, own), "20"),
        (None, "newest"),  # the node looks by itself
    ):
        assert baseline_version(dag, places, config, deployed) == version


def key_of(dag, places, config) -> str:
    nodes = {n.id: n for n in dag.create_pipeline(config, places)}
    return nodes["Candidate"].exec_properties["key"]


def test_key_of_a_model_is_all_that_decides_it_and_no_rule_of_the_gate(dag, places, nodes):
    config, key = brats_demo(), nodes["Candidate"].exec_properties["key"]
    rules = (GateRule(score="ET/dice", bound=0.1),)
    assert key_of(dag, places, gated(config, rules=rules, max_drop=0.5)) == key
    for other in (
        gated(config, deploy="ensemble"),
        gated(config, select="ET/dice"),
        replace(config, trainer=replace(config.trainer, seed=7)),
    ):
        assert key_of(dag, places, other) != key
    assert key_of(dag, replace(places, data_fingerprint="other"), config) != key


@pytest.mark.parametrize(
    "section, changes",
    [
        ("trainer", {"log_steps": 7, "keep_checkpoints": 9}),
        ("trainer", {"tracking": TrackingConfig(image_steps=3)}),
        ("evaluation", {"statistics": StatisticsConfig(level=0.9, resamples=10)}),
        ("evaluation", {"slices": ("stratum",), "size_edges_ml": (5.0,)}),
    ],
)
def test_what_decides_neither_weights_nor_scores_is_no_part_of_the_key(
    dag, places, nodes, section, changes
):
    """A model that was pushed by force stays the same model, and is not compared with itself."""
    config, key = brats_demo(), nodes["Candidate"].exec_properties["key"]
    changed = replace(config, **{section: replace(getattr(config, section), **changes)})
    assert changed != config
    assert key_of(dag, places, changed) == key


def test_key_of_a_model_does_not_say_where_the_run_is(dag, places, nodes):
    elsewhere = replace(places, state="/other/state", serving="/other/serving")
    assert key_of(dag, elsewhere, brats_demo()) == nodes["Candidate"].exec_properties["key"]


def test_statistics_and_slices_score_no_case_again(dag, places, nodes):
    config = brats_demo()
    statistics = StatisticsConfig(level=0.9, resamples=10)
    evaluation = replace(config.evaluation, statistics=statistics, slices=(), size_edges_ml=(5.0,))
    changed = dag.create_pipeline(replace(config, evaluation=evaluation), places)
    differ = {n.id for n in changed if n.exec_properties != nodes[n.id].exec_properties}
    assert differ == {"CrossValidation", "Report"}


def test_force_is_a_parameter_of_the_verdict_alone(dag, places, nodes):
    """So that nothing is trained or scored again for it."""
    forced = {n.id: n for n in dag.create_pipeline(brats_demo(), places, force=True)}
    differ = {i for i, n in forced.items() if n.exec_properties != nodes[i].exec_properties}
    assert differ == {"CrossValidation"}
    assert forced["CrossValidation"].exec_properties["force"] == 1


def test_trainer_gets_all_that_decides(nodes):
    from beam_preprocess.case import DatasetInfo
    from beam_preprocess.config_io import from_dict
    from beam_preprocess.datasets.brats import BRATS

    config = brats_demo()
    given = json.loads(nodes["Trainer-fold-1"].exec_properties["custom_config"])
    assert (given["title"], given["state_root"]) == ("Trainer-fold-1", "/run/state")
    assert given["model"]["filters"] == list(config.model.filters)
    assert given["trainer"]["samples"] == config.trainer.samples
    assert given["trainer"]["augment"]["brightness"] == config.trainer.augment.brightness
    assert given["inference"]["window"] == [32, 32, 32]
    assert given["preprocessing"]["profile"] == "corrected"
    assert from_dict(DatasetInfo, given["dataset"]) == BRATS


@pytest.fixture(scope="module")
def all_nodes(dag, places):
    """Of a run that refits and compares."""
    config = brats_demo()
    config = replace(config, gate=replace(config.gate, deploy="refit", max_drop=0.02))
    return {node.id: node for node in dag.create_pipeline(config, places)}


def test_every_node_of_ours_is_cached_by_its_code(all_nodes):
    found = set()
    for node_id, node in all_nodes.items():
        if kind(node_id) in CODE:
            assert code_fingerprint(kind(node_id)) in json.dumps(node.exec_properties)
            found.add(kind(node_id))
    assert found == set(CODE)


def test_case_gen_is_cached_by_the_data_too(nodes):
    given = nodes["CaseGen"].exec_properties
    assert (given["data_fingerprint"], given["code"]) == ("d4ta", code_fingerprint("CaseGen"))


FOLDS = ("CaseGen", "CuratedSchema", "Transform", "Trainer", "Evaluator")


@pytest.mark.parametrize(
    ("node_id", "before"),
    [
        ("DataGate", {"CaseGen", "CuratedSchema"}),
        ("Transform", {"CaseGen", "CuratedSchema"}),
        ("Trainer-fold-1", {"CaseGen", "CuratedSchema", "Transform"}),
        ("Evaluator-fold-1", {"CaseGen", "CuratedSchema", "Transform", "Trainer"}),
        ("RefitBudget", {"CaseGen", "CuratedSchema", "Transform", "Trainer"}),
        ("Trainer-refit", {"CaseGen", "CuratedSchema", "Transform", "Trainer", "RefitBudget"}),
        ("Candidate", {*FOLDS, "RefitBudget"}),
        ("Baseline", {*FOLDS, "RefitBudget", "Candidate"}),
        ("Evaluator-candidate", {*FOLDS, "RefitBudget", "Candidate"}),
        ("Evaluator-baseline", {*FOLDS, "RefitBudget", "Candidate", "Baseline"}),
        ("CrossValidation", {*FOLDS, "RefitBudget", "Candidate", "Baseline", "HeldOut"}),
        (
            "Report",
            {*FOLDS, "RefitBudget", "Candidate", "Baseline", "HeldOut", "CrossValidation"},
        ),
    ],
)
def test_what_a_node_reads_at_second_hand(all_nodes, node_id, before):
    """`BEFORE` in test_fingerprints is this table."""
    assert {kind(i) for i in ancestors(all_nodes[node_id])} & set(CODE) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"in_channels": 3}, "^model.in_channels must be 4 for dataset 'brats', got 3$"),
        ({"classes": 3}, "^model.classes must be 4 for dataset 'brats', got 3$"),
    ],
)
def test_network_that_does_not_suit_brain_scans(dag, places, change, message):
    config = brats()
    config = replace(config, model=replace(config.model, **change))
    with pytest.raises(ValueError, match=message):
        dag.create_pipeline(config, places)
    with pytest.raises(ValueError, match=message):
        dag.check_config(config)


@pytest.mark.parametrize("recipe", DESCRIBED)
def test_recipes_suit_their_datasets(dag, recipe):
    config = RECIPES[recipe]()
    assert dag.check_config(config).name == config.data.dataset


def test_network_of_another_rank(dag, places):
    """A config of photographs, on brain scans."""
    config = replace(dagm(), data=brats().data)
    with pytest.raises(ValueError, match="^model.rank must be 3 for dataset 'brats', got 2$"):
        dag.create_pipeline(config, places)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"select": "Wt/dice"}, "^gate.select must be one of .*WT/dice.*'brats', got 'Wt/dice'$"),
        (
            {"rules": (GateRule(score="tc/dice", bound=0.5),)},
            "^gate.rules.score must be one of .*got 'tc/dice'$",
        ),
        (
            {"rules": (GateRule(score="TC/dice", bound=0.5, slice="site=A"),)},
            r"^gate.rules.slice must be .*evaluation.slices \(stratum, size\), got 'site=A'$",
        ),
    ],
)
def test_gate_that_asks_for_unknown_scores(dag, places, change, message):
    """Told before anything is trained."""
    config = brats()
    config = replace(config, gate=replace(config.gate, **change))
    with pytest.raises(ValueError, match=message):
        dag.create_pipeline(config, places)


def beam_args(node) -> list[str]:
    return node.executor_spec.beam_pipeline_args


def test_nodes_that_write_records_use_as_many_threads_as_the_runner_says(dag, places):
    nodes = {n.id: n for n in dag.create_pipeline(brats_demo(), replace(places, workers=3))}
    for name in ("CaseGen", "Transform"):
        assert beam_args(nodes[name]) == [
            *("--runner=DirectRunner", "--direct_running_mode=multi_threading"),
            *("--direct_num_workers=3", "--sdk_container_image=none"),
        ]
    single = [*dag.BEAM_ARGS, "--sdk_container_image=none"]
    assert beam_args(nodes["StatisticsGen"]) == beam_args(nodes["Evaluator-fold-0"]) == single


@pytest.mark.parametrize("name", BEAM_NODES)
def test_beam_options_of_one_node(dag, places, nodes, name):
    """They replace ours, and leave the other nodes alone; an Evaluator's are those of all folds."""
    options = ["--runner=PortableRunner", "--job_endpoint=localhost:8099"]
    config = replace(brats_demo(), pipeline=PipelineConfig(beam_args={name: options}))
    changed = {n.id: n for n in dag.create_pipeline(config, places)}
    for node_id, node in changed.items():
        if kind(node_id) == name:
            assert beam_args(node) == options
        elif kind(node_id) in BEAM_NODES:
            assert beam_args(node) == beam_args(nodes[node_id])
    assert sum(kind(i) == name for i in changed) == (3 if name == "Evaluator" else 1)


def test_beam_options_are_no_part_of_what_nodes_are_cached_by(dag, places, nodes):
    """A cohort that was converted elsewhere is the same cohort."""
    options = {name: ["--runner=FlinkRunner"] for name in BEAM_NODES}
    config = replace(brats_demo(), pipeline=PipelineConfig(beam_args=options))
    for node in dag.create_pipeline(config, places):
        if kind(node.id) in BEAM_NODES:
            assert node.exec_properties == nodes[node.id].exec_properties
