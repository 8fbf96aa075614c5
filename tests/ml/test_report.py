"""report.html: one file that says what its tables say."""

import base64
import csv
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from ml.cli import main
from ml.errors import MlError
from ml.figures.catalogue import PLANS
from ml.report import OUTLINE, write_report

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Elements, text, and whether every tag that is opened is closed in its place."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.text += " " if tag in {"dt", "dd", "td", "th", "li", "p"} else ""

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def html(drawn_run: Path) -> str:
    return (drawn_run / "report.html").read_text("utf-8")


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def words(page: Page) -> str:
    return " ".join(page.text.split())


def keep_only(run: Path, *names: str) -> Path:
    for path in run.iterdir():
        if path.name not in names:
            path.unlink()
    return run


def test_every_tag_is_closed_and_every_id_is_there_once(page: Page) -> None:
    assert page.open == []
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {str(link["href"]) for link in page.all("a")}
    assert targets <= {f"#{one}" for one in ids}
    labels = {a["aria-labelledby"] for _, a in page.elements if "aria-labelledby" in a}
    assert labels <= set(ids)


def test_it_needs_no_other_host_and_no_script(html: str, page: Page) -> None:
    assert not page.all("script")
    assert not page.all("link")
    assert not re.search(r"https?://|url\(|@import|\son\w+=", html)
    assert all(str(image["src"]).startswith("data:image/") for image in page.all("img"))


def test_every_figure_is_in_it_with_words_for_those_who_cannot_see_it(
    drawn_run: Path, page: Page
) -> None:
    images = page.all("img")
    shown = {base64.b64decode(str(image["src"]).partition(",")[2]) for image in images}
    assert shown == {(drawn_run / "figures" / f"{plan.name}.svg").read_bytes() for plan in PLANS}
    for svg in shown:
        ElementTree.fromstring(svg)  # noqa: S314 - our own file
    assert all(len(str(image["alt"])) > 30 for image in images)
    assert {name for _, _, names, _ in OUTLINE.values() for name in names} == {
        plan.name for plan in PLANS
    }


def test_every_table_behind_a_figure_is_named_and_in_it(drawn_run: Path, page: Page) -> None:
    text = words(page)
    for plan in PLANS:
        for name in plan.tables:
            assert name in text
    with (drawn_run / "table1a.csv").open(newline="") as lines:
        for row in csv.DictReader(lines):
            assert f"{float(row['auc']):.4g}" in text


@pytest.mark.parametrize(
    "sentence",
    [
        "On 6 held-out folds the network reaches an AUC of 0.941 (SD 0.017)",
        "the smallest change that makes the network wrong is 1 grey level in the median",
        "a single grey level is enough for 22 of 24 (91.7 %)",
        "L∞ budget of 0.5 grey levels turns 13 of 24 (54.2 %) images in float",
        "Changing no more than 20 % of the pixels turns 23 of 24 (95.8 %) images in 8 bits",
        "turns 17 of 30 (56.7 %) of the unseen test images and 48 of 60 (80 %)",
        "PGD L∞ within 4 grey levels (RMS difference 2.4) turns 100 % of the images, and random",
        "noise as strong 0 %; natural changes",
        "Of the gradient's saliency 54.5 % lie inside tumour nuclei before the attack and 34.5 %",
        "75 % of the nearest unperturbed patches of an adversarial image are of the class",
        "Within L∞ 2 grey levels the attack turns 100 % of the undefended network's images",
        "(accuracy on clean ones 90 %); adversarial training for free takes it to 37.5 %",
        "difference -20.0 points, 95 % interval -22.0 to -18.0; p = 0.002",
        "The plane holds 90 % of the variance. Batch norm was seen to.",
    ],
)
def test_the_numbers_are_told_in_sentences(sentence: str, page: Page) -> None:
    assert sentence in words(page)


@pytest.mark.parametrize(
    "number",
    ["0.960 (SD 0.004)", "0.890 (SD 0.014)", "619 of 702 (88.2 %)", "319 of 376 (84.8 %)", "2035"],
)
def test_the_papers_numbers_stand_beside_ours(number: str, page: Page) -> None:
    assert number in words(page)


