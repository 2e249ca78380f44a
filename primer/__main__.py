"""`python -m primer`: the command `primer`."""

from primer import cli

cli.main()
