"""SoccerNet's servers: downloading the datasets, and packing results for submission."""
