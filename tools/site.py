"""
Gather the pages for the site, build it, and see that it takes nothing from other hosts.

The pages are written for GitHub. The site has them in one folder, so links are written anew: to
another page, to a picture that is copied, or to the file in the repository. Its Markdown wants an
empty line before a list, and four spaces where a list goes on. Run it with the Python that has
zensical.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
FILES = "https://github.com/graceexit/graceexit/blob/main"
PAGES = {
    ROOT / "README.md": "index.md",
    ROOT / "CHANGELOG.md": "changelog.md",
    ROOT / "CONTRIBUTING.md": "contributing.md",
    ROOT / "SECURITY.md": "security.md",
    ROOT / "benchmarks" / "RESULTS.md": "results.md",
    **{path: path.name for path in sorted((ROOT / "docs").glob("*.md"))},
}
LINK = re.compile(r"(!?\[[^]]*\]\()([^)\s#]+)([^)\s]*\))")
ITEM = re.compile(r"\s*([*-]|\d+\.) ")
# What a browser fetches by itself.
FETCHED = re.compile(
    r"""<(?:script|img|iframe|link rel="?stylesheet)[^>]*="?(https?:[^">]*)|url\((http[^)]*)"""
)


def gather(folder: Path) -> None:
    """Write every page, and the pictures that it shows, into *folder*."""
    shutil.copy(ROOT / "docs" / "site.css", folder)
    for path, name in PAGES.items():

        def link(match: re.Match[str], path: Path = path) -> str:
            before, target, after = match.groups()
            if re.match(r"\w+:", target):
                return match[0]
            file = (path.parent / target).resolve()
            if not file.exists():
                raise FileNotFoundError(f"{path} has a link to {target}")
            if file in PAGES:
                return f"{before}{PAGES[file]}{after}"
            if before.startswith("!"):
                shutil.copy(file, folder)
                return f"{before}{file.name}{after}"
            return f"{before}{FILES}/{file.relative_to(ROOT).as_posix()}{after}"

        text = LINK.sub(link, path.read_text(encoding="utf-8"))
        (folder / name).write_text(laid_out(text), encoding="utf-8")


def laid_out(text: str) -> str:
    """Return a page with the empty lines and the indents that the site's Markdown wants."""
    lines = [""]
    fence = None  # how far the block of code that is open is indented
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if fence is None:
            shift = 4 - indent if 0 < indent < 4 else 0  # noqa: PLR2004
            if ITEM.match(line) and not indent and lines[-1].strip():
                follows = ITEM.match(lines[-1]) or lines[-1].startswith(" ")
                lines += [] if follows else [""]
        else:
            shift = 4 - fence if fence else 0
        if line.lstrip().startswith("```"):
            fence = indent if fence is None else None
        lines.append(" " * shift + line if line.strip() else "")
    return "\n".join(lines[1:]) + "\n"


def foreign(site: Path) -> list[str]:
    """Return what the pages and styles of *site* would fetch from other hosts."""
    found = set()
    for path in [*site.rglob("*.html"), *site.rglob("*.css")]:
        for one, other in FETCHED.findall(path.read_text(encoding="utf-8")):
            found.add(f"{path.relative_to(site)}: {one or other}")
    return sorted(found)


def main() -> int:
    """Build the site; return 1 if a link is broken or something comes from elsewhere."""
    navigation = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    if missing := [name for name in PAGES.values() if f'"{name}"' not in navigation]:
        sys.exit(f"zensical.toml does not lead to {', '.join(missing)}")
    folder = ROOT / "build" / "pages"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    gather(folder)
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    status = subprocess.run(command, cwd=ROOT, check=False).returncode
    for line in (fetched := foreign(ROOT / "build" / "site")):
        print(f"from another host: {line}")
    return int(bool(status or fetched))


if __name__ == "__main__":
    sys.exit(main())
