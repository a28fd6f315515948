"""What the tests share: a set clock, databases, a memory archive, a synthetic sky."""
