"""Images that another tool attacked: two folders matched by name, or a table that names them."""

import io
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select

from app.batches.check import STANDARD_LIMITS
from app.batches.details import details_of
from app.batches.foreign import check_foreign
from app.batches.service import Import, import_checked
from app.batches.sides import open_delivered, open_two
from app.errors import Conflict, Invalid
from app.researchers.service import add_researcher
from app.storage.images import ImageStore
from app.storage.models import Batch, Stimulus
from app.storage.session import Database
from app.studies.service import NewStudy, create_study
from app.vocabulary import DeliveryKind
from app.web.identity import now

Make = Callable[..., Path]
Bring = Callable[..., int]
SAID = {
    "name": "Brought",
    "criterion": "Five cells.",
    "attack": "fgsm",
    "norm": "linf",
    "epsilon": "4",
}
BIN = Path(sys.executable).parent


@pytest.fixture
def sides(make_batch: Make, tmp_path: Path) -> tuple[Path, Path]:
    """p1.png, p2.png, p3.png in two folders: originals, and versions 4 grey levels off."""
    made = make_batch(tmp_path / "made", cases=3, size=24, epsilon="4")
    manifest = json.loads((made / "batch.json").read_text(encoding="utf-8"))
    folders = tmp_path / "original", tmp_path / "perturbed"
    for folder in folders:
        folder.mkdir()
    for number, case in enumerate(manifest["cases"], 1):
        for folder, image in zip(folders, (case["original"], case["perturbed"][0]), strict=True):
            (folder / f"p{number}.png").write_bytes((made / image["file"]).read_bytes())
    return folders


@pytest.fixture
def tabled(sides: tuple[Path, Path], tmp_path: Path) -> Callable[[str], Path]:
    """`tabled(csv)`: a folder with the images and this table."""

    def make(text: str) -> Path:
        folder = tmp_path / "tabled"
        folder.mkdir(exist_ok=True)
        for side in sides:
            for file in side.iterdir():
                (folder / f"{side.name[0]}{file.name}").write_bytes(file.read_bytes())
        (folder / "manifest.csv").write_text(text, encoding="utf-8")
        return folder

    return make


@pytest.fixture
def bring_folders(database: Database, store: ImageStore) -> Bring:
    def bring(original: Path, perturbed: Path, **said: str) -> int:
        opened = partial(open_two, original, perturbed, STANDARD_LIMITS)
        checked = check_foreign(opened, DeliveryKind.FOLDERS, details_of({**SAID, **said}))
        return import_checked(checked, database, store, Import(now()))

    return bring


@pytest.fixture
def bring_table(database: Database, store: ImageStore) -> Bring:
    def bring(path: Path, **said: str) -> int:
        opened = partial(open_delivered, path, STANDARD_LIMITS)
        checked = check_foreign(opened, DeliveryKind.MANIFEST, details_of({**SAID, **said}))
        return import_checked(checked, database, store, Import(now()))

    return bring


def problems_of(bring: Callable[[], object]) -> list[str]:
    with pytest.raises(Invalid) as refused:
        bring()
    return list(refused.value.problems)


TABLE = "original,perturbed\n" + "".join(f"op{n}.png,pp{n}.png\n" for n in (1, 2, 3))


def test_two_folders_become_a_batch_that_a_study_can_show(
    sides: tuple[Path, Path], bring_folders: Bring, database: Database, store: ImageStore
) -> None:
    number = bring_folders(*sides)
    with database.writing() as session:
        batch = session.get_one(Batch, number)
        assert (batch.name, batch.criterion) == ("Brought", "Five cells.")
        assert [case.name for case in batch.cases] == ["p1", "p2", "p3"]
        assert {case.truth for case in batch.cases} == {1}
        [condition] = batch.conditions
        assert (condition.name, condition.epsilon) == ("fgsm-linf-4", "4")
        for case in batch.cases:
            original, perturbed = case.stimuli
            assert (original.p_positive, original.success) == (None, None)
            assert (perturbed.p_positive, perturbed.success, perturbed.linf) == (None, True, 4)
            assert perturbed.ssim is not None
            shown = Image.open(io.BytesIO(store.read(perturbed.file, perturbed.sha256)))
            sent = Image.open(sides[1] / f"{case.name}.png")
            assert (np.array(shown) == np.array(sent)).all()
        researcher = add_researcher(session, "ada@example.org", "correct horse battery", now())
        study = create_study(
            session, researcher, batch, NewStudy("Folders", "Tissue images"), now()
        )
        assert len(study.stimuli) == 6


