"""Takes the pictures of every kind of mail, wide and narrow, with the product's texts and sample data.

`python -m ops.pictures` writes them to docs/images/notices and docs/notices.md, and needs Chromium; wide ones are in
English, narrow ones in Chinese.
"""

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

from notify.domain.announcements import VERIFICATION_CODE
from notify.domain.rules import may_wait_for_acknowledgement
from notify.domain.samples import KINDS
from notify.domain.templates import Style
from notify.domain.words import phrase
from notify.message import sample_link
from notify.rendering import Reader, preview
from notify.testing import product_book

DOCS: Final = Path(__file__).parent.parent / "docs"
FOLDER: Final = DOCS / "images" / "notices"
PAGE: Final = DOCS / "notices.md"
HEAD: Final = """# What people read

Every kind of mail with the product's texts and sample data, as `python -m ops.pictures` takes it: in a wide window in \
English, in a narrow one in Chinese. The layout is one for all; `GET /templates/{kind}/email/{language}/preview` shows \
a text with its plain part.

| kind | wide | narrow |
|---|---|---|
"""
LINK: Final = sample_link("https://notices.example.com")
SCALE: Final = "0.6"
SECONDS_MAX: Final = 60
SIZES: Final = (("wide", "en", 900), ("narrow", "zh-CN", 500))
"""Chromium's windows are no narrower than 500, which at this scale is the width of a telephone."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One mail in a window of so many pixels."""

    name: str
    width: int
    html: str


def pictures() -> Iterator[Picture]:
    """Every kind of mail in each size."""
    book = product_book()
    for kind in KINDS:
        for size, language, width in SIZES:
            template = book.find(kind, Style.EMAIL, language)
            assert template is not None, "the product has texts of every kind"
            word = "verify" if kind == VERIFICATION_CODE else "acknowledge"
            has_link = kind == VERIFICATION_CODE or may_wait_for_acknowledgement(kind)
            reader = Reader(
                name="Li Wei" if language == "en" else "李薇",
                language=language,
                time_zone="Asia/Shanghai",
                place="Huadong Trading, Shanghai",
                link=LINK if has_link else None,
                link_text=phrase(word, language),
            )
            html = preview(template, reader).html
            assert html is not None, "a mail has an HTML part"
            yield Picture(f"{kind}-{size}", width, html)


def main() -> None:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise SystemExit("Chromium is not installed.")
    FOLDER.mkdir(parents=True, exist_ok=True)
    made = list(pictures())
    with tempfile.TemporaryDirectory() as folder:
        heights = measured(program, Path(folder), made)
        for picture in made:
            take(program, Path(folder), picture, heights[picture.name])
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{len(made)} pictures in {FOLDER}")


def page() -> str:
    """The page that shows them all."""
    rows = [
        f"| {kind} | ![](images/notices/{kind}-wide.png) | ![](images/notices/{kind}-narrow.png) |\n"
        for kind in KINDS
    ]
    return HEAD + "".join(rows)


def measured(program: str, folder: Path, made: list[Picture]) -> dict[str, int]:
    """How high each mail is in its window."""
    frames = "".join(
        f'<iframe id="{picture.name}" style="width:{picture.width}px;height:10px" srcdoc="{escape(picture.html)}">'
        "</iframe>"
        for picture in made
    )
    script = (
        "onload=()=>{document.title=JSON.stringify(Object.fromEntries([...document.querySelectorAll('iframe')]"
        ".map(f=>[f.id,f.contentDocument.body.scrollHeight])))}"
    )
    page = folder / "measure.html"
    page.write_text(f"<meta charset=utf-8><title></title><script>{script}</script>{frames}", encoding="utf-8")
    printed = chromium(program, "--dump-dom", page.as_uri())
    title = re.search(r"<title>(.*?)</title>", printed)
    assert title is not None, "the page has a title"
    heights: dict[str, int] = json.loads(title[1])
    return heights


def take(program: str, folder: Path, picture: Picture, height: int) -> None:
    page = folder / "mail.html"
    page.write_text(picture.html, encoding="utf-8")
    target = FOLDER / f"{picture.name}.png"
    size = f"--window-size={picture.width},{height}"
    chromium(program, f"--screenshot={target}", size, f"--force-device-scale-factor={SCALE}", page.as_uri())


def chromium(program: str, *options: str) -> str:
    command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", *options]
    done = subprocess.run(command, capture_output=True, check=True, timeout=SECONDS_MAX)  # our own pages
    return done.stdout.decode()


if __name__ == "__main__":
    main()
