"""The report with all ten tests, opened in Chromium: pictures, molecules that turn, no network."""

import dataclasses
import json
import shutil
from pathlib import Path

import browser
import pytest
from browser import REQUIRED, browser_path
from test_motion import write_spectra
from test_noncovalent import write_comp6
from test_reactions_rdb7 import write_rdb7
from transfer import PLAIN, table, write_labels

from ase_mlseqm.runs.transferability import transferability_run
from ase_mlseqm.workflows.transferability.registry import TESTS

BENCHMARKS = Path(__file__).parents[3] / "benchmarks" / "transferability"
WORST = 2
STATE = """
[...document.querySelectorAll("canvas")].map((canvas) => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height)
    .getContext("2d", {willReadFrequently: true});
  copy.drawImage(canvas, 0, 0);
  const {data} = copy.getImageData(0, 0, canvas.width, canvas.height);
  let painted = 0;
  for (let k = 3; k < data.length; k += 4) painted += data[k] > 0;
  return {drawn: Number(canvas.dataset.drawn), painted: painted / (canvas.width * canvas.height),
          picture: canvas.toDataURL()};
})
"""
SECTIONS = """
(() => {
  const found = {};
  let test = "";
  for (const element of document.querySelectorAll("h2, canvas"))
    if (element.tagName === "H2") found[test = element.id] = 0;
    else found[test] += 1;
  return found;
})()
"""
PLACES = """
(async (k) => {
  const canvas = document.querySelectorAll("canvas")[k];
  canvas.scrollIntoView({block: "center"});
  await new Promise(requestAnimationFrame);
  const {x, y, width, height} = canvas.getBoundingClientRect();
  return [x + width / 2, y + height / 2];
})
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """All ten tests on small data, with a learned model that has a committee beside PM3."""
    browser_path()  # without one nothing need be computed
    data = tmp_path_factory.mktemp("data")
    write_labels(data / "dft_large.h5", ("CH4", "H2O", "C2H6"))
    write_comp6(data / "s66x8.h5")
    write_rdb7(data / "reactions" / "rdb7", "rxn,barrier,reaction_energy", "7,75.0,20.0")
    write_spectra(data / "frequencies.extxyz")
    for kind, name in (("torsions", "hydrogen_peroxide"), ("dissociation", "water_OH")):
        (data / kind).mkdir()
        shutil.copy(BENCHMARKS / kind / f"{name}.extxyz", data / kind)
    config = dataclasses.replace(
        PLAIN,
        model=("hipnn-pm3",),
        method=("PM3",),
        worst=WORST,
        md_steps=20,
        max_atoms=14,
        relax_scans=False,
    )
    out = tmp_path_factory.mktemp("out")
    assert transferability_run(config, data, out) == 0, (out / "failures.csv").read_text()
    return out


@pytest.fixture(scope="module")
def page(report, tmp_path_factory):
    """The report in a browser."""
    with browser.browser(tmp_path_factory.mktemp("profile")) as found:
        found.open((report / "transferability.html").as_uri())
        yield found


def test_all_tests_are_in_the_report(report, page):
    names = [test.name for test in TESTS]
    assert len(names) == 10
    assert {row["test"] for row in table(report / "summary.csv")} == set(names)
    assert page.value("[...document.querySelectorAll('h2')].map((e) => e.id)") == names
    links = page.value(
        "[...document.querySelectorAll('nav a')].map((a) => !!document.querySelector(a.hash))"
    )
    assert links == [True] * 10
    assert page.value("document.querySelectorAll('table').length") == 11, "one a test, and the head"


def test_all_pictures_are_shown(page):
    sizes = page.value(
        "[...document.images].map((i) => [i.complete, i.naturalWidth, i.clientWidth])"
    )
    assert len(sizes) == 10
    assert all(done and width > 300 and shown > 300 for done, width, shown in sizes)


def test_all_molecules_are_drawn_and_turn(page):
    before = page.value(STATE)
    cases = json.loads(page.value("document.getElementById('cases').textContent"))
    assert [state["drawn"] for state in before] == [len(case["numbers"]) for case in cases]
    found = page.value(SECTIONS)
    # those of dynamics are runs that were stopped; scaling compares nothing
    assert found.pop("dynamics") == found.pop("scaling") == 0
    assert set(found) | {"dynamics", "scaling"} == {test.name for test in TESTS}
    assert min(found.values()) >= WORST
    assert all(state["drawn"] > 0 and state["painted"] > 0.02 for state in before)
    for k in range(len(before)):
        page.drag(*page.value(f"({PLACES})({k})"), 60, 25)
    turned = page.value(STATE)
    moved = [a["picture"] != b["picture"] for a, b in zip(before, turned, strict=True)]
    assert all(moved)
    assert all(state["painted"] > 0.02 for state in turned)
    # a mouse that no button of is pressed turns nothing
    x, y = page.value(f"({PLACES})(0)")
    page.call("Input.dispatchMouseEvent", type="mouseMoved", x=x + 30, y=y)
    assert page.value(STATE)[0] == turned[0]


def test_molecules_turn_with_the_keyboard(page):
    before = page.value(STATE)[1]["picture"]
    page.value("document.querySelectorAll('canvas')[1].focus()")
    for kind in ("keyDown", "keyUp"):
        page.call("Input.dispatchKeyEvent", type=kind, key="ArrowLeft", code="ArrowLeft")
    assert page.value(STATE)[1]["picture"] != before


def test_nothing_is_fetched_and_nothing_goes_wrong(report, page):
    """After all of the above; the page itself is the only request."""
    assert page.requests == [(report / "transferability.html").as_uri()]
    assert page.problems == []


def test_a_page_with_faults_is_told_from_one_without(tmp_path, page):
    """What the other tests rely on."""
    fault = tmp_path / "fault.html"
    fault.write_text(
        "<img src='http://localhost/a.png'><script>console.error('so');nothing()</script>"
    )
    with browser.browser(tmp_path / "profile") as found:
        found.open(fault.as_uri())
        assert "http://localhost/a.png" in found.requests
        text = " ".join(found.problems)
        assert "ReferenceError" in text and '"so"' in text
        assert found.value("document.images[0].naturalWidth") == 0


def test_a_missing_browser_is_told(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.delenv(REQUIRED, raising=False)
    with pytest.raises(pytest.skip.Exception, match="no Chromium"):
        browser_path()
    monkeypatch.setenv(REQUIRED, "1")
    with pytest.raises(pytest.fail.Exception, match="no Chromium, and MLSEQM_REQUIRE_BROWSER"):
        browser_path()
