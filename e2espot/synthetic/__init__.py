"""Rendered matches with exact labels: possession play, a broadcast camera, and its picture."""
