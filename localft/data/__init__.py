"""Files to batches: rows, wording, tokens + loss_mask, split, packing."""
