"""Bytes -> upright RGB pixels, one module for each file format behind one interface: `parse`, whose
`ParsedImage` knows its size and can be decoded. Knows nothing of where bytes come from or of crops.
"""

from phiserve.codecs.formats import EXTRA_FORMATS, FORMATS, parse, require_decoders
from phiserve.codecs.parsed import ParsedImage, Pixels

__all__ = ["EXTRA_FORMATS", "FORMATS", "ParsedImage", "Pixels", "parse", "require_decoders"]
