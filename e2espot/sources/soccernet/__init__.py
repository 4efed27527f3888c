"""SoccerNet's servers: what to fetch from them, and what they take."""
