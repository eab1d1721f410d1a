"""What every domain stands on: database, states, audit, outbox, storage, errors. Knows no domain word."""
