"""From words on a command line to a config: recipe, then file, then options; errors in words."""

from dataclasses import replace

import pytest

from components.gate_config import GateRule
from pipeline.cli import main
from pipeline.config import RunConfig
from pipeline.options import build_config, expand, parse, peek_recipe, refuse_data_options
from pipeline.recipes import RECIPES, brats
from pipeline.run_command import make_parser
from pipeline.usage import UsageError

HELP = "`unet-tfx run --help` lists all fields"


def build(*argv: str, recipe: str = "brats") -> RunConfig:
    parser = make_parser(recipe)
    options = parse(parser, ["--recipe", recipe, *argv])
    for name in ("print_config", "force"):
        del options[name]
    return build_config(parser, options)


@pytest.fixture
def write_yaml(tmp_path):
    def write(text: str, name: str = "config.yaml") -> str:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe_alone_gives_the_recipe(recipe):
    assert build(recipe=recipe) == RECIPES[recipe]()


@pytest.mark.parametrize("recipe", RECIPES)
def test_printed_config_is_read_back(recipe, capsys, write_yaml):
    """With changes, tuples and dicts among them, and on top of another recipe of its dataset."""
    changes = ["--data.exclude", '{"case-1": "torn: twice"}', "--trainer.learning_rate", "1e-05"]
    assert main(["run", "--recipe", recipe, *changes, "--print-config"]) == 0
    path = write_yaml(capsys.readouterr().out)
    expected = build(*changes, recipe=recipe)
    assert expected.data.exclude == {"case-1": "torn: twice"}
    assert expected.trainer.learning_rate == 1e-5
    for other in RECIPES:
        assert build("--config", path, recipe=other) == expected


@pytest.mark.parametrize(
    "argv",
    [
        ["--config", "FILE", "--trainer.samples", "5"],
        ["--trainer.samples", "5", "--config", "FILE"],
        ["--config=FILE", "--trainer.samples=5"],
        ["--trainer.samples=5", "--config=FILE"],
    ],
)
def test_options_override_the_file_and_the_file_the_recipe(argv, write_yaml):
    path = write_yaml("trainer: {samples: 7, batch_size: 1}\ndata: {folds: 3}\n")
    config = build(*(word.replace("FILE", path) for word in argv))
    assert (config.trainer.samples, config.trainer.batch_size, config.data.folds) == (5, 1, 3)
    assert config.trainer.crop == brats().trainer.crop


def test_the_later_of_two_files_wins(write_yaml):
    first = write_yaml("data: {folds: 3, fold_seed: 1}\n", "first.yaml")
    second = write_yaml("data: {folds: 4}\n", "second.yaml")
    config = build("--config", first, "--data.root", "x", "--config", second)
    assert (config.data.folds, config.data.fold_seed, config.data.root) == (4, 1, "x")


def test_rules_are_replaced_as_a_whole(write_yaml):
    rules = (GateRule(score="WT/dice", bound=0.5),)
    path = write_yaml("gate: {rules: [{score: WT/dice, bound: 0.5}]}\n")
    assert build("--config", path).gate.rules == rules
    assert build("--gate.rules", '[{"score": "WT/dice", "bound": 0.5}]').gate.rules == rules
    assert build("--gate.rules", "[]").gate.rules == ()
    text = '[{"score": "ET/hd95", "bound": 8, "of": "worst-fold", "slice": "stratum=HGG"}]'
    more = GateRule(score="ET/hd95", bound=8, of="worst-fold", slice="stratum=HGG")
    assert build("--gate.rules", text).gate.rules == (more,)


@pytest.mark.parametrize(("text", "value"), [("0.02", 0.02), ("0", 0.0), ("null", None)])
def test_fields_that_may_be_null(text, value, write_yaml):
    assert build("--gate.max_drop", text).gate.max_drop == value
    assert build("--config", write_yaml(f"gate: {{max_drop: {text}}}\n")).gate.max_drop == value


def test_rules_in_yaml_need_no_quotes(write_yaml):
    """`of` is a word of YAML like any other; `on` is the boolean true."""
    entry = "score: WT/dice, bound: 0.5"
    bare = write_yaml(f"gate: {{rules: [{{{entry}, of: confidence}}]}}\n")
    assert build("--config", bare).gate.rules[0].of == "confidence"
    wrong = write_yaml(f"gate: {{rules: [{{{entry}, on: confidence}}]}}\n")
    with pytest.raises(UsageError, match=r"gate.rules must be text, got True: YAML reads on, off"):
        build("--config", wrong)


