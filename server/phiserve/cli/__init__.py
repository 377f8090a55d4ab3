"""The `phiserve` command, one module for each subcommand. Knows people at terminals; the rest is asked of the
layers below.
"""
