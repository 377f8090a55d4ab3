"""The `phiserve` command, one module for each subcommand.

Knows the people at terminals; all else is asked of the layers below.
"""
