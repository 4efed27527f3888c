"""Where matches come from: SoccerNet's servers and object stores."""
