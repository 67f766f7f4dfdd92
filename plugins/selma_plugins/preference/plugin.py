"""The bundled preference models."""
