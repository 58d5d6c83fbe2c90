"""Registration of two cameras from a drive: finds the homography, or says why it cannot."""
