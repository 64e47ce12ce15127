"""The settings: which source wins, and what is said about those that are not allowed."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import SettingsError
from server.settings.effective import as_table, as_toml
from server.settings.table import Origin, Settings, load, read_toml, table

CONFIGURATION = Path(__file__).parents[1] / "docs" / "configuration.md"


def test_without_sources_everything_has_its_default() -> None:
    effective = load({}, {}, {})
    assert effective.settings == Settings()
    assert set(effective.origins.values()) == {Origin.DEFAULT}


def test_the_command_line_beats_the_environment_and_that_the_file() -> None:
    effective = load(
        {"port": "1"},
        {"TRIOSCRIBE_PORT": "2", "TRIOSCRIBE_STEP_MS": "200"},
        {"port": 3, "step_ms": 300, "slots": 3},
    )
    assert (effective.settings.port, effective.settings.step_ms, effective.settings.slots) == (1, 200, 3)
    assert effective.origins["port"] is Origin.COMMAND_LINE
    assert effective.origins["step_ms"] is Origin.ENVIRONMENT
    assert effective.origins["slots"] is Origin.FILE
    assert effective.origins["host"] is Origin.DEFAULT


def test_foreign_variables_and_the_name_of_the_file_are_no_settings() -> None:
    assert load({}, {"PATH": "/bin", "TRIOSCRIBE_CONFIG": "x.toml"}, {}).settings == Settings()


@pytest.mark.parametrize(
    ("argv", "environ", "toml", "said"),
    [
        ({}, {}, {"port": "8394"}, ["port", "in cfg.toml", "'8394'", "a whole number from 0 to 65535"]),
        ({}, {}, {"port": True}, ["port", "True", "whole number"]),
        ({}, {}, {"port": 8394.0}, ["port", "8394.0", "whole number"]),
        ({}, {}, {"stall_s": float("nan")}, ["stall_s", "nan", "a number from 0.5 to 60"]),
        ({}, {}, {"prot": 1}, ["prot in cfg.toml", "did you mean port?"]),
        ({}, {"TRIOSCRIBE_PROT": "1"}, {}, ["did you mean TRIOSCRIBE_PORT?"]),
        ({}, {}, {"ports": 1}, ["Unknown", "ports", "in cfg.toml", "did you mean port?"]),
        ({}, {}, {"server": {"port": 1}}, ["Unknown", "server", "`trioscribe config`"]),
        ({}, {}, {"max_utterance_s": 29}, ["max_utterance_s", "29", "5 to 28"]),
        ({}, {}, {"host": ""}, ["host", "an address or a host name"]),
        ({"host": "192.168..5"}, {}, {}, ["--host", "'192.168..5'", "an address or a host name"]),
        ({}, {}, {"host": "a\0b"}, ["host in cfg.toml", "an address or a host name"]),
        ({"data_dir": "~nosuchuser/x"}, {}, {}, ["--data-dir", "'~nosuchuser/x'", "the path of a directory"]),
        ({"keys_file": "~nosuchuser/x"}, {}, {}, ["--keys-file", "'~nosuchuser/x'", "the path of a file"]),
        ({}, {}, {"data_dir": "a\0b"}, ["data_dir in cfg.toml", "the path of a directory"]),
        ({}, {}, {"model": "a\0b"}, ["model in cfg.toml", "the path of its file"]),
        ({}, {"TRIOSCRIBE_PORT": "http"}, {}, ["TRIOSCRIBE_PORT in the environment", "'http'", "0 to 65535"]),
        ({}, {"TRIOSCRIBE_SLOT": "1"}, {}, ["TRIOSCRIBE_SLOT", "did you mean TRIOSCRIBE_SLOTS?"]),
        ({}, {"TRIOSCRIBE_CONFIGS": "1"}, {}, ["did you mean TRIOSCRIBE_CONFIG?"]),
        ({"task": "summarise"}, {}, {}, ["--task on the command line", "one of transcribe, translate"]),
        ({"language": "German"}, {}, {}, ["--language", '"de"']),
        ({"port": "1", "rest_port": "1"}, {}, {}, ["port and rest_port are both 1"]),
    ],
)
def test_a_mistake_is_named_with_its_place_and_what_is_allowed(
    argv: dict[str, str], environ: dict[str, str], toml: dict[str, object], said: list[str]
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(argv, environ, toml, file="cfg.toml")
    message = str(caught.value)
    assert all(part in message for part in said), message


def test_settings_cannot_be_built_wrong() -> None:
    with pytest.raises(SettingsError, match="agreement is 0; it must be a whole number from 1 to 5"):
        Settings(agreement=0)


def test_both_ports_may_be_free_ones() -> None:
    assert Settings(port=0, rest_port=0).port == 0


def test_a_home_directory_is_understood() -> None:
    assert load({"data_dir": "~/exports"}, {}, {}).settings.data_dir == Path.home() / "exports"


def test_every_default_is_allowed_in_every_source() -> None:
    for row in table():
        assert row.kind.check(row.kind.read(str(row.default))) == row.default
        assert row.flag.removeprefix("--").replace("-", "_") == row.name
        assert row.variable == f"TRIOSCRIBE_{row.name.upper()}"


def test_a_malformed_file_is_refused_with_the_line(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text("port = 1\nhost = localhost\n")
    with pytest.raises(SettingsError, match=r"bad\.toml is not valid TOML: .*line 2"):
        read_toml(file)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml cannot be read: No such file"):
        read_toml(tmp_path / "none.toml")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "latin.toml"
    file.write_bytes(b'prompt = "\xe4"')
    with pytest.raises(SettingsError, match="not UTF-8"):
        read_toml(file)


@given(
    prompt=st.text(st.characters(exclude_categories=["Cs"]), max_size=50),
    port=st.integers(0, 8000),
    stall=st.floats(0.5, 60),
)
def test_effective_settings_written_as_toml_give_the_same_settings(prompt: str, port: int, stall: float) -> None:
    effective = load({}, {}, {"prompt": prompt, "port": port, "stall_s": stall})
    again = load({}, {}, tomllib.loads(as_toml(effective)))
    assert again == effective


def test_the_table_has_a_line_for_each_setting_with_its_origin() -> None:
    lines = as_table(load({"port": "1"}, {}, {})).splitlines()
    assert [line.split()[0] for line in lines] == [row.name for row in table()]
    assert lines[1].split() == ["port", "1", "command", "line"]


def test_the_documentation_has_every_setting_with_its_default_and_what_is_allowed() -> None:
    rows = {
        cells[0].strip("` "): cells
        for line in CONFIGURATION.read_text().splitlines()
        if line.startswith("| `") and len(cells := [cell.strip() for cell in line.strip("|").split("|")]) == 4
    }
    assert list(rows) == [row.name for row in table()]
    for row in table():
        default = str(row.default).lower() if isinstance(row.default, bool) else str(row.default)
        if row.name not in {"data_dir", "models_dir"}:  # they differ from machine to machine
            assert rows[row.name][1].strip("` ").removesuffix(".0") == default.removesuffix(".0"), row.name
        assert rows[row.name][2] == row.kind.says, row.name


def test_the_example_of_the_documentation_is_a_valid_file() -> None:
    example = CONFIGURATION.read_text().partition("```toml\n")[2].partition("```")[0]
    assert load({}, {}, tomllib.loads(example)).origins["host"] is Origin.FILE
