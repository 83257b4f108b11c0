"""The command line ``mlseqm``: its commands and their options."""
