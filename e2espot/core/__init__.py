"""Values that every other package uses: events, label sets, scores, the timeline, devices, errors."""
