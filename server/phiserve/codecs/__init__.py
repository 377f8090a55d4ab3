"""File contents -> upright RGB pixels, with one module for each file format.

All formats have one interface: `parse` returns a `ParsedImage`, which knows its size and can be decoded.
Knows nothing of where files come from, or of crops.
"""

from phiserve.codecs.formats import EXTRA_FORMATS, FORMATS, parse, require_decoders
from phiserve.codecs.parsed import ParsedImage, Pixels

__all__ = ["EXTRA_FORMATS", "FORMATS", "ParsedImage", "Pixels", "parse", "require_decoders"]
