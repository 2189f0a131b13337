"""What the tests stand on: processes, certificates, tokens, streams. No test of its own."""
