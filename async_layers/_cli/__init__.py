"""The pages and the manners of the command line."""
