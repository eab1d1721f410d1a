"""Plans, what they allow, and the ledger of characters used.

Higher packages read `plans` and the balance before they create work, `reserve` characters with it, and `settle` or
`release` them when it ends. Nothing else speaks to the payment provider.
"""
