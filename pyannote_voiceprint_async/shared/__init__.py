"""State that the processes of one API key share: permits, submission keys and webhook deliveries."""
