"""The result of an identification: turns, speakers, decisions, and its forms as RTTM, JSON and a picture."""
