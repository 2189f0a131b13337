"""The benchmark driver: starts servers and load, reads what they cost, prints one table."""
