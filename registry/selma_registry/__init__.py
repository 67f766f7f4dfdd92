"""SELMA registry: recipes, skills, models, benchmarks and ablations, as data only."""
