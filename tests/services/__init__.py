"""The whole flow through real processes, databases and brokers."""
