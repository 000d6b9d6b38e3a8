"""Settings: strict, one sentence per fault, and every value knows where it came from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pydantic import SecretStr

from poolmaker.infra.settings import EvmSettings, Mode, Settings, StrategySettings, load
from poolmaker.infra.settings.keys import key_faults
from poolmaker.infra.settings.sources import key_lines
from poolmaker.kernel.errors import EnvironmentProblem
from poolmaker.messages.market import StrategySnapshot

GOOD = """\
mode = "sandbox"
barrier_interval_s = 5

[web]
port = 8555

[[assets]]
code = "BTC"
scale = 8

[[assets]]
code = "USDT"
scale = 6

[[venue_accounts]]
id = "main-1"
api_key = "key1"
secret = "secret1"
rest_url = "http://127.0.0.1:9000"
ws_url = "ws://127.0.0.1:9000/ws"
ws_api_url = "ws://127.0.0.1:9000/ws-api/v3"
symbols = [
  "BTC/USDT",  # the market
]

[[pools]]
id = "btc"
account = "main-1"
symbol = "BTC/USDT"
first_join_min = "100.50"

[pools.strategy]
levels = 4
"""


def written(folder: Path, text: str = GOOD) -> Path:
    path = folder / "poolmaker.toml"
    path.write_text(text, "utf-8")
    return path


def fault(folder: Path, text: str = GOOD, **environ: str) -> str:
    with pytest.raises(EnvironmentProblem) as caught:
        load(written(folder, text), environ)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


def test_without_file_and_environment_everything_is_a_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load(None, {})
    assert settings.mode is Mode.SANDBOX
    assert settings.home == tmp_path / ".poolmaker"
    assert {origin.source for origin in settings.origins()} == {"default"}


def test_the_file_in_the_working_directory_is_found_without_naming_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert load(None, {}).web.port == 8555


def test_the_variable_that_names_the_file_is_obeyed(tmp_path: Path) -> None:
    assert load(None, {"POOLMAKER_CONFIG": str(written(tmp_path))}).web.port == 8555


def test_the_environment_stands_over_the_file(tmp_path: Path) -> None:
    environ = {
        "POOLMAKER_WEB__PORT": "9001",
        "POOLMAKER_VENUE_ACCOUNTS__MAIN_1__SECRET": "other",
        "POOLMAKER_POOLS__BTC__STRATEGY__LEVELS": "7",
        "POOLMAKER_VENUE_ACCOUNTS__MAIN_1__SYMBOLS": '["BTC/USDT"]',
        "UNRELATED": "1",
    }
    settings = load(written(tmp_path), environ)
    assert settings.web.port == 9001
    assert settings.venue_accounts[0].secret.get_secret_value() == "other"
    assert settings.pools[0].strategy.levels == 7


def test_a_list_can_be_given_whole_as_json(tmp_path: Path) -> None:
    settings = load(written(tmp_path, ""), {"POOLMAKER_ASSETS": '[{"code": "ETH", "scale": 8}]'})
    assert settings.assets[0].code == "ETH"


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    assert load(written(tmp_path), {"POOLMAKER_DATABASE_URL": ""}).database_url is None


def test_every_leaf_says_where_it_came_from(tmp_path: Path) -> None:
    path = written(tmp_path)
    settings = load(path, {"POOLMAKER_LOG__LEVEL": "debug"})
    origin = {one.key: (one.value, one.source) for one in settings.origins()}
    assert origin["web.port"] == ("8555", f"{path}:5")
    assert origin["web.host"] == ("127.0.0.1", "default")
    assert origin["log.level"] == ("debug", "POOLMAKER_LOG__LEVEL")
    assert origin["assets.USDT.scale"] == ("6", f"{path}:13")
    assert origin["pools.btc.strategy.levels"] == ("4", f"{path}:33")
    assert origin["venue_accounts.main-1.symbols"] == ('["BTC/USDT"]', f"{path}:22")


def test_secrets_are_in_no_text_of_the_settings(tmp_path: Path) -> None:
    environ = {"POOLMAKER_DATABASE_URL": "postgresql://u:hunter2@localhost/p"}
    settings = load(written(tmp_path), environ)
    shown = repr(settings) + str(settings) + repr(settings.origins()) + settings.model_dump_json()
    for secret in ("key1", "secret1", "hunter2"):
        assert secret not in shown
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value().endswith("@localhost/p")


def test_a_secret_may_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("  from-file\n", "utf-8")
    path = written(tmp_path, GOOD.replace('"secret1"', '"file:key"'))
    settings = load(path, {})
    assert settings.venue_accounts[0].secret.get_secret_value() == "from-file"
    origin = {one.key: one for one in settings.origins()}["venue_accounts.main-1.secret"]
    assert origin.value == "********"
    assert origin.source == f"{path}:18 -> {tmp_path / 'key'}"


def test_a_secret_file_that_is_missing_or_empty_is_one_sentence(tmp_path: Path) -> None:
    text = GOOD.replace('"secret1"', '"file:key"')
    assert "key cannot be read" in fault(tmp_path, text)
    (tmp_path / "key").write_text("\n", "utf-8")
    assert "key is empty" in fault(tmp_path, text)


def test_in_live_mode_others_may_not_read_a_file_that_holds_a_secret(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD.replace('"sandbox"', '"live"'))
    path.chmod(0o644)
    with pytest.raises(EnvironmentProblem, match="chmod 600"):
        load(path, {})
    path.chmod(0o600)
    assert load(path, {}).mode is Mode.LIVE


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("port = 8555", "prot = 8555", "poolmaker.toml:5: web.prot is not a known setting; did"),
        ("port = 8555", "prot = 8555", "did you mean web.port?"),
        ("barrier_interval_s", "barier_interval_s", "did you mean barrier_interval_s?"),
        ("[web]\n", "[wbe]\n", "did you mean web?"),
        ("levels = 4", "levles = 4", "pools.btc.strategy.levles is not a known setting"),
        ("barrier_interval_s = 5", "port = 5", "did you mean web.port?"),
        ("port = 8555", 'port = "8555"', "web.port: input should be a valid integer"),
        ("port = 8555", "port = true", "web.port: input should be a valid integer"),
        ("port = 8555", "port = 70000", "less than or equal to 65535"),
        ('"sandbox"', '"production"', "mode: input should be 'sandbox', 'paper' or 'live'"),
        ('"100.50"', "100.50", "first_join_min: input should be a valid string"),
        ('"100.50"', '"100.1234567"', "more than the asset's 6 decimals"),
        ('"100.50"', '"9"', "order_min of the pool btc must not be above its first_join_min"),
        ('"100.50"', '"99"\norder_min = "0.5"', "holding_min of the pool btc must not be above"),
        ('"100.50"', '"99"\nnav_floor = "2"', "nav_floor of the pool btc must not be above its"),
        ('"100.50"', '"99"\norder_max = "98"', "order_max of the pool btc must be 0, for no bound"),
        ('"100.50"', '"99"\ncapacity = "98"', "capacity of the pool btc must be 0, for no bound"),
        ('"100.50"', '"99"\ncapacity = "99.1234567"', "more than the asset's 6 decimals"),
        ('"100.50"', '"99"\ntaker_fee_ppm = 1000001', "taker_fee_ppm"),
        (
            'account = "main-1"',
            'account = "mian"',
            "which is not in venue_accounts (known: main-1)",
        ),
        ('code = "USDT"', 'code = "BTC"', "assets has 'BTC' 2 times"),
        ('code = "USDT"', 'code = "USDC"', "names the asset USDT, which is not in assets"),
        (
            'symbol = "BTC/USDT"',
            'symbol = "ETH/USDT"',
            "which is not in the symbols of the account",
        ),
        ('rest_url = "http://127.0.0.1:9000"\n', "", "venue_accounts.main-1.rest_url is missing"),
        ("http://127.0.0.1:9000", "http://api.example.com", "mode is sandbox, but rest_url"),
        ("port = 8555", "port = ", "is not valid TOML"),
        ('secret = "secret1"', 'secret = "a"\nread_only_secret = "b"', "give both or none"),
    ],
)
def test_a_fault_in_the_file_is_one_sentence(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in GOOD
    assert said in fault(tmp_path, GOOD.replace(old, new))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("stay_min_s = 59", "stay_min_s of the pool btc must be at least 60 outside the sandbox"),
        ("cool_off_s = 0", "cool_off_s of the pool btc must be at least 60 outside the sandbox"),
        ('depth_min = "0"', "depth_min of the pool btc must be above 0 outside the sandbox"),
        ('holding_min = "0.0"', "holding_min of the pool btc must be above 0 outside the sandbox"),
    ],
)
def test_outside_the_sandbox_the_bounds_of_joins_are_real(
    tmp_path: Path, line: str, said: str
) -> None:
    """Found rows 1 to 4: short ones are the sandbox's own."""
    text = GOOD.replace('"100.50"', f'"100.50"\n{line}').replace("127.0.0.1", "api.example.com")
    load(written(tmp_path, GOOD.replace('"100.50"', f'"100.50"\n{line}')), {})
    assert said in fault(tmp_path, text.replace('"sandbox"', '"paper"'))


