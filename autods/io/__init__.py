"""Movies, localization tables and images: files in, files out."""