def test_zips_are_as_good_as_folders(
    sides: tuple[Path, Path], bring_folders: Bring, tmp_path: Path
) -> None:
    zips = []
    for side in sides:
        zips.append(tmp_path / f"{side.name}-packed.zip")
        with zipfile.ZipFile(zips[-1], "w") as archive:
            for file in side.iterdir():
                archive.write(file, f"my images/{file.name}")
            archive.writestr("my images/.DS_Store", b"litter")
    assert bring_folders(*zips) == 1
    with pytest.raises(Conflict, match="imported before, as number 1"):
        bring_folders(*sides)


@pytest.mark.parametrize("is_nested", [False, True])
def test_one_zip_may_hold_both_folders_or_both_zips(
    is_nested: bool, sides: tuple[Path, Path], tmp_path: Path
) -> None:
    whole = tmp_path / "whole.zip"
    with zipfile.ZipFile(whole, "w") as archive:
        for side in sides:
            inner = io.BytesIO()
            with zipfile.ZipFile(inner, "w") as packed:
                for file in side.iterdir():
                    if is_nested:
                        packed.write(file, file.name)
                    else:
                        archive.write(file, f"{side.name}/{file.name}")
            if is_nested:
                archive.writestr(f"{side.name}.zip", inner.getvalue())
    opened = partial(open_delivered, whole, STANDARD_LIMITS)
    checked = check_foreign(opened, DeliveryKind.FOLDERS, details_of(SAID))
    assert [case.id for case in checked.cases] == ["p1", "p2", "p3"]
    assert len(list(checked.images())) == 6
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("tmp")]


def test_images_in_subfolders_are_matched_by_their_whole_path(
    sides: tuple[Path, Path], bring_folders: Bring, database: Database
) -> None:
    for side in sides:
        (side / "slide 1").mkdir()
        (side / "p1.png").rename(side / "slide 1" / "p1.png")
    number = bring_folders(*sides, truth="no_tumour")
    with database.reading() as session:
        cases = session.get_one(Batch, number).cases
        assert [(case.name, case.truth) for case in cases] == [
            ("p2", 0),
            ("p3", 0),
            ("slide-1-p1", 0),
        ]


def test_every_fault_of_two_folders_is_told_with_its_fix(
    sides: tuple[Path, Path], bring_folders: Bring, database: Database, store: ImageStore
) -> None:
    original, perturbed = sides
    (original / "alone.png").write_bytes((original / "p1.png").read_bytes())
    (perturbed / "other.png").write_bytes((perturbed / "p1.png").read_bytes())
    Image.open(perturbed / "p1.png").resize((12, 12)).save(perturbed / "p1.png")
    Image.open(perturbed / "p2.png").convert("L").save(perturbed / "p2.png")
    (perturbed / "p3.png").write_bytes((original / "p3.png").read_bytes())
    problems = problems_of(lambda: bring_folders(*sides))
    alone = "has no image of the same name in {}; add that image or remove this one."
    sizes = "is 12 x 12 pixels, its original 24 x 24 pixels; make both the same size."
    grey = "is a PNG that is 8-bit grey, not 8-bit RGB; save it as an 8-bit RGB PNG."
    assert problems == [
        f"original/alone.png {alone.format('perturbed/')}",
        f"perturbed/other.png {alone.format('original/')}",
        f"p1: perturbed/p1.png {sizes}",
        f"p2: perturbed/p2.png {grey}",
        "p3: perturbed/p3.png has the same pixels as its original; leave it out.",
    ]
    assert not store.root.exists()
    with database.reading() as session:
        assert session.scalars(select(Batch)).all() == []


def test_two_equal_originals_damage_and_a_broken_budget_are_told(
    sides: tuple[Path, Path], bring_folders: Bring
) -> None:
    original, perturbed = sides
    (original / "p2.png").write_bytes((original / "p1.png").read_bytes())
    (perturbed / "p2.png").write_bytes((perturbed / "p1.png").read_bytes())
    content = (perturbed / "p3.png").read_bytes()
    (perturbed / "p3.png").write_bytes(content[:-20])
    problems = problems_of(lambda: bring_folders(*sides, epsilon="3"))
    assert len(problems) == 4
    assert (
        "p2: original/p2.png has the same pixels as the original of case p1; leave one of them out."
        in problems
    )
    assert "p3: perturbed/p3.png is truncated; save it as an 8-bit RGB PNG." in problems
    assert any(
        "p1.png has linf 4, above the declared epsilon of 3; declare" in each for each in problems
    )


