"""The parts of the sandbox chain that need no node."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest
from aiohttp import web

from poolmaker.kernel.errors import EnvironmentProblem, PreconditionError
from poolmaker.sandbox.chain import abi, packages
from poolmaker.sandbox.chain.admin import asset_called, units_of
from poolmaker.sandbox.chain.model import HMT, USDT, token_called
from poolmaker.sandbox.chain.options import MNEMONIC
from poolmaker.sandbox.chain.wallet import account_of
from poolmaker.sandbox.serving import Ports, bind


def test_call_data_opens_with_the_published_selectors() -> None:
    signatures = {
        "createFundAndSetupEscrow(address,uint256,string,address,address,address,string,string)": (
            "0x58ee72fa"
        ),
        "storeResults(string,string,uint256)": "0xcd99f230",
        "bulkPayOut(address[],uint256[],string,string,string,bool)": "0x31fc48f0",
    }
    address = HMT.address
    arguments: dict[str, tuple[object, ...]] = {
        "0x58ee72fa": (address, 1, "", address, address, address, "", ""),
        "0xcd99f230": ("u", "h", 1),
        "0x31fc48f0": ([address], [1], "u", "h", "p", False),
    }
    for signature, selector in signatures.items():
        assert abi.call_data(signature, *arguments[selector]).startswith(selector)


def test_topics_are_the_published_ones() -> None:
    assert abi.topic("Transfer(address,address,uint256)") == (
        "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
    )
    assert abi.topic("BulkTransferV3(bytes32,address[],uint256[],bool,string,string)") == (
        "0x1abfcb29bb62c645acec9875fb93011a03ced5c168a43b9ab941e4c7c623d4ef"
    )
    assert abi.topic("LaunchedV2(address,address,string)") == (
        "0xde4a6895269de599430e1230956361cbe11b52ad149311a97123c73666c52141"
    )


def test_the_wallets_are_those_of_the_test_mnemonic() -> None:
    assert account_of(MNEMONIC, 0).address == "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
    assert account_of(MNEMONIC, 5).address == "0x9965507D1a55bcC2695C58ba16FB37d819B0A4dc"


def test_amounts_are_exact_or_refused() -> None:
    assert units_of("12.5", 6) == 12_500_000
    for wrong in ("0", "-1", "0.0000001", "NaN", "Infinity", "many", ""):
        with pytest.raises(PreconditionError):
            units_of(wrong, 6)


def test_assets_are_known_by_symbol_and_address() -> None:
    assert token_called("usdt") is USDT
    assert token_called(HMT.address.lower()) is HMT
    assert asset_called("native").symbol == "ETH"
    with pytest.raises(PreconditionError, match="expected one of ETH, HMT, USDT"):
        asset_called("DOGE")


def test_packages_go_into_the_environment_or_the_data_folder_never_into_the_sources(
    tmp_path: Path,
) -> None:
    digest = packages.digest_of_lock()
    inside = packages.home_of_packages({}, tmp_path, is_environment=True)
    assert inside == tmp_path / "node" / f"chain-{digest}"
    home = {"POOLMAKER_HOME": str(tmp_path / "home")}
    outside = packages.home_of_packages(home, Path("/usr"), is_environment=False)
    assert outside == tmp_path / "home" / "node" / f"chain-{digest}"


def test_a_machine_without_node_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(EnvironmentProblem, match="install nodejs and npm"):
        packages.find_npm()


def test_the_lock_names_no_host_and_pins_everything() -> None:
    lock = (Path(packages.__file__).parent / "node" / "package-lock.json").read_text("utf-8")
    assert "://" not in lock
    assert lock.count('"integrity": "sha512-') == lock.count('"node_modules/') == 5


def test_without_a_binary_the_sentence_names_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(EnvironmentProblem, match="install Foundry"):
        packages.anvil_of(tmp_path)


async def test_a_taken_port_is_one_sentence() -> None:
    first = bind(0)
    port = first.getsockname()[1]
    with pytest.raises(EnvironmentProblem, match=f"Port {port} .* choose another with --port"):
        bind(port)
    first.close()


async def test_ports_answer_until_they_are_closed() -> None:
    async def handle(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"ok": True})

    ports = Ports()
    assert (await ports.serve(bind(0), handle)).startswith("http://127.0.0.1:")
    await ports.close()
