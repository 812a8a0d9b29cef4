"""`python -m localft` is `localft`."""

from localft.cli import main

main()
