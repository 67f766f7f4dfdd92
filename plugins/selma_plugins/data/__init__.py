"""The bundled registry data."""
