"""What a training minimises: corrected losses and those of the references."""
