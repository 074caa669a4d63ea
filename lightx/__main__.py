"""`python -m lightx` is the `lightx` command."""
from .cli import main

main()
