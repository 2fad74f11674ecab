"""A headless browser for tests of pages."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Browser:
    """Headless Chromium showing pages from disk.

    Attributes:
        driver: a Selenium WebDriver.
    """

    driver: Any

    def open(self, path: Path, *, fragment: str = "", width: int = 1440) -> None:
        """Shows a page from scratch at a width in CSS pixels."""
        metrics = {
            "width": width,
            "height": 900,
            "deviceScaleFactor": 1,
            "mobile": width < 600,
        }
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        # Without a page between, another fragment would not load the page again.
        self.driver.get("about:blank")
        self.driver.get_log("browser")
        self.driver.get(path.as_uri() + fragment)

    def overflow(self) -> int:
        """Returns by how many pixels the page is wider than what shows it."""
        return self.ask(
            "const page = document.documentElement;"
            " return page.scrollWidth - page.clientWidth"
        )

    def ask(self, script: str, *arguments: Any) -> Any:
        """Returns what a script returns."""
        return self.driver.execute_script(script, *arguments)

    def complaints(self) -> list[str]:
        """Returns what the console holds since ``open``."""
        return [entry["message"] for entry in self.driver.get_log("browser")]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium and its driver, as Debian's packages install them."""
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("no chromium here (apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    # Root cannot use the sandbox, small containers have no /dev/shm to speak of.
    for argument in (
        "headless=new",
        "no-sandbox",
        "disable-dev-shm-usage",
        "force-prefers-reduced-motion",
    ):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=driver)
    running = webdriver.Chrome(options=options, service=service)
    try:
        yield Browser(running)
    finally:
        running.quit()
