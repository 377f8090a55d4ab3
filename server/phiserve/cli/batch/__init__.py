"""`phiserve batch`: many requests without a server, from a file of lines or from a folder of images.

Knows files of requests, answers and tables, and how to go on with those that were left unfinished. How
requests are answered it leaves to a server's own routes.
"""
