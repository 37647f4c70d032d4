"""Pictures of the page for the documentation, taken by a headless Chromium."""

import pathlib
import shutil

VIEWS = {
    "light": {"width": 1440, "height": 900, "scheme": "light"},
    "dark": {"width": 1440, "height": 900, "scheme": "dark"},
    "narrow": {"width": 420, "height": 900, "scheme": "light"},
}


def take_screenshots(index, folder, chromium=None):
    """Write page-light.png, page-dark.png, page-narrow.png and page-image.png; their paths.

    Of a page with a training history, page-map.png too.

    index: path of the page's index.html. chromium: path of the browser (default: in PATH).
    """
    from playwright.sync_api import sync_playwright

    chromium = chromium or shutil.which("chromium")
    if chromium is None:
        raise ValueError("`chromium` must be the path of a Chromium. Received: none in PATH")
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-background-networking"]
        )
        for name, view in VIEWS.items():
            size = {"width": view["width"], "height": view["height"]}
            page = browser.new_page(viewport=size, color_scheme=view["scheme"])
            page.goto(pathlib.Path(index).resolve().as_uri())
            page.wait_for_selector("html[data-ready]")
            page.wait_for_timeout(500)  # the crops in sight
            written.append(folder / f"page-{name}.png")
            page.screenshot(path=written[-1])
            if name == "light" and page.locator("#rows .row").count():
                page.locator("#rows .row .picture").first.click()
                page.wait_for_timeout(500)
                written.append(folder / "page-image.png")
                page.screenshot(path=written[-1])
                page.keyboard.press("Escape")
            if name == "light" and page.locator("#cartography").is_visible():
                page.locator("#cartography summary").click()
                written.append(folder / "page-map.png")
                page.screenshot(path=written[-1])
            page.close()
        browser.close()
    return written
