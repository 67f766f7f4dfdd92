"""How the two bundled models were made: ``python -m selma_plugins.shapes.train vae|base|small``."""
