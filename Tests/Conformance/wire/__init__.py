"""Raw HTTP and WebSocket clients that believe nothing: every byte of the server's is held against the RFCs."""