def test_two_pools_on_one_account_and_market_are_refused(tmp_path: Path) -> None:
    second = '[[pools]]\nid = "two"\naccount = "main-1"\nsymbol = "BTC/USDT"\n'
    sentence = fault(tmp_path, GOOD + second)
    assert "one open pool per account and market is allowed" in sentence
    assert f"{tmp_path / 'poolmaker.toml'}:37" in sentence


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("POOLMAKER_WEB__PROT", "1", "did you mean POOLMAKER_WEB__PORT?"),
        ("POOLMAKER_DATABASE_ULR", "x", "did you mean POOLMAKER_DATABASE_URL?"),
        ("POOLMAKER_WEB__PORT", "many", "POOLMAKER_WEB__PORT must be a whole number"),
        ("POOLMAKER_WEB__PORT", "0", "POOLMAKER_WEB__PORT: web.port: input should be greater"),
        ("POOLMAKER_WEB__PORT__X", "0", "POOLMAKER_WEB__PORT__X is not a known setting"),
        ("POOLMAKER_VENUE_ACCOUNTS__NOBODY__SECRET", "s", "(known: main-1)"),
        ("POOLMAKER_VENUE_ACCOUNTS__MAIN_1", "s", "is not a known setting"),
        ("POOLMAKER_ASSETS", "[", "POOLMAKER_ASSETS must be JSON"),
        ("POOLMAKER_MODE", "livee", "POOLMAKER_MODE: mode: input should be"),
    ],
)
def test_a_fault_in_the_environment_is_one_sentence(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    assert said in fault(tmp_path, **{name: text})


def test_a_named_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentProblem, match="cannot be read"):
        load(tmp_path / "none.toml", {})
    with pytest.raises(EnvironmentProblem, match="cannot be read"):
        load(tmp_path, {})


