"""A stand-in for the model server on a user's desktop.

It speaks Ollama's documented API and the part of OpenAI's that Ollama has, streams as the real one does, refuses whom
the real one refuses, and says the same thing every time. What it should do wrong it is told through a second port,
where it also tells what it was asked. Standard library only; `python3 -m model` starts it, with this folder's parent on
the path.
"""
