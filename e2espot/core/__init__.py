"""Values that everything else speaks of: events, label sets, scores, the timeline, devices, errors."""
