"""What a network looks at, where it puts its images, and the loss that it was trained down."""
