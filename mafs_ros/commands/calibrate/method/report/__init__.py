"""The page that shows a calibration: before and after."""
