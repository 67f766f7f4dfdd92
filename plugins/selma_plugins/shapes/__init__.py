"""The bundled world ``shapes``: a closed world in which faithfulness is measured exactly.

Scenes of one to four coloured shapes are drawn (`render`), described (`captions`), prompted for
(`grammar`), asked about (`questions`) and judged by measuring pixels (`oracle`). Nothing here
imports torch except the package `train`, which made the two bundled models.
"""
