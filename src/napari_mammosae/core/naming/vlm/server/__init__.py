"""Speaking with a server: its address, requests, answers, and what was asked before."""
