"""A photo that lives: blinks and slight head motion, made from the photo's own pixels."""
