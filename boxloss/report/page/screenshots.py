"""Pictures of the page for the documentation, taken by a headless Chromium."""

import pathlib
import shutil

# name: width, height, colour scheme, address of the tab
VIEWS = {
    "light": (1440, 900, "light", ""),
    "dark": (1440, 900, "dark", ""),
    "large": (1920, 1080, "light", ""),
    "large-dark": (1920, 1080, "dark", ""),
    "narrow": (390, 844, "light", ""),
    "narrow-dark": (390, 844, "dark", ""),
    "boxes": (1440, 900, "light", "#tab=boxes&kinds=bkg&sort=score+down"),
}


def take_screenshots(index, folder, chromium=None):
    """Write page-NAME.png for each of `VIEWS` and page-image.png; their paths.

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
        for name, (width, height, scheme, address) in VIEWS.items():
            size = {"width": width, "height": height}
            page = browser.new_page(viewport=size, color_scheme=scheme)
            page.goto(pathlib.Path(index).resolve().as_uri() + address)
            page.wait_for_selector("html[data-ready]")
            page.wait_for_timeout(500)  # the crops in sight
            written.append(folder / f"page-{name}.png")
            page.screenshot(path=written[-1])
            if name == "boxes":
                written += _inside_boxes(page, folder)
            page.close()
        browser.close()
    return written


def _inside_boxes(page, folder):
    """Pictures of the viewer, and of the map of training where there is one."""
    written = []
    if page.locator("#rows .row").count():
        page.locator("#rows .row .picture").first.click()
        page.check("#viewer-names")
        page.wait_for_timeout(500)
        written.append(folder / "page-image.png")
        page.screenshot(path=written[-1])
        page.keyboard.press("Escape")
    if page.locator("#cartography").is_visible():
        page.locator("#cartography summary").click()
        written.append(folder / "page-map.png")
        page.screenshot(path=written[-1])
    return written
