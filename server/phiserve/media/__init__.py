"""Where an image's bytes come from: data URLs, the web or a folder.

Knows limits and addresses; nothing of file formats or pixels, nor which part of a request an image belongs
to.
"""
