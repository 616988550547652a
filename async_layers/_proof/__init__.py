"""What a proof is made of: the facts, a place, a witness, an outcome."""
