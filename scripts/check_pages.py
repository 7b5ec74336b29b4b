"""Check built pages: links that lead nowhere, and what axe-core says of them, light and dark.

``python scripts/check_pages.py [FILE.html or FOLDER] ...`` looks at ``docs/_build/html`` by default
and needs no network. axe-core comes from npm (``npm install --prefix .axe axe-core``), and runs in
a headless Chromium; where either is missing this says what to install, and checks links alone.
"""

from __future__ import annotations

import argparse
import html.parser
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import urllib.parse

ROOT = pathlib.Path(__file__).parents[1]
AXE = ROOT / ".axe" / "node_modules" / "axe-core" / "axe.min.js"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
SERIOUS = ("serious", "critical")
SCHEMES = {"dark": 0, "light": 1}
RUN = """<script>axe.run(document, {resultTypes: ["violations"]}).then(found => {
  const said = found.violations.map(v => [v.impact, v.id, v.help, v.nodes[0].html.slice(0, 120)]);
  document.documentElement.innerHTML = "<pre id=axe>" + encodeURIComponent(JSON.stringify(said))
    + "</pre>";
});</script>"""


class Links(html.parser.HTMLParser):
    """What a page links to, and the names that it has."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note links and names."""
        for key, value in attributes:
            if key in ("href", "src") and value:
                self.targets.append(value)
            if key in ("id", "name") and value:
                self.names.add(value)


def read(page: pathlib.Path) -> Links:
    """Return the links of a page."""
    links = Links()
    links.feed(page.read_text("utf-8", errors="replace"))
    return links


def broken(pages: list[pathlib.Path]) -> list[str]:
    """Return links to files or places that are not there, and whatever needs a network."""
    found = {page.resolve(): read(page) for page in pages}
    wrong = []
    for page, links in found.items():
        for target in sorted(set(links.targets)):
            url = urllib.parse.urlsplit(target)
            if url.scheme or url.netloc or target in ("#", ""):
                continue
            path = urllib.parse.unquote(url.path)
            to = (page.parent / path).resolve() if path else page
            if not to.exists():
                wrong.append(f"{page.name}: no file {target}")
            elif url.fragment and to.suffix == ".html":
                names = found[to].names if to in found else read(to).names
                if urllib.parse.unquote(url.fragment) not in names:
                    wrong.append(f"{page.name}: no place {target}")
        text = page.read_text("utf-8", errors="replace")
        for loaded in re.findall(r'<(?:script|img|link)[^>]*(?:src|href)="(https?://[^"]+)"', text):
            wrong.append(f"{page.name}: loads {loaded}")
    return wrong


def violations(page: pathlib.Path, browser: str, scheme: str) -> list[list[str]]:
    """Return what axe-core finds on a page: impact, rule, help, the first element."""
    text = page.read_text("utf-8")
    script = f"<script>{AXE.read_text('utf-8')}</script>{RUN}"
    with tempfile.NamedTemporaryFile(
        "w", suffix=".html", dir=page.parent, delete=False, encoding="utf-8"
    ) as copy:
        at = text.rfind("</body>")
        copy.write(text[:at] + script + text[at:])
    try:
        done = subprocess.run(
            [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
             f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}",
             "--virtual-time-budget=30000", pathlib.Path(copy.name).as_uri()],
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip
    finally:
        pathlib.Path(copy.name).unlink()
    said = re.search(r'<pre id="?axe"?>(.*?)</pre>', done.stdout, re.DOTALL)
    if said is None:
        raise RuntimeError(f"{page}: axe-core did not answer in {browser}")
    answer: list[list[str]] = json.loads(urllib.parse.unquote(said[1]))
    return answer


def main() -> int:
    """Print what is wrong; 0 if nothing is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("places", nargs="*", type=pathlib.Path)
    parser.add_argument("--axe", type=int, default=24, help="pages looked at by axe-core, at most")
    options = parser.parse_args()
    places = options.places or [ROOT / "docs" / "_build" / "html"]
    pages = [p for at in places for p in (sorted(at.rglob("*.html")) if at.is_dir() else [at])]
    if not pages:
        print(f"{places[0]}: no pages; make docs builds them")
        return 2
    wrong = broken(pages)
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not AXE.exists() or browser is None:
        missing = "a Chromium" if browser is None else "axe-core"
        print(f"without axe-core: install {missing} (npm install --prefix .axe axe-core)")
    else:
        outer = [
            page for page in pages if page.parent in {at.resolve() for at in places} | {*places}
        ]
        seen = [(page, scheme) for page in (outer or pages)[: options.axe] for scheme in SCHEMES]
        for page, scheme in seen:
            for impact, rule, text, element in violations(page, browser, scheme):
                line = f"{page.name}, {scheme}: {impact}: {rule}: {text}: {element}"
                print(line)
                wrong += [line] if impact in SERIOUS else []
    print("\n".join(wrong) or f"{len(pages)} pages: no link is broken")
    return int(bool(wrong))


if __name__ == "__main__":
    raise SystemExit(main())
