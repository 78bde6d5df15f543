"""How good localizations and images are: matching, detection, image quality and resolution."""
