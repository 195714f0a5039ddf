"""`python -m qclient`: the command line, where the script is not installed."""

from qclient.cli import main

main()
