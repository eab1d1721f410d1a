"""Voice engines behind one Protocol. They know nothing of the business."""
