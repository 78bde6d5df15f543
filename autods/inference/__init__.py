"""From frames to localizations: tiling and stitching, rescaling between optical systems, the localizers."""
