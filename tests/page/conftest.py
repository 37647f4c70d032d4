"""Pages of made-up reports, and the browser that opens them from disk."""

import pytest
from page_scenes import CHROMIUM, FLAGS, audited, report_of, scene, trained


@pytest.fixture(scope="session")
def reports(tmp_path_factory):
    """(folder with page/ and other.csv, the report, the other run's report)."""
    folder = tmp_path_factory.mktemp("page")
    now = report_of(*scene(folder / "photos"), folder / "photos", "New <b>run</b>")
    before = report_of(*scene(folder / "photos", 1, shift=3.0), folder / "photos", "old run")
    now.to_html(folder / "page")
    now.to_html(folder / "compared", compare=before)
    before.to_csv(folder / "other.csv")
    trained(now).to_html(folder / "trained")
    audited(folder).to_html(folder / "audit", worst=None, loss=None)
    return folder, now, before


@pytest.fixture(scope="session")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    if not CHROMIUM:
        pytest.skip("no chromium here: apt-get install chromium, or set BOXLOSS_CHROMIUM")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, reports):
    """A function that opens a page; at the end nothing may have gone wrong in any of them."""
    wrong, contexts = [], []

    def open_one(which="page", address="#tab=boxes", folder=None, **options):
        options = {"viewport": {"width": 1440, "height": 900}, **options}
        context = browser.new_context(**options)
        context.set_default_timeout(20_000)  # a busy machine is slow, not wrong
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: m.type in ("error", "warning") and wrong.append(m.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(dialog.message))
        # A reload cancels the pictures that are on their way: those are not missing.
        page.on(
            "requestfailed",
            lambda r: r.failure == "net::ERR_ABORTED" or wrong.append(f"{r.url}: {r.failure}"),
        )
        page.on(
            "request",
            lambda r: r.url.startswith(("file:", "blob:")) or wrong.append(r.url),
        )
        page.goto(((folder or reports[0] / which) / "index.html").as_uri() + address)
        page.wait_for_selector("html[data-ready]")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert wrong == []
