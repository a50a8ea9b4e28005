"""The press beside Hugo, Pelican, Nikola and Eleventy: the same blog by each, in one run."""