def test_it_says_why_the_numbers_differ_from_the_papers(page: Page) -> None:
    text = words(page)
    assert "started from random weights" in text
    assert 'The patches are those of <b>colon & "co"</b>, not PanNuke\'s breast' in text


def test_names_are_text_whatever_they_hold(html: str, page: Page) -> None:
    assert not page.all("b")
    assert "&lt;b&gt;colon &amp; &#34;co&#34;&lt;/b&gt;" in html


def test_a_failed_sanity_check_is_a_warning_before_everything_else(page: Page) -> None:
    text = words(page)
    warning = text.index("not to be trusted")
    assert warning < text.index("In short")
    assert "3 of 24 gradients are zero." in text[warning : text.index("In short")]
    assert "Passed: success at epsilon 0." in text


def test_it_tells_what_made_it(page: Page) -> None:
    text = words(page)
    for told in ("a" * 40, "torch 2.14.1", "1" * 64, "2" * 64, "2026-01-02 03:04:05 UTC"):
        assert told in text
    assert '"weights": "none"' in text


def test_the_data_flow_counts_patches_and_attacks(page: Page) -> None:
    told = re.search(r"Patches (\d+) .*?Attacked in every norm (\d+)", words(page))
    assert told is not None
    assert told.groups() == ("24", "24")
    assert "Held out and considered 40 of these correct 30" in words(page)


@pytest.mark.parametrize(
    "kept", [("table1a.csv",), ("minimal.csv", "curves.json"), ("natural.csv",)]
)
def test_steps_that_were_not_run_are_named_and_no_error(
    kept: tuple[str, ...], make_run: Callable[..., Path], tmp_path: Path
) -> None:
    run = keep_only(make_run(tmp_path / "run"), *kept)
    written = write_report(run)
    page = Page(written.path.read_text("utf-8"))
    assert page.open == []
    assert "defence" in written.not_run
    assert f"Not run: {', '.join(written.not_run)}." in words(page)
    assert len(page.all("img")) == len(written.figures) == 1


def test_without_failed_checks_there_is_no_warning(
    make_run: Callable[..., Path], tmp_path: Path
) -> None:
    run = keep_only(make_run(tmp_path / "run"), "sanity.csv", "baselines.json")
    (run / "sanity.csv").write_text("check,passed,told\nends,True,0 of 16\n", "utf-8")
    write_report(run)
    text = words(Page((run / "report.html").read_text("utf-8")))
    assert "not to be trusted" not in text
    assert "Passed: ends. 0 of 16" in text


def test_the_same_run_gives_the_same_report(make_run: Callable[..., Path], tmp_path: Path) -> None:
    reports = []
    for name in ("one", "two"):
        run = keep_only(make_run(tmp_path / name), "table1a.csv", "crossval.json", "sanity.csv")
        reports.append(write_report(run).path.read_bytes())
    assert reports[0] == reports[1]


def test_a_step_that_could_not_be_done_says_why(
    make_run: Callable[..., Path], tmp_path: Path
) -> None:
    run = keep_only(make_run(tmp_path / "run"), "table1a.csv")
    failed = {"failed": {"landscape": "There are no weights <of> epochs."}}
    (run / "provenance.json").write_text(json.dumps(failed), "utf-8")
    write_report(run)
    text = words(Page((run / "report.html").read_text("utf-8")))
    assert "landscape could not be done: There are no weights <of> epochs." in text


def test_what_can_be_seen_is_told_by_norm(page: Page) -> None:
    text = words(page)
    assert "L∞, largest difference (grey levels) 24 12.5 0.99900 52.5 0.200 1.50 no weights" in text


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MlError, match="holds no step of a run"):
        write_report(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_command_tells_what_it_drew_and_what_was_not_run(
    make_run: Callable[..., Path], tmp_path: Path
) -> None:
    run = keep_only(make_run(tmp_path / "run"), "table1a.csv", "transfer.csv")
    done = CliRunner().invoke(main, ["figures", str(run), "--json"])
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert facts["figures"] == ["table1a", "transfer"]
    assert {"curves", "defence"} <= set(facts["not_run"])
    assert Path(facts["path"]).is_file()
