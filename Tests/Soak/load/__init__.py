"""Clients, honest and hostile, each in a process of its own, and what is read from the kernel. No test of its own."""
