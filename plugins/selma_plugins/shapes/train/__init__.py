"""How the two bundled models were made: see ``python -m selma_plugins.shapes.train --help``."""
