"""The mean of the experts at part of its strength, as a SELMA plugin."""
