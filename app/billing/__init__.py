"""Plans, what they allow, and the ledger of characters used.

Higher packages ask `entitlements` before they create work and `charge` when it is done.
"""
