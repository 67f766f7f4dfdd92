"""A small learned judge of the world: reads pictures and prompts, and says how well they agree."""
