"""The first files of an installation of one's own."""
