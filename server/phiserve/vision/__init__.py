"""Pictures: URL -> bytes -> RGB -> crops. Knows sizes and pixels; knows nothing of prompts or the engine."""
