"""The map of training in the page."""

import numpy as np
import pytest
from page_scenes import count, exported_rows, open_section, trained

pytestmark = pytest.mark.page


def history_of(reports):
    """(spread, error, found, forgotten) (n, 4) of the rows with a history, and their number."""
    names = ("std_error", "mean_error", "found", "forgotten")
    rows = [r for r in trained(reports[1]).rows if r.get("history_found") is not None]
    return np.array([[row[f"history_{name}"] for name in names] for row in rows])


def regions_of(values):
    """{name: bool (n,)}: the upper third of spread; of the rest the upper third of error."""
    varied = values[:, 0] >= np.quantile(values[:, 0], 2 / 3)
    high = values[:, 1] >= np.quantile(values[:, 1], 2 / 3)
    return {
        "easy to learn": ~varied & ~high,
        "ambiguous": varied,
        "hard to learn": ~varied & high,
        "all": np.ones(len(values), bool),
    }


def test_the_map_of_training_shows_each_box_once_and_its_numbers_as_text(open_page, reports):
    page = open_page("trained")
    open_section(page, "cartography", "#map-plot svg")
    values = history_of(reports)
    titles = page.locator("#map-plot rect.kept title").all_text_contents()
    assert sum(int(text.split()[0]) for text in titles) == len(values) > 50
    assert page.locator("#map-plot rect.all").count() == len(titles)
    lines = [line.split("\t") for line in page.locator("#map-table tbody tr").all_inner_texts()]
    assert [line[0] for line in lines] == list(regions_of(values))
    for line, chosen in zip(lines, regions_of(values).values(), strict=True):
        error, spread, found, forgotten = values[chosen].mean(axis=0)[[1, 0, 2, 3]]
        wanted = [f"{error:.3f}", f"{spread:.3f}", f"{100 * found:.1f}", f"{forgotten:.2f}"]
        assert line[1:] == [str(chosen.sum()), *wanted]


@pytest.mark.parametrize("region", ["easy to learn", "ambiguous", "hard to learn", "all"])
def test_a_region_of_the_map_filters(open_page, reports, region):
    page = open_page("trained")
    open_section(page, "cartography", "#map-plot svg")
    page.click(f'[data-region="{region}"]')
    wanted = regions_of(history_of(reports))[region].sum()
    # All takes the filter away: boxes without a history come back.
    assert count(page) == (len(reports[1]) if region == "all" else wanted)
    assert page.locator("#map-plot .brush").count() == (region != "all")


def test_the_map_is_brushed_in_both_directions(open_page, reports):
    page = open_page("trained")
    open_section(page, "cartography", "#map-plot svg")
    frame = page.locator("#map-plot .frame").bounding_box()
    page.mouse.move(frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2)
    page.mouse.down()
    page.mouse.move(frame["x"] + frame["width"] + 9, frame["y"] - 9, steps=4)
    page.mouse.up()
    values = history_of(reports)[:, :2]
    low, high = values.min(axis=0), values.max(axis=0)
    middle, slack = (low + high) / 2, (high - low) / 100
    got = len(exported_rows(page))
    least, most = ((values > middle + sign * slack).all(axis=1).sum() for sign in (1, -1))
    assert 0 < least <= got <= most
    frame = page.locator("#map-plot .frame").bounding_box()
    page.mouse.click(frame["x"] + 5, frame["y"] + 5)
    assert count(page) == len(reports[1])


def test_a_page_without_a_history_has_no_map(open_page):
    assert not open_page().locator("#cartography").is_visible()
