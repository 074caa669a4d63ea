"""The `lightx` command: thin, each command imports what it needs when it runs"""

from .base import app, console, main
from . import classifiers, inspection, demo, research, cache # each adds its commands to `app`

__all__ = ["app", "cache", "classifiers", "console", "demo", "inspection", "main", "research"]
