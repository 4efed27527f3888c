"""Training: from a recipe and a dataset folder to a run folder.

recipe -> config -> setup -> Run -> fit: batches -> batch -> step -> validation -> best.safetensors
                                                                  -> fit_calibration -> calibration.json
"""
