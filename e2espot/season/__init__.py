"""Many matches: which are whose, who does the work, and what is written when a match is done.

An engine takes videos and gives back what was found in each, in any order; it is told nothing of
games or files. The season puts videos together to games and writes a game when it is whole.
"""
