"""Batches on the wire: their files, line by line, and the objects that `/v1/batches` answers with."""
