"""Where the browser of the page's tests is, or how to get one."""
import os
import shutil
import sys
from pathlib import Path

NAMES = "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"
PLACES = ("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", "/Applications/Chromium.app/Contents/MacOS/Chromium",
          r"C:\Program Files\Google\Chrome\Application\chrome.exe")
HELP = """no browser for the page's tests: they are skipped.
  Debian, Ubuntu  apt-get install chromium
  macOS, Windows  install Google Chrome
  anywhere        LIGHTX_BROWSER=/path/to/chrome make test"""


def find_browser():
    """The path of Chromium or Chrome; None where there is none."""
    if named := os.environ.get("LIGHTX_BROWSER"):
        return named if Path(named).is_file() else sys.exit(f"LIGHTX_BROWSER is {named}: no such file")
    return next(filter(None, map(shutil.which, NAMES)), None) or next((o for o in PLACES if Path(o).is_file()), None)


if __name__ == "__main__":
    if not find_browser():
        print(HELP, file=sys.stderr)
        sys.exit(1 if os.environ.get("CI") else 0) # tests that nobody runs would go unnoticed
