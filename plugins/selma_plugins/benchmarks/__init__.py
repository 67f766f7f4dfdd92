"""The files of benchmarks in their released formats, behind one reader."""
