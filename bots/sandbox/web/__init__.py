"""The sandbox's web page: its server, what it sends to the page and what the page may do."""
