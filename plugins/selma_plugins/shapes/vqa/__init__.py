"""A small trained judge that answers the world's yes/no questions: evaluates beside the oracle, never selects."""
