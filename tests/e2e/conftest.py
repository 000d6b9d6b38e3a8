"""A real browser and a server with the pages over the made-up platform."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

INSTALL = "apt-get install -y --no-install-recommends chromium"


def _chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is not None:
        return found
    if os.environ.get("CI") == "true":
        pytest.fail(f"there is no Chromium here and CI must have one; run: {INSTALL}")
    pytest.skip(f"there is no Chromium here; run: {INSTALL}")


# A browser keeps an event loop running in its thread, where no other test could have its own: it
# lives no longer than its module.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = _chromium()
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """The address of the made-up platform's pages."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.preview"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.terminate()
    process.wait(20)
    process.stdout.close()
