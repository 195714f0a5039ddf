"""`python -m qserver`."""

from qserver.cli import main

main(prog_name="qserver")
