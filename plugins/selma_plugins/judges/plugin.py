"""The bundled judges."""