def test_an_empty_folder_is_told(tmp_path: Path, bring_folders: Bring) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    problems = problems_of(lambda: bring_folders(tmp_path / "one", tmp_path / "other"))
    assert len(problems) == 2
    assert "There is no image in the folder original/" in problems[0]


def test_a_table_with_names_alone_takes_the_rest_from_the_form(
    tabled: Callable[[str], Path], bring_table: Bring, database: Database
) -> None:
    number = bring_table(tabled(TABLE))
    with database.reading() as session:
        batch = session.get_one(Batch, number)
        assert [case.name for case in batch.cases] == ["op1", "op2", "op3"]
        assert [condition.name for condition in batch.conditions] == ["fgsm-linf-4"]


def test_a_table_can_say_everything(
    tabled: Callable[[str], Path], bring_table: Bring, database: Database
) -> None:
    text = (
        "Case;Original;Perturbed;Truth;Condition;Attack;Norm;Epsilon;p_original;p_perturbed\r\n"
        "a;op1.png;pp1.png;1;weak;pgd;l2;5.5;0.9;0.2\r\n"
        "a;op1.png;pp2.png;1;strong;cw;none;;0.9;0.7\r\n"
        "b;op3.png;pp3.png;no tumour;weak;pgd;l2;5.5;;\r\n"
    )
    folder = tabled("\ufeff" + text)
    (folder / "op2.png").unlink()
    number = bring_table(folder, truth="table")
    with database.reading() as session:
        batch = session.get_one(Batch, number)
        assert [(case.name, case.truth) for case in batch.cases] == [("a", 1), ("b", 0)]
        assert [(c.name, c.attack, c.norm, c.epsilon) for c in batch.conditions] == [
            ("weak", "pgd", "l2", "5.5"),
            ("strong", "cw", "none", None),
        ]
        rows = session.scalars(select(Stimulus).order_by(Stimulus.case_id, Stimulus.id)).all()
        assert [(row.p_positive, row.success) for row in rows] == [
            (0.9, None),
            (0.2, True),
            (0.7, False),
            (None, None),
            (None, True),
        ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("case,original\na,op1.png\n", "has no column perturbed"),
        ("original,perturbed,colour\n", "has a column 'colour', which means nothing here"),
        ("original,perturbed,original\n", "has two columns of one name"),
        ("", "has no column original"),
        ("original,perturbed\nop1.png,\n", "line 2: name both"),
        ("original,perturbed,truth\nop1.png,pp1.png,maybe\n", "line 2: the truth should be 1"),
        ("original,perturbed,p_original\nop1.png,pp1.png,2\n", "p_original should be a number"),
        ("original,perturbed,success\nop1.png,pp1.png,perhaps\n", "success should be yes, no"),
        ("original,perturbed,norm\nop1.png,pp1.png,l9\n", "the norm should be none, l0"),
        ("original,perturbed,epsilon\nop1.png,pp1.png,four\n", "epsilon should be a number"),
        ("original,perturbed,attack\nop1.png,pp1.png,a b\n", "should be 1 to 64 letters"),
        ("original,perturbed,case\nop1.png,pp1.png,a b\n", "the case 'a b' should be"),
        ("original,perturbed\nop1.png,pp9.png\n", "pp9.png is missing"),
        ("original,perturbed\nop1.png,pp1.png\nop1.png,pp1.png\n", "is used by manifest.csv"),
        (
            "original,perturbed,p_original\nop1.png,pp1.png,0.1\n",
            "the network misclassifies the original",
        ),
        (
            "original,perturbed,p_perturbed,success\nop1.png,pp1.png,0.1,no\n",
            "success contradicts p_perturbed",
        ),
        (
            "original,perturbed,condition,epsilon\nop1.png,pp1.png,c,4\nop2.png,pp2.png,c,5\n",
            "line 3: the condition c has another attack, norm or epsilon",
        ),
        (
            "case,original,perturbed,truth\na,op1.png,pp1.png,1\na,op2.png,pp2.png,1\n",
            "says another original, truth or p_original than manifest.csv, line 2",
        ),
        (
            "case,original,perturbed\na,op1.png,pp1.png\na,op1.png,pp2.png\n",
            "case a has the condition fgsm-linf-4 twice",
        ),
    ],
)
def test_what_is_wrong_with_a_table_is_told(
    text: str, problem: str, tabled: Callable[[str], Path]
) -> None:
    opened = partial(open_delivered, tabled(text), STANDARD_LIMITS)
    problems = problems_of(lambda: check_foreign(opened, DeliveryKind.MANIFEST, details_of(SAID)))
    assert any(problem in each for each in problems), problems