def test_values_get_their_types():
    config = build("--model.filters", "[4, 8]", "--trainer.augment.flips", "false", "--name", "x")
    assert config == replace(
        brats(),
        name="x",
        model=replace(brats().model, filters=(4, 8)),
        trainer=replace(brats().trainer, augment=replace(brats().trainer.augment, flips=False)),
    )


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        (["--data.fold", "3"], ["--data.fold 3", "did you mean data.folds or data.fold_seed?"]),
        (["--sampels", "3"], ["--sampels 3", "did you mean trainer.samples or", HELP]),
        (["--trainer.augment.flip", "1"], ["did you mean trainer.augment.flips"]),
        (["--optimizer.learning_rate=1"], ["did you mean trainer.learning_rate?"]),
        (["--zzz", "1"], ["unrecognized arguments: --zzz 1: " + HELP]),
        (["extra"], ["unrecognized arguments: extra: " + HELP]),
        (["--print_config"], ["did you mean print-config?"]),
        (["--trainer", '{"sampels": 4}'], ["'sampels'", "did you mean trainer.samples"]),
    ],
    ids=lambda value: " ".join(value) if value[-1] != HELP and "did" not in value[-1] else "",
)
def test_unknown_options(argv, parts):
    with pytest.raises(UsageError) as raised:
        build(*argv)
    for part in parts:
        assert part in str(raised.value)


def test_no_hint_where_nothing_is_near():
    with pytest.raises(UsageError) as raised:
        build("--zzz", "1")
    assert "did you mean" not in str(raised.value)


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("data.folds", "three", "a whole number"),
        ("data.folds", "2.5", "a whole number"),
        ("trainer.learning_rate", "fast", "a number"),
        ("trainer.deterministic", "maybe", "true or false"),
        ("model.filters", "8", "a list"),
        ("trainer.augment.brightness", "high", "a number"),
        ("preprocessing.clip_percentiles", "[1, 2, 3]", "a list of 2"),
        ("trainer.precision", "float8", "one of 'float32', 'bfloat16', 'float16'"),
        ("model.rank", "4", "one of 2, 3"),
    ],
)
def test_wrong_type_or_choice(field, value, allowed):
    """The message names the field, its value and what is allowed."""
    with pytest.raises(UsageError) as raised:
        build(f"--{field}", value)
    assert str(raised.value) == f"{field} must be {allowed}, got '{value}'"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("model.filters", "[4, eight]", "^model.filters must be a whole number, got 'eight'$"),
        ("gate.rules", "WT/dice", "^gate.rules must be a list, got 'WT/dice'$"),
        (
            "gate.rules",
            '[{"score": "WT/dice", "bound": "high"}]',
            "^gate.rules.bound must be a number, got 'high'$",
        ),
        (
            "gate.rules",
            '[{"score": "WT/dice"}]',
            "^each entry of gate.rules must have a value of bound$",
        ),
        (
            "gate.rules",
            '[{"score": "WT/dice", "bond": 1}]',
            "^there is no field 'bond' in an entry of gate.rules$",
        ),
        (
            "gate.rules",
            '[{"score": "WT/dice", "bound": 1, "of": "median"}]',
            "^gate.rules.of must be one of 'mean', 'confidence', 'worst-fold', got 'median'$",
        ),
        (
            "gate.rules",
            '[{"score": "WT/dice", "bound": 85}]',
            "^gate.rules.bound of WT/dice must be between 0 and 1, got 85.0$",
        ),
        ("gate.max_drop", "much", "^gate.max_drop must be a number or null, got 'much'$"),
        ("data.exclude", '{"case": 1}', "^data.exclude must be text, got '1'$"),
        ("trainer.augment", '{"brightness": "high"}', "brightness must be a number, got 'high'$"),
        ("trainer", '{"augment": null}', "^trainer.augment must be fields .*got None$"),
        ("gate", '{"rules": null}', "^gate.rules must be set .*got None$"),
    ],
)
def test_wrong_nested_value(field, value, message):
    with pytest.raises(UsageError, match=f"(?s){message}"):
        build(f"--{field}", value)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--data.folds", "1"], "data.folds must be between 2 and 20, got 1"),
        (["--data.dataset", "lung"], "data.dataset must be one of brats, dagm, nnunet, decathlon"),
        (["--data.folds", "21"], "data.folds must be between 2 and 20, got 21"),
        (["--trainer.seed", "-1"], "trainer.seed must be between 0 and 2147483647, got -1"),
        (["--trainer.learning_rate", "0"], "trainer.learning_rate must be above 0, got 0.0"),
        (["--gate.max_drop", "-1"], "gate.max_drop must be 0 or more, and finite, or null, got -1"),
        (["--name", "Brats"], "name must be lower-case letters, digits and hyphens"),
        (["--data.classes", "[1]"], "data.classes must be empty for dataset 'brats'"),
        (
            ["--trainer.augment.brightness", "2"],
            "trainer.augment.brightness must be at least 0 and below 1, got 2.0",
        ),
        (["--trainer.crop", "[100,96,96]"], "(nearest: 96, 128), got 100"),
        (["--trainer.loss.name", "bce"], "trainer.loss.name must be one of 'dice+ce', 'dice'"),
    ],
)
def test_out_of_range(argv, message):
    with pytest.raises(UsageError) as raised:
        build(*argv)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dat: {folds: 3}", "there is no field 'dat': did you mean data? "),
        ("data: {fold: 3}", "there is no field 'data.fold': did you mean data.folds or "),
        ("trainer: {augment: {flip: 1}}", "no field 'trainer.augment.flip': did you mean trainer."),
        ("samples: 3", "there is no field 'samples': did you mean trainer.samples or "),
        ("zzz: 3", f"there is no field 'zzz': {HELP}"),
        ("recipe: dagm", f"there is no field 'recipe': {HELP}"),
        ("config: other.yaml", f"there is no field 'config': {HELP}"),
        ("data: 3", "data must be fields and their values, got 3"),
        ("trainer: {augment: [1]}", "trainer.augment must be fields and their values, got [1]"),
        ("data:", "data must be fields and their values, got None"),
        ("data: {root: null}", "data.root must be set to a value, or left out, got None"),
        ("trainer: {samples: null}", "trainer.samples must be set to a value, or left out"),
        ("# all: commented", "a config must be fields and their values, got None"),
        ("- name", "a config must be fields and their values, got ['name']"),
        ("data: {folds: 3", "while parsing a flow mapping"),
    ],
)
def test_wrong_files_are_told_with_their_path(text, message, write_yaml):
    path = write_yaml(text)
    with pytest.raises(UsageError) as raised:
        build("--config", path)
    assert str(raised.value).startswith(f"--config {path}: ")
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("data: {folds: three}", ["data.folds must be a whole number, got 'three'"]),
        ("data: {folds: true}", ["data.folds must be a whole number, got 'True'"]),
        ("name: 3", ["name must be text, got '3'"]),
        ("model: {norm: layer}", ["model.norm must be one of 'none', 'instance'", "got 'layer'"]),
        ("model: {filters: [4, null]}", ["model.filters must be a whole number, got 'None'"]),
        ("data: {folds: 30}", ["data.folds must be between 2 and 20, got 30"]),
        ("trainer: {augment: {brightness: 3}}", ["trainer.augment.brightness", "got 3.0"]),
    ],
)
def test_wrong_values_in_a_file(text, parts, write_yaml):
    with pytest.raises(UsageError) as raised:
        build("--config", write_yaml(text))
    for part in parts:
        assert part in str(raised.value)


