"""HTTP: routes, streaming, errors on the wire. Knows requests and responses; nothing of tokens or pixels."""
