"""Processes in which images are decoded, with limits on memory and time, closed off from network and files.

Knows `vision`'s decoders and `codecs`; nothing of requests.
"""