@pytest.mark.parametrize(
    "argv",
    [
        ["--data.exclude.case-1", "torn: twice"],
        ["--data.exclude.case-1=torn: twice"],
        ["--data.exclude.case-1", "first word", "--data.exclude.case-1", "torn: twice"],
    ],
)
def test_reason_is_taken_as_it_is_typed(argv):
    assert build(*argv).data.exclude == {"case-1": "torn: twice"}


def test_case_ids_may_have_dots_and_digits(write_yaml):
    path = write_yaml("data: {exclude: {'1.2.840': from the file, '7': from the file}}")
    config = build("--config", path, "--data.exclude.1.2.840", "123", "--data.exclude.a.b=[x]")
    assert config.data.exclude == {"1.2.840": "123", "7": "from the file", "a.b": "[x]"}


@pytest.mark.parametrize("argv", [[], ["--data.folds", "3"]])
def test_exclusion_without_reason(argv):
    with pytest.raises(UsageError, match="data.exclude.case-1 must be followed by the reason why"):
        build("--data.exclude.case-1", *argv)


def test_missing_file(tmp_path):
    path = tmp_path / "none.yaml"
    with pytest.raises(UsageError, match=f"^--config {path}: .*No such file"):
        build("--config", str(path))


@pytest.mark.parametrize("option", ["--config", "--trainer.samples", "--recipe"])
def test_option_without_value(option):
    with pytest.raises(UsageError, match=f"{option}.*expected one argument"):
        build(option)


@pytest.mark.parametrize(
    ("argv", "recipe"),
    [
        (["--recipe", "dagm"], "dagm"),
        (["--name", "x", "--recipe=brats-demo"], "brats-demo"),
        (["--recipe", "dagm", "--recipe", "brats"], "brats"),
    ],
)
def test_peek_recipe(argv, recipe):
    assert peek_recipe(argv) == recipe


@pytest.mark.parametrize(
    ("argv", "got"),
    [
        ([], "None"),
        (["--name", "brats"], "None"),
        (["--recipe"], "''"),
        (["--recipe", "lung"], "'lung'"),
        (["--recipe=brat"], "'brat'"),
        (["--recipes", "brats"], "None"),
    ],
)
def test_missing_or_unknown_recipe(argv, got):
    message = (
        f"^--recipe must be one of brats, dagm, volumes, images, brats-demo, dagm-demo, got {got}$"
    )
    with pytest.raises(UsageError, match=message):
        peek_recipe(argv)


def test_short_names_of_options():
    short = {"--workers": "--trainer.workers"}
    words = ["run", "--workers=2", "--workers", "3", "--trainer.seed=a=b"]
    assert expand(words, short) == [
        *("run", "--trainer.workers=2", "--trainer.workers", "3", "--trainer.seed=a=b")
    ]


@pytest.mark.parametrize("word", ["--data.folds", "--data.root=x", "--preprocessing.profile"])
def test_options_of_records_that_are_there(word):
    name = word.partition("=")[0]
    with pytest.raises(UsageError, match=f"^{name} must be left out, the records of a run are"):
        refuse_data_options(["run", word])
    assert refuse_data_options(["run", word], but=[name]) is None