def test_an_image_that_the_table_does_not_name_is_told(tabled: Callable[[str], Path]) -> None:
    opened = partial(open_delivered, tabled(TABLE.rpartition("op3")[0]), STANDARD_LIMITS)
    problems = problems_of(lambda: check_foreign(opened, DeliveryKind.MANIFEST, details_of(SAID)))
    assert problems == [
        f"{name} is not named in manifest.csv; remove it or write a line for it."
        for name in ("op3.png", "pp3.png")
    ]


def test_a_table_that_is_no_text_is_told(tabled: Callable[[str], Path]) -> None:
    folder = tabled("")
    for content, words in [(b"\xff\xfe\x00", "is not UTF-8 text"), (None, "is missing")]:
        if content is None:
            (folder / "manifest.csv").unlink()
        else:
            (folder / "manifest.csv").write_bytes(content)
        opened = partial(open_delivered, folder, STANDARD_LIMITS)
        problems = problems_of(
            lambda opened=opened: check_foreign(  # type: ignore[misc]
                opened, DeliveryKind.MANIFEST, details_of(SAID)
            )
        )
        assert words in problems[0]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"name": ""}, "The name is missing or not right"),
        ({"criterion": "x" * 501}, "The criterion is missing or not right"),
        ({"attack": "a b"}, "The attack is missing or not right"),
        ({"epsilon": "four"}, "Epsilon is missing or not right"),
        ({"norm": "l9"}, "The norm is missing or not right"),
        ({"norm": "none"}, "Epsilon belongs to a norm"),
        ({"epsilon": ""}, "The norm linf needs an epsilon"),
        ({"micrometres_per_pixel": "small"}, "Micrometres per pixel is missing or not right"),
        ({"micrometres_per_pixel": "nan"}, "Micrometres per pixel is missing or not right"),
        ({"network": "a\x00b"}, "The network is missing or not right"),
    ],
)
def test_what_is_said_in_the_form_is_checked(change: dict[str, str], problem: str) -> None:
    [told] = problems_of(lambda: details_of({**SAID, **change}))
    assert problem in told


def test_the_details_are_kept_with_the_batch(
    sides: tuple[Path, Path], bring_folders: Bring, database: Database
) -> None:
    number = bring_folders(
        *sides, network="resnet50", data_set="CoNSeP", micrometres_per_pixel="0.25"
    )
    with database.reading() as session:
        batch = session.get_one(Batch, number)
        assert batch.network["architecture"] == "resnet50"
        assert {case.data_set for case in batch.cases} == {"CoNSeP"}
        assert {case.micrometres_per_pixel for case in batch.cases} == {0.25}
        assert batch.provenance["brought_as"] == "folders"
        assert batch.scan is not None


def test_the_commands_import_folders_and_tables(
    sides: tuple[Path, Path], tabled: Callable[[str], Path], tmp_path: Path
) -> None:
    environment = {**os.environ, "PLAINSIGHT_HOME": str(tmp_path / "home")}

    def plainsight(*words: Any) -> str:
        said = subprocess.run(
            [str(BIN / "plainsight"), *map(str, words)],
            env=environment,
            capture_output=True,
            text=True,
        )
        assert said.returncode == 0, said.stderr
        return said.stdout

    plainsight("db", "upgrade")
    attack = ("--attack", "fgsm", "--norm", "linf", "--epsilon", 4)
    first = plainsight("batch", "folders", *sides, "--name", "Folders", *attack)
    assert first == "Imported as batch 1.\n"
    table = tabled(TABLE)
    second = plainsight(
        *("batch", "table", table, "--name", "Table", "--truth", "tumour", *attack, "--json")
    )
    assert json.loads(second) == {"batch": 2}
    assert re.search("Brought|FGSM", plainsight("batch", "folders", "--help"))