def test_a_fault_never_shows_a_secret(tmp_path: Path) -> None:
    text = GOOD.replace('"secret1"', '["hunter2"]')
    assert "hunter2" not in fault(tmp_path, text)


def test_the_strategy_settings_are_the_snapshots_fields_and_defaults() -> None:
    ours = {name: field.default for name, field in StrategySettings.model_fields.items()}
    theirs = {
        field.name: field.default
        for field in msgspec.structs.fields(StrategySnapshot)
        if field.name != "version"
    }
    assert ours == theirs
    assert StrategySettings(levels=5).snapshot(3) == StrategySnapshot(version=3, levels=5)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().mode = Mode.LIVE


def test_key_lines_know_nested_tables_strings_over_lines_and_inline_tables() -> None:
    text = 'a = """\nx = 1\n"""\nb.c = 2\n[[d]]\n[[d.e]]\nf = 1\n'
    text += "[[d.e]]\nf = {g = 1, h = 2}\ni = [\n 1]\n"
    tomllib.loads(text)
    lines = key_lines(text)
    assert lines[("a",)] == 1
    assert lines[("b", "c")] == 4
    assert lines[("d", 0, "e", 0, "f")] == 7
    assert lines[("d", 0, "e", 1, "f", "h")] == 9
    assert lines[("d", 0, "e", 1, "i")] == 10


LINES = GOOD.splitlines(keepends=True)


