"""What a movie tells about itself: noise, density, SNR, PSF width, camera."""
