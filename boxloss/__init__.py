"""Box-regression losses for object detection that keep every level of the cost."""
