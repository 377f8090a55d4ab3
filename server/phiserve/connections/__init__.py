"""Connections: from sockets to requests that the application sees.

Knows HTTP/1 as real clients speak it, deadlines, limits on what comes before any key is known, and how a
server ends. Knows nothing of routes.
"""