@examples(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_any_damaged_file_loads_or_is_one_sentence(tmp_path: Path, data: st.DataObject) -> None:
    lines = list(LINES)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        kind = data.draw(st.sampled_from(["drop", "double", "swap", "text", "cut"]))
        if kind == "drop":
            lines[at] = ""
        elif kind == "double":
            lines[at] *= 2
        elif kind == "swap":
            other = data.draw(st.integers(0, len(lines) - 1))
            lines[at], lines[other] = lines[other], lines[at]
        elif kind == "text":
            lines[at] = data.draw(st.text(max_size=12)) + "\n"
        else:
            lines[at] = lines[at][: data.draw(st.integers(0, 8))] + "\n"
    path = tmp_path / "damaged.toml"
    path.write_text("".join(lines), "utf-8", errors="surrogatepass")
    said = ""
    try:
        load(path, {})
    except EnvironmentProblem as problem:
        said = str(problem)
    assert said.count("\n") == 0


def test_a_file_of_an_earlier_version_loads_and_says_what_is_not_used_any_more(
    tmp_path: Path,
) -> None:
    old = GOOD + "\n[payout]\nabsent_after_s = 600\npoll_s = 7\n"
    loaded = load(written(tmp_path, old), {})
    assert loaded.payout.poll_s == 7
    (note,) = loaded.notes()
    assert "payout.absent_after_s is not used any more" in note
    assert f"{tmp_path / 'poolmaker.toml'}:" in note
    assert load(written(tmp_path), {}).notes() == ()


OUTSIDE = """
[[assets]]
code = "ETH"
scale = 18

[mixin]
api_url = "https://api.mixin.one"
app_id = "7766b24c-1a03-4c3a-83a3-b4358266875d"
session_id = "7766b24c-1a03-4c3a-83a3-b4358266875e"
session_private_key = "{one}"
server_public_key = "{two}"
spend_private_key = "{three}"

[evm]
rpc_url = "https://polygon.example.org"
chain_id = 137
wallet_private_key = "0x{three}"

[hufi]
oracle_url = "https://oracle.example.org"
launcher_url = "https://launcher.example.org"
file_hosts = ["files.example.org"]
account = "main-1"
exchange = "mexc"
escrow_factory = "0xc2132D05D31c914a87C6611C10748AEb04B58e8F"
""".format(one="11" * 32, two="22" * 32, three="33" * 32)
READ_ONLY = 'secret = "secret1"\nread_only_api_key = "ro_key1"\nread_only_secret = "ro_secret1"\n'
LIVE = (
    GOOD.replace('"sandbox"', '"live"')
    .replace("http://", "https://")
    .replace("ws://", "wss://")
    .replace('secret = "secret1"\n', READ_ONLY)
    .replace('symbol = "BTC/USDT"\n', 'symbol = "BTC/USDT"\nstay_min_s = 3600\n')
    + OUTSIDE
)


def live(folder: Path, old: str = "", new: str = "") -> Settings:
    assert old in LIVE
    path = written(folder, LIVE.replace(old, new, 1) if old else LIVE)
    path.chmod(0o600)
    return load(path, {})


def test_a_live_configuration_whose_keys_have_their_form_is_taken(tmp_path: Path) -> None:
    assert live(tmp_path).mode is Mode.LIVE


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("0x" + "33" * 32, "0x1234", "wallet_private_key: a wallet's key has 64 hex"),
        ("0x" + "33" * 32, "00" * 32, "wallet_private_key: the number is no key"),
        ("0x" + "33" * 32, "ff" * 32, "wallet_private_key: the number is no key"),
        ("chain_id = 137", "chain_id = 0", "chain_id"),
        ("chain_id = 137", 'chain_id = "polygon"', "chain_id"),
        ("chain_id = 137", "chain_id = 99999999999999999999", "chain_id"),
        ("0xc2132D05", "0xc2132d05", "escrow_factory: its letters do not fit its checksum"),
        ("0xc2132D05D31c914a87C6611C10748AEb04B58e8F", "0x" + "0" * 40, "the zero address"),
        ("0xc2132D05D31c914a87C6611C10748AEb04B58e8F", "0x12", "escrow_factory"),
        ('api_key = "key1"', 'api_key = "key 1"', "api_key: a key has visible"),
        ('api_key = "key1"', 'api_key = ""', "api_key: a key has visible"),
        ('secret = "secret1"', 'secret = "key1"', "are the same text"),
        ("11" * 32, "11" * 31, "session_private_key: a key of the keystore"),
        ("22" * 32, "not hex", "server_public_key: a key of the keystore"),
        (f'spend_private_key = "{"33" * 32}"', f'spend_private_key = "{"11" * 32}"', "spend key"),
        ("https://api.mixin.one", "http://api.mixin.one", "in live mode use https://"),
        ("https://oracle", "http://oracle", "in live mode use https://"),
        ("https://launcher", "http://launcher", "in live mode use https://"),
        ("https://polygon", "http://polygon", "in live mode use https://"),
        ('mode = "live"', 'mode = "live"\ndatabase_url = "hello"', "database_url: expected"),
    ],
)
def test_found_51_what_could_never_work_is_refused_by_the_check(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    with pytest.raises(EnvironmentProblem, match=re.escape(said)):
        live(tmp_path, old, new)


@given(st.text(st.characters(codec="ascii", exclude_categories=["C"]), max_size=80))
def test_no_text_but_a_key_of_the_curve_is_taken_for_a_wallet(text: str) -> None:
    settings = Settings.model_construct(
        evm=EvmSettings(rpc_url="http://x", chain_id=1, wallet_private_key=SecretStr(text))
    )
    faults = [path for path, _ in key_faults(settings)]
    is_key = re.fullmatch("(0x)?[0-9a-fA-F]{64}", text) is not None
    assert (("evm", "wallet_private_key") not in faults) == is_key
